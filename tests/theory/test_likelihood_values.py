"""−log p, scores, Fisher information and scales, against distributions of SciPy and differences of log p."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from uncollapse.errors import DataError
from uncollapse.theory.counts import (
    CountResiduals,
    count_fisher_information,
    count_loss,
    count_mean_cost,
    count_scale,
    count_score,
    inverse_dispersion,
    rank_one_residual,
)
from uncollapse.theory.likelihoods import (
    bernoulli_entropy,
    bernoulli_scale,
    categorical_entropy,
)
from uncollapse.theory.loglikelihood import fisher_information, misfit, negative_log_likelihood, score

R = np.array([0.7, 3.0, np.inf])
"""Dispersions of three columns, the last one Poisson."""


def negative_binomial(r: float, mean: float):
    """SciPy's, by mean and inverse dispersion; Poisson where r is infinite."""
    return stats.poisson(mean) if np.isinf(r) else stats.nbinom(r, r / (r + mean))


@pytest.fixture
def counted(rng):
    mean = rng.uniform(0.3, 6.0, (5, 3))
    return rng.poisson(mean).astype(float), mean


def test_misfit_is_the_squared_error_of_each_row(rng):
    y, mean = rng.standard_normal((2, 4, 3))
    np.testing.assert_allclose(misfit(y, mean), [((a - b) ** 2).sum() for a, b in zip(y, mean, strict=True)])


def test_the_gaussian_density_with_its_constant(rng):
    y, mean = rng.standard_normal((2, 4, 3))
    expected = -stats.norm(mean, np.sqrt(0.3)).logpdf(y).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("gaussian", y, mean, decoder_variance=0.3), expected)
    unit = -stats.norm(mean, 1.0).logpdf(y).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("gaussian", y, mean), unit)


def test_the_bernoulli_probability_of_zeros_ones_and_greys(rng):
    y, mean = (rng.random((6, 3)) < 0.5).astype(float), rng.uniform(0.05, 0.95, (6, 3))
    expected = -stats.bernoulli(mean).logpmf(y).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("bernoulli", y, mean), expected)
    grey = rng.random((6, 3))
    by_hand = -(grey * np.log(mean) + (1 - grey) * np.log(1 - mean)).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("bernoulli", grey, mean), by_hand)


def test_impossible_rows_are_very_costly_but_finite():
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    assert 600 < negative_log_likelihood("bernoulli", one, none)[0] < 800  # -log 1e-300
    assert 30 < negative_log_likelihood("bernoulli", none, one)[0] < 40  # -log of a float's distance to 1
    assert 600 < negative_log_likelihood("poisson", one, none)[0] < 800
    assert negative_log_likelihood("bernoulli", one, one)[0] == pytest.approx(0.0, abs=1e-15)
    assert negative_log_likelihood("poisson", none, none)[0] == pytest.approx(0.0, abs=1e-15)


def test_poisson_and_negative_binomial_probabilities(counted):
    y, mean = counted
    poisson = -stats.poisson(mean).logpmf(y).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("poisson", y, mean), poisson)
    np.testing.assert_allclose(negative_log_likelihood("negative-binomial", y, mean), poisson)  # r infinite by default
    np.testing.assert_allclose(negative_log_likelihood("poisson", y, mean, dispersion=R), poisson)  # r is not Poisson's
    expected = [
        -sum(negative_binomial(r, m).logpmf(v) for v, m, r in zip(a, b, R, strict=True))
        for a, b in zip(y, mean, strict=True)
    ]
    np.testing.assert_allclose(negative_log_likelihood("negative-binomial", y, mean, dispersion=R), expected)


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "negative-binomial"])
def test_the_score_is_the_slope_of_log_p_in_the_natural_parameter(counted, name):
    y, mean = counted
    if name == "bernoulli":
        y, mean = (y > 2).astype(float), mean / 8
    step = 1e-5

    def moved(by: float) -> np.ndarray:
        if name == "bernoulli":
            return 1 / (1 + np.exp(-(np.log(mean / (1 - mean)) + by)))
        return mean * np.exp(by)

    def log_p(at: np.ndarray) -> np.ndarray:
        ones = [negative_log_likelihood(name, y[:, [j]], at[:, [j]], dispersion=R[[j]]) for j in range(3)]
        return -np.array(ones).T

    slope = (log_p(moved(step)) - log_p(moved(-step))) / (2 * step)
    np.testing.assert_allclose(score(name, y, mean, R), slope, rtol=1e-6, atol=1e-6)


def test_the_gaussian_score_is_the_residual_and_dispersion_is_infinite_by_default(counted):
    y, mean = counted
    for name in ("gaussian", "poisson", "negative-binomial"):
        np.testing.assert_allclose(score(name, y, mean), y - mean)


@pytest.mark.parametrize("r", [0.7, 3.0, np.inf])
def test_fisher_information_is_the_variance_of_the_score(r):
    mean, values = 2.5, np.arange(400.0)
    p = negative_binomial(r, mean).pmf(values)
    scores = score("negative-binomial", values[:, None], np.full((400, 1), mean), np.array([r]))[:, 0]
    expected = (p * scores**2).sum()
    rows = np.full((3, 1), mean)
    np.testing.assert_allclose(fisher_information("negative-binomial", rows, np.array([r])), [expected], rtol=1e-9)
    each = count_fisher_information(values, np.full(400, mean), 1 / r)
    np.testing.assert_allclose((p * each).sum(), expected, rtol=1e-9)


def test_fisher_information_of_the_others(rng):
    mean = rng.uniform(0.1, 0.9, (5, 3))
    np.testing.assert_allclose(fisher_information("bernoulli", mean), (mean - mean**2).mean(axis=0))
    np.testing.assert_array_equal(fisher_information("gaussian", mean), np.ones(3))
    np.testing.assert_allclose(fisher_information("poisson", mean, R), mean.mean(axis=0))  # its r is no Poisson's
    np.testing.assert_allclose(fisher_information("negative-binomial", mean), mean.mean(axis=0))


def test_columns_are_scaled_by_the_root_of_their_variance_at_collapse():
    mean, alpha = np.array([4.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.0])
    np.testing.assert_allclose(count_scale(mean, alpha), [1 / np.sqrt(12.0), 0.0, 1.0])
    np.testing.assert_allclose(count_scale(mean), [0.5, 0.0, 1.0])
    np.testing.assert_allclose(count_scale(np.array([0.25])), [2.0])
    p = np.array([0.5, 0.2, 0.0, 1.0, 0.3])
    np.testing.assert_allclose(bernoulli_scale(p, np.array([0.5, 0.2, 0.0, 1.0, 0.09])), [2.0, 2.5, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(("mean", "square"), [(-1e-3, 0.0), (1.001, 1.0), (0.5, 0.51), (1.001, 1.001)])
def test_moments_that_no_value_between_0_and_1_has_are_refused(mean, square):
    with pytest.raises(DataError, match=f"column 1 has mean {mean:.4g} and mean square {square:.4g}, so its values"):
        bernoulli_scale(np.array([0.5, mean]), np.array([0.5, square]))
    edge = 5e-7  # rounding is let pass
    assert bernoulli_scale(np.array([-edge, 1 + edge, 0.5]), np.array([0.0, 1.0, 0.5 + edge])).shape == (3,)


def test_entropies(rng):
    p = rng.dirichlet(np.ones(4))
    assert categorical_entropy(np.append(p, 0.0)) == pytest.approx(stats.entropy(p))
    assert categorical_entropy(3 * p) == pytest.approx(3 * stats.entropy(p))  # three tokens a row
    assert categorical_entropy(np.zeros(2)) == 0.0
    expected = sum(stats.bernoulli(q).entropy() for q in p)
    assert bernoulli_entropy(p) == pytest.approx(float(expected))
    assert bernoulli_entropy(np.array([0.0, 1.0, -1e-9, 1 + 1e-9])) == 0.0


def test_the_loss_at_collapse_is_that_of_the_distribution_less_what_no_parameter_moves(rng):
    from scipy.special import gammaln

    y = rng.poisson(2.0, 400).astype(float) + rng.integers(0, 3, 400)
    mean, r = y.mean(), 1.7
    poisson = -stats.poisson(mean).logpmf(y).mean() - gammaln(y + 1).mean()
    assert count_loss(np.array([mean, 0.0])) == pytest.approx(poisson)
    left_out = (gammaln(y + 1) + gammaln(r) - gammaln(y + r) + y * np.log(r)).mean()
    expected = -negative_binomial(r, mean).logpmf(y).mean() - left_out
    assert count_loss(np.array([mean]), np.array([1 / r])) == pytest.approx(expected)
    sized = count_loss(np.array([mean]), 0.0, mean_size=2.0)
    assert sized == pytest.approx(mean - mean * np.log(mean / 2.0))


def test_the_cost_of_a_mean_is_what_is_left_of_the_loss_without_y_log_mean(counted):
    y, mean = counted
    alpha = 1 / R
    rows = count_mean_cost(y, mean, alpha)
    np.testing.assert_allclose(rows[:, 2], mean[:, 2])
    by_hand = (y[:, :2] + R[:2]) * np.log1p(mean[:, :2] / R[:2])
    np.testing.assert_allclose(rows[:, :2], by_hand)


def test_dispersion_by_moments_gives_the_variance_back():
    mean, size, square = np.array([2.0, 5.0]), 1.5, 3.0
    r = np.array([0.8, 4.0])
    residual = mean + square * (mean / size) ** 2 / r
    np.testing.assert_allclose(inverse_dispersion(mean, residual, size, square), r)
    np.testing.assert_allclose(inverse_dispersion(mean, mean + mean**2 / r), r)
    almost = mean * (1 + 5e-7)  # no more than rounding over Poisson
    np.testing.assert_array_equal(inverse_dispersion(mean, almost), [np.inf, np.inf])
    np.testing.assert_array_equal(inverse_dispersion(mean, 0.5 * mean), [np.inf, np.inf])


def test_size_factors_are_taken_out_of_moments_as_out_of_rows(rng):
    y = rng.poisson(3.0, (50, 4)).astype(float)
    c, unit_mean = rng.random(4), rng.random(4)
    rows = y - np.multiply.outer(y @ c, unit_mean)
    np.testing.assert_allclose(rank_one_residual(y.T @ y, c, unit_mean), rows.T @ rows)


@pytest.mark.parametrize("given", [True, False])
def test_residuals_of_rows_are_scaled_scores(rng, given):
    y = rng.poisson(3.0, (6, 3)).astype(float)
    sizes = rng.uniform(0.5, 2.0, 6) if given else None
    unit_mean, scale, alpha = rng.random(3), rng.random(3), np.array([0.0, 0.5, 2.0])
    of = CountResiduals(unit_mean, scale, alpha, sizes, unit=4.0, data_scale=2.0)
    s = sizes if given else 2 * y.sum(axis=1) / 4.0
    fitted = np.multiply.outer(s, unit_mean)
    expected = count_score(2 * y, fitted, alpha) * scale
    np.testing.assert_allclose(of(y, 0), expected)
    np.testing.assert_allclose(of(y[2:], 2), expected[2:])
    if given:
        with pytest.raises(DataError, match="7 or more rows came for 6 size factors; give one per row"):
            of(y, 1)
    plain = CountResiduals(unit_mean, scale, alpha)
    np.testing.assert_allclose(plain(y, 0), (count_score(y, np.multiply.outer(y.sum(1), unit_mean), alpha)) * scale)


def test_whole_numbers_count_as_floats(counted):
    y, _ = counted
    whole, ones, r = y.astype(int), np.ones((5, 3)), np.array([1, 3, 5])
    for name in ("poisson", "negative-binomial"):
        same = negative_log_likelihood(name, y, ones, dispersion=r.astype(float))
        np.testing.assert_allclose(negative_log_likelihood(name, whole, ones, dispersion=r), same)
        np.testing.assert_allclose(fisher_information(name, ones, r), fisher_information(name, ones, r.astype(float)))
        np.testing.assert_allclose(score(name, y, ones, r.tolist()), score(name, y, ones, r.astype(float)))
    of = CountResiduals(np.ones(3), np.ones(3), np.zeros(3), unit=4.0)
    small = (y % 5).astype(np.uint8)
    np.testing.assert_allclose(of(small * 60, 0), of(small.astype(float) * 60, 0))  # 4 · 60 · 3 is no byte


def test_rounding_leaves_entropies_alone():
    p = np.array([1 + 1e-9, -1e-9, 0.5])
    assert bernoulli_entropy(p) == pytest.approx(np.log(2))
    with np.errstate(all="raise"):
        assert np.isfinite(bernoulli_scale(np.array([1 + 5e-7, -5e-7, 0.5]), np.array([1.0, 0.0, 0.5]))).all()
    assert count_loss(np.array([0.5, 0.0])) == pytest.approx(0.5 - 0.5 * np.log(0.5))


def test_values_that_are_not_finite_pass_without_a_warning():
    of = CountResiduals(np.ones(2), np.ones(2), np.zeros(2))
    with np.errstate(all="raise"):
        assert not np.isfinite(of(np.array([[np.inf, 1.0]]), 0)).all()
        assert not np.isfinite(of(np.array([[1e308, 1e308]]), 0)).all()
        assert bernoulli_entropy(np.array([0.0, 1.0])) == 0.0
