"""The objective of a hierarchy of linear VAEs, and what its chains do at the optimum; docs/theory.md section 4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["Chain", "ChainOptimum"]


@dataclass(frozen=True)
class Chain:
    """The objective of a hierarchy, apart from the overall β.

    Attributes
    ----------
    betas : tuple of L floats
    variances : tuple of L floats or None
        σ_l² of a fixed level; None where it is learned.
    n_latents : tuple of L ints
    decoder_variance : float
        η², of every decoder.
    prior_variance : float
        η_e², of the top level.
    """

    betas: tuple[float, ...]
    variances: tuple[float | None, ...]
    n_latents: tuple[int, ...]
    decoder_variance: float
    prior_variance: float

    @property
    def n_levels(self) -> int:
        """L."""
        return len(self.betas)

    def learned_pairs(self) -> Iterator[tuple[int, int]]:
        """Neighbours among the learned levels, with only fixed ones between them, counted from 0."""
        learned = [i for i, variance in enumerate(self.variances) if variance is None]
        yield from pairwise(learned)

    @property
    def falling(self) -> tuple[int, int] | None:
        """The first learned level after which the next learned one has a smaller weight: no minimum exists."""
        return next(((i, j) for i, j in self.learned_pairs() if self.betas[j] < self.betas[i]), None)

    @property
    def flat(self) -> tuple[int, int] | None:
        """The first two neighbouring learned levels of equal weight: a continuum of optima exists."""
        return next(((i, j) for i, j in self.learned_pairs() if self.betas[j] == self.betas[i]), None)


@dataclass(frozen=True, eq=False)
class ChainOptimum:
    """Every chain at every level at one optimum; arrays have shape (..., n_chains, L), NaN where a level has no latent.

    Attributes
    ----------
    alive : bool
    variance : t_l, variance of the latent over data and encoder noise
    encoder_variance : s_l
    kl : nats per sample
    decoder_gain, encoder_gain : singular values of U_l and W_l (of the whitened input for level 1)
    distortion : shape (..., n_chains), energy of the mode that the reconstruction misses
    """

    alive: np.ndarray
    variance: np.ndarray
    encoder_variance: np.ndarray
    kl: np.ndarray
    decoder_gain: np.ndarray
    encoder_gain: np.ndarray
    distortion: np.ndarray
