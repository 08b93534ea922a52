"""Modes of a table: strengths ζ², decoder directions F and encoder directions E, from second moments.

With A = E[xxᵀ] = P Φ Pᵀ on its non-null directions and x̃ = Φ^{-1/2}Pᵀx, the modes are the singular triples of
Z = E[y x̃ᵀ] = F diag(ζ) Gᵀ, and E = P Φ^{-1/2} G reads the whitened score of each mode off x: Eᵀ A E = I. For y = x this
is the eigen-decomposition of A, with E = F/ζ.

Source: Wang & Ziyin 2022, sec. 3 (Notation); docs/theory.md section 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Basis",
    "autoencoder_basis",
    "autoencoder_strengths",
    "regression_basis",
    "regression_strengths",
    "signed",
    "whitening",
]


@dataclass(frozen=True, eq=False)
class Basis:
    """Directions of the listed modes, one column each, in descending order of strength.

    Attributes
    ----------
    decoder : ndarray of shape (d2, m)
        F: orthonormal directions in the space of the target.
    encoder : ndarray of shape (d0, m)
        E: linear functions of x whose values have mean square one and are uncorrelated.
    """

    decoder: np.ndarray
    encoder: np.ndarray


def autoencoder_strengths(covariance: np.ndarray, tolerance: float) -> np.ndarray:
    """Eigenvalues of a covariance, descending, those within `tolerance` of the largest dropped; shape (rank,).

    Examples
    --------
    >>> autoencoder_strengths(np.diag([1.0, 3.0, 0.0]), 1e-12)
    array([3., 1.])
    """
    return _positive(np.linalg.eigvalsh(covariance)[::-1], tolerance)


def autoencoder_basis(covariance: np.ndarray, n_modes: int) -> Basis:
    """The leading `n_modes` eigenvectors as decoder directions, and the same over ζ as encoder directions."""
    values, vectors = np.linalg.eigh(covariance)
    leading = signed(vectors[:, ::-1][:, :n_modes])
    return Basis(leading, leading / np.sqrt(values[::-1][:n_modes]))


def regression_strengths(a: np.ndarray, yx: np.ndarray, tolerance: float) -> tuple[np.ndarray, int]:
    """Squared singular values of Z = E[y x̃ᵀ], descending, zeros dropped; and the rank of A.

    Examples
    --------
    >>> regression_strengths(np.diag([4.0, 1.0]), np.array([[2.0, 0.5]]), 1e-12)  # 2²/4 + 0.5²/1
    (array([1.25]), 2)
    """
    m = whitening(a, tolerance)
    strengths = np.linalg.svd(yx @ m, compute_uv=False) ** 2
    return _positive(strengths, tolerance), m.shape[1]


def regression_basis(a: np.ndarray, yx: np.ndarray, tolerance: float, n_modes: int) -> Basis:
    """Left singular vectors of Z, and the linear functions of x that its right ones stand for, strongest first."""
    m = whitening(a, tolerance)
    f, _, gt = np.linalg.svd(yx @ m, full_matrices=False)
    signs = np.sign(f[np.abs(f).argmax(axis=0), np.arange(f.shape[1])])
    return Basis((f * signs)[:, :n_modes], (m @ (gt.T * signs))[:, :n_modes])


def whitening(a: np.ndarray, tolerance: float) -> np.ndarray:
    """A matrix M of shape (D0, d0) with Mᵀ A M = I, whose columns span the non-null directions of A.

    The columns of x are brought to unit variance first, so that what counts as null does not depend on their units.
    Z changes by a rotation of its columns only.
    """
    diagonal = np.diagonal(a)
    sizes = np.sqrt(np.where(diagonal > 0, diagonal, np.inf))
    values, vectors = np.linalg.eigh(a / np.multiply.outer(sizes, sizes))
    kept = values > tolerance * max(values[-1], 0.0)
    return (vectors[:, kept] / np.sqrt(values[kept])) / sizes[:, None]


def _positive(strengths: np.ndarray, tolerance: float) -> np.ndarray:
    if not strengths.size or strengths[0] <= 0:
        return strengths[:0]
    return strengths[strengths > tolerance * strengths[0]]


def signed(vectors: np.ndarray) -> np.ndarray:
    """Columns with their largest entry positive, so that the same data always give the same signs."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs)
