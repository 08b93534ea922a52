"""Which closed form answers an objective: one level, widths partly learned, or a hierarchy. No formula lives here.

Each kind of solution answers the same four questions, for a `Forecast` to pass on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.objective import Objective
from uncollapse.spectra.result import Spectrum
from uncollapse.theory import assignment, hierarchy, optimum
from uncollapse.theory.hierarchy import Chain, ChainOptimum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["Hierarchy", "OneLevel", "PartlyLearned", "Problem", "Solution", "one_level", "solution"]

MOST_VALUES = 2**22
"""Values of one array in a sweep over β: 32 MB each; longer sweeps are cut into pieces."""


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


class Solution(Protocol):
    """The global optimum of one objective on one spectrum."""

    @property
    def critical_betas(self) -> np.ndarray:
        """β at which each mode dies, shape (m,)."""

    @property
    def levels(self) -> np.ndarray:
        """Water level at which each mode dies, shape (m,)."""

    def keeping(self, n_alive: int) -> float:
        """Largest β below which that many modes live."""

    def totals(self, betas: np.ndarray) -> Totals:
        """Sums over modes at many values of β."""

    def modes(self, beta: float) -> ModeOptimum:
        """What each mode does at one value of β."""


@dataclass(frozen=True, eq=False)
class OneLevel:
    """Encoder widths all learned (``rho`` None) or all fixed (``rho`` paired with the modes, ascending)."""

    problem: Problem
    rho: np.ndarray | None
    width_kl: float

    @cached_property
    def critical_betas(self) -> np.ndarray:
        p = self.problem
        return optimum.critical_betas(p.strengths, p.total_energy, p.n_targets, p.decoder_variance, self.rho)

    @property
    def levels(self) -> np.ndarray:
        return assignment.critical_levels(self.problem.strengths, self.rho)

    def keeping(self, n_alive: int) -> float:
        return float(self.critical_betas[n_alive - 1])

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

    def modes(self, beta: float) -> ModeOptimum:
        p, totals = self.problem, self.totals(np.array([beta]))
        alive = np.arange(len(p.strengths)) < totals.n_alive[0]
        tau = float(totals.water_level[0])
        return optimum.at_modes(tau, p.strengths, rho=self.rho, n_usable=p.n_usable, alive=alive, prior_std=p.prior_std)


@dataclass(frozen=True, eq=False)
class PartlyLearned:
    """Some latents of fixed relative width ``fixed`` (ascending), ``n_learned`` of learned width.

    The pairing of modes and latents depends on β; `critical_betas` and `levels` hold for the pairing at ``beta``.
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
        return self.levels / self._s

    @property
    def levels(self) -> np.ndarray:
        return assignment.critical_levels(self.problem.strengths, self.rho)

    def keeping(self, n_alive: int) -> float:
        first, narrowest = self.problem.strengths[:1], min(float(self.fixed.min()), 1.0)
        low, high = 0.0, float(assignment.critical_levels(first, narrowest)[0] / self._s)
        if n_alive == 1:
            return high
        while high - low > 1e-12 * high:
            middle = (low + high) / 2 if low else high / 2
            fits = self.modes(middle).alive.sum() >= n_alive
            low, high = (middle, high) if fits else (low, middle)
        return low

    def totals(self, betas: np.ndarray) -> Totals:
        p, s = self.problem, self._s
        beyond = p.total_energy - float(p.strengths.sum())
        every = float(optimum.fixed_width_kl(self.fixed).sum())
        rows = []
        for beta in betas:
            m = self.modes(float(beta))
            used = self._paired(float(beta))[: p.n_usable]
            unused = every - float(optimum.fixed_width_kl(used[~np.isnan(used)]).sum())
            rows.append((int(m.alive.sum()), float(m.kl.sum()) + unused, float(m.distortion.sum()) + beyond))
        alive, rate, distortion = (np.array(column) for column in zip(*rows, strict=True))
        return optimum.summed(betas, alive, np.full(len(betas), s), rate, distortion, p.n_targets)

    def modes(self, beta: float) -> ModeOptimum:
        p, rho, tau = self.problem, self._paired(beta), beta * self._s
        above = assignment.critical_levels(p.strengths, rho) > tau
        alive = above & (np.arange(len(p.strengths)) < p.n_usable)
        return optimum.at_modes(tau, p.strengths, rho=rho, n_usable=p.n_usable, alive=alive, prior_std=p.prior_std)

    @property
    def _s(self) -> float:
        s = self.problem.decoder_variance
        assert s is not None  # the objective refuses a learned one beside partly learned widths
        return s

    def _paired(self, beta: float) -> np.ndarray:
        return self.rho if beta == self.beta else self._pairing(beta)

    def _pairing(self, beta: float) -> np.ndarray:
        p = self.problem
        found = assignment.pair_modes(p.strengths, beta * self._s, self.fixed, self.n_learned)
        return np.pad(found, (0, len(p.strengths) - len(found)), constant_values=self.fixed.max())


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Several levels of latents; β multiplies the weight of every level, and "alive" without more means on level 1."""

    problem: Problem
    chain: Chain

    @cached_property
    def water(self) -> np.ndarray:
        """Water level of each chain on level 1 at β = 1, shape (n_chains,); the first one's where it has no latent."""
        levels = hierarchy.water_levels(self.chain, self.n_chains)
        return np.where(np.isfinite(levels), levels, levels[0])

    @property
    def n_chains(self) -> int:
        """One for each mode, and for each latent of the widest level."""
        return max(*self.chain.n_latents, len(self.problem.strengths))

    @property
    def strengths(self) -> np.ndarray:
        """ζ² of each chain, 0 for latents without a mode."""
        return np.pad(self.problem.strengths, (0, self.n_chains - len(self.problem.strengths)))

    @cached_property
    def critical_betas(self) -> np.ndarray:
        return self.problem.strengths / self.water[: len(self.problem.strengths)]

    @property
    def levels(self) -> np.ndarray:
        return self.critical_betas * self.water[0]

    def keeping(self, n_alive: int) -> float:
        return float(np.sort(self.critical_betas)[-n_alive])

    def at(self, beta: float) -> ChainOptimum:
        """Every chain at every level; arrays of shape (1, n_chains, L)."""
        return hierarchy.optimum_at(np.array([beta]), self.strengths, self.chain)

    def totals(self, betas: np.ndarray) -> Totals:
        size = max(1, MOST_VALUES // (self.n_chains * self.chain.n_levels))
        parts = [self._totals(betas[i : i + size]) for i in range(0, len(betas), size)]
        return optimum.joined(parts)

    def _totals(self, betas: np.ndarray) -> Totals:
        found, s = hierarchy.optimum_at(betas, self.strengths, self.chain), self.chain.decoder_variance
        beyond = self.problem.total_energy - float(self.problem.strengths.sum())
        kl = np.nansum(found.kl, axis=1)  # (n_betas, L)
        if self.chain.falling:
            kl = np.full_like(kl, -np.inf)  # no minimum: the latents grow without end
        return optimum.summed(
            betas,
            found.alive[..., 0].sum(axis=1),
            np.full(len(betas), s),
            kl.sum(axis=1),
            found.distortion.sum(axis=1) + beyond,
            self.problem.n_targets,
            weighted_rate=kl @ np.array(self.chain.betas),
            water_level=betas * self.water[0],
        )

    def modes(self, beta: float) -> ModeOptimum:
        found, m = self.at(beta), len(self.problem.strengths)
        first = [array[0, :m, 0] for array in (found.encoder_variance, found.decoder_gain, found.encoder_gain)]
        std, decoder, encoder = np.sqrt(first[0]), np.nan_to_num(first[1]), np.nan_to_num(first[2])
        kl = np.nansum(found.kl[0, :m], axis=1)
        return ModeOptimum(found.alive[0, :m, 0], kl, found.distortion[0, :m], std, decoder, encoder)


def solution(spectrum: Spectrum, objective: Objective, n_latents: int) -> Solution:
    """The closed form that fits the objective."""
    o, s = objective, spectrum
    given = None if o.decoder_variance == "learned" else float(o.decoder_variance)
    n_usable = min(n_latents, s.rank)
    problem = Problem(s.strengths, s.total_energy, s.n_targets, given, math.sqrt(o.prior_variance), n_usable)
    if o.levels:
        return Hierarchy(problem, _chain(o, n_latents))
    if o.encoder_variance == "learned":
        return OneLevel(problem, None, 0.0)
    widths = np.broadcast_to(np.array(o.encoder_variance, dtype=object), n_latents)
    fixed = np.sort([float(width) for width in widths if width != "learned"])
    rho = np.sqrt(fixed / o.prior_variance)
    if len(rho) < n_latents:
        return PartlyLearned(problem, rho, n_latents - len(rho), o.beta)
    paired = np.pad(rho, (0, max(s.rank - n_latents, 0)), mode="edge")[: s.rank]
    return OneLevel(problem, paired, float(optimum.fixed_width_kl(rho).sum()))


def one_level(found: Solution) -> OneLevel:
    """The solution, if it is that of one level with encoder widths all learned or all fixed; else a refusal."""
    if not isinstance(found, OneLevel):
        kind = "levels" if isinstance(found, Hierarchy) else "encoder variances partly fixed and partly learned"
        raise ObjectiveError(f"landscape and dynamics are covered for one level of latents alike, not for {kind}")
    return found


def _chain(o: Objective, n_latents: int) -> Chain:
    assert o.decoder_variance != "learned"  # refused by the objective
    return Chain(
        betas=tuple(level.beta for level in o.levels),
        variances=tuple(None if level.variance == "learned" else level.variance for level in o.levels),
        n_latents=tuple(level.n_latents or n_latents for level in o.levels),
        decoder_variance=o.decoder_variance,
        prior_variance=o.prior_variance,
    )
