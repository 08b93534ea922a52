"""Modes of a conditional VAE: what the condition x leaves of the target y.

The decoder sees z and x, the encoder x and y. With B = Σ_yx Σ_xx⁺ the regression of y on x, the decoder's linear map of
x absorbs Bx and the latents code the residual r = y − Bx: everything said of a VAE on y holds with

    E = E[rrᵀ] = Σ_yy − Σ_yx Σ_xx⁺ Σ_xy

in place of the covariance of y. Source: Dang et al. 2024, Theorem 1; docs/theory.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.theory.modes import Basis, signed, whitening

__all__ = ["Residual", "residual_modes"]


@dataclass(frozen=True, eq=False)
class Residual:
    """Modes of y − Bx.

    Attributes
    ----------
    strengths : ndarray of shape (m,)
        Eigenvalues of E, descending, zeros left out.
    basis : Basis
        Directions F in the space of y, and linear functions of the residual with mean square one.
    regression : ndarray of shape (d2, D0)
        B.
    rank : int
        Directions in which the condition varies.
    energies : ndarray of shape (m,)
        fᵀ Σ_yy f: energy of y along each mode before the condition is taken into account.
    """

    strengths: np.ndarray
    basis: Basis
    regression: np.ndarray
    rank: int
    energies: np.ndarray


def residual_modes(a: np.ndarray, yx: np.ndarray, yy: np.ndarray, tolerance: float) -> Residual:
    """Modes of the residual of y's regression on x.

    Parameters
    ----------
    a : ndarray of shape (D0, D0)
        E[xxᵀ]; may be singular.
    yx : ndarray of shape (d2, D0)
        E[yxᵀ].
    yy : ndarray of shape (d2, d2)
        E[yyᵀ].
    tolerance : float
        Strengths below this fraction of the largest eigenvalue of yy are rounding.

    Notes
    -----
    Source: Dang et al. 2024, Theorem 1; docs/theory.md section 3.

    Examples
    --------
    >>> residual = residual_modes(np.eye(1), np.array([[1.0], [0.0]]), np.diag([4.0, 2.0]), 1e-12)
    >>> residual.strengths, residual.energies  # the condition explains 1 of 4 and nothing of 2
    (array([3., 2.]), array([4., 2.]))
    """
    m = whitening(a, tolerance)
    z = yx @ m
    left = yy - z @ z.T
    values, vectors = np.linalg.eigh((left + left.T) / 2)
    scale = float(np.linalg.norm(yy, 2)) if yy.size else 0.0
    kept = np.flatnonzero(values > tolerance * scale)[::-1]
    strengths, directions = values[kept], signed(vectors[:, kept])
    energies = np.einsum("ij,ik,kj->j", directions, yy, directions, optimize=True)
    basis = Basis(directions, directions / np.sqrt(strengths))
    return Residual(strengths, basis, z @ m.T, m.shape[1], energies)
