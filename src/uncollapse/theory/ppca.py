"""Probabilistic PCA: the marginal density of a linear decoder with a Gaussian latent."""

from __future__ import annotations

import numpy as np

__all__ = ["log_density"]


def log_density(centred: np.ndarray, directions: np.ndarray, gains: np.ndarray, noise_variance: float) -> np.ndarray:
    """log N(x; 0, F diag(gains) Fᵀ + σ² I) of each row, in nats, without forming the d × d covariance.

    Parameters
    ----------
    centred : ndarray of shape (n, d)
        Rows minus the mean.
    directions : ndarray of shape (d, p)
        F, orthonormal columns.
    gains : ndarray of shape (p,)
        Variance that the latents add along each direction.
    noise_variance : float
        σ², positive.

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    Tipping & Bishop, J. R. Statist. Soc. B 61 (1999), eq. 4; Lucas et al. 2019, eq. 1.

    Examples
    --------
    >>> log_density(np.zeros((1, 1)), np.eye(1), np.array([1.0]), 1.0).round(4)  # N(0; 0, 2)
    array([-1.2655])
    """
    d = centred.shape[1]
    scores = centred @ directions
    along = gains + noise_variance
    rest = np.einsum("ij,ij->i", centred, centred) - np.einsum("ij,ij->i", scores, scores)
    mahalanobis = scores**2 @ (1 / along) + np.maximum(rest, 0.0) / noise_variance
    log_determinant = np.log(along).sum() + (d - len(gains)) * np.log(noise_variance)
    return -0.5 * (mahalanobis + log_determinant + d * np.log(2 * np.pi))
