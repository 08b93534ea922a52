"""The subcommands as one application of Typer."""

from __future__ import annotations

from typing import Annotated

import typer

from uncollapse import __version__
from uncollapse.commands.diagnose_command import diagnose
from uncollapse.commands.forecast_command import forecast
from uncollapse.commands.reproduce_command import reproduce
from uncollapse.commands.sweep_command import sweep
from uncollapse.commands.train_command import train

__all__ = ["app"]

app = typer.Typer(
    name="uncollapse",
    help="Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died."""


app.command()(forecast)
app.command()(diagnose)
app.command()(train)
app.command()(sweep)
app.command()(reproduce)
