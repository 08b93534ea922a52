"""Generalised linear models of many columns at once: what a collapsed decoder that sees a condition predicts.

Source: McCullagh & Nelder 1989, ch. 2.5 (iterated weighted least squares); docs/theory.md, section 5 (Conditions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.theory.link import mean_of_natural
from uncollapse.theory.loglikelihood import entry_information, score

__all__ = ["NewtonSums", "conditional_mean", "newton_step", "newton_sums", "sum_of"]

MOST_STEP = 2.0
"""In natural parameters: an exponential is steep far from its optimum."""

FARTHEST = 30.0
"""Of a natural parameter: columns that never are on under a condition would run away."""

RIDGE = 1e-4
"""Rows' worth of information that a column's coefficients are held to 0 with, as a share of the rows."""


@dataclass(frozen=True, eq=False)
class NewtonSums:
    """Sums over rows: of the score, (p, d), and of the information, (d, p, p)."""

    gradient: np.ndarray
    information: np.ndarray
    n_rows: int


def conditional_mean(
    likelihood: str, design: np.ndarray, coefficients: np.ndarray, sizes: np.ndarray | None = None
) -> np.ndarray:
    """E[y | condition] of each row, (n, d).

    Parameters
    ----------
    likelihood : str
    design : ndarray of shape (n, p)
        The condition with a column of ones.
    coefficients : ndarray of shape (p, d)
        In natural parameters; of a negative binomial, in log-means.
    sizes : ndarray of shape (n,), optional
        What the mean of counts is multiplied by; the total of categories.

    Examples
    --------
    >>> conditional_mean("poisson", np.ones((1, 1)), np.zeros((1, 2)))
    array([[1., 1.]])
    """
    natural = np.clip(design @ coefficients, -FARTHEST, FARTHEST)
    mean = mean_of_natural(likelihood, natural)
    return mean if sizes is None else mean * sizes[:, None]


def newton_sums(
    likelihood: str,
    y: np.ndarray,
    design: np.ndarray,
    coefficients: np.ndarray,
    sizes: np.ndarray | None = None,
    dispersion: np.ndarray | float = np.inf,
) -> NewtonSums:
    """Score and expected information of every column on some rows.

    For categories the information is that of independent counts, which is larger: a step is then never too long
    (docs/theory.md, section 9, Categories).
    """
    mean = conditional_mean(likelihood, design, coefficients, sizes)
    g = score(likelihood, y, mean, dispersion)
    w = entry_information(likelihood, mean, dispersion)
    information = np.stack([(design * w[:, [j]]).T @ design for j in range(y.shape[1])])
    return NewtonSums(design.T @ g, information, len(y))


def sum_of(parts: list[NewtonSums]) -> NewtonSums:
    """Of several blocks of rows."""
    gradient = np.sum([part.gradient for part in parts], axis=0)
    information = np.sum([part.information for part in parts], axis=0)
    return NewtonSums(gradient, information, sum(part.n_rows for part in parts))


def newton_step(coefficients: np.ndarray, sums: NewtonSums) -> np.ndarray:
    """Better coefficients, (p, d)."""
    p = len(coefficients)
    scale = np.einsum("dpp->d", sums.information) / p
    prior = RIDGE * np.maximum(scale, 1e-12)
    prior_matrix = prior[:, None, None] * np.diag([0.0, *[1.0] * (p - 1)]) + 1e-12 * np.eye(p)
    gradient = sums.gradient - coefficients * prior * np.array([0.0, *[1.0] * (p - 1)])[:, None]
    step = np.linalg.solve(sums.information + prior_matrix, gradient.T[:, :, None])[:, :, 0].T
    return coefficients + np.clip(step, -MOST_STEP, MOST_STEP)
