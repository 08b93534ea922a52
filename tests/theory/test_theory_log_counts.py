"""Modes of counts in their logarithms."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.theory.log_counts import log_strengths, matched_dispersion


def planted(rng, n_factors, n=1500, d=40, mean_total=1500.0):
    """Rates of known rank in their logarithms, with row totals of their own."""
    loadings = rng.standard_normal((n_factors, d)) / np.sqrt(n_factors)
    shares = np.exp(rng.standard_normal((n, n_factors)) @ loadings + 0.3 * rng.standard_normal(d))
    return rng.lognormal(np.log(mean_total), 0.5, (n, 1)) * shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize("mean_total", [300.0, 3000.0])
@pytest.mark.parametrize("n_factors", [1, 2, 5])
@pytest.mark.parametrize("r", [np.inf, 6.0])
def test_the_modes_above_the_edge_are_the_planted_factors(rng, n_factors, mean_total, r):
    rates = planted(rng, n_factors, mean_total=mean_total)
    y = rng.poisson(rates if np.isinf(r) else rng.gamma(r, rates / r)).astype(float)
    strengths, edge = log_strengths(y, y.sum(axis=1), 1 / r, shares=True)
    assert int((strengths > edge).sum()) == n_factors
    pearson = (y - np.outer(y.sum(1), y.sum(0)) / y.sum()) / np.sqrt(y.mean(0))
    assert (np.linalg.svd(pearson, compute_uv=False) ** 2 / len(y) > 1.5).sum() > n_factors  # what it corrects


def test_pure_noise_has_no_mode_whatever_the_sizes_and_strength_one_where_counts_are_large(rng):
    sizes = rng.lognormal(0, 0.7, 2000)
    y = rng.poisson(np.outer(sizes, np.full(20, 400.0))).astype(float)
    strengths, edge = log_strengths(y, sizes)
    assert strengths[0] < 1.1 * edge
    assert strengths.mean() == pytest.approx(1.0, rel=0.1)


def test_a_condition_takes_its_modes_out(rng):
    batch = rng.integers(2, size=2000)
    y = rng.poisson(100 * np.exp(np.outer(batch, rng.standard_normal(15)))).astype(float)
    without, edge = log_strengths(y)
    given, _ = log_strengths(y, columns=batch[:, None].astype(float))
    assert without[0] > edge
    assert given[0] < without[0] / 10


def test_the_matched_dispersion_gives_the_mean_and_variance_of_a_zero_inflated_count(rng):
    r, zeros, mean = 3.0, 0.3, 20.0
    y = rng.poisson(rng.gamma(r, mean / r, 400_000)) * (rng.random(400_000) > zeros)
    m = y.mean()
    matched = float(matched_dispersion(np.array([r]), np.array([zeros]))[0])
    assert y.var() == pytest.approx(m + m**2 / matched, rel=0.03)
