"""What sampling noise alone does to the strengths: edge, bulk median, and how a true mode is displaced.

A table of n rows holds signal plus noise of variance ν. Write a singular value of (signal + noise)/√n as y, the true
one as x, and a, b for ν times each dimension of the noise matrix divided by n. Then noise alone reaches
y² = (√a + √b)², and a mode with x² > √(ab) is seen at y² = (x² + a)(x² + b)/x².

* x alone, d features: a = ν, b = νd/n, strength ℓ = x² + ν; then y² = ℓ(1 + νγ/(ℓ − ν)) with γ = d/n.
* target y of x: the strengths are squared singular values of E[y x̃ᵀ], d2 × d0 numbers each with noise variance ν/n:
  a = νd0/n, b = νd2/n, strength x².

Source: theory.md section 6; Benaych-Georges & Nadakuditi, J. Multivariate Anal. 111 (2012), sec. 3.1.
"""

from __future__ import annotations

import numpy as np

__all__ = ["marchenko_pastur_median", "noise_edge", "true_signal"]


def noise_edge(a: float, b: float) -> float:
    """Largest squared singular value that noise alone reaches, (√a + √b)²: the Marchenko–Pastur edge.

    Examples
    --------
    >>> noise_edge(1.0, 0.25)  # variance 1, n = 4d: (1 + 1/2)²
    2.25
    """
    return float((np.sqrt(a) + np.sqrt(b)) ** 2)


def true_signal(seen: np.ndarray, a: float, b: float) -> np.ndarray:
    """Squared singular values x² of the signal behind the squared singular values y² that were seen.

    Inverts y² = (x² + a)(x² + b)/x² on its upper branch; 0 where y² lies at or below the edge, because there the data
    carry no trace of x.

    Examples
    --------
    >>> seen = (4.0 + 1.0) * (4.0 + 0.5) / 4.0
    >>> true_signal(np.array([seen, 2.0]), 1.0, 0.5)
    array([4., 0.])
    """
    middle = seen - a - b
    above = seen > noise_edge(a, b)
    root = np.sqrt(np.where(above, middle**2 - 4 * a * b, 0.0))
    return np.where(above, (middle + root) / 2, 0.0)


def marchenko_pastur_median(gamma: float, n_nodes: int = 4001) -> float:
    """Median of the non-zero eigenvalues of a pure-noise covariance of variance 1, with γ = features/rows.

    The density is √((t₊ − t)(t − t₋))/(2πγt) on [(1 − √γ)², (1 + √γ)²]; the substitution t = mid + half·cos φ makes
    it smooth, so a trapezoidal sum is exact to many digits.

    Examples
    --------
    >>> bool(abs(marchenko_pastur_median(1e-6) - 1) < 1e-3)
    True
    """
    middle, half = 1 + gamma, 2 * np.sqrt(gamma)
    angle = np.linspace(np.pi, 0, n_nodes)  # t rises from the lower edge to the upper one
    t = middle + half * np.cos(angle)
    density = np.sin(angle) ** 2 / np.where(t > 0, t, np.inf)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(np.interp(mass[-1] / 2, mass, t))
