"""One level of a hierarchical VAE at the optimum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.hierarchy import Groups
from uncollapse.objective import Learned, Objective
from uncollapse.showing.noun import Card, Noun, short
from uncollapse.theory.chain import ChainOptimum

__all__ = ["MOST_LISTED", "LevelForecast", "level_forecasts"]

MOST_LISTED = 2**20
"""Most latents of a level that are listed one by one; those beyond the modes are alike and can be any number."""


@dataclass(frozen=True, eq=False, repr=False)
class LevelForecast(Noun):
    """What the latents of one level do.

    Arrays have one entry a latent, the one on the strongest mode first; for more than 2^20 latents asking for one is an
    ObjectiveError, while `n_alive` and `rate` count all of them.

    Attributes
    ----------
    level : int
        1 is nearest to the data.
    beta : float
        Weight of this level's KL, the overall β included.
    variance : float or "learned"
        σ² of the level's encoder, as given.
    n_latents : int
        Latents of this level.
    chains : ChainOptimum
        The chains through this level, arrays of shape (n_chains,).
    sizes : ndarray of shape (n_chains,)
        Latents that each chain stands for: 1 on a mode, any number without one.
    carries_data_on : ndarray of shape (n_chains,)
        `carries_data` for each chain.
    """

    level: int
    beta: float
    variance: float | Learned
    n_latents: int
    chains: ChainOptimum = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    carries_data_on: np.ndarray = field(repr=False)

    @property
    def n_alive(self) -> int:
        """Latents that live."""
        return int((self.chains.alive * self.sizes).sum())

    @property
    def n_idle(self) -> int:
        """Latents that live but carry nothing of the data."""
        return int((self.chains.alive & ~self.carries_data_on) @ self.sizes)

    @property
    def rate(self) -> float:
        """KL of all latents of this level, nats per sample."""
        return float((self.chains.kl * self.sizes).sum())

    @property
    def alive(self) -> np.ndarray:
        """Whether each latent follows the level below (for level 1: the data)."""
        return self._each(self.chains.alive)

    @property
    def carries_data(self) -> np.ndarray:
        """Alive on an unbroken line of living latents down to the data.

        A latent can be alive and carry none: where the width below is fixed and wide, it codes that level's noise.
        """
        return self._each(self.carries_data_on)

    @property
    def variance_of_latent(self) -> np.ndarray:
        """Over data and encoder noise."""
        return self._each(self.chains.variance)

    @property
    def encoder_variance(self) -> np.ndarray:
        """σ², at its optimum if learned."""
        return self._each(self.chains.encoder_variance)

    @property
    def kl(self) -> np.ndarray:
        """Nats per sample."""
        return self._each(self.chains.kl)

    @property
    def decoder_gain(self) -> np.ndarray:
        """Singular values of U of this level."""
        return self._each(self.chains.decoder_gain)

    @property
    def encoder_gain(self) -> np.ndarray:
        """Singular values of W of this level."""
        return self._each(self.chains.encoder_gain)

    def _each(self, values: np.ndarray) -> np.ndarray:
        if self.n_latents > MOST_LISTED:
            raise ObjectiveError(
                f"level {self.level} has {self.n_latents} latents, too many to list one by one; n_alive and rate count "
                f"them, and those beyond the modes are alike"
            )
        return np.repeat(values, self.sizes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        from uncollapse.forecasting.dictionary import level_facts

        return level_facts(self)

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import level_card

        return level_card(self)

    def __repr__(self) -> str:
        return short(self, level=self.level, n_alive=self.n_alive, n_latents=self.n_latents)


def level_forecasts(optimum: ChainOptimum, objective: Objective, groups: Groups) -> tuple[LevelForecast, ...]:
    """Each level of a hierarchy, from its chains at one β."""
    unbroken = np.logical_and.accumulate(optimum.alive[0], axis=1)

    def one(i: int, n_chains: int) -> LevelForecast:
        level, sizes, chains = objective.levels[i], groups.sizes[:n_chains], _through(optimum, i, n_chains)
        beta, n_latents = objective.beta * level.beta, int(sizes.sum())
        return LevelForecast(i + 1, beta, level.variance, n_latents, chains, sizes, unbroken[:n_chains, i])

    return tuple(one(i, n) for i, n in enumerate(groups.n_chains))


def _through(o: ChainOptimum, i: int, n_chains: int) -> ChainOptimum:
    arrays = (o.alive, o.variance, o.encoder_variance, o.kl, o.decoder_gain, o.encoder_gain)
    at_level = [array[0, :n_chains, i] for array in arrays]
    return ChainOptimum(*[*at_level, o.distortion[0, :n_chains]])
