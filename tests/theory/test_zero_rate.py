"""Log-likelihood ratios of constants, and the level at which each stops to pay, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import logsumexp

from uncollapse.theory.zero_rate import LEAST_MEAN, level_of, log_mean_exp, log_ratios, ratio_terms, within_range

LIKELIHOODS = ("gaussian", "bernoulli", "poisson", "negative-binomial", "categorical")
D, R = 3, 2.5


def rows(rng, likelihood, n=40):
    if likelihood == "gaussian":
        return rng.standard_normal((n, D))
    if likelihood == "bernoulli":
        return (rng.random((n, D)) < [0.2, 0.5, 0.8]).astype(float)
    if likelihood == "categorical":
        return rng.multinomial(5, [0.2, 0.3, 0.5], size=n).astype(float)
    return rng.poisson([1.0, 3.0, 6.0], (n, D)).astype(float)


def log_density(likelihood, y, m):
    if likelihood == "gaussian":
        return stats.norm.logpdf(y, m).sum(axis=1)
    if likelihood == "bernoulli":
        return stats.bernoulli.logpmf(y, m).sum(axis=1)
    if likelihood == "poisson":
        return stats.poisson.logpmf(y, m).sum(axis=1)
    if likelihood == "negative-binomial":
        return stats.nbinom.logpmf(y, R, R / (R + m)).sum(axis=1)
    return np.array([stats.multinomial.logpmf(row, 5, m / m.sum()) for row in y])


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_ratios_are_differences_of_log_densities(rng, likelihood):
    y = rows(rng, likelihood)
    mean, other = y.mean(axis=0), y[:7].mean(axis=0) + 0.01
    other = within_range(likelihood, other[None], mean)
    sizes = np.ones((len(y), 1))
    own = log_ratios(y - mean, sizes, ratio_terms(likelihood, other, mean, R))[:, 0]
    expected = log_density(likelihood, y, other[0]) - log_density(likelihood, y, mean)
    np.testing.assert_allclose(own, expected, atol=1e-9)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_level_is_the_root(rng, likelihood):
    y = rows(rng, likelihood, n=500)
    mean = y.mean(axis=0)
    others = within_range(likelihood, y[:6] * 0.5 + mean * 0.5, mean)
    ratios = log_ratios(y - mean, 1.0, ratio_terms(likelihood, others, mean, R))
    for level, column in zip(level_of(ratios), ratios.T, strict=True):
        by_scipy = 1 / brentq(lambda b, c=column: logsumexp(b * c) - np.log(len(c)), 1e-2, 500)
        assert level == pytest.approx(by_scipy, rel=1e-6)


def test_near_the_mean_the_level_is_the_variance_in_units_of_the_information(rng):
    """Its second-order expansion is the first threshold."""
    y = rng.poisson(4.0, (4000, 1)).astype(float) + 2.0 * rng.integers(0, 2, (4000, 1))
    mean = y.mean(axis=0)
    near = mean[None] * 1.0005
    level = level_of(log_ratios(y - mean, 1.0, ratio_terms("poisson", near, mean, np.inf)))[0]
    assert level == pytest.approx(y.var() / mean[0], rel=2e-3)


def test_a_known_lower_limit_changes_nothing(rng):
    y = rng.exponential(size=(800, 1))
    ratios = log_ratios(y - y.mean(), 1.0, ratio_terms("gaussian", y[:5] + 1, y.mean(axis=0), np.inf))
    free = level_of(ratios)
    np.testing.assert_allclose(level_of(ratios, 0.5 * free), free, rtol=1e-7)


def test_a_constant_that_explains_no_row_better_has_no_level():
    assert level_of(np.array([[-1.0], [-2.0]])).tolist() == [0.0]


def test_weights_sum_to_one_and_overflow_nothing(rng):
    value, weights = log_mean_exp(rng.standard_normal((50, 2)) * 1e4, np.array([1.0, 0.5]))
    assert np.isfinite(value).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_means_stay_in_their_range(rng, likelihood):
    y = rows(rng, likelihood)
    mean = y.mean(axis=0)
    wild = np.array([mean * 0 - 5.0, mean * 0 + 50.0])
    kept = within_range(likelihood, wild, mean)
    if likelihood == "gaussian":
        np.testing.assert_array_equal(kept, wild)
        return
    assert (kept >= LEAST_MEAN * mean * (1 - 1e-12)).all() or likelihood == "categorical"
    assert np.isfinite(ratio_terms(likelihood, kept, mean, R).slopes).all()
    if likelihood == "bernoulli":
        np.testing.assert_allclose(kept[0], LEAST_MEAN * mean)
        np.testing.assert_allclose(1 - kept[1], LEAST_MEAN * (1 - mean), rtol=1e-6)
    if likelihood == "categorical":
        np.testing.assert_allclose(kept.sum(axis=1), mean.sum())


def test_sizes_multiply_the_distance(rng):
    """Counts with size factors: ℓ is the difference of Poisson log-densities at s·m and s·μ."""
    y, sizes = rng.poisson(4.0, (30, 2)).astype(float), rng.uniform(0.5, 2, (30, 1))
    mean, other = np.array([3.0, 4.0]), np.array([[5.0, 2.0]])
    own = log_ratios(y - sizes * mean, sizes, ratio_terms("poisson", other, mean, np.inf))[:, 0]
    expected = (stats.poisson.logpmf(y, sizes * other) - stats.poisson.logpmf(y, sizes * mean)).sum(axis=1)
    np.testing.assert_allclose(own, expected)


def test_columns_of_a_negative_binomial_without_overdispersion_are_poisson(rng):
    y = rng.poisson(4.0, (20, 2)).astype(float)
    mean, other, r = np.array([3.0, 4.0]), np.array([[5.0, 2.0]]), np.array([np.inf, 2.0])
    own = log_ratios(y - mean, 1.0, ratio_terms("negative-binomial", other, mean, r))[:, 0]
    first = stats.poisson.logpmf(y[:, 0], 5.0) - stats.poisson.logpmf(y[:, 0], 3.0)
    second = stats.nbinom.logpmf(y[:, 1], 2, 0.5) - stats.nbinom.logpmf(y[:, 1], 2, 1 / 3)
    np.testing.assert_allclose(own, first + second)


def test_some_constants_have_a_level_and_others_none(rng):
    good = rng.exponential(size=500) - 1.2
    ratios = np.column_stack([good, -np.ones(500), np.full(500, 0.5), good])
    levels = level_of(ratios)
    assert levels[1] == levels[2] == 0
    assert levels[0] == levels[3] > 0
