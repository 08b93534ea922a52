"""What posteriors say, against densities of SciPy, quadrature and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from uncollapse.theory.posterior import (
    aggregate_kl,
    collapsed_share,
    collapsed_share_from_counts,
    counts_below,
    gaussian_kl,
    importance_bound,
    log_ratio,
    sampled_mutual_information,
    tuned_elbo,
)


@pytest.fixture
def q(rng):
    return rng.standard_normal((7, 3)), rng.uniform(0.2, 2.0, (7, 3))


def test_the_kl_of_two_gaussians_by_quadrature(q):
    mean, variance = q
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    for prior_variance, prior_mean in ((1.0, 0.0), (2.5, -0.7)):
        z = mean[..., None] + np.sqrt(variance)[..., None] * nodes
        own = stats.norm(mean[..., None], np.sqrt(variance)[..., None]).logpdf(z)
        prior = stats.norm(prior_mean, np.sqrt(prior_variance)).logpdf(z)
        expected = ((own - prior) * weights).sum(axis=-1)
        np.testing.assert_allclose(gaussian_kl(mean, variance, prior_variance, prior_mean), expected, atol=1e-12)
    np.testing.assert_allclose(gaussian_kl(mean, variance), gaussian_kl(mean, variance, 1.0, 0.0))


def test_the_log_ratio_is_that_of_the_densities(q, rng):
    mean, variance = q
    z = mean + rng.standard_normal(mean.shape)
    for prior_variance, prior_mean in ((1.0, 0.0), (2.5, -0.7)):
        own = stats.norm(mean, np.sqrt(variance)).logpdf(z)
        prior = stats.norm(prior_mean, np.sqrt(prior_variance)).logpdf(z)
        expected = (own - prior).sum(axis=1)
        np.testing.assert_allclose(log_ratio(z, mean, variance, prior_variance, prior_mean), expected)
    np.testing.assert_allclose(log_ratio(z, mean, variance), log_ratio(z, mean, variance, 1.0, 0.0))


def test_collapsed_is_below_epsilon_in_all_but_a_share_of_the_rows(rng):
    kl, epsilons = rng.exponential(0.5, (200, 6)), np.array([0.0, 0.1, 1.0, 2.5, 9.0])
    kl[:, 0], kl[0, 1] = 0.1, 5.0  # on the edge everywhere: not below it
    below = np.array([[(column < e).sum() for e in epsilons] for column in kl.T])
    np.testing.assert_array_equal(counts_below(kl, epsilons), below)
    for delta in (0.01, 0.25):
        expected = [np.mean([(column < e).mean() >= 1 - delta for column in kl.T]) for e in epsilons]
        np.testing.assert_allclose(collapsed_share(kl, epsilons, delta), expected)
        np.testing.assert_allclose(collapsed_share_from_counts(below, 200, delta), expected)
    np.testing.assert_allclose(collapsed_share(kl, epsilons), collapsed_share(kl, epsilons, 0.01))


def test_a_kl_that_is_an_epsilon_but_for_a_rounding_is_counted_on_its_own_side(rng):
    epsilons = np.array([1e-300, 1e-5, 0.01, 0.1, 7.0, 1e60])
    sides = epsilons * (1 + np.array([-1e-12, 0.0, 1e-12]))[:, None]
    kl = rng.permuted(np.repeat(sides.reshape(-1, 1), 3, axis=1), axis=0)
    np.testing.assert_array_equal(counts_below(kl, epsilons), [(kl[:, [0]] < epsilons).sum(axis=0)] * 3)


def test_exactly_the_share_that_is_asked_for_is_collapsed():
    kl = np.r_[np.zeros(99), 1.0][:, None]
    assert collapsed_share(kl, np.array([0.5]))[0] == 1.0
    kl[0] = 1.0
    assert collapsed_share(kl, np.array([0.5]))[0] == 0.0


def test_the_kl_of_the_aggregate_is_that_of_a_gaussian_of_its_moments(rng):
    mean, root = rng.standard_normal(3), rng.standard_normal((3, 3))
    covariance = root @ root.T + np.eye(3)
    for prior in (1.0, np.array([0.5, 2.0, 1.0])):
        p = np.broadcast_to(prior, 3)
        expected = 0.5 * (
            (mean**2 / p).sum() + np.trace(covariance / p[:, None]) - 3
            + np.log(p).sum() - np.log(np.linalg.det(covariance))
        )  # fmt: skip
        assert aggregate_kl(mean, covariance, prior) == pytest.approx(expected)
    assert aggregate_kl(mean, covariance) == pytest.approx(aggregate_kl(mean, covariance, 1.0))
    assert aggregate_kl(np.zeros(2), np.diag([1.0, 0.0])) == np.inf
    assert aggregate_kl(np.zeros(2), np.diag([1.0, -1.0])) == np.inf


def direct_information(mean: np.ndarray, variance: np.ndarray, draws: np.ndarray) -> float:
    log_q = stats.norm(mean[None], np.sqrt(variance)[None]).logpdf(draws[:, None]).sum(axis=2)
    own = np.diagonal(log_q)
    return float(np.mean(own - np.log(np.mean(np.exp(log_q), axis=1))))


def test_sampled_mutual_information_is_its_own_definition(q, rng):
    mean, variance = q
    draws = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
    assert sampled_mutual_information(mean, variance, draws) == pytest.approx(direct_information(mean, variance, draws))
    far = sampled_mutual_information(mean + 1e6, variance, draws + 1e6)  # moved together, nothing changes
    assert far == pytest.approx(direct_information(mean, variance, draws), abs=1e-6)


def test_each_latent_is_measured_about_its_own_centre(rng):
    """Latents a million apart, each with a width of its own, give what they give about zero."""
    mean, variance = rng.standard_normal((9, 2)), rng.uniform(0.2, 2.0, (9, 2))
    draws = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
    apart = np.array([1e7, -3e7])
    about_zero = direct_information(mean, variance, draws)
    assert sampled_mutual_information(mean + apart, variance, draws + apart) == pytest.approx(about_zero, abs=1e-5)


def test_a_width_is_raised_to_a_millionth_of_the_spread_and_no_further(rng):
    for scale in (1.0, 40.0):
        mean = scale * np.array([[0.0, 0.0], [1e-6, 1e-7], [3.0, 0.3]])  # two rows as close as the least width
        centre = mean.mean(axis=0)
        least = 1e-6 * (np.abs(mean - centre).max(axis=0) + 1e-6 * np.abs(centre))
        for width in (1e-4, 1e-12):
            kept = np.maximum(width, least)
            draws = mean + 0.7 * kept
            expected = direct_information(mean, np.broadcast_to(kept**2, (3, 2)), draws)
            got = sampled_mutual_information(mean, np.full((3, 2), width**2), draws)
            assert got == pytest.approx(expected, abs=1e-3)
            assert got < np.log(3) - 0.05


def test_posteriors_of_no_width_tell_all_rows_apart():
    mean = np.arange(8.0)[:, None]
    with np.errstate(all="raise"):
        told_apart = sampled_mutual_information(mean, np.full((8, 1), 1e-300), mean)
    assert told_apart == pytest.approx(np.log(8))
    same = np.zeros((8, 1)) + 3.0
    assert sampled_mutual_information(same, np.full((8, 1), 0.5), same) == pytest.approx(0.0, abs=1e-12)


def test_the_importance_bound_averages_weights_inside_the_logarithm(rng):
    log_weights = rng.standard_normal((5, 9))
    expected = np.log(np.exp(log_weights).mean(axis=0)).mean()
    assert importance_bound(log_weights) == pytest.approx(expected)
    assert importance_bound(log_weights[:1]) == pytest.approx(log_weights[0].mean())  # one draw: the ELBO


def test_the_tuned_elbo_is_the_largest_over_decoder_variances():
    misfit, d, rate = 3.7, 5, 1.2
    grid = np.exp(np.linspace(-4, 4, 200_001))
    elbos = -d / 2 * np.log(2 * np.pi * grid) - misfit / (2 * grid) - rate
    assert tuned_elbo(misfit, d, rate) == pytest.approx(elbos.max(), abs=1e-8)
