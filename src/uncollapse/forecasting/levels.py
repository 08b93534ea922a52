"""One level of a hierarchical VAE at the optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.objective import Learned, Objective
from uncollapse.theory.hierarchy import ChainOptimum

__all__ = ["LevelForecast", "level_forecasts"]


@dataclass(frozen=True, eq=False)
class LevelForecast:
    """What the latents of one level do; arrays have one entry a latent, the one on the strongest mode first.

    Attributes
    ----------
    level : int
        1 is nearest to the data.
    beta : float
        Weight of this level's KL, the overall β included.
    variance : float or "learned"
        σ² of the level's encoder, as given.
    alive : bool
        Whether the latent follows the level below (for level 1: the data).
    carries_data : bool
        Alive on an unbroken line of living latents down to the data. A latent can be alive and carry none: where the
        width below is fixed and wide, it codes that level's noise.
    variance_of_latent : over data and encoder noise
    encoder_variance : σ², at its optimum if learned
    kl : nats per sample
    decoder_gain, encoder_gain : singular values of U and W of this level
    """

    level: int
    beta: float
    variance: float | Learned
    alive: np.ndarray
    carries_data: np.ndarray
    variance_of_latent: np.ndarray
    encoder_variance: np.ndarray
    kl: np.ndarray
    decoder_gain: np.ndarray
    encoder_gain: np.ndarray

    @property
    def n_latents(self) -> int:
        """Latents of this level."""
        return len(self.alive)

    @property
    def n_alive(self) -> int:
        """Latents that live."""
        return int(self.alive.sum())


def level_forecasts(found: ChainOptimum, objective: Objective, n_latents: tuple[int, ...]) -> tuple[LevelForecast, ...]:
    """Each level of a hierarchy, from its chains at one β."""
    unbroken = np.logical_and.accumulate(found.alive[0], axis=1)

    def one(i: int) -> LevelForecast:
        mine = [array[0, : n_latents[i], i] for array in (found.variance, found.encoder_variance, found.kl)]
        gains = [array[0, : n_latents[i], i] for array in (found.decoder_gain, found.encoder_gain)]
        level, alive = objective.levels[i], found.alive[0, : n_latents[i], i]
        beta = objective.beta * level.beta
        return LevelForecast(i + 1, beta, level.variance, alive, unbroken[: n_latents[i], i], *mine, *gains)

    return tuple(one(i) for i in range(len(objective.levels)))
