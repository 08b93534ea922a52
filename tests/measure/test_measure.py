"""Measurements of posteriors against direct computation, exact Gaussian channels, and SciPy's densities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from uncollapse.errors import DataError
from uncollapse.measure.arrays import measure_posterior
from uncollapse.measure.decoder import measure_decoder
from uncollapse.measure.observe import observe
from uncollapse.measure.posterior import posterior
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import EPSILONS, posterior_sums
from uncollapse.objective import Objective
from uncollapse.theory.loglikelihood import negative_log_likelihood
from uncollapse.theory.posterior import importance_bound, log_ratio, sampled_mutual_information


def channel(rng, n, signal):
    """x ~ N(0, 1) seen through q(z|x) = N(a x, s²) with a² + s² = 1: I(x; z) = −½ log s², and q(z) is the prior."""
    a = np.sqrt(signal)
    x = rng.standard_normal((n, len(signal)))
    return a * x, np.broadcast_to(1 - signal, x.shape)


def test_sums_of_parts_are_those_of_the_whole(rng):
    mean, variance = channel(rng, 301, np.array([0.9, 0.5, 0.0]))
    whole = measure_posterior(mean, variance=variance)
    cut = sorted(rng.integers(1, 300, 2))
    parts = [posterior(m, variance=v) for m, v in zip(np.split(mean, cut), np.split(variance, cut), strict=True)]
    merged = measure_posterior(iter(parts))
    for name in ("kl", "kl_std", "aggregate_mean", "aggregate_covariance", "mean_variance", "variance"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), atol=1e-12)
    np.testing.assert_array_equal(merged.sums.below, whole.sums.below)
    assert merged.n_samples == 301


def test_moments_of_the_aggregate_are_numpys(rng):
    mean, variance = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3)), rng.uniform(0.1, 1, (200, 3))
    m = measure_posterior(mean, variance=variance)
    covariance = np.cov(mean, rowvar=False, ddof=0) + np.diag(variance.mean(axis=0))
    np.testing.assert_allclose(m.aggregate_covariance, covariance, atol=1e-12)
    np.testing.assert_allclose(m.mean_variance, mean.var(axis=0), atol=1e-12)


def test_kl_is_scipys_entropy_difference(rng):
    m, s, m0, s0 = rng.normal(), rng.uniform(0.2, 2), rng.normal(), rng.uniform(0.5, 2)
    z = np.linspace(m - 12 * s, m + 12 * s, 20001)
    q, p = stats.norm(m, s), stats.norm(m0, s0)
    integral = np.trapezoid(q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), z)
    found = measure_posterior([[m]], std=[[s]], prior_mean=m0, prior_variance=s0**2)
    assert found.kl[0] == pytest.approx(integral, rel=1e-6)


def test_the_collapse_curve_counts_latents_row_by_row(rng):
    mean, variance = channel(rng, 400, np.array([0.95, 0.3, 0.01, 0.0]))
    m = measure_posterior(mean, variance=variance)
    kl = posterior(mean, variance=variance).kl
    for epsilon, found in zip(EPSILONS[::7], m.collapse_curve(0.05)[::7], strict=True):
        assert found == np.mean([(column < epsilon).mean() >= 0.95 for column in kl.T])
    below = m.kl_quantiles(0.5)
    assert ((kl < below).mean(axis=0) >= 0.5).all()


def test_mutual_information_lies_between_its_two_bounds(rng):
    signal = np.array([0.8, 0.5, 0.0])
    mean, variance = channel(rng, 1500, signal)
    true = -0.5 * np.log(1 - signal).sum()
    q = posterior(mean, variance=variance)
    low = sampled_mutual_information(mean, variance, q.draw(rng))
    high = measure_posterior(mean, variance=variance).mutual_information_at_most
    assert low == pytest.approx(true, abs=0.15)
    assert high == pytest.approx(true, abs=0.15)


def test_sampled_information_never_exceeds_the_logarithm_of_the_rows(rng):
    mean = 50.0 * rng.standard_normal((64, 4))
    assert sampled_mutual_information(mean, np.ones_like(mean), mean) == pytest.approx(np.log(64), abs=1e-6)


def test_a_gap_to_the_prior_is_not_information(rng):
    """All posteriors the same and far from the prior: KL is large, information none."""
    m = measure_posterior(np.full((100, 2), 3.0), variance=np.full((100, 2), 0.5))
    assert m.rate > 9
    assert m.mutual_information_at_most == pytest.approx(0.0, abs=1e-9)
    assert (m.n_alive, m.n_active, m.mean_rank) == (2, 0, 0.0)


def test_with_the_exact_posterior_one_draw_gives_the_likelihood_itself(rng):
    """x = u z + noise: log p(x, z) − log q(z|x) is log p(x) whatever z is drawn."""
    u, s = rng.normal(), rng.uniform(0.3, 2)
    x = rng.standard_normal((50, 1)) * np.hypot(u, np.sqrt(s))
    mean, variance = u * x / (u**2 + s), np.full_like(x, s / (u**2 + s))
    weights = []
    for _ in range(3):
        z = mean + np.sqrt(variance) * rng.standard_normal(x.shape)
        cost = negative_log_likelihood("gaussian", x, u * z, decoder_variance=s)
        weights.append(-cost - log_ratio(z, mean, variance))
    exact = stats.norm(0, np.sqrt(u**2 + s)).logpdf(x).mean()
    assert importance_bound(np.array(weights)) == pytest.approx(exact, abs=1e-9)


def test_log_likelihoods_are_scipys(rng):
    mean, r = rng.uniform(0.2, 5, (6, 3)), rng.uniform(0.5, 4, 3)
    counts = rng.poisson(mean).astype(float)
    poisson = -stats.poisson(mean).logpmf(counts).sum(axis=1)
    binomial = -stats.nbinom(r, r / (r + mean)).logpmf(counts).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("poisson", counts, mean), poisson)
    np.testing.assert_allclose(negative_log_likelihood("negative-binomial", counts, mean, dispersion=r), binomial)
    p = rng.uniform(0.05, 0.95, (6, 3))
    coins = (rng.random((6, 3)) < p).astype(float)
    np.testing.assert_allclose(
        negative_log_likelihood("bernoulli", coins, p), -stats.bernoulli(p).logpmf(coins).sum(axis=1)
    )
    y = rng.standard_normal((6, 3))
    gaussian = -stats.norm(mean, np.sqrt(0.7)).logpdf(y).sum(axis=1)
    np.testing.assert_allclose(negative_log_likelihood("gaussian", y, mean, decoder_variance=0.7), gaussian)


def test_spatial_latents_are_flattened_and_their_shape_kept(rng):
    mean = rng.standard_normal((5, 4, 8, 8))
    m = measure_posterior(mean, log_variance=np.zeros_like(mean))
    assert (m.n_latents, m.sums.latent_shape) == (256, (4, 8, 8))


def test_many_latents_are_measured_without_their_covariance(rng):
    mean = rng.standard_normal((20, 1100))
    m = measure_posterior(mean, variance=np.ones_like(mean))
    assert m.aggregate_covariance is None
    assert m.mean_rank is None
    np.testing.assert_allclose(m.mean_variance, mean.var(axis=0), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mean": np.zeros((3, 2)), "variance": -np.ones((3, 2))}, "negative variance -1.*log_variance"),
        ({"mean": np.zeros((3, 2)), "log_variance": np.zeros((3, 4))}, r"mean of shape \(3, 2\).*\(3, 4\)"),
        ({"mean": np.zeros((3, 2))}, "one of log_variance, variance and std.*got none"),
        ({"mean": np.zeros((3, 2)), "std": 1.0 * np.ones((3, 2)), "variance": np.ones((3, 2))}, "std"),
        ({"mean": np.full((3, 2), np.nan), "variance": np.ones((3, 2))}, "not finite for 3 of 3 samples.*latents 1, 2"),
        ({"mean": np.zeros(3), "variance": np.ones(3)}, "shape"),
        ({"mean": np.zeros((3, 2)), "log_variance": np.full((3, 2), 800.0)}, "overflow; are these variances"),
        ({"mean": {"a": 1}, "variance": np.ones((3, 2))}, "dict"),
        ({"mean": np.zeros((2, 3)), "variance": np.ones((2, 3)), "level_sizes": (1, 1)}, "levels of 1 [+] 1"),
    ],
)
def test_what_is_no_posterior_is_refused_in_one_line(arguments, said):
    with pytest.raises(DataError, match=said) as caught:
        posterior(**arguments)
    assert "\n" not in str(caught.value)


def test_no_batches_are_an_error():
    with pytest.raises(DataError, match="no batches"):
        measure_posterior(iter(()))


def test_sums_of_different_models_do_not_add_up():
    one, other = (posterior_sums(posterior(np.zeros((2, n)), variance=np.ones((2, n)))) for n in (2, 3))
    with pytest.raises(DataError, match="one model"):
        one + other
    assert Measurement(one + one).n_samples == 4


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("variance", [0.0, 1e-300, 1e-12, 1e-6])
def test_posteriors_of_no_width_tell_every_row_apart(rng, variance, offset):
    q = posterior(rng.standard_normal((200, 3)) + offset, variance=np.full((200, 3), variance))
    assert sampled_mutual_information(q.mean, q.variance, q.draw(rng)) == pytest.approx(np.log(200), abs=1e-3)


def test_posteriors_of_no_width_in_one_place_tell_none_apart(rng):
    for place in (0.0, 0.1, 1e5):
        q = posterior(np.full((50, 2), place), variance=np.zeros((50, 2)))
        assert sampled_mutual_information(q.mean, q.variance, q.draw(rng)) == pytest.approx(0.0, abs=0.2)


def test_a_prior_away_from_zero_moves_the_bound_of_information_with_it(rng):
    mean, variance = channel(rng, 800, np.array([0.8, 0.3]))
    here = measure_posterior(mean, variance=variance).mutual_information_at_most
    moved = measure_posterior(
        3 * mean + 5, variance=9 * variance, prior_mean=5.0, prior_variance=np.array([9.0, 9.0])
    ).mutual_information_at_most
    assert moved == pytest.approx(here, abs=1e-8)


@pytest.mark.parametrize("varied", ["prior_mean", "prior_variance"])
def test_a_prior_of_each_rows_own_bounds_no_information(rng, varied):
    mean, variance = channel(rng, 100, np.array([0.8]))
    prior = {varied: 1 + rng.random((100, 1))}
    assert measure_posterior(mean, variance=variance, **prior).mutual_information_at_most is None


def test_lower_levels_live_by_their_means_since_their_share_of_the_kl_may_be_negative(rng):
    mean = rng.standard_normal((100, 4)) * [2.0, 0.0, 2.0, 0.0]
    kl = np.full((100, 4), [-0.5, 0.7, 1.0, 0.0])
    m = measure_posterior(mean, variance=np.ones((100, 4)), kl=kl, level_sizes=(2, 2))
    assert m.alive.tolist() == [True, False, True, False]
    assert m.mutual_information_at_most is None
    assert m.rate == pytest.approx(1.2)


@pytest.mark.parametrize("varied", ["prior_mean", "prior_variance"])
def test_a_prior_of_each_rows_own_has_no_importance_bound(rng, varied):
    class Conditional:
        name, objective, decoder_variance, trained_for, notes = "mine", None, None, None, ()

        def encode(self, x, given=None):
            return posterior(x[:, :1], variance=np.ones((len(x), 1)), **{varied: x[:, 1:] ** 2 + 1})

        def decode(self, z, given=None):
            return np.pad(z, ((0, 0), (0, 1)))

    seen = observe(Conditional(), rng.standard_normal((50, 2)))
    assert measure_decoder(Conditional(), seen, Objective()).importance_bound is None
