"""The command `uncollapse`: each subcommand a thin call of the library."""

from __future__ import annotations

import io
import sys
from typing import Annotated, NoReturn

import typer

from uncollapse import __version__
from uncollapse.commands.diagnose_command import diagnose
from uncollapse.commands.forecast_command import forecast
from uncollapse.commands.reproduce_command import reproduce
from uncollapse.commands.sweep_command import sweep
from uncollapse.commands.train_command import train
from uncollapse.errors import UncollapseError

__all__ = ["app", "main"]

app = typer.Typer(
    name="uncollapse",
    help="Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died.",
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
    """Posterior collapse of VAEs: forecast it from data and loss, train, diagnose a model that died."""


app.command()(forecast)
app.command()(diagnose)
app.command()(train)
app.command()(sweep)
app.command()(reproduce)

if __name__ == "__main__":
    main()
