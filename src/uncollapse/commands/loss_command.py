"""`uncollapse loss`: a loss function read by its values; a thin call of the library."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from uncollapse.commands.loss_options import LOSS, OUT, LossSettings, Scale
from uncollapse.commands.options import settings_from
from uncollapse.errors import ObjectiveError

__all__ = ["loss"]


def loss(
    function: Annotated[
        str,
        typer.Argument(
            help="FILE:FUNCTION, such as my_vae.py:loss_function, or my_vae.py:VAE.loss; its file is run.",
            show_default=False,
        ),
    ],
    source: Annotated[
        str | None, typer.Argument(help="Data, as for `forecast`: how many latents will live?", show_default=False)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Numbers of a sample, or its shape: 784, or 1,28,28.", rich_help_panel=LOSS),
    ] = None,
    latents: Annotated[int | None, typer.Option(help="Number of latents.", rich_help_panel=LOSS)] = None,
    batch_size: Annotated[
        int, typer.Option(help="Of the training, where one term is summed over it.", rich_help_panel=LOSS)
    ] = 128,
    set_: LossSettings = None,
    total: Annotated[
        str | None, typer.Option(help="Which of several values is the total: a name, or a place.", rich_help_panel=LOSS)
    ] = None,
    scale: Scale = 1.0,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write everything as JSON.", rich_help_panel=OUT)
    ] = None,
) -> None:
    """Say what a loss function weighs: its formula, its water level, and what is wrong with it."""
    from uncollapse.data.sources import open_source
    from uncollapse.errors import UncollapseWarning
    from uncollapse.files import check_writable, write_text
    from uncollapse.reading.named import function_named
    from uncollapse.reading.read import read_loss

    json_file = None if json_to in (None, "-") else Path(str(json_to))
    check_writable(None, json_file, inputs=[function.partition(":")[0], source or ""])
    rows = None if source is None else open_source(source)
    missing = [option for option, value in (("--features", features or rows), ("--latents", latents)) if value is None]
    if missing:
        raise ObjectiveError(f"{function}: say also {' and '.join(missing)}")
    shape: Any = _shape(features) if features is not None else getattr(rows, "n_columns", None)
    named, settings = function_named(function), settings_from(set_)
    reading = read_loss(named, shape, latents or 1, batch_size=batch_size, total=total, settings=settings)
    forecast = None
    if rows is not None and not reading.outside:
        from uncollapse.forecasting.predict import forecast as forecast_
        from uncollapse.objective import Objective

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncollapseWarning)  # `forecast` itself says them
            forecast = forecast_(rows, objective=Objective.from_reading(reading), scale=scale)
    if json_to is not None:
        told = reading.to_dict() | {"forecast": None if forecast is None else forecast.to_dict()}
        text = json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1)
        if json_file is None:
            typer.echo(text)
            return
        write_text(json_file, text + "\n")
    typer.echo(reading.summary())
    if forecast is not None:
        typer.echo("\n" + forecast.summary())


def _shape(text: str | None) -> int | list[int]:
    from uncollapse.commands.training_options import whole_numbers

    sides = whole_numbers(str(text), "--features")
    return sides[0] if len(sides) == 1 else list(sides)
