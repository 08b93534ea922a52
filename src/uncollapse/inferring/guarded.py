"""Other people's code, run for what it defines: without the network, and not for ever."""

from __future__ import annotations

import builtins
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uncollapse.errors import SourceError

__all__ = ["NetworkRefused", "guarded"]

MOST_SECONDS = 60.0
"""After which it is stopped; only in the main thread."""


class NetworkRefused(OSError):
    """What code that wants the network gets."""


class OutOfTime(BaseException):
    """No `Exception`, so that no code catches it in passing."""


@contextmanager
def guarded(what: str, *, hint: str) -> Iterator[None]:
    """Inside, connections and questions are refused and time is limited; `sys.argv` is the program's name alone.

    Parameters
    ----------
    what : str
        The code, for messages.
    hint : str
        What to do about code that takes too long.

    Raises
    ------
    SourceError
        It wanted the network, or took too long.
    """
    asked: list[str] = []

    def refuse(*where: Any, **_: Any) -> Any:
        asked.append(_host(where))
        raise NetworkRefused(f"the network is refused here (asked for {asked[-1]})")

    kept = {name: getattr(socket, name) for name in ("getaddrinfo", "create_connection")}
    connect, argv, ask = socket.socket.connect, sys.argv, builtins.input
    try:
        for name in kept:
            setattr(socket, name, refuse)
        socket.socket.connect = refuse  # type: ignore[method-assign]
        builtins.input = _nobody_answers
        sys.argv = argv[:1]  # a parser in the file would read our own options
        with _limited(MOST_SECONDS):
            yield
    except OutOfTime:
        raise SourceError(f"{what}: still runs after {MOST_SECONDS:g} seconds; {hint}") from None
    except Exception as error:
        if asked:
            raise SourceError(
                f"{what}: asks the network for {asked[-1]}, which is refused; build it without a download (pretrained "
                f"weights, a data set), by an argument (--args NAME=VALUE) or under `if __name__ == '__main__':`"
            ) from error
        raise
    finally:
        for name, function in kept.items():
            setattr(socket, name, function)
        socket.socket.connect = connect  # type: ignore[method-assign]
        builtins.input = ask
        sys.argv = argv


def _nobody_answers(*_: Any) -> str:
    raise EOFError("it asks for input, and nobody answers here")


def _host(where: tuple[Any, ...]) -> str:
    host = next((part for part in where if isinstance(part, str | tuple)), "a host")
    return str(host[0] if isinstance(host, tuple) and host else host)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
