"""Sums over the rows of a block of posteriors. They add up, whatever part of the data each block is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from uncollapse.errors import DataError
from uncollapse.measure.posterior import Posterior
from uncollapse.theory.posterior import counts_below

__all__ = ["EPSILONS", "MOST_COVARIANCE", "PosteriorSums", "posterior_sums"]

EPSILONS = 10.0 ** np.linspace(-5, 2, 71)
"""Nats at which the (ε, δ)-curve is counted: ten per decade, 0.01 among them."""

MOST_COVARIANCE = 1024
"""Latents up to which their covariance is summed; beyond (spatial latents), the variance of each alone."""


@dataclass(frozen=True, eq=False)
class PosteriorSums:
    """Sums over rows; those of parts of the data add up to those of the whole.

    All are plain sums about 0 in float64: posterior means lie within some prior widths of the prior's mean, so
    nothing cancels, and any framework's sum-reduction merges them.

    Attributes
    ----------
    n_samples : int
    kl, kl_square : ndarray of shape (l,)
    below : ndarray of int, shape (l, k)
        Rows in which the KL is below each of `EPSILONS`.
    mean, variance : ndarray of shape (l,)
        Σ m and Σ s².
    mean_square : ndarray of shape (l, l), or (l,) for more than `MOST_COVARIANCE` latents
        Σ m mᵀ.
    variance_square : ndarray of shape (l,)
        Σ s⁴: whether a posterior's variance changes with the row.
    prior_mean, prior_mean_square, prior_variance, prior_variance_square : ndarray of shape (l,)
        Σ m₀, Σ m₀², Σ η_enc², Σ η_enc⁴: whether the prior changes with the row.
    level_sizes, latent_shape : tuple of int
    beyond, row_square : float or None
        Of a sampled KL: Σ of what it is above `kl`, and Σ of the squares of whole rows' KL.
    """

    n_samples: int
    kl: np.ndarray
    kl_square: np.ndarray
    below: np.ndarray
    mean: np.ndarray
    mean_square: np.ndarray
    variance: np.ndarray
    variance_square: np.ndarray
    prior_mean: np.ndarray
    prior_mean_square: np.ndarray
    prior_variance: np.ndarray
    prior_variance_square: np.ndarray
    level_sizes: tuple[int, ...]
    latent_shape: tuple[int, ...]
    beyond: float | None = None
    row_square: float | None = None

    def __add__(self, other: PosteriorSums) -> PosteriorSums:
        """Sums over both parts."""
        if (self.level_sizes, self.latent_shape) != (other.level_sizes, other.latent_shape):
            raise DataError(
                f"cannot add the sums of {self.latent_shape} latents and of {other.latent_shape}; both parts must come "
                f"from one model"
            )
        names = [item.name for item in fields(self)][:-4]
        names += [] if self.beyond is None or other.beyond is None else ["beyond", "row_square"]
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in names}
        return replace(self, **sums)


@np.errstate(under="ignore")  # the square of a mean of 1e-200 is 0
def posterior_sums(q: Posterior) -> PosteriorSums:
    """Sums over the rows of one block.

    Examples
    --------
    >>> from uncollapse.measure.posterior import posterior
    >>> block = posterior(np.ones((4, 2)), variance=np.ones((4, 2)))
    >>> posterior_sums(block).kl
    array([2., 2.])
    """
    m, v, kl = q.mean, q.variance, q.kl
    m0, v0 = (np.broadcast_to(part, m.shape) for part in (q.prior_mean, q.prior_variance))
    wide = m.shape[1] > MOST_COVARIANCE
    return PosteriorSums(
        n_samples=len(m),
        kl=kl.sum(axis=0),
        kl_square=np.einsum("nl,nl->l", kl, kl),
        below=counts_below(kl, EPSILONS),
        mean=m.sum(axis=0),
        mean_square=np.einsum("nl,nl->l", m, m) if wide else m.T @ m,
        variance=v.sum(axis=0),
        variance_square=np.einsum("nl,nl->l", v, v),
        prior_mean=m0.sum(axis=0),
        prior_mean_square=np.einsum("nl,nl->l", m0, m0),
        prior_variance=v0.sum(axis=0),
        prior_variance_square=np.einsum("nl,nl->l", v0, v0),
        level_sizes=q.level_sizes,
        latent_shape=q.latent_shape,
        beyond=None if q.beyond is None else float(q.beyond.sum()),
        row_square=None if q.beyond is None else float(q.row_kl @ q.row_kl),
    )
