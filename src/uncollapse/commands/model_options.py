"""What the commands that look into a trained model share: opening it and its data, and whose loss counts."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uncollapse.commands.loss_options import OUT
from uncollapse.commands.options import number, objective_from
from uncollapse.errors import DataError

if TYPE_CHECKING:
    from uncollapse.data.rows import Rows
    from uncollapse.objective import Objective
    from uncollapse.probes.probe import Probe

    Tables = tuple[Rows, Rows | None, Rows | None]

__all__ = [
    "Arguments",
    "Device",
    "InputShape",
    "Model",
    "OfClass",
    "SampleRows",
    "Seconds",
    "SpreadOf",
    "Trust",
    "check_counts",
    "check_scale",
    "disagreement",
    "files",
    "is_said",
    "model_settings",
    "objective_of",
    "with_counts",
]

MODEL = "The model"

Model = Annotated[
    str,
    typer.Argument(
        help="A file of weights (.pth, .pt, .ckpt, .safetensors; then --model), a folder that `uncollapse train` or "
        "pythae wrote, a file of Keras, a folder with encoder.onnx and decoder.onnx, or FILE:FUNCTION, a function of "
        "yours that returns a model.",
        show_default=False,
    ),
]
OfClass = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE[:CLASS]",
        help="The class that the weights belong to: my_vae.py:VAE. Its file is not run, but for what the class needs.",
        rich_help_panel=MODEL,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option(
        "--args",
        metavar="NAME=VALUE",
        help="An argument of the class, where the weights do not tell it: latent_dim=16.",
        rich_help_panel=MODEL,
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run code that comes with the model, as unpickling does: only for a model of your own.",
        rich_help_panel=MODEL,
    ),
]
SpreadOf = Annotated[
    str | None,
    typer.Option(
        metavar="log_variance|variance|std",
        help="What the encoder gives beside the mean, if the model does not say.",
        rich_help_panel=MODEL,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Shape of a sample, if the model takes no rows: 1,28,28.", rich_help_panel=MODEL),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the network runs on: cpu, cuda, cuda:1, mps. (default: where it is)",
        rich_help_panel=MODEL,
    ),
]
SampleRows = Annotated[
    int | None,
    typer.Option(help="Rows that the decoder and the residual are asked on. (default 2048)", rich_help_panel=OUT),
]
Seconds = Annotated[
    float,
    typer.Option(
        "--budget", help="Seconds of work for the bill and its trials; the cheap lines come first.", rich_help_panel=OUT
    ),
]


def with_counts(probe: Probe, tables: Tables, dispersion: Any, size_factors: Any) -> tuple[Probe, Tables]:
    """The probe with its dispersion and size factors, as far as they were said, and the tables with the latter."""
    if dispersion is None and size_factors is None:
        return probe, tables
    from uncollapse.data.rows import as_rows
    from uncollapse.probes.sized import with_dispersion, with_sizes

    probe = with_dispersion(probe, dispersion)
    if size_factors is None:
        return probe, tables
    rows, goal, condition = tables
    probe, given = with_sizes(probe, size_factors, rows, condition)
    return probe, (rows, goal, as_rows(given, "the condition"))


def objective_of(
    own: Objective | None,
    written: dict[str, Any],
    loss: dict[str, Any],
    model: dict[str, Any],
    *,
    tables: Tables,
    n_latents: Callable[[], int],
) -> Objective | None:
    """The objective that the options describe; None where they leave it to the model.

    A loss that is given is given whole, as in `forecast`; what belongs to the model stays the model's own.
    """
    model = {name: value for name, value in model.items() if value is not None}
    if not is_said(written, loss):
        return replace(own, **model) if own is not None and model else None
    if own is not None:
        kept = {name: getattr(own, name) for name in ("prior_variance", "encoder_variance", "bias")}
        model = kept | model
        loss = loss | {"levels": loss["levels"] or own.levels or None}
        if not written and loss["likelihood"] is None:
            loss = loss | {"likelihood": own.likelihood}
    needed = n_latents() if written.get("kl_reduction") == "mean" or "loss" in written else None
    n_features: Any = (tables[1] or tables[0]).n_columns
    result: Objective = objective_from(written, n_features=n_features, n_latents=needed, **loss, **model)
    return result


def is_said(written: dict[str, Any], loss: dict[str, Any]) -> bool:
    """Whether an option says anything of the loss."""
    return bool(written) or any(value is not None for value in loss.values())


def disagreement(own: Objective | None, objective: Objective | None) -> Iterator[str]:
    if own is None or objective is None:
        return
    learned = objective.decoder_variance == "learned"
    same = own.likelihood == objective.likelihood and learned == (own.decoder_variance == "learned")
    if same and math.isclose(*((o.beta if learned else o.water_level) for o in (own, objective)), rel_tol=1e-6):
        return
    yield f"the loss given ({_in_words(objective)}) is not the model's own ({_in_words(own)}); the given one is used"


def _in_words(o: Objective) -> str:
    if o.likelihood != "gaussian":
        return f"{o.likelihood}, β = {o.beta:.4g}"
    variance = o.decoder_variance if isinstance(o.decoder_variance, str) else f"{o.decoder_variance:.4g}"
    return f"β = {o.beta:.4g}, decoder variance {variance}"


def model_settings(prior_variance: float | None, encoder_variance: str | None, no_bias: bool) -> dict[str, Any]:
    """What belongs to the model and not to its loss, as far as it was said."""
    return {
        "prior_variance": prior_variance,
        "encoder_variance": number(encoder_variance, "--encoder-variance"),
        "bias": False if no_bias else None,
    }


def check_scale(scale: float) -> None:
    """Refuse a scale that makes nothing of the data.

    Raises
    ------
    DataError
        0, or no finite number.
    """
    if not (math.isfinite(scale) and scale != 0):
        raise DataError(f"--scale must be a finite number other than 0, got {scale:g}")


def check_counts(counts: dict[str, int | None]) -> None:
    for option, count in counts.items():
        if count is not None and count < 2:
            raise DataError(f"{option} must be 2 or more, got {count}")


def files(model: str) -> list[str]:
    """The model, what lies in it if it is a folder, its source if it is code: none of it may be written over."""
    path = Path(model)
    name, colon, _ = model.partition(":")
    parts = name.split(".")
    try:
        if path.is_dir():
            return [model, *map(str, path.iterdir())]
        if not colon or path.exists() or not all(parts):
            return [model, *(model.split(",") if "," in model else [])]
    except OSError:  # too long a name, a folder that may not be read: what opens the model says so
        return []
    return [model] + [
        str(Path(folder, *parts[:n]).with_suffix(".py") if whole else Path(folder, *parts[:n], "__init__.py"))
        for folder in (".", *sys.path) for n in range(1, len(parts) + 1) for whole in (True, False)
    ]  # fmt: skip
