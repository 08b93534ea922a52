"""The KL weight at which a model is at rest, read from the model itself.

Source: docs/theory.md, section 10.
"""

from __future__ import annotations

import numpy as np

__all__ = ["implied_weights", "implied_weights_by_means"]


def implied_weights(
    slopes: np.ndarray, variance: np.ndarray, prior_variance: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """w of each latent, and its standard error.

    At rest no common factor on the posterior variances of a latent changes the loss: the sum over rows of
    ∂misfit/∂log σ² + w ∂KL/∂log σ² is 0, and ∂KL/∂log σ² = (σ²/η_enc² − 1)/2.

    Parameters
    ----------
    slopes : ndarray of shape (n, l)
        ∂(−log p(y|z))/∂log σ² of each row and latent, averaged over z, nats.
    variance : ndarray of shape (n, l)
        σ² of the posteriors.
    prior_variance : float or ndarray that broadcasts

    Returns
    -------
    w, error : ndarrays of shape (l,)
        In the units of −log p(y|z) + w·KL. NaN for a latent whose posteriors are as wide as the prior: it says nothing.

    Examples
    --------
    >>> s2 = np.full((4, 1), 0.25)  # of a linear latent at rest with weight 2: slope 2(1 − σ²)/2
    >>> implied_weights(np.full((4, 1), 0.75), s2)
    (array([2.]), array([0.]))
    """
    saved = (1 - variance / prior_variance) / 2
    total = saved.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = slopes.mean(axis=0) / total
        left = slopes - weights * saved
        errors = left.std(axis=0) / np.sqrt(len(slopes)) / np.abs(total)
    silent = np.abs(total) < 1e-3
    return np.where(silent, np.nan, weights), np.where(silent, np.nan, errors)


def implied_weights_by_means(
    slopes: np.ndarray, mean: np.ndarray, prior_variance: np.ndarray | float = 1.0
) -> np.ndarray:
    """w of each latent from its means, shape (l,): at rest no common factor on them changes the loss either.

    ∂KL/∂log a of means a·m is m²/η_enc². Where this disagrees with `implied_weights`, the model is not at rest.

    Parameters
    ----------
    slopes : ndarray of shape (n, l)
        ∂(−log p(y|z))/∂log a of each row and latent, nats.
    mean : ndarray of shape (n, l)
    prior_variance : float or ndarray that broadcasts

    Examples
    --------
    >>> implied_weights_by_means(np.array([[-2.0], [-2.0]]), np.array([[1.0], [-1.0]]))
    array([2.])
    """
    paid = (mean**2 / prior_variance).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(paid > 1e-6, -slopes.mean(axis=0) / paid, np.nan)
