"""One level of latents whose encoder widths are all learned or all fixed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from uncollapse.forecasting.problem import Problem, quiet
from uncollapse.theory import assignment, critical, optimum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["OneLevel"]


@dataclass(frozen=True, eq=False)
class OneLevel:
    """Encoder widths all learned (``rho`` None) or all fixed (``rho`` paired with the modes, ascending)."""

    problem: Problem
    rho: np.ndarray | None
    width_kl: float

    @cached_property
    @quiet
    def critical_betas(self) -> np.ndarray:
        p = self.problem
        return critical.critical_betas(p.strengths, p.total_energy, p.n_targets, p.decoder_variance, self.rho)

    @property
    @quiet
    def critical_levels(self) -> np.ndarray:
        return assignment.critical_water_levels(self.problem.strengths, self.rho)

    def keeping(self, n_alive: int) -> float:
        return float(self.critical_betas[n_alive - 1])

    @quiet
    def totals(self, betas: np.ndarray) -> Totals:
        p = self.problem
        return optimum.totals(
            betas,
            p.strengths,
            p.total_energy,
            p.n_targets,
            decoder_variance=p.decoder_variance,
            rho=self.rho,
            n_usable=p.n_usable,
            width_kl=self.width_kl,
        )

    @quiet
    def modes(self, beta: float) -> ModeOptimum:
        p, totals = self.problem, self.totals(np.array([beta]))
        alive = np.arange(len(p.strengths)) < totals.n_alive[0]
        tau = float(totals.water_level[0])
        return optimum.at_modes(tau, p.strengths, rho=self.rho, n_usable=p.n_usable, alive=alive, prior_std=p.prior_std)
