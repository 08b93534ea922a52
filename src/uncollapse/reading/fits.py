"""A form of misfit that explains all differences between points, and when two numbers are one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.reading.forms import Misfit

__all__ = ["TOLERANCE", "Fit", "same"]

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


def same(a: float, b: float, tolerance: float = 20 * TOLERANCE) -> bool:
    """Whether two numbers are one but for rounding."""
    return bool(abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300))
