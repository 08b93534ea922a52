"""What can go wrong, said in one line: what was given, where, and what to do."""

from __future__ import annotations

__all__ = [
    "DataError",
    "ObjectiveError",
    "OutputError",
    "SourceError",
    "TrainingError",
    "UncollapseError",
    "UncollapseWarning",
]


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
