"""The command `uncollapse`: each subcommand a thin call of the library."""

from __future__ import annotations

import io
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from uncollapse import __version__
from uncollapse.errors import ObjectiveError, UncollapseError, UncollapseWarning

__all__ = ["app", "main"]

app = typer.Typer(
    name="uncollapse",
    help="Forecast which latents of a VAE will live, from data, before any training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command; a user's mistake ends in one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters still gets its answer
    try:
        sys.exit(app(standalone_mode=False))
    except UncollapseError as error:
        _fail(str(error), 2)
    except MemoryError:
        _fail("not enough memory; use --modes to find only the leading modes", 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:
        # the command line's own complaints: Typer carries its parser's exceptions under another name
        if not hasattr(error, "format_message"):
            raise
        shown = str(error.format_message())
        _fail(shown if len(sys.argv) > 1 else "say what to do: uncollapse forecast SOURCE, or uncollapse --help", 2)


def _fail(message: str, code: int) -> NoReturn:
    print(f"uncollapse: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Forecast which latents of a VAE will live, from data, before any training."""


DATA, LOSS, OUT = "The data", "The loss, as theory or as code writes it", "The answer"


@app.command()
def forecast(
    source: Annotated[
        str,
        typer.Argument(
            help="digits, iris, wine, breast-cancer, diabetes, or a file: .npy, .npz, .csv, .parquet, idx (.gz), "
            ".h5ad, .zarr. One array of several: FILE::NAME.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str | None, typer.Option(help="What the decoder predicts, if not the data.", rich_help_panel=DATA)
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(help="Condition of a conditional VAE, seen by encoder and decoder.", rich_help_panel=DATA),
    ] = None,
    scale: Annotated[
        float, typer.Option(help="Multiply the data by this, as your loader does.", rich_help_panel=DATA)
    ] = 1.0,
    drop_nonfinite: Annotated[
        bool, typer.Option("--drop-nonfinite", help="Leave out rows with NaN or infinite values.", rich_help_panel=DATA)
    ] = False,
    modes: Annotated[
        int | None, typer.Option(help="Find only so many leading modes (very wide data).", rich_help_panel=DATA)
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the KL term. (default 1)", rich_help_panel=LOSS)] = None,
    decoder_variance: Annotated[
        str | None, typer.Option(metavar="FLOAT|learned", help="η². (default 1)", rich_help_panel=LOSS)
    ] = None,
    prior_variance: Annotated[float, typer.Option(help="Of each latent.", rich_help_panel=LOSS)] = 1.0,
    encoder_variance: Annotated[
        str,
        typer.Option(
            metavar="learned|FLOAT",
            help="σ² of q(z|x); also a list, one per latent: 0.1,0.5,learned.",
            rich_help_panel=LOSS,
        ),
    ] = "learned",
    latents: Annotated[
        int | None, typer.Option(help="Number of latents. (default: one per mode)", rich_help_panel=LOSS)
    ] = None,
    level_betas: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Hierarchical VAE: KL weight of each level from the data up: 1,2.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    level_variances: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Encoder variance of each level: 0.25,learned. (default learned)", rich_help_panel=LOSS
        ),
    ] = None,
    level_latents: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Latents of each level: 16,8. (default --latents)", rich_help_panel=LOSS),
    ] = None,
    no_bias: Annotated[
        bool, typer.Option("--no-bias", help="Encoder and decoder have no biases.", rich_help_panel=LOSS)
    ] = False,
    likelihood: Annotated[
        str | None,
        typer.Option(
            metavar="gaussian|bernoulli|poisson|negative-binomial|categorical",
            help="Of the decoder; the last three for counts. (default gaussian)",
            rich_help_panel=LOSS,
        ),
    ] = None,
    dispersion: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT|SOURCE|estimated",
            help="r of a negative binomial, variance μ + μ²/r; one per column from a file. (default estimated)",
            rich_help_panel=LOSS,
        ),
    ] = None,
    size_factors: Annotated[
        str | None,
        typer.Option(
            metavar="total|SOURCE",
            help="What the decoder's mean is multiplied by in each row: its total, or numbers from a file.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    recon: Annotated[
        str | None, typer.Option(metavar="mse|bce", help="Reconstruction term in code.", rich_help_panel=LOSS)
    ] = None,
    reduction: Annotated[
        str | None,
        typer.Option(
            metavar="sum|mean", help="Of the reconstruction, over features. (default sum)", rich_help_panel=LOSS
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="The squared error carries a factor ½.", rich_help_panel=LOSS)
    ] = False,
    kl_reduction: Annotated[
        str | None,
        typer.Option(metavar="sum|mean", help="Of the KL, over latents. (default sum)", rich_help_panel=LOSS),
    ] = None,
    kl_weight: Annotated[
        float | None, typer.Option(help="What multiplies the KL. (default 1)", rich_help_panel=LOSS)
    ] = None,
    kl_batch_sum: Annotated[
        int | None,
        typer.Option(
            metavar="BATCH",
            help="The KL is summed over batches of this size, the reconstruction averaged.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Bootstrap samples for the intervals; 0 for none.", rich_help_panel=OUT)
    ] = 100,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE|-", help="Write everything as JSON; - prints it alone.", rich_help_panel=OUT
        ),
    ] = None,
    html_to: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one page.", rich_help_panel=OUT)
    ] = None,
) -> None:
    """Which latents will live on these data, at which β each dies, and what to change.

    Give the loss as β and decoder variance, or as your code writes it (--recon, --reduction, --kl-weight, …).
    """
    from uncollapse.forecast import forecast as forecast_
    from uncollapse.report.output import check_writable, write_text

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    read = [source, target or "", given or "", dispersion or "", size_factors or ""]
    check_writable(html_to, json_file, inputs=read)
    written = {
        "recon": recon,
        "reduction": reduction,
        "kl_reduction": kl_reduction,
        "kl_weight": kl_weight,
        "half": half or None,
        "kl_batch_sum": kl_batch_sum,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        rows, goal = _opened(source), _opened(target) if target is not None else None
        condition = _opened(given) if given is not None else None
        objective = _objective(
            written,
            n_features=(goal or rows).n_columns,
            beta=beta,
            decoder_variance=decoder_variance,
            prior_variance=prior_variance,
            encoder_variance=_number(encoder_variance, "--encoder-variance"),
            n_latents=latents,
            bias=not no_bias,
            levels=_levels(level_betas, level_variances, level_latents),
            **({} if likelihood is None else {"likelihood": likelihood}),
        )
        with _watching(rows, "reading") as watched:
            result = forecast_(
                watched,
                goal,
                given=condition,
                objective=objective,
                scale=scale,
                n_modes=modes,
                drop_nonfinite=drop_nonfinite,
                dispersion=_vector(dispersion, "estimated"),
                size_factors=_vector(size_factors, "total"),
            )
        intervals = None
        if bootstrap:
            from uncollapse.bootstrap import bootstrap as bootstrap_

            with _watching(rows, "resampling") as watched:
                intervals = bootstrap_(
                    watched, result, goal, given=condition, n_samples=bootstrap, drop_nonfinite=drop_nonfinite
                )
    notes = list(dict.fromkeys(str(item.message) for item in caught if issubclass(item.category, UncollapseWarning)))
    source = source.encode("utf-8", "replace").decode()  # a file name need not be text
    facts = {"source": source, **result.to_dict(), "intervals": intervals and intervals.to_dict(), "warnings": notes}
    if json_to == "-":
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    elif json_file:
        write_text(json_file, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    if html_to:
        from uncollapse.report.page import page

        write_text(html_to, page(result, intervals, source, notes))
    if json_to != "-":
        _print(result, intervals, source, notes)


def _print(result: Any, intervals: Any, source: str, notes: list[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    from uncollapse.report.terminal import render

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    render(result, intervals, source, console)
    for note in notes:
        console.print(Text(f"Note: {note}.", style="dim"))


def _opened(source: str) -> Any:
    from uncollapse.data.sources import open_source

    return open_source(source)


def _watching(rows: Any, what: str) -> Any:
    from uncollapse.report.progress import watching

    return watching(rows, what)


def _objective(
    written: dict[str, Any],
    *,
    n_features: int,
    beta: float | None,
    decoder_variance: str | None,
    n_latents: int | None,
    **shared: Any,
) -> Any:
    from uncollapse.objective import Objective

    given = {name: value for name, value in written.items() if value is not None}
    if not given:
        variance = _number(decoder_variance or "1", "--decoder-variance")
        return Objective(beta=1.0 if beta is None else beta, decoder_variance=variance, n_latents=n_latents, **shared)
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


def _vector(text: str | None, word: str) -> Any:
    """Nothing, the `word`, a number, or the numbers of a source."""
    if text is None or text == word:
        return text
    try:
        return float(text)
    except ValueError:
        from uncollapse.data.vectors import read_vector

        return read_vector(text)


def _levels(betas: str | None, variances: str | None, latents: str | None) -> Any:
    """Levels from three comma-separated lists; what is left out takes its default."""
    from uncollapse.objective import Level

    lists = {"--level-betas": betas, "--level-variances": variances, "--level-latents": latents}
    columns = {
        option: [_number(part, option) for part in text.split(",")]
        for option, text in lists.items()
        if text is not None
    }
    lengths = {option: len(column) for option, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{option} has {length}" for option, length in lengths.items())
        raise ObjectiveError(f"every level needs one value in each list: {told}")
    n_levels = next(iter(lengths.values()), 0)
    column = {option: columns.get(option, [default] * n_levels) for option, default in LEVEL_DEFAULTS.items()}
    rows = zip(*column.values(), strict=True)
    return tuple(Level(beta, variance, _whole(n)) for beta, variance, n in rows)


LEVEL_DEFAULTS: dict[str, Any] = {"--level-betas": 1.0, "--level-variances": "learned", "--level-latents": None}


def _whole(value: float | None) -> Any:
    return int(value) if value is not None and value == int(value) else value


def _number(text: str, option: str) -> Any:
    """`learned`, a number, or a list of either."""
    try:
        values = [part if part == "learned" else float(part) for part in text.split(",")]
    except ValueError:
        raise ObjectiveError(f"{option}: expected a number or 'learned', got {text!r}") from None
    return values[0] if len(values) == 1 else tuple(values)


if __name__ == "__main__":
    main()
