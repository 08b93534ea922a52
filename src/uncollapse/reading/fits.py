"""A form of misfit that explains all differences between points, and when two numbers are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from uncollapse.reading.forms import Misfit

__all__ = ["TOLERANCE", "Fit", "Learned", "Per", "same"]

Per = Literal["all", "column", "group", "entry"]

TOLERANCE = 1e-4
"""Relative; a loss may round to float32."""


@dataclass(frozen=True)
class Fit:
    """What a loss does at some points.

    Attributes
    ----------
    kind : str or None
        One of `MISFITS`, or None where no form explains it.
    weight : float
        Of the form; 0 where the loss does not move, NaN where no form explains it.
    dispersion : float
        r of a negative binomial, infinite for the others.
    """

    kind: Misfit | None
    weight: float
    dispersion: float = np.inf


@dataclass(frozen=True)
class Learned:
    """What of a misfit is learned.

    Attributes
    ----------
    names : tuple of str
        Of the parameters or arguments.
    per : {"all", "column", "group", "entry"}
        One for all features, for each column, for each of some groups of them, or for each number of each row.
    log_once : bool
        Whether the log of the variance is not added up as the squared error is.
    faults : tuple of str
    """

    names: tuple[str, ...]
    per: Per = "all"
    log_once: bool = False
    faults: tuple[str, ...] = ()


def same(a: float, b: float, tolerance: float = 20 * TOLERANCE) -> bool:
    """Whether two numbers are one but for rounding."""
    return bool(abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300))
