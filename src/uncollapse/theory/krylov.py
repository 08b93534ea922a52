"""Leading modes of very wide tables without a d × d matrix.

Both functions see the data only through products with thin matrices, block of rows by block of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["LeadingModes", "gram_strengths", "krylov_modes"]

OVERSAMPLING = 10
"""Extra columns in each block: the usual choice for randomised subspaces (Halko, Martinsson & Tropp 2011, sec. 4.2)."""


@dataclass(frozen=True, eq=False)
class LeadingModes:
    """Eigenpairs of a covariance with a bound on the error of each eigenvalue.

    Attributes
    ----------
    strengths : ndarray of shape (k,)
        Descending.
    directions : ndarray of shape (d, k)
        Orthonormal.
    errors : ndarray of shape (k,)
        ‖C v − λ v‖: an eigenvalue of C lies within this distance of λ (and λ itself is never too large).
    n_passes : int
        How often the data were read.
    """

    strengths: np.ndarray
    directions: np.ndarray
    errors: np.ndarray
    n_passes: int


def krylov_modes(
    multiply: Callable[[np.ndarray], np.ndarray],
    d: int,
    k: int,
    *,
    tolerance: float = 1e-6,
    max_passes: int = 12,
    seed: int = 0,
) -> LeadingModes:
    """Leading `k` eigenpairs of a covariance C by a block Krylov method with full orthogonalisation.

    Parameters
    ----------
    multiply : callable
        V of shape (d, b) → C V; one call reads the data once.
    d, k : int
        Features, and modes wanted.
    tolerance : float
        Stop when every error bound is below `tolerance` times the largest strength.
    max_passes : int
        Stop after reading the data this often; the bounds then say how far it came.
    seed : int
        Of the random start; the answer depends on it only within the bounds.

    Notes
    -----
    Rayleigh–Ritz on span{V, CV, C²V, …}: Musco & Musco, NeurIPS 2015, Algorithm 2, stopped by its residuals (Parlett,
    The Symmetric Eigenvalue Problem, Theorem 4.5.1).

    Examples
    --------
    >>> c = np.diag(np.arange(50.0) ** 2)
    >>> modes = krylov_modes(lambda v: c @ v, 50, 2)
    >>> np.round(modes.strengths, 6)
    array([2401., 2304.])
    """
    rng = np.random.default_rng(seed)
    width = min(d, k + OVERSAMPLING)
    basis, images = np.empty((d, 0)), np.empty((d, 0))
    block = np.linalg.qr(rng.standard_normal((d, width)))[0]
    unit = 1.0
    for n_passes in range(1, max_passes + 1):
        image = multiply(block)
        if n_passes == 1:  # a power of two: exact, and squares of the images stay within range
            unit = 2.0 ** math.floor(math.log2(max(float(np.abs(image).max()), np.finfo(float).tiny)))
        image = image / unit
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        modes = _ritz(basis, images, k, n_passes)
        if modes.errors.max() <= tolerance * max(modes.strengths[0], np.finfo(float).tiny):
            break
        block = _orthogonal_to(basis, image)[:, : d - basis.shape[1]]
        if block.shape[1] == 0:
            break
    return replace(modes, strengths=modes.strengths * unit, errors=modes.errors * unit)


def gram_strengths(rows: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """All strengths of a table with fewer rows than columns, from the n × n matrix of inner products of its rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Centred already, if the model has biases.
    tolerance : float
        Strengths below this fraction of the largest count as zero.

    Returns
    -------
    strengths : ndarray of shape (k,)
        Descending.
    weights : ndarray of shape (n, k)
        The directions are ``rows.T @ weights``, which takes twice as long as all of this.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.0, 1.0], [-1.0, 0.0, -1.0]])
    >>> strengths, weights = gram_strengths(rows, 1e-12)
    >>> strengths.round(12), np.abs(rows.T @ weights).ravel().round(3)
    (array([2.]), array([0.707, 0.   , 0.707]))
    """
    n = len(rows)
    values, vectors = np.linalg.eigh(rows @ rows.T / n)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > tolerance * max(values[0], 0.0)
    return values[kept], vectors[:, kept] / np.sqrt(n * values[kept])


def _ritz(basis: np.ndarray, images: np.ndarray, k: int, n_passes: int) -> LeadingModes:
    small = basis.T @ images
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    leading = vectors[:, ::-1][:, :k]
    strengths = np.maximum(values[::-1][:k], 0.0)
    directions = basis @ leading
    errors = np.linalg.norm(images @ leading - directions * strengths, axis=0)
    return LeadingModes(strengths, directions, errors, n_passes)


def _orthogonal_to(basis: np.ndarray, block: np.ndarray) -> np.ndarray:
    for _ in range(2):  # once loses digits to cancellation, twice is enough (Parlett, sec. 6.9)
        block = np.linalg.qr(block - basis @ (basis.T @ block))[0]
    return block
