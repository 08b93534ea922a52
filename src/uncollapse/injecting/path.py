"""Latents that enter a decoder along directions of the added vector: a model that exists, so its gain is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.theory.path import linear_path
from uncollapse.theory.posterior import gaussian_kl

__all__ = ["Path", "path_of"]


@dataclass(frozen=True, eq=False)
class Path:
    """q(z|x) = N(amplitude·u(x), variance), v = Σ slope·direction·z; one latent a direction.

    Attributes
    ----------
    directions : ndarray of shape (k, m)
    centre, width : ndarrays of shape (m,)
        Of the scores along them, so that the features have mean 0 and variance 1.
    amplitude, variance, slope : ndarrays of shape (m,)
    beta : float
    """

    directions: np.ndarray
    centre: np.ndarray
    width: np.ndarray
    amplitude: np.ndarray
    variance: np.ndarray
    slope: np.ndarray
    beta: float

    def means(self, scores: np.ndarray) -> np.ndarray:
        """Posterior means from scores S (n, k); (n, m)."""
        means: np.ndarray = self.amplitude * (scores @ self.directions - self.centre) / self.width
        return means

    def vectors(self, mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What is added for latents of these means and this standard noise, (n, k)."""
        z = mean + np.sqrt(self.variance) * noise
        vectors: np.ndarray = (z * self.slope) @ self.directions.T
        return vectors

    def cost(self, mean: np.ndarray) -> np.ndarray:
        """β·KL of each sample, nats, (n,)."""
        cost: np.ndarray = self.beta * gaussian_kl(mean, self.variance).sum(axis=1)
        return cost


def path_of(scores: np.ndarray, directions: np.ndarray, strengths: np.ndarray, beta: float, share: float = 1.0) -> Path:
    """The best path to second order (docs/theory.md section 9) along directions of known strengths.

    Parameters
    ----------
    scores : ndarray of shape (n, k)
        S, which the latents are told.
    directions : ndarray of shape (k, m)
    strengths : ndarray of shape (m,)
        λ, above β; the directions are scaled so that the variance of the scores along each is λ, its curvature then 1.
    beta : float
    share : float
        Of λ − β, for which the path is made: a smaller step.
    """
    scaled = directions * np.sqrt(strengths) / (scores @ directions).std(axis=0)
    along = scores @ scaled
    best = linear_path(beta + share * (strengths - beta), beta, beta)
    return Path(scaled, along.mean(axis=0), along.std(axis=0), best.amplitude, best.variance, best.slope, beta)
