"""Tables of counts with structure, for every test that needs some."""

from __future__ import annotations

import numpy as np

__all__ = ["DISPERSIONS", "counts"]

DISPERSIONS = np.array([0.7, 2.0, 5.0, 1.0])
"""Dispersions given to the negative binomial, one per column."""


def counts(rng: np.random.Generator, n: int = 40, d: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overdispersed counts with structure, size factors, and covariates that tell something about the counts."""
    z, s = rng.standard_normal((n, 2)), np.exp(0.5 * rng.standard_normal(n))
    rates = np.exp(0.6 * z @ rng.standard_normal((2, d)) + 1.0) * s[:, None] * rng.gamma(2.0, 0.5, (n, d))
    y = rng.poisson(rates).astype(float)
    y[y.sum(axis=1) == 0, 0] = 1
    y[0], y[1] = np.arange(d), np.arange(d)[::-1]  # no column is constant, at any seed
    x = np.hstack([z + 0.5 * rng.standard_normal((n, 2)), rng.standard_normal((n, 1))])
    return y, s, x
