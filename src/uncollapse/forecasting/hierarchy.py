"""Several levels of latents, and how many latents without a mode share one computed chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from uncollapse.forecasting.problem import Problem, quiet
from uncollapse.theory import hierarchy, optimum
from uncollapse.theory.chain import Chain, ChainOptimum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["Groups", "Hierarchy", "grouped"]

MOST_VALUES = 2**22
"""Values of one array in a sweep over β: 32 MB each; longer sweeps are cut into pieces."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Which chains are computed: one for each mode, then one for all latents without a mode on the same levels.

    Attributes
    ----------
    sizes : ndarray of shape (n_chains,)
        Latents of a level that each chain stands for: 1 on a mode.
    n_chains : tuple of int
        Chains that reach each level: the first so many.
    """

    sizes: np.ndarray
    n_chains: tuple[int, ...]


def grouped(n_latents: tuple[int, ...], n_modes: int) -> Groups:
    """The chains of a hierarchy with so many latents on each level.

    Examples
    --------
    >>> groups = grouped((1000, 2, 5), 3)  # three modes, then two idle chains on two levels and 995 on the first alone
    >>> groups.sizes, groups.n_chains
    (array([  1,   1,   1,   2, 995]), (5, 2, 4))
    """
    ends = sorted({n for n in n_latents if n > n_modes})
    idle = [stop - start for start, stop in pairwise([n_modes, *ends])]
    n_chains = tuple(n if n <= n_modes else n_modes + 1 + ends.index(n) for n in n_latents)
    return Groups(np.array([1] * n_modes + idle), n_chains)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Several levels of latents; β multiplies the weight of every level, and "alive" without more means on level 1."""

    problem: Problem
    chain: Chain

    @cached_property
    def groups(self) -> Groups:
        """What the chains of `at` stand for."""
        return grouped(self.chain.n_latents, len(self.problem.strengths))

    @cached_property
    @quiet
    def critical_betas(self) -> np.ndarray:
        return hierarchy.critical_betas(self.problem.strengths, self._water_levels)

    @property
    @quiet
    def critical_levels(self) -> np.ndarray:
        return self.critical_betas * self._water_levels[0]

    def keeping(self, n_alive: int) -> float:
        return float(np.sort(self.critical_betas)[-n_alive])

    @quiet
    def at(self, beta: float) -> ChainOptimum:
        """Every chain at every level; arrays of shape (1, n_chains, L)."""
        return hierarchy.optimum_at(np.array([beta]), self._strengths, self._computed)

    @quiet
    def totals(self, betas: np.ndarray) -> Totals:
        size = max(1, MOST_VALUES // (len(self.groups.sizes) * self.chain.n_levels))
        return optimum.joined([self._totals(betas[i : i + size]) for i in range(0, max(len(betas), 1), size)])

    @quiet
    def modes(self, beta: float) -> ModeOptimum:
        chains, m = self.at(beta), len(self.problem.strengths)
        first = [array[0, :m, 0] for array in (chains.encoder_variance, chains.decoder_gain, chains.encoder_gain)]
        std, decoder, encoder = np.sqrt(first[0]), np.nan_to_num(first[1]), np.nan_to_num(first[2])
        kl = np.nansum(chains.kl[0, :m], axis=1)
        return ModeOptimum(chains.alive[0, :m, 0], kl, chains.distortion[0, :m], std, decoder, encoder)

    @property
    def _computed(self) -> Chain:
        return replace(self.chain, n_latents=self.groups.n_chains)

    @cached_property
    @quiet
    def _water_levels(self) -> np.ndarray:
        return hierarchy.water_levels(self._computed, len(self.groups.sizes))

    @property
    def _strengths(self) -> np.ndarray:
        """ζ² of each chain, 0 for latents without a mode."""
        return np.pad(self.problem.strengths, (0, len(self.groups.sizes) - len(self.problem.strengths)))

    def _totals(self, betas: np.ndarray) -> Totals:
        chains, s = hierarchy.optimum_at(betas, self._strengths, self._computed), self.chain.decoder_variance
        sizes = self.groups.sizes
        kl = np.nansum(chains.kl * sizes[:, None], axis=1)  # (n_betas, L)
        if self.chain.falling:
            kl = np.full_like(kl, -np.inf)  # no minimum: the latents grow without end
        return optimum.summed(
            betas,
            (chains.alive[..., 0] * sizes).sum(axis=1),
            np.full(len(betas), s),
            kl.sum(axis=1),
            chains.distortion.sum(axis=1) + self.problem.energy_beyond,
            self.problem.n_targets,
            weighted_rate=kl @ np.array(self.chain.betas),
            water_level=betas * self._water_levels[0],
        )
