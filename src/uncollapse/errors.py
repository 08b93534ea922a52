"""What can go wrong, said in one line: what was given, where, and what to do."""

from __future__ import annotations

import sys
import warnings
from decimal import Decimal
from numbers import Rational
from pathlib import Path
from typing import Any

__all__ = [
    "DataError",
    "ObjectiveError",
    "OutputError",
    "SourceError",
    "TrainingError",
    "UncollapseError",
    "UncollapseWarning",
    "first_line",
    "kind_and_line",
    "shape_of",
    "shortened",
    "shown",
    "warn",
]

OURS = str(Path(__file__).parent)

WRAPPERS = ("contextlib.py", "_ufunc_config.py")
"""Files of functions that stand between ours when one is decorated, as by ``np.errstate``."""


class UncollapseError(ValueError):
    """Base of every error raised on purpose; its message is one line, fit for a user."""


class SourceError(UncollapseError):
    """A file or a named data set cannot be read."""


class DataError(UncollapseError):
    """The numbers themselves are unfit: not finite, too few, of the wrong shape or type."""


class ObjectiveError(UncollapseError):
    """A loss or one of its settings is out of range, or asks two things that contradict."""


class OutputError(UncollapseError):
    """A result cannot be written where it was asked for."""


class TrainingError(UncollapseError):
    """A training cannot go on: its loss is not finite, or its checkpoint belongs to another one."""


class UncollapseWarning(UserWarning):
    """The result stands, and the message says what the data did to it."""


MOST_CHARACTERS = 200
"""Of what an error says that is not ours: it may hold a whole file."""


def first_line(error: BaseException) -> str:
    """What an error that is not ours says, on one line: its first, cut where long; its kind where it says nothing."""
    try:
        lines = str(error).split("\n")
    except Exception:  # a message may be anyone's code
        lines = [""]
    return shortened(next((line.strip() for line in lines if line.strip()), type(error).__name__))


def kind_and_line(error: BaseException) -> str:
    """Kind and first line of an error of a user's own code."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text cut to so many characters, with a mark where it was."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def warn(message: str) -> None:
    """An `UncollapseWarning` at the line of the caller: the first frame that is neither ours nor a wrapper of ours."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not (name.startswith(OURS) or name.endswith(WRAPPERS)):
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UncollapseWarning, stacklevel=level)


MOST_SHOWN = 60
"""Characters of a value in a message: enough to recognise it on one line."""


def shown(value: object) -> str:
    """A value in a message: its repr on one line, cut where long, or its kind where it has no repr that helps."""
    numpy = sys.modules.get("numpy")  # where it was never imported, nothing is a scalar of its kind
    is_numpys = numpy is not None and isinstance(value, numpy.generic)
    if is_numpys or isinstance(value, int | float | complex | str | bytes | bool | Decimal | Rational | None | type):
        try:
            text = " ".join(repr(value.item() if is_numpys else value).split())  # type: ignore[attr-defined]
        except Exception:  # a repr may be anyone's code, and an integer of 5,000 digits has none
            return type(value).__name__
        return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
    shape = shape_of(value)
    kind = type(value).__name__
    if shape is not None:
        return f"{kind} of shape {'×'.join(map(str, shape)) or '()'}"
    if isinstance(value, list | tuple) and len(value) <= 4 and all(isinstance(v, int | float | str) for v in value):
        return shown(str(value)).strip("\"'") if len(str(value)) <= MOST_SHOWN else f"{kind} of {len(value)}"
    return kind


def shape_of(value: object) -> tuple[Any, ...] | None:
    """The shape of an array; None of anything else, and of what has a shape that cannot be told (nested tensors)."""
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # an attribute may be anyone's code
        return None
    return tuple(shape) if isinstance(shape, tuple) else None
