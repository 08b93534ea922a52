"""Bernoulli and categorical likelihoods at collapse: what scales a column, and the loss there.

At collapse the decoder predicts one linear predictor per column for every row. With g the score of log p(y|f) there and
D the expected negative second derivative, the collapsed solution is a local minimum iff β ≥ every eigenvalue of
D^{-1/2} E[g gᵀ] D^{-1/2} (docs/theory.md section 5). `theory.counts` has the likelihoods of counts.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from uncollapse.errors import DataError

__all__ = [
    "SLACK",
    "Likelihood",
    "bernoulli_entropy",
    "bernoulli_scale",
    "categorical_entropy",
]

Likelihood = Literal["gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"]

SLACK = 1e-6
"""How far a value, or a mean, may leave its range by rounding (float32 resolves 1e-7)."""


def bernoulli_scale(mean: np.ndarray, second_moment: np.ndarray) -> np.ndarray:
    """1/√(p(1−p)) per column: what each column is multiplied by before its covariance is taken; 0 if it is constant.

    For binary data this makes the covariance the correlation matrix; for grey values in [0, 1], D^{-1/2} Cov D^{-1/2}.

    Parameters
    ----------
    mean, second_moment : ndarray of shape (d,)
        E[y] and E[y²] of each column.

    Raises
    ------
    DataError
        When E[y] or E[y²] cannot belong to values in [0, 1].

    Notes
    -----
    Source: docs/theory.md section 5. The collapsed solution is a local minimum iff β ≥ the largest eigenvalue.

    Examples
    --------
    >>> bernoulli_scale(np.array([0.5, 0.2]), np.array([0.5, 0.2]))
    array([2. , 2.5])
    """
    outside = (mean < -SLACK) | (mean > 1 + SLACK) | (second_moment > mean + SLACK)
    if outside.any():
        column = int(outside.argmax())
        raise DataError(
            f"column {column} has mean {mean[column]:.4g} and mean square {second_moment[column]:.4g}, so its values "
            f"leave [0, 1] and no Bernoulli likelihood fits; rescale them (--scale), or use mse"
        )
    variance = np.clip(mean * (1 - mean), 0.0, None)
    alive = (variance > 0) & (second_moment - mean**2 > 0)
    return np.where(alive, 1 / np.sqrt(np.where(alive, variance, 1.0)), 0.0)


def bernoulli_entropy(mean: np.ndarray) -> float:
    """Σ_j H(p_j) in nats: the loss of a collapsed Bernoulli decoder, which predicts the mean of each column.

    Examples
    --------
    >>> round(bernoulli_entropy(np.array([0.5, 0.0])), 4)
    0.6931
    """
    p = np.clip(mean, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where((p > 0) & (p < 1), p * np.log(p) + (1 - p) * np.log1p(-p), 0.0)
    return float(-terms.sum())


def categorical_entropy(mean: np.ndarray) -> float:
    """−Σ_j E[y_j] log p_j in nats, p = E[y]/E[N]: the loss of a collapsed categorical decoder, without log N!/Π y_j!.

    Examples
    --------
    >>> round(categorical_entropy(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    p = np.where(mean > 0, mean, 1.0) / max(float(mean.sum()), np.finfo(float).tiny)
    return float(-(mean * np.log(p)).sum())
