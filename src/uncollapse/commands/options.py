"""Options of the command as text → values of the library."""

from __future__ import annotations

from typing import Any

from uncollapse.errors import ObjectiveError, shown

__all__ = ["as_written", "levels_from", "notes_of", "number", "objective_from", "settings_from", "vector"]


def as_written(
    recon: str | None,
    reduction: str | None,
    half: bool,
    kl_reduction: str | None,
    kl_weight: float | None,
    kl_batch_sum: int | None,
    loss: str | None = None,
    settings: list[str] | None = None,
) -> dict[str, Any]:
    """A loss in code: what was said of it."""
    said = {
        "loss": loss,
        "settings": settings or None,
        "recon": recon,
        "reduction": reduction,
        "half": half or None,
        "kl_reduction": kl_reduction,
        "kl_weight": kl_weight,
        "kl_batch_sum": kl_batch_sum,
    }
    return {name: value for name, value in said.items() if value is not None}


def objective_from(
    written: dict[str, Any],
    *,
    n_features: int,
    beta: float | None,
    decoder_variance: str | None,
    n_latents: int | None,
    **shared: Any,
) -> Any:
    """The objective of the options; those that are None take the library's defaults."""
    from uncollapse.objective import Objective

    given = dict(written)
    shared = {name: value for name, value in shared.items() if value is not None}
    if n_latents is None and shared.get("levels"):
        n_latents = shared["levels"][0].n_latents
    if not given:
        variance = number("1" if decoder_variance is None else decoder_variance, "--decoder-variance")
        return Objective(beta=1.0 if beta is None else beta, decoder_variance=variance, n_latents=n_latents, **shared)
    if "loss" in given:
        return _of_function(given, n_features, beta, decoder_variance, n_latents, shared)
    if "settings" in given:
        raise ObjectiveError("--set is for an argument of a loss function; name the function with --loss")
    if "likelihood" in shared:
        raise ObjectiveError(
            "--likelihood goes with --beta; a loss as code writes it says its likelihood itself (--recon mse or bce)"
        )
    kl_weight_given = "kl_weight" in given
    if decoder_variance is not None or (beta is not None and kl_weight_given):
        raise ObjectiveError(
            "give the loss either as --beta and --decoder-variance, or as code writes it (--recon, --reduction, "
            "--half, --kl-reduction, --kl-weight, --kl-batch-sum), not both"
        )
    given.setdefault("kl_weight", 1.0 if beta is None else beta)
    if (batch_size := given.pop("kl_batch_sum", None)) is not None:
        given |= {"kl_batch": "sum", "batch_size": batch_size}
    return Objective.from_loss(given.pop("recon", "mse"), n_features=n_features, n_latents=n_latents, **given, **shared)


def _of_function(
    given: dict[str, Any],
    n_features: int,
    beta: float | None,
    decoder_variance: str | None,
    n_latents: int | None,
    shared: dict[str, Any],
) -> Any:
    """The objective behind a loss function, read by its values."""
    from dataclasses import replace

    from uncollapse.objective import Objective
    from uncollapse.reading.named import function_named
    from uncollapse.reading.read import read_loss

    said = sorted({*given} - {"loss", "settings"}) + [
        name for name, value in (("beta", beta), ("decoder_variance", decoder_variance)) if value is not None
    ] + ["likelihood"] * ("likelihood" in shared)  # fmt: skip
    if said:
        options = ", ".join("--" + name.replace("_", "-") for name in said)
        raise ObjectiveError(f"--loss says the whole loss itself; leave {options} out")
    if n_latents is None:
        raise ObjectiveError("--loss needs --latents, as a loss may average over them")
    reading = read_loss(
        function_named(given["loss"]), n_features, n_latents, settings=settings_from(given.get("settings"))
    )
    return replace(Objective.from_reading(reading), **shared)


def settings_from(said: list[str] | None, option: str = "--set") -> dict[str, Any]:
    """NAME=VALUE of further arguments, a loss's or a class's: numbers, true and false, or words."""
    result: dict[str, Any] = {}
    for text in said or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ObjectiveError(f"{option}: expected NAME=VALUE, got {shown(text)}")
        try:
            result[name] = float(value)
        except ValueError:
            result[name] = {"true": True, "false": False}.get(value.lower(), value)
    return result


def vector(text: str | None, word: str) -> Any:
    """Nothing, the `word`, a number, or the numbers of a source."""
    if text is None or text == word:
        return text
    try:
        return float(text)
    except ValueError:
        from uncollapse.data.vectors import read_vector

        return read_vector(text)


def notes_of(*tables: Any) -> list[str]:
    """How the numbers of the sources were made, where a user has to know."""
    return [table.note for table in tables if table is not None and table.note]


def levels_from(betas: str | None, variances: str | None, latents: str | None) -> Any:
    """Levels from three comma-separated lists; what is left out takes its default."""
    from uncollapse.objective import Level

    lists = {"--level-betas": betas, "--level-variances": variances, "--level-latents": latents}
    columns = {
        option: [number(part, option) for part in text.split(",")] for option, text in lists.items() if text is not None
    }
    lengths = {option: len(column) for option, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{option} has {length}" for option, length in lengths.items())
        raise ObjectiveError(f"every level needs one value in each list: {said}")
    n_levels = next(iter(lengths.values()), 0)
    column = {option: columns.get(option, [default] * n_levels) for option, default in LEVEL_DEFAULTS.items()}
    rows = zip(*column.values(), strict=True)
    return tuple(Level(beta, variance, _whole(n)) for beta, variance, n in rows)


LEVEL_DEFAULTS: dict[str, Any] = {"--level-betas": 1.0, "--level-variances": "learned", "--level-latents": None}


def _whole(value: float | None) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number(text: str | None, option: str) -> Any:
    """Nothing, `learned`, a number, or a list of either."""
    if text is None:
        return None
    try:
        values = [part if part == "learned" else float(part) for part in text.split(",")]
    except ValueError:
        raise ObjectiveError(f"{option}: expected a number or 'learned', got {shown(text)}") from None
    return values[0] if len(values) == 1 else tuple(values)
