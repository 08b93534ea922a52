"""Counts: the negative binomial and, inside it, Poisson; scores, Fisher information, scales and losses at collapse.

The negative binomial with log link and size factors s, of variance sμ + α(sμ)² with α = 1/r, contains the Poisson
(α = 0) and, with s the row totals, the categorical likelihood. The rows D^{-1/2} g, g the score at collapse and D its
Fisher information, have second moments whose eigenvalues are the strengths in units of β (docs/theory.md section 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.errors import DataError
from uncollapse.theory.likelihoods import SLACK

__all__ = [
    "CountResiduals",
    "count_fisher_information",
    "count_loss",
    "count_mean_cost",
    "count_scale",
    "count_score",
    "inverse_dispersion",
    "rank_one_residual",
]


def count_score(y: np.ndarray, fitted: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    """Derivative of the log-likelihood of counts in the log of their mean: (y − m)/(1 + αm).

    Parameters
    ----------
    y, fitted : ndarray of shape (b, d)
        Counts and their means m = sμ.
    alpha : ndarray of shape (d,) or float
        1/r of the negative binomial; 0 for Poisson.

    Notes
    -----
    Source: docs/theory.md section 5, from log p = y log m − (y + r) log(r + m) + terms without m.

    Examples
    --------
    >>> count_score(np.array([3.0]), np.array([2.0]), 0.5)
    array([0.5])
    """
    score: np.ndarray = (y - fitted) / (1 + alpha * fitted)
    return score


def count_fisher_information(y: np.ndarray, fitted: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    """Minus the second derivative of the log-likelihood in the log of the mean: (1 + αy) m/(1 + αm)².

    Source: docs/theory.md section 5; arguments as in `count_score`. Its mean over the rows is D; where every m of a
    column is the mean of y, as without size factors, D = μ/(1 + αμ).

    Examples
    --------
    >>> count_fisher_information(np.array([3.0]), np.array([2.0]), 0.5)
    array([1.25])
    """
    fisher_information: np.ndarray = (1 + alpha * y) * fitted / (1 + alpha * fitted) ** 2
    return fisher_information


def count_scale(mean: np.ndarray, alpha: np.ndarray | float = 0.0) -> np.ndarray:
    """1/√(μ + αμ²) per column: what y − m is multiplied by to give the Pearson residual; 0 for columns of zeros.

    Poisson (α = 0): valid with any size factors, since then D = E[s]μ = E[y]. Negative binomial: without size factors.
    Categorical: as Poisson with the row totals as size factors. Source: docs/theory.md section 5.

    Examples
    --------
    >>> count_scale(np.array([4.0, 0.0])), count_scale(np.array([1.0]), 3.0)
    (array([0.5, 0. ]), array([0.5]))
    """
    variance = mean + alpha * mean**2
    return np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def count_loss(mean: np.ndarray, alpha: np.ndarray | float = 0.0, mean_size: float = 1.0) -> float:
    """Σ_j E[(y + r) log(1 + m/r) − y log μ] in nats: the loss of a collapsed decoder of counts.

    Left out are the terms that no parameter moves: log y!, y log s, and for a negative binomial
    log Γ(y + r) − log Γ(r) − y log r. Exact for Poisson with any size factors, for a negative binomial without them.

    Parameters
    ----------
    mean : ndarray of shape (d,)
        E[y] of each column; μ = E[y]/E[s].
    alpha : ndarray of shape (d,) or float
        1/r.
    mean_size : float
        E[s].

    Examples
    --------
    >>> count_loss(np.array([1.0, 0.0]))
    1.0
    """
    log_mean = np.log(np.where(mean > 0, mean / mean_size, 1.0))
    return float((count_mean_cost(mean, mean, alpha) - mean * log_mean).sum())


def count_mean_cost(y: np.ndarray, fitted: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    """(y + r) log(1 + m/r) entry by entry; m itself for a Poisson column (α = 0)."""
    swell = np.log1p(alpha * fitted)
    over = np.where(np.asarray(alpha) > 0, alpha, 1.0)
    return np.where(np.asarray(alpha) > 0, (y + 1 / over) * swell, fitted)


def inverse_dispersion(
    mean: np.ndarray, residual_square: np.ndarray, mean_size: float = 1.0, mean_square_size: float = 1.0
) -> np.ndarray:
    """r per column by the method of moments at the Poisson fit; infinite (Poisson) where nothing is overdispersed.

    E(y − sμ)² = E[s]μ + E[s²]μ²/r with μ = E[y]/E[s]. Without size factors μ + μ²/r is then the variance of the column.

    Parameters
    ----------
    mean, residual_square : ndarray of shape (d,)
        E[y] and E(y − sμ)².
    mean_size, mean_square_size : float
        E[s] and E[s²].

    Notes
    -----
    Method of moments: Anscombe, Biometrika 37 (1950), for one sample without size factors.

    Examples
    --------
    >>> inverse_dispersion(np.array([2.0, 2.0]), np.array([6.0, 1.0]))
    array([ 1., inf])
    """
    unit_mean = mean / mean_size
    excess = residual_square - mean
    over = excess > SLACK * mean
    return np.where(over, mean_square_size * unit_mean**2 / np.where(over, excess, 1.0), np.inf)


def rank_one_residual(scatter: np.ndarray, coefficients: np.ndarray, unit_mean: np.ndarray) -> np.ndarray:
    """Scatter of the rows y − (c·y)μ from that of the rows y: (I − μcᵀ) S (I − cμᵀ), shape (d, d).

    Taking size factors s = c·y out of counts is this linear map of second moments (docs/theory.md section 5).

    Parameters
    ----------
    scatter : ndarray of shape (d, d)
    coefficients, unit_mean : ndarrays of shape (d,)
        c and μ.

    Examples
    --------
    >>> rank_one_residual(np.eye(2), np.array([1.0, 1.0]), np.array([0.5, 0.5]))
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """
    reach = scatter @ coefficients
    cross = np.multiply.outer(unit_mean, reach)
    return scatter - cross - cross.T + (coefficients @ reach) * np.multiply.outer(unit_mean, unit_mean)


@dataclass(frozen=True, eq=False)
class CountResiduals:
    """Rows of counts with size factors → the rows D^{-1/2} g, whose second moments have the strengths as eigenvalues.

    Attributes
    ----------
    unit_mean : ndarray of shape (d,)
        μ, the mean of each column at a size factor of one.
    scale : ndarray of shape (d,)
        D^{-1/2}; 0 for columns of zeros.
    alpha : ndarray of shape (d,)
        1/r; 0 for Poisson and categorical.
    sizes : ndarray of shape (n,) or None
        Size factors of the rows; None for the row totals over `unit`.
    unit : float
        Mean row total.
    data_scale : float
        What the data are multiplied by to be counts.

    Examples
    --------
    >>> of = CountResiduals(np.ones(2), np.ones(2), np.zeros(2), None, unit=2.0)
    >>> of(np.array([[4.0, 0.0]]), 0)
    array([[ 2., -2.]])
    """

    unit_mean: np.ndarray
    scale: np.ndarray
    alpha: np.ndarray
    sizes: np.ndarray | None = None
    unit: float = 1.0
    data_scale: float = 1.0

    def __call__(self, rows: np.ndarray, start: int) -> np.ndarray:
        """Residuals of consecutive rows of the data, shape (b, d), of which the first is row `start`."""
        if self.sizes is not None and start + len(rows) > len(self.sizes):
            raise DataError(
                f"{start + len(rows)} or more rows came for {len(self.sizes)} size factors; give one per row"
            )
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are met by whoever asks
            y = np.asarray(rows, dtype=np.float64) * self.data_scale
            sizes = y.sum(axis=1) / self.unit if self.sizes is None else self.sizes[start : start + len(y)]
            fitted = np.multiply.outer(sizes, self.unit_mean)
            return count_score(y, fitted, self.alpha) * self.scale
