"""What a closed form needs to know, and the questions that it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

import numpy as np

from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["Problem", "Solution", "quiet"]

P = ParamSpec("P")
R = TypeVar("R")


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """The same function without NumPy's warnings: inside a formula numbers may leave the range of float64.

    They become infinite or 0 there and the result stands, also where a caller has set ``np.seterr(all="raise")``.
    """

    @wraps(function)
    def calm(*args: P.args, **kwargs: P.kwargs) -> R:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return calm


@dataclass(frozen=True, eq=False)
class Problem:
    """What every closed form needs of the data and the objective.

    ``decoder_variance`` is None when it is learned; ``n_usable`` counts the modes that have a latent.
    """

    strengths: np.ndarray
    total_energy: float
    n_targets: int
    decoder_variance: float | None
    prior_std: float
    n_usable: int

    @property
    def energy_beyond(self) -> float:
        """Energy of the target that no mode holds."""
        return self.total_energy - float(self.strengths.sum())


class Solution(Protocol):
    """The global optimum of one objective on one spectrum."""

    @property
    def critical_betas(self) -> np.ndarray:
        """β at which each mode dies, shape (m,)."""

    @property
    def critical_levels(self) -> np.ndarray:
        """Water level at which each mode dies, shape (m,)."""

    def keeping(self, n_alive: int) -> float:
        """Largest β below which that many modes live."""

    def totals(self, betas: np.ndarray) -> Totals:
        """Sums over modes at many values of β."""

    def modes(self, beta: float) -> ModeOptimum:
        """What each mode does at one value of β."""
