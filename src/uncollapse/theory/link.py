"""Means and natural parameters of each likelihood: what a linear path is added to."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, softmax

__all__ = ["mean_of_natural", "natural_of_mean"]

LEAST = 1e-9
"""Probabilities stay this far from 0 and 1, and means of counts above 0: their natural parameters are then finite."""

MOST_LOG = 60.0
"""Logarithm of a mean of counts beyond which none is taken: its square is finite in float64."""


def natural_of_mean(likelihood: str, mean: np.ndarray) -> np.ndarray:
    """The mean itself (Gaussian), its logit (Bernoulli) or its logarithm (counts and categories), same shape.

    Source: docs/theory.md section 5; for a negative binomial the log-mean, in which its score is taken.

    Examples
    --------
    >>> natural_of_mean("bernoulli", np.array([0.5]))
    array([0.])
    """
    if likelihood == "gaussian":
        return mean
    if likelihood == "bernoulli":
        result: np.ndarray = logit(np.clip(mean, LEAST, 1 - LEAST))
        return result
    return np.log(np.maximum(mean, LEAST))


def mean_of_natural(likelihood: str, natural: np.ndarray, totals: np.ndarray | None = None) -> np.ndarray:
    """The mean of a natural parameter; the inverse of `natural_of_mean`.

    Parameters
    ----------
    likelihood : str
    natural : ndarray of shape (n, d)
    totals : ndarray of shape (n,), optional
        Of the rows of a categorical likelihood: N times the softmax; 1 when left out.

    Examples
    --------
    >>> mean_of_natural("poisson", np.array([0.0]))
    array([1.])
    """
    if likelihood == "gaussian":
        return natural
    with np.errstate(under="ignore"):
        if likelihood == "bernoulli":
            result: np.ndarray = expit(natural)
            return result
        if likelihood == "categorical":
            share: np.ndarray = softmax(natural, axis=1)
            return share if totals is None else share * totals[:, None]
        return np.exp(np.minimum(natural, MOST_LOG))
