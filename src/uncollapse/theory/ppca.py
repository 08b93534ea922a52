"""Probabilistic PCA: the marginal density of a linear decoder with a Gaussian latent, and where it is stationary.

The model is x ~ N(mean, W Wᵀ + σ²I), W of shape (d, k). Up to a rotation of W's columns, its stationary points carry a
subset S of the covariance's eigenvectors with squared lengths λ_i − σ², and zero columns. Values are nats per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "best_noise_variance",
    "column_curvature",
    "deviance",
    "log_density",
    "signal_variances",
    "stationary_log_likelihood",
]


def signal_variances(decoder_gain: np.ndarray, prior_variance: float) -> np.ndarray:
    """λ²η_enc²: variance that each latent gives to the data along its direction, under the prior.

    Source: Lucas et al. 2019, eq. 2: the covariance of the data is UUᵀη_enc² + η²I.

    Examples
    --------
    >>> signal_variances(np.array([2.0, 0.0]), 0.5)
    array([2., 0.])
    """
    variances: np.ndarray = decoder_gain**2 * prior_variance
    return variances


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


def best_noise_variance(eigenvalues: np.ndarray, total: float, n_features: int, modes: Sequence[int]) -> float:
    """σ² that maximises the likelihood with `modes` carried: the mean of the d − |S| eigenvalues left out.

    Parameters
    ----------
    eigenvalues : ndarray of shape (m,)
        Of the covariance; those not listed count through `total`.
    total : float
        Trace of the covariance.
    n_features : int
        d, more than the number of modes carried.
    modes : sequence of int
        S, counted from 0.

    Notes
    -----
    Tipping & Bishop 1999, eq. 8 and App. A; Lucas et al. 2019, eq. 8.

    Examples
    --------
    >>> best_noise_variance(np.array([5.0, 2.0, 1.0]), 8.0, 3, [0])
    1.5
    """
    return float(total - eigenvalues[list(modes)].sum()) / (n_features - len(modes))


def stationary_log_likelihood(
    eigenvalues: np.ndarray, total: float, n_features: int, modes: Sequence[int], sigma2: float
) -> float:
    """Mean log-likelihood per row where W carries `modes` at squared lengths λ_i − σ² and is zero otherwise, in nats.

    −½ [d log 2π + Σ_S log λ_i + (d − |S|) log σ² + |S| + (T − Σ_S λ_i)/σ²].

    Parameters
    ----------
    eigenvalues, total, n_features, modes
        As in `best_noise_variance`.
    sigma2 : float
        σ², below every eigenvalue carried.

    Notes
    -----
    Tipping & Bishop 1999, App. A; Lucas et al. 2019, App. A.

    Examples
    --------
    >>> round(stationary_log_likelihood(np.array([2.0]), 2.0, 1, [0], 1.0), 4)  # N(0, 2) on variance 2
    -1.7655
    """
    lengths = np.zeros(len(eigenvalues))
    lengths[list(modes)] = eigenvalues[list(modes)] - sigma2
    return -0.5 * float(deviance(eigenvalues, total, n_features, lengths, sigma2))


def deviance(
    eigenvalues: np.ndarray, total: float, n_features: int, squared_lengths: np.ndarray, sigma2: float
) -> np.ndarray:
    """−2 × mean log-likelihood per row of a W with orthogonal columns along eigenvectors, in nats.

    d log 2π + Σ_i [log(ℓ_i + σ²) + λ_i/(ℓ_i + σ²)] over all d eigenvectors, ℓ_i = 0 where no column lies.

    Parameters
    ----------
    eigenvalues, total, n_features
        As in `best_noise_variance`.
    squared_lengths : ndarray of shape (..., m)
        ℓ_i of the column along each listed eigenvector.
    sigma2 : float
        σ², positive.

    Returns
    -------
    ndarray of shape (...)

    Notes
    -----
    Lucas et al. 2019, Fig. 1; Tipping & Bishop 1999, eq. 4, in the eigenvectors' coordinates.

    Examples
    --------
    >>> deviance(np.array([2.0]), 2.0, 1, np.array([[1.0]]), 1.0).round(4)
    array([3.531])
    """
    along = squared_lengths + sigma2
    listed = (np.log(along) + eigenvalues / along).sum(axis=-1)
    n_outside = n_features - len(eigenvalues)
    energy = max(float(total - eigenvalues.sum()), 0.0) if n_outside else 0.0
    return n_features * np.log(2 * np.pi) + listed + n_outside * np.log(sigma2) + energy / sigma2


def column_curvature(eigenvalue: np.ndarray, sigma2: float) -> np.ndarray:
    """Second derivative of the mean log-likelihood in the length of a zero column of W along an unused eigenvector.

    (λ − σ²)/σ⁴, nats per squared unit of x: the zero column is stable iff λ ≤ σ².

    Notes
    -----
    Lucas et al. 2019, sec. 4.1 and App. A (stability of W_MLE).

    Examples
    --------
    >>> column_curvature(np.array([3.0, 0.5]), 1.0)
    array([ 2. , -0.5])
    """
    return (eigenvalue - sigma2) / sigma2**2
