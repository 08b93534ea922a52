"""What sampling noise alone does to the strengths: edge, bulk median, and how a true mode is displaced.

A table of n rows holds signal plus noise of variance ν. Write a singular value of (signal + noise)/√n as y, the true
one as x, and a, b for ν times each dimension of the noise matrix divided by n. Then noise alone reaches
y² = (√a + √b)², and a mode with x² > √(ab) is seen at y² = (x² + a)(x² + b)/x².

* x alone, d features: a = ν, b = νd/n, strength ℓ = x² + ν; then y² = ℓ(1 + νγ/(ℓ − ν)) with γ = d/n.
* target y of x: the strengths are squared singular values of E[y x̃ᵀ], d2 × d0 numbers each with noise variance ν/n:
  a = νd0/n, b = νd2/n, strength x².

Source: docs/theory.md section 6; Benaych-Georges & Nadakuditi, J. Multivariate Anal. 111 (2012), sec. 3.1.
"""

from __future__ import annotations

import numpy as np

__all__ = ["made_equal", "noise_edge", "noise_variance", "true_signal"]


EQUAL, FEWEST_EQUAL = 0.05, 4
"""Share of noise's own spread under which strengths were made equal, and of how many at least. Noise brings two so
close in one sample of 400 and four in one of 5e10: dn/2ν² times the variance of d strengths is a χ² of d(d + 1)/2 − 1
degrees of freedom, as that many entries of the covariance, less its mean variance, are normal (central limit)."""


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
    unit = max(a, b, float(seen.max(initial=0.0))) or 1.0  # squares of large strengths would overflow
    seen, a, b = seen / unit, a / unit, b / unit
    middle = seen - a - b
    above = seen > noise_edge(a, b)
    root = np.sqrt(np.where(above, middle**2 - 4 * a * b, 0.0))
    return np.where(above, (middle + root) / 2, 0.0) * unit


def made_equal(strengths: np.ndarray, n_samples: int) -> bool:
    """Whether all strengths are closer to each other than those of pure noise in a sample ever are.

    By the Marchenko–Pastur law the strengths of d noisy columns of variance ν in n rows have the standard deviation
    ν √(d/n) (Bai & Silverstein, Spectral Analysis of Large Dimensional Random Matrices, 2010, section 3.1). Columns
    that were whitened on the same rows have none, up to rounding.

    Parameters
    ----------
    strengths : ndarray of shape (d,)
        All of them.
    n_samples : int

    Examples
    --------
    >>> made_equal(np.ones(20), 4000)
    True
    >>> x = np.random.default_rng(0).standard_normal((4000, 20))
    >>> made_equal(np.linalg.svd(x, compute_uv=False) ** 2 / 4000, 4000)
    False
    """
    d = len(strengths)
    if d < FEWEST_EQUAL:
        return False
    return float(np.std(strengths)) < EQUAL * float(np.mean(strengths)) * (d / n_samples) ** 0.5


def noise_variance(strengths: np.ndarray, total_energy: float, dimensions: int, n_samples: int) -> tuple[float, int]:
    """Noise variance ν of a spectrum and the number k of modes above it.

    Takes modes away from the top until the next one lies within what noise alone would reach if all the rest,
    spread over the remaining dimensions, were noise: ζ²_{k+1} ≤ ν_k (1 + √γ_k)², ν_k = (T − Σ_{i≤k} ζ_i²)/(d − k),
    γ_k = (d − k)/n.

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        Descending; may be only the leading ones.
    total_energy : float
        T, of all modes.
    dimensions : int
        d, directions in which the data vary.
    n_samples : int

    Returns
    -------
    variance : float
        ν_k.
    n_signals : int
        k.

    Notes
    -----
    The sequential test of Kritchman & Nadler, Chemometrics and Intelligent Laboratory Systems 94 (2008), with the edge
    itself as threshold. A spectrum that falls steadily has no flat bulk, and nearly all its modes count as signal.

    Examples
    --------
    >>> noise_variance(np.array([9.0, 1.0, 1.0, 1.0]), 12.0, 4, 1000)
    (1.0, 1)
    """
    taken = np.arange(min(len(strengths), dimensions - 1) + 1)
    left = np.maximum(total_energy - np.concatenate([[0.0], np.cumsum(strengths)])[taken], 0.0)
    variances = left / (dimensions - taken)
    edges = variances * (1 + np.sqrt((dimensions - taken) / n_samples)) ** 2
    under = np.flatnonzero(strengths[: len(edges)] <= edges[: len(strengths)])
    k = int(under[0]) if under.size else int(taken[-1])
    return float(variances[k]), k
