"""Priors that are no Gaussian of each latent: what is sampled, against integrals and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from uncollapse import DataError, Objective, ObjectiveError, diagnose, measure_model, open_probe
from uncollapse.measure.posterior import posterior
from uncollapse.measure.prior import with_sampled_kl
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import posterior_sums
from uncollapse.theory.posterior import gaussian_kl

CENTRES, WIDTH = np.array([-3.0, 3.0]), 0.6


def log_mixture(z):
    """Two Gaussians along the first latent, N(0, 1) along the others."""
    first = logsumexp(-0.5 * ((z[:, :1] - CENTRES) / WIDTH) ** 2, axis=1) - np.log(2 * WIDTH * np.sqrt(2 * np.pi))
    return first - 0.5 * (z[:, 1:] ** 2).sum(1) - (z.shape[1] - 1) / 2 * np.log(2 * np.pi)


def sampled(mean, variance, log_prior):
    return with_sampled_kl(posterior(mean, variance=variance), log_prior, "here")


def test_the_kl_from_another_gaussian_is_its_closed_form_within_the_error(rng):
    mean, variance = rng.standard_normal((4000, 2)), rng.uniform(0.2, 1.0, (4000, 2))
    q = sampled(mean, variance, lambda z: (-0.5 * (z - 1) ** 2 / 4 - np.log(2 * np.sqrt(2 * np.pi))).sum(1))
    exact = gaussian_kl(mean, variance, 4.0, 1.0).sum(1)
    m = Measurement(posterior_sums(q))
    assert abs(m.rate - exact.mean()) < 5 * m.rate_error
    assert np.abs(q.row_kl - exact).mean() < 0.5


def test_the_kl_from_a_mixture_is_its_integral(rng):
    """One latent, one posterior for all rows: by quadrature."""
    q = sampled(np.full((5000, 1), 1.0), np.full((5000, 1), 0.25), log_mixture)
    z, step = np.linspace(-9, 9, 20001, retstep=True)
    log_q = -0.5 * (z - 1) ** 2 / 0.25 - np.log(0.5 * np.sqrt(2 * np.pi))
    exact = float((np.exp(log_q) * (log_q - log_mixture(z[:, None]))).sum() * step)
    draws = q.row_kl.std() / np.sqrt(5000)
    assert abs(q.row_kl.mean() - exact) < 5 * draws


def test_parts_add_up_and_the_error_is_that_of_all_rows(rng):
    mean, variance = rng.standard_normal((300, 2)), np.full((300, 2), 0.5)
    whole = sampled(mean, variance, log_mixture)
    total = posterior_sums(whole[:100]) + posterior_sums(whole[100:])
    m = Measurement(total)
    assert m.rate == pytest.approx(whole.row_kl.mean())
    assert m.rate_error == pytest.approx(whole.row_kl.std() / np.sqrt(300))
    assert Measurement(posterior_sums(posterior(mean, variance=variance))).rate_error is None


def test_a_latent_that_says_nothing_is_collapsed_under_any_prior_and_one_that_speaks_is_alive(rng):
    side = np.where(rng.random(3000) < 0.5, -3.0, 3.0)
    mean = np.column_stack([side, np.full(3000, 2.0)])  # the second lies off N(0, 1) for every row alike
    q = sampled(mean, np.full((3000, 2), 0.36), log_mixture)
    m = Measurement(posterior_sums(q))
    assert m.alive.tolist() == [True, False]
    assert m.kl[0] == pytest.approx(0.5 * np.log(9.36 / 0.36), rel=0.02)
    plain = Measurement(posterior_sums(posterior(mean, variance=np.full((3000, 2), 0.36))))
    assert plain.alive.all()  # to N(0, I) it would have cost 2 nats
    assert m.mutual_information_at_most == pytest.approx(plain.mutual_information_at_most)


def test_the_same_rows_have_the_same_kl_each_time(rng):
    mean = rng.standard_normal((50, 2))
    one, other = (sampled(mean, np.ones((50, 2)), log_mixture).row_kl for _ in range(2))
    assert (one == other).all()


def two_sided(rng, n=1500):
    """Data of two clusters and an encoder and decoder that know them."""
    side = np.where(rng.random(n) < 0.5, -3.0, 3.0)
    x = np.column_stack([side, rng.standard_normal((n, 2))]) + 0.3 * rng.standard_normal((n, 3))
    return x, (lambda x: (x[:, :2] * 0.9, np.full((len(x), 2), 0.1)), lambda z: np.column_stack([z, 0 * z[:, 0]]) / 0.9)


def test_a_diagnosis_says_what_holds_and_leaves_out_what_does_not(rng):
    x, model = two_sided(rng)
    plain = open_probe(model, spread="variance")
    probe = open_probe(model, spread="variance", prior=log_mixture)
    d = diagnose(probe, x, objective=Objective(decoder_variance=0.2, n_latents=2))
    assert d.confidence == "low"
    assert d.weight is None
    assert {line.name for line in d.bill.tried}.isdisjoint({"prune", "linear"})
    assert any("what one alone costs is known of N(0, I) only" in what for what in d.bill.untried)
    assert sum("N(0, I)" in note for note in d.notes) >= 2
    assert "± " in str(d.measurement.summary())
    # its loss has the KL from the mixture, in the first latent so much less than from N(0, 1)
    other = diagnose(plain, x, objective=Objective(decoder_variance=0.2, n_latents=2))
    fall = other.measurement.rate - d.measurement.rate
    assert fall > 1
    assert other.decoder.loss - d.decoder.loss == pytest.approx(fall, rel=0.1)
    assert measure_model(model, x, spread="variance", prior=log_mixture).rate == pytest.approx(d.measurement.rate)


def test_a_torch_distribution_is_a_prior(rng):
    torch = pytest.importorskip("torch")
    x, model = two_sided(rng, 200)
    for prior in (
        torch.distributions.Normal(0.0, 1.0),
        torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)),
    ):
        q = open_probe(model, spread="variance", prior=prior).encode(x)
        assert np.allclose(q.row_kl, q.kl.sum(1), atol=1e-4)


def test_priors_that_give_no_density_are_refused(rng):
    x, model = two_sided(rng, 50)

    def measured(prior):
        return measure_model(model, x, spread="variance", prior=prior)

    with pytest.raises(ObjectiveError, match="prior must be a torch distribution or a function"):
        measured(3.0)
    with pytest.raises(DataError, match=r"the prior gave an array of shape \(50, 2\) for 50 rows"):
        measured(lambda z: z)
    with pytest.raises(DataError, match="log density is not finite for 50 of 50 draws"):
        measured(lambda z: z[:, 0] * np.nan)
    with pytest.raises(DataError, match=r"the prior fails on latents of shape \(50, 2\): ZeroDivisionError"):
        measured(lambda z: 1 / 0)
