"""The residual water-level test: whether a dead latent of a trained model should live.

Source: docs/theory.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from uncollapse.errors import DataError

__all__ = ["ResidualSpectrum", "leading_directions", "predicted_out_of_fold", "residual_spectrum", "ridge"]

MOST_DENSE = 1024
"""Columns up to which the whole spectrum is computed; beyond, the leading directions by a truncated SVD."""


@dataclass(frozen=True, eq=False)
class ResidualSpectrum:
    """Eigenvalues of M = Cov(r̄), r̄(x) = E[y − f(z) | x] with z ~ q(z|x): strengths that the model misses.

    A latent is dead and an eigenvalue stands above the water level τ = βη²: giving that latent a small linear path
    along the eigenvector lowers the loss, so the model is not at a local optimum. None does: no such path helps, and
    dead latents are rightly dead. With every latent dead the eigenvalues are the strengths ζ².

    Attributes
    ----------
    strengths : ndarray of shape (m,)
        Eigenvalues, descending, in the residual's units squared. The largest are biased upwards, as any sample's are;
        weak ones may come out negative, because the noise of the draws has been taken off.
    directions : ndarray of shape (d, k)
        Eigenvectors of the leading ones.
    held_out, errors : ndarrays of shape (k,)
        Strength of the leading directions of one half of the rows on the other half, averaged over both, and its
        standard error. Not biased upwards: the expectation of the first is a lower bound of λ_max(M).
    n_rows : int
    """

    strengths: np.ndarray
    directions: np.ndarray = field(repr=False)
    held_out: np.ndarray
    errors: np.ndarray
    n_rows: int

    @property
    def top(self) -> float:
        """Held-out strength of the leading direction."""
        return float(self.held_out[0])

    @property
    def error(self) -> float:
        """Its standard error."""
        return float(self.errors[0])

    @property
    def most(self) -> float:
        """What λ_max(M) hardly exceeds: the biased estimate, or two standard errors over the held-out one."""
        return max(float(self.strengths[0]), self.top + 2 * self.error)

    def n_above(self, water_level: float, n_errors: float = 2.0) -> int:
        """Directions whose held-out strength stands above the water level by so many standard errors."""
        return int((self.held_out - n_errors * self.errors > water_level).sum())


def residual_spectrum(residuals: Iterable[np.ndarray], n_directions: int = 16) -> ResidualSpectrum:
    """Spectrum of the residual (what the reconstruction misses), from several draws of z.

    Parameters
    ----------
    residuals : iterable of K ≥ 2 ndarrays of shape (n, d)
        y − f(z) with fresh draws of z for every row; for a likelihood other than Gaussian, the score of log p(y|f(z))
        over the root of its mean information, and β takes the place of τ.
    n_directions : int
        Leading directions to keep and to hold out.

    Notes
    -----
    Source: docs/theory.md, section 5 (Residual water-level test). The draws are dealt to two groups, whose means r_A
    and r_B have independent noise, so that E[r_A r_Bᵀ] is M without the noise of the draws.

    Examples
    --------
    >>> y = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> residual_spectrum([y, y]).strengths  # a decoder that ignores z: the strengths of the data
    array([2. , 0.5])
    """
    sums: list[np.ndarray] = []
    n_draws = 0
    for drawn in residuals:
        if n_draws < 2:
            sums.append(np.array(drawn, dtype=np.float64))
        else:
            sums[n_draws % 2] += drawn
        n_draws += 1
    if n_draws < 2:
        raise DataError(f"the noise of the draws needs two of them or more, got {n_draws}")
    a, b = (total / (n_draws // 2 + (n_draws % 2 if i == 0 else 0)) for i, total in enumerate(sums))
    n, k = len(a), min(n_directions, a.shape[1], max(len(a) // 2 - 1, 1))
    strengths, directions = leading_directions(a, b, k)
    products, halves = np.empty((n, k)), (np.arange(n) % 2).astype(bool)
    for held in (halves, ~halves):
        path = leading_directions(a[~held], b[~held], k)[1] if (~held).sum() > 1 else directions
        left, right = ((part[held] - part[held].mean(axis=0)) @ path for part in (a, b))
        products[held] = left * right * (len(left) / max(len(left) - 1, 1))
    return ResidualSpectrum(strengths, directions, products.mean(axis=0), products.std(axis=0) / np.sqrt(n), n)


def predicted_out_of_fold(x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Linear ridge prediction of residuals from x, each half of the rows by the other, shape (n, d).

    Against the residual itself its second moments are those of the part of E[y − f(z) | x] that is linear in x, shrunk:
    a lower bound, free of the noise in y.

    Parameters
    ----------
    x, residual : ndarrays of shape (n, d0), (n, d)
    """
    predicted, halves = np.full(residual.shape, np.nan), (np.arange(len(x)) % 4 < 2)
    for held in (halves, ~halves):
        centre, middle = x[~held].mean(axis=0), residual[~held].mean(axis=0)
        predicted[held] = (x[held] - centre) @ ridge(x[~held], residual[~held]) + middle
    return predicted


def ridge(x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Weights (d0, d) of the linear ridge prediction of residuals from x, both centred.

    The penalty, d0/n of the mean eigenvalue of x, is of the size of the sampling error of the eigenvalues.

    Parameters
    ----------
    x, residual : ndarrays of shape (n, d0), (n, d)
    """
    a = x - x.mean(axis=0)  # the other factor's mean then drops out
    gram = a.T @ a
    penalty = max(float(np.trace(gram)) / max(len(a), 1), np.finfo(float).tiny)
    weights: np.ndarray = np.linalg.solve(gram + penalty * np.eye(len(gram)), a.T @ residual)
    return weights


def leading_directions(a: np.ndarray, b: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the symmetric part of aᵀb/n, both centred, and its k leading eigenvectors, as columns.

    Parameters
    ----------
    a, b : ndarrays of shape (n, d)
        Two measurements of the same rows, whose noise is independent.
    k : int
        At most min(n, d) − 1 of wide data.
    """
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    if a.shape[1] <= MOST_DENSE:
        cross = a.T @ b / len(a)
        values, vectors = np.linalg.eigh((cross + cross.T) / 2)
        return values[::-1], vectors[:, : -k - 1 : -1]
    if not (a.any() and b.any()):
        return np.zeros(k), np.eye(a.shape[1], k)
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(0).standard_normal(min(a.shape))
    vectors = svds((a + b) / 2, k=min(k, min(a.shape) - 1), v0=start)[2][::-1].T
    strengths = ((a @ vectors) * (b @ vectors)).mean(axis=0)
    order = np.argsort(strengths)[::-1]
    return strengths[order], vectors[:, order]
