"""Categories: the likelihood, its link and its information, and what else the bill takes from theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln, softmax
from scipy.stats import multinomial

from uncollapse.theory.link import LEAST, mean_of_natural, natural_of_mean
from uncollapse.theory.loglikelihood import entry_information, in_totals, negative_log_likelihood, score
from uncollapse.theory.posterior import aggregate_gaussian, gaussian_kl
from uncollapse.theory.residual import predicted_out_of_fold, ridge

D = 5


@pytest.fixture
def rows(rng):
    p = softmax(rng.standard_normal((20, D)), axis=1)
    return rng.multinomial(9, p).astype(float), softmax(rng.standard_normal((20, D)), axis=1)


def test_the_likelihood_is_the_multinomial_one_without_its_constant(rows):
    y, p = rows
    constant = gammaln(10) - gammaln(y + 1).sum(axis=1)
    expected = constant - [multinomial.logpmf(a, 9, b) for a, b in zip(y, p, strict=True)]
    np.testing.assert_allclose(negative_log_likelihood("categorical", y, p), expected)
    np.testing.assert_allclose(negative_log_likelihood("categorical", y, 3 * p), expected)


def test_an_impossible_row_is_costly_and_finite():
    cost = negative_log_likelihood("categorical", np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert np.isfinite(cost).all()
    assert cost[0] > 600


def test_probabilities_become_means_of_the_rows_totals(rows):
    y, p = rows
    np.testing.assert_allclose(in_totals("categorical", y, 7 * p), 9 * p)
    assert in_totals("poisson", y, p) is p
    np.testing.assert_array_equal(in_totals("categorical", y[:1], np.zeros((1, D))), np.zeros((1, D)))


def test_link_and_its_inverse(rows):
    y, p = rows
    totals = y.sum(axis=1)
    mean = 9 * p
    np.testing.assert_allclose(mean_of_natural("categorical", natural_of_mean("categorical", mean), totals), mean)
    np.testing.assert_allclose(mean_of_natural("categorical", natural_of_mean("categorical", mean)), p)
    assert natural_of_mean("categorical", np.zeros((1, 1)))[0, 0] == np.log(LEAST)


def test_score_and_information(rows):
    y, p = rows
    mean = 9 * p
    np.testing.assert_allclose(score("categorical", y, mean), y - mean)
    np.testing.assert_allclose(entry_information("categorical", mean), mean)
    natural = np.log(mean)
    for j in range(D):
        step = np.zeros(D)
        step[j] = 1e-6
        up, down = (
            negative_log_likelihood(
                "categorical", y, mean_of_natural("categorical", natural + s * step, 9 + 0 * y[:, 0])
            )
            for s in (1, -1)
        )
        np.testing.assert_allclose((down - up) / 2e-6, (y - mean)[:, j], atol=1e-5)


def test_the_nearest_gaussian_has_the_moments(rng):
    mean, variance = rng.standard_normal((30, 2)), rng.random((30, 2)) + 0.1
    m, s = aggregate_gaussian(mean, variance)
    np.testing.assert_allclose(m, mean.mean(axis=0))
    np.testing.assert_allclose(s, variance.mean(axis=0) + mean.var(axis=0))
    best = gaussian_kl(mean, variance, s, m).sum()
    for factor in (0.97, 1.03):
        assert gaussian_kl(mean, variance, factor * s, m).sum() > best
        assert gaussian_kl(mean, variance, s, m + factor - 1).sum() > best


def test_ridge_solves_its_normal_equations(rng):
    x, y = rng.standard_normal((50, 4)) + 3, rng.standard_normal((50, 2)) - 1
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    weights = ridge(x, y)
    penalty = np.trace(a.T @ a) / 50
    np.testing.assert_allclose(a.T @ (b - a @ weights), penalty * weights, atol=1e-9)
    assert np.isfinite(ridge(np.ones((5, 2)), y[:5])).all()
    halves = np.arange(50) % 4 < 2
    by_hand = (x[halves] - x[~halves].mean(axis=0)) @ ridge(x[~halves], y[~halves]) + y[~halves].mean(axis=0)
    np.testing.assert_allclose(predicted_out_of_fold(x, y)[halves], by_hand)
