"""The command `uncollapse`, from the first signal to the exit code; its subcommands are imported inside."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from uncollapse.commands.stopping import Signals
from uncollapse.errors import UncollapseError, shortened

__all__ = ["main"]

MOST_CHARACTERS = 400
"""Of a complaint that repeats what was typed."""


def main() -> None:
    """Run the command; whatever goes wrong for the user ends in one line and an exit code other than 0."""
    signals = Signals()
    try:
        with signals.handled():
            code, message = _outcome()
    except BaseException:
        if signals.came is None:
            raise
    if signals.came is not None:
        code, message, signals.said = signals.exit_code, signals.message, True
    if message:
        with contextlib.suppress(OSError, AttributeError):  # standard error may be full or closed too
            print(f"uncollapse: {' '.join(message.split())}", file=sys.stderr, flush=True)
    if code:
        _forget_output()
    sys.exit(code)


def _outcome() -> tuple[int, str]:
    """Exit code and the one line on standard error, empty for none."""
    if sys.stdout is None:
        return 2, "standard output is closed"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters still gets its answer
    try:
        from uncollapse.commands.app import app

        code = app(standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0, ""
    except SystemExit as end:  # Typer's own way to say that the reader of a pipe has gone
        return end.code if isinstance(end.code, int) else 1, ""
    except BrokenPipeError:
        return 1, ""
    except OSError as error:
        where = "standard output" if error.filename is None else str(error.filename)
        return 2, f"{where[:200]}: {error.strerror or error}"
    except UncollapseError as error:
        return 2, str(error)
    except MemoryError:
        return 2, "not enough memory; use --modes to find only the leading modes"
    except Exception as error:
        # the command line's own complaints: Typer carries its parser's exceptions under another name
        if not hasattr(error, "format_message"):
            raise
        shown = shortened(str(error.format_message()), MOST_CHARACTERS)
        return 2, shown if len(sys.argv) > 1 else "say what to do: uncollapse forecast SOURCE, or uncollapse --help"


def _forget_output() -> None:
    """Send what standard output still holds to nowhere, or the interpreter complains of it a second time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
