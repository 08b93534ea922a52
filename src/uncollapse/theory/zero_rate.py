"""Where collapse is the best of all solutions: the log-likelihood ratios of other constants, and the level they give.

A constant decoder mean m in place of the collapsed one μ changes the log-likelihood of row y by a ratio ℓ(y; m). For a
level τ (β for a likelihood other than Gaussian), collapse is the global minimum over every encoder, decoder, prior and
form of q iff log E exp(ℓ(y; m)/τ) ≤ 0 for all m (docs/theory.md, section 11).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

__all__ = ["Ratios", "level_of", "log_mean_exp", "log_ratios", "ratio_terms", "within_range"]

LEAST_MEAN = 1e-6
"""Share of the collapsed mean of a column under which no other mean of it goes: its logarithm stays finite."""

N_STEPS = 60
TOLERANCE = 1e-8


class Ratios(NamedTuple):
    """ℓ(y; m) = (y − μ)·slope − s·distance for k constants m; s is the row's size, 1 but for counts of given totals.

    Attributes
    ----------
    slopes : ndarray of shape (k, d)
        Differences of natural parameters.
    distances : ndarray of shape (k,)
        Mean KL of the likelihood at μ from that at m: what a row at the mean loses.
    """

    slopes: np.ndarray
    distances: np.ndarray


def ratio_terms(likelihood: str, constants: np.ndarray, mean: np.ndarray, dispersion: np.ndarray | float) -> Ratios:
    """The ratios of some constants, as linear functions of the rows.

    Parameters
    ----------
    likelihood : {"gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"}
        A Gaussian one in units of η².
    constants : ndarray of shape (k, d)
        m, within the range of means; of categories, those of a row of mean total.
    mean : ndarray of shape (d,)
        μ.
    dispersion : ndarray of shape (d,) or float
        r of a negative binomial.

    Examples
    --------
    >>> ratio_terms("gaussian", np.array([[3.0]]), np.array([1.0]), np.inf)
    Ratios(slopes=array([[2.]]), distances=array([2.]))
    """
    m, mu = constants, mean
    if likelihood == "gaussian":
        away = m - mu
        return Ratios(away, (away**2).sum(axis=1) / 2)
    if likelihood == "bernoulli":
        slopes = np.log(m / mu) - np.log((1 - m) / (1 - mu))
        return Ratios(slopes, -(xlogy(mu, m / mu) + xlogy(1 - mu, (1 - m) / (1 - mu))).sum(axis=1))
    logs = np.log(m / mu)
    r = np.broadcast_to(np.asarray(dispersion, dtype=float), mu.shape)
    over = np.isfinite(r) if likelihood == "negative-binomial" else np.zeros(mu.shape, dtype=bool)
    swell = np.zeros(m.shape)
    swell[:, over] = np.log((r + m)[:, over] / (r + mu)[over])
    slopes = logs - swell
    left = np.where(over, np.where(over, r, 0.0) * swell, m - mu)  # A(m) − A(μ)
    return Ratios(slopes, (left - mu * slopes).sum(axis=1))


def within_range(likelihood: str, constants: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Means that the likelihood can have, with finite natural parameters; of categories, in all as many as the mean."""
    if likelihood == "gaussian":
        return constants
    low = LEAST_MEAN * mean
    if likelihood == "bernoulli":
        return np.clip(constants, low, 1 - LEAST_MEAN * (1 - mean))
    kept = np.maximum(constants, low)
    if likelihood == "categorical":
        kept = kept * (mean.sum() / kept.sum(axis=1, keepdims=True))
    return kept


def log_ratios(centred: np.ndarray, sizes: np.ndarray | float, terms: Ratios) -> np.ndarray:
    """ℓ(y; m) of each row and constant, (n, k).

    Parameters
    ----------
    centred : ndarray of shape (n, d)
        y − sμ.
    sizes : ndarray of shape (n, 1) or float
        s.
    terms : Ratios
    """
    along = (centred @ terms.slopes.T.astype(centred.dtype)).astype(np.float64)
    ratios: np.ndarray = along - sizes * terms.distances
    return ratios


def log_mean_exp(ratios: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log E exp(ℓ/τ) of each column, (k,), and the weights of the rows in it, (n, k), which sum to 1."""
    scaled = ratios / levels
    top = scaled.max(axis=0)
    weights = np.exp(scaled - top)
    total = weights.sum(axis=0)
    value: np.ndarray = top + np.log(total / len(ratios))
    weights /= total
    return value, weights


def level_of(ratios: np.ndarray, at_least: np.ndarray | float = 0.0) -> np.ndarray:
    """The level τ at which log E exp(ℓ/τ) = 0, for each column; under it collapse is not best. 0 where there is none.

    Parameters
    ----------
    ratios : ndarray of shape (n, k)
        ℓ(y; m); its mean is negative.
    at_least : ndarray of shape (k,) or float
        Levels that are known not to lie above it, where a search starts; 0 for none.

    Notes
    -----
    log E exp(bℓ) is convex in b = 1/τ, 0 at b = 0 and falls there, so it has one positive root, if ℓ > 0 for any row;
    Newton's method from the right of it goes straight there.

    Examples
    --------
    >>> y = np.array([[-1.0], [1.0]])  # ±1 is sub-Gaussian with its own variance
    >>> bool(level_of(y * 1e-3 - 1e-6 / 2).round(4) == 1.0)
    True
    """
    with np.errstate(divide="ignore"):
        possible = (ratios.max(axis=0) > 0) & (ratios.mean(axis=0) < 0)
    levels = np.zeros(ratios.shape[1])
    if not possible.any():
        return levels
    some = ratios[:, possible]
    known = np.broadcast_to(at_least, levels.shape)[possible]
    b = 1 / np.where(known > 0, known, some.max(axis=0))
    for _ in range(N_STEPS):  # to the right of the root
        low = log_mean_exp(some, 1 / b)[0] <= 0
        if not low.any():
            break
        b[low] *= 2
    for _ in range(N_STEPS):
        value, weights = log_mean_exp(some, 1 / b)
        step = value / np.einsum("nk,nk->k", weights, some)
        b = b - step
        if (np.abs(step) <= TOLERANCE * b).all():
            break
    levels[possible] = 1 / b
    return levels
