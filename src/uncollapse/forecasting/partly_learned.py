"""One level of latents, some of a fixed encoder width and some of a learned one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from uncollapse.forecasting.problem import Problem, quiet
from uncollapse.theory import assignment, critical, optimum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["PartlyLearned"]


@dataclass(frozen=True, eq=False)
class PartlyLearned:
    """Some latents of fixed relative width ``fixed`` (ascending), ``n_learned`` of learned width.

    The pairing of modes and latents depends on β; `critical_betas` and `critical_levels` hold for the pairing at
    ``beta``.
    """

    problem: Problem
    fixed: np.ndarray
    n_learned: int
    beta: float

    @cached_property
    def rho(self) -> np.ndarray:
        """Relative width of each mode's latent, NaN where learned; modes without a latent get the widest."""
        return self._pairing(self.beta)

    @property
    def critical_betas(self) -> np.ndarray:
        return self._critical_betas(self.problem.strengths, self.rho)

    @property
    @quiet
    def critical_levels(self) -> np.ndarray:
        return assignment.critical_water_levels(self.problem.strengths, self.rho)

    def keeping(self, n_alive: int) -> float:
        narrowest = min(float(self.fixed.min()), 1.0)
        low, high = 0.0, float(self._critical_betas(self.problem.strengths[:1], np.array([narrowest]))[0])
        if n_alive == 1:
            return high
        while high - low > 1e-12 * high:
            middle = (low + high) / 2 if low else high / 2
            fits = self.modes(middle).alive.sum() >= n_alive
            low, high = (middle, high) if fits else (low, middle)
        return low

    @quiet
    def totals(self, betas: np.ndarray) -> Totals:
        p, s = self.problem, self._s
        rows = np.array([self._sums(float(beta)) for beta in betas]).reshape(-1, 3)
        alive, rate, distortion = rows[:, 0].astype(int), rows[:, 1], rows[:, 2]
        return optimum.summed(betas, alive, np.full(len(betas), s), rate, distortion, p.n_targets)

    @quiet
    def modes(self, beta: float) -> ModeOptimum:
        p, rho, tau = self.problem, self._paired(beta), beta * self._s
        alive = assignment.lives(p.strengths, rho, tau) & (np.arange(len(p.strengths)) < p.n_usable)
        return optimum.at_modes(tau, p.strengths, rho=rho, n_usable=p.n_usable, alive=alive, prior_std=p.prior_std)

    def _sums(self, beta: float) -> tuple[float, float, float]:
        """Number alive, rate and distortion, over all latents and modes."""
        p, m = self.problem, self.modes(beta)
        used = self._paired(beta)[: p.n_usable]
        every, carrying = (float(optimum.fixed_width_kl(rho).sum()) for rho in (self.fixed, used[~np.isnan(used)]))
        return m.alive.sum(), float(m.kl.sum()) + every - carrying, float(m.distortion.sum()) + p.energy_beyond

    @quiet
    def _critical_betas(self, strengths: np.ndarray, rho: np.ndarray) -> np.ndarray:
        p = self.problem
        return critical.critical_betas(strengths, p.total_energy, p.n_targets, self._s, rho)

    @property
    def _s(self) -> float:
        s = self.problem.decoder_variance
        assert s is not None  # the objective refuses a learned one beside partly learned widths
        return s

    def _paired(self, beta: float) -> np.ndarray:
        return self.rho if beta == self.beta else self._pairing(beta)

    @quiet
    def _pairing(self, beta: float) -> np.ndarray:
        p = self.problem
        pairing = assignment.pair_modes(p.strengths, beta * self._s, self.fixed, self.n_learned)
        return np.pad(pairing, (0, len(p.strengths) - len(pairing)), constant_values=self.fixed.max())
