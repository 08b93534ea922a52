"""Optima of unusual kinds, which must not be called ill: given widths, noisy targets, equal modes, few columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linear_models import linear_probe
from problems import rows_with_spectrum
from uncollapse import Objective, forecast
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.result import Remedy, Trial
from uncollapse.measure.baseline import collapsed_losses
from uncollapse.theory.loglikelihood import negative_log_likelihood
from uncollapse.theory.residual import predicted_out_of_fold, residual_spectrum


def at_optimum(x, objective, target=None):
    """Diagnosis of the closed form itself."""
    probe = linear_probe(forecast(x, target, objective=objective).weights, objective)
    return diagnose(probe, x, target)


@pytest.mark.parametrize(("beta", "alive"), [(1.0, 3), (100.0, 0)])
def test_with_a_given_width_a_dead_latent_pays_kl_and_is_dead_all_the_same(rng, beta, alive):
    x = rows_with_spectrum(np.array([18.0, 6.0, 2.0, 0.2]), 1500, 4, rng)
    found = at_optimum(x, Objective(beta=beta, encoder_variance=0.5, n_latents=4))
    assert (found.n_alive, found.forecast.n_alive) == (alive, alive)
    assert found.cause == ("healthy" if alive else "objective")


def test_a_latent_of_given_width_wakes_at_its_own_level(rng):
    """A mode of 0.6 under τ = 1 is above τσ²/η_enc² = 0.3, so a latent of σ² = 0.3 that leaves it dead is at fault."""
    x = rows_with_spectrum(np.array([9.0, 0.6, 0.1]), 1500, 3, rng)
    objective = Objective(encoder_variance=0.3, n_latents=2)
    w = forecast(x, objective=objective).weights
    w.encoder[:, 1] = 0.0
    w.encoder_bias[1] = 0.0
    w.decoder[:, 1] = 0.0
    found = diagnose(linear_probe(w, objective), x, learning_rate=1e-4)
    assert found.cause in ("optimisation", "slow")


def test_noise_in_a_target_that_no_input_tells_of_wakes_no_latent(rng):
    x = rng.standard_normal((1800, 5))
    y = np.stack([2 * x[:, 0], x[:, 1], 0 * x[:, 0], 0 * x[:, 0]], 1) + rng.standard_normal((1800, 4))
    found = at_optimum(x, Objective(decoder_variance=0.5, n_latents=4), y)
    assert (found.cause, found.n_alive) == ("healthy", 2)
    assert found.decoder.residual.top < 0.5


def test_what_an_input_tells_of_a_residual_is_found_out_of_fold(rng):
    x = rng.standard_normal((4000, 3))
    residual = np.stack([1.5 * x[:, 0], 0 * x[:, 0]], 1) + rng.standard_normal((4000, 2))
    found = residual_spectrum([residual, predicted_out_of_fold(x, residual)])
    np.testing.assert_allclose(found.strengths, [2.25, 0.0], atol=0.2)


@pytest.mark.parametrize("strengths", [[1.0, 1.0, 1.0, 1.0], [9.0, 1.0], [9.0, 4.0, 1.0]])
def test_equal_modes_and_few_columns_are_no_noise_and_no_clamp(rng, strengths):
    x = rows_with_spectrum(np.array(strengths), 1500, len(strengths), rng)
    found = at_optimum(x, Objective(beta=0.2, n_latents=len(strengths)))
    assert (found.cause, found.n_alive) == ("healthy", len(strengths))


@pytest.mark.parametrize(("beta", "cause"), [(0.1, "over-alive"), (50.0, "objective")])
def test_with_a_learned_decoder_variance_the_remedy_is_another_weight(rng, beta, cause):
    x = rows_with_spectrum(np.array([9.0, 5.0, 3.0, *np.linspace(1.05, 0.95, 7)]), 1500, 10, rng)
    found = at_optimum(x, Objective(beta=beta, decoder_variance="learned", n_latents=6))
    assert found.cause == cause
    assert found.remedies[0].change.startswith(f"β {beta:g} →")
    assert found.remedies[0].expected_alive == 3


def test_the_collapsed_model_of_overdispersed_counts_is_negative_binomial(rng):
    y, r = rng.negative_binomial(2, 0.3, (400, 3)).astype(float), np.full(3, 2.0)
    f = forecast(y, objective=Objective(likelihood="negative-binomial", beta=5.0, n_latents=1), dispersion=r)
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    own = negative_log_likelihood("negative-binomial", y, mean, dispersion=r)
    np.testing.assert_allclose(collapsed_losses(f, y, dispersion=r), own)


def test_under_the_same_loss_a_remedy_is_good_if_the_loss_falls_by_more_than_its_error():
    remedy = Remedy("train longer", 8, "")
    for after, kept in ((0.5, True), (0.95, False), (1.5, False)):
        trial = Trial(remedy, 0, 8, 1.0, after, 1.0, gain_error=0.1, same_loss=True)
        assert trial.kept == kept


@pytest.mark.parametrize(
    ("before", "after", "promised", "kept"),
    [(0, 6, 6, True), (0, 5, 6, True), (0, 0, 1, False), (2, 2, 3, False), (8, 8, 8, True), (1, 4, 6, False)],
)
def test_a_promise_is_not_kept_by_doing_nothing(before, after, promised, kept):
    assert Trial(Remedy("β", promised, ""), before, after, 1.0, 0.5, 1.0).kept == kept


def test_whitened_columns_under_a_heavy_weight_die_by_it_and_not_as_noise(rng):
    x = rng.standard_normal((800, 6)) ** 3
    left, _, right = np.linalg.svd(x - x.mean(0), full_matrices=False)
    whitened = left @ right * 800**0.5
    still = (lambda x: (0 * x[:, :3], np.ones_like(x[:, :3])), lambda z: np.zeros((len(z), 6)))
    d = diagnose(still, whitened, spread="std", objective=Objective(beta=2.5))
    assert (d.cause, d.confidence) == ("objective", "high"), d.verdict
    of_noise = diagnose(still, rng.standard_normal((800, 6)), spread="std", objective=Objective(beta=2.5))
    assert of_noise.cause == "cannot-tell", of_noise.verdict


def test_a_dead_latent_that_could_gain_next_to_nothing_is_no_fault(rng):
    """At the optimum of two strong modes; a third one stands above the water, and is worth 0.07 of 290 nats."""
    x = rows_with_spectrum(np.array([400.0, 200.0, 1.6, 0.1, 0.1]), 6000, 5, rng)
    objective = Objective(n_latents=3)
    probe = linear_probe(forecast(x, objective=objective).weights, objective)
    with torch.no_grad():
        probe.module.encoder.weight[2] = 0.0
        probe.module.decoder.weight[:, 2] = 0.0
        probe.module.log_variance[2] = 0.0
    d = diagnose(probe, x, learning_rate=1e-5)
    assert d.cause in ("healthy", "rightly-dead"), d.verdict
    assert (d.measurement.n_alive, d.decoder.residual.top > 1.2) == (2, True)
    waking = next(one for one in d.evidence if one.name == "waking")
    assert waking.value == pytest.approx((1.6 - 1 - np.log(1.6)) / 2, abs=0.03)
