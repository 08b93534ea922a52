"""One attempt at the package, and what came of it: right, a clear error, or one of three things that must not be."""

from __future__ import annotations

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse import UncollapseError, UncollapseWarning

__all__ = ["BAD", "KINDS", "Attempt", "Outcome", "clear", "judged"]

KINDS = ("right", "clear error", "traceback", "hang", "wrong")
BAD = ("traceback", "hang", "wrong")

MOST_SECONDS = 30.0
"""After this long an attempt on a table of some dozen rows hangs."""

MOST_CHARACTERS = 500
"""Of a message that is still one line."""


@dataclass(frozen=True)
class Attempt:
    """A call, what it is in words, and how its answer is told right from wrong.

    ``flaw`` gets the answer and says what is wrong with it, or "". ``expected`` is "answer" where an error would be
    wrong, "error" where an answer would be, and "either" where nobody can say.
    """

    what: str
    call: Callable[[], Any]
    flaw: Callable[[Any], str] = lambda answer: ""
    expected: str = "either"
    strict: bool = False
    """NumPy raises where it would warn, as under ``np.seterr(all="raise")``."""


@dataclass(frozen=True)
class Outcome:
    """One of `KINDS`, and why."""

    kind: str
    why: str = ""


class Hang(BaseException):
    """Raised by the clock; no handler of ours catches it."""


def judged(attempt: Attempt) -> Outcome:
    """Try it."""
    try:
        with _clock(), warnings.catch_warnings(record=True) as said, _numpy(attempt.strict):
            warnings.simplefilter("always")
            answer = attempt.call()
    except Hang:
        return Outcome("hang", f"longer than {MOST_SECONDS:g} s")
    except UncollapseError as error:
        return _of_error(str(error), attempt.expected)
    except BaseException as error:
        return Outcome("traceback", f"{type(error).__name__}: {error}"[:300])
    try:
        flaw = attempt.flaw(answer)
    except UncollapseError as error:  # of a command: told from an answer by its exit code
        return _of_error(str(error), attempt.expected)
    leaked = [w for w in said if not issubclass(w.category, UncollapseWarning | ImportWarning | ResourceWarning)]
    if leaked:
        return Outcome("wrong", f"leaks a warning: {leaked[0].category.__name__}: {leaked[0].message}"[:300])
    if attempt.expected == "error":
        return Outcome("wrong", f"taken without a word, the answer is {answer!r}"[:300])
    return Outcome("wrong", flaw) if flaw else Outcome("right")


def clear(message: str) -> bool:
    """Whether a message is one line that fits a screen."""
    return bool(message.strip()) and "\n" not in message and len(message) <= MOST_CHARACTERS


def _of_error(message: str, expected: str) -> Outcome:
    if not clear(message):
        return Outcome("wrong", f"a message of more than a line: {message[:200]!r}")
    if expected == "answer":
        return Outcome("wrong", f"refused: {message}")
    return Outcome("clear error", message)


@contextlib.contextmanager
def _clock() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _numpy(strict: bool) -> contextlib.AbstractContextManager[None]:
    return np.errstate(all="raise") if strict else contextlib.nullcontext()
