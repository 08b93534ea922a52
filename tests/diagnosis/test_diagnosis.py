"""Causes planted into linear VAEs of known optimum: each is named, with a remedy that keeps its promise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from linear_models import decode, encode, linear_probe
from problems import rows_with_spectrum
from uncollapse import Level, Objective, forecast, spectrum
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.trial import verify
from uncollapse.errors import DataError, ObjectiveError, UncollapseError
from uncollapse.probes.own import own_probe
from uncollapse.training import Training, train

STRENGTHS = np.array([6.0, 4.0, 2.0, 0.05, 0.04, 0.03])


@pytest.fixture
def x(rng):
    return rows_with_spectrum(STRENGTHS, 1500, 6, rng)


def optimal(x, objective, **data):
    """The closed-form optimum as a model."""
    return linear_probe(forecast(x, objective=objective, **data).weights, objective)


def names(found):
    return [item.name for item in found.evidence]


def test_the_optimum_with_every_useful_latent_alive_is_healthy(x):
    found = diagnose(optimal(x, Objective(beta=0.5, n_latents=3)), x)
    assert (found.cause, found.confidence, found.measurement.n_alive) == ("healthy", "high", 3)
    assert found.linear_gap == pytest.approx(0.0, abs=0.1)
    assert found.decoder.elbo == pytest.approx(found.forecast.elbo + (0.5 - 1) * found.forecast.rate, abs=0.3)


def test_a_weight_above_every_mode_is_the_objectives_fault_and_the_remedy_names_a_better_one(x):
    objective = Objective(beta=10.0, n_latents=3)
    probe = optimal(x, objective)
    found = diagnose(probe, x)
    assert (found.cause, found.confidence) == ("objective", "high")
    assert names(found)[0] == "strongest_mode"
    first = found.remedies[0]
    assert first.change.startswith("β 10 → 1")
    assert first.expected_alive == 3
    tried = verify(found, probe, x, n_steps=600, learning_rate=0.02)
    assert tried.trials[0].kept
    assert tried.trials[0].alive_after == 3
    assert tried.trials[0].loss_after < tried.trials[0].loss_before


def test_a_mean_reduction_that_drowns_every_mode_is_named_with_its_factor(x):
    objective = Objective.from_loss("mse", reduction="mean", n_features=6, kl_weight=3.0, n_latents=3)
    found = diagnose(optimal(x, objective), x)
    assert found.cause == "convention"
    assert "6 features" in found.evidence[0].text
    assert found.evidence[0].value == pytest.approx(6.0)
    assert any(remedy.change.startswith("kl_weight 3 →") for remedy in found.remedies)


def test_a_weight_that_is_the_number_of_features_is_called_a_mean(x):
    found = diagnose(optimal(30 * x, Objective(beta=1.0, n_latents=3)), x / 2)
    assert found.cause != "convention"
    d = np.hstack([x, 1e-3 * x])
    assert diagnose(optimal(d, Objective(beta=12.0, n_latents=3)), d).cause == "convention"


def test_a_condition_that_explains_the_target_is_to_blame(rng):
    given = rng.standard_normal((1500, 3))
    y = given @ rng.standard_normal((3, 5)) * 2 + 0.3 * rng.standard_normal((1500, 5))
    objective = Objective(beta=1.0, n_latents=3)
    probe = optimal(y, objective, given=given)
    found = diagnose(probe, y, given=given)
    assert (found.cause, names(found)[0]) == ("condition", "condition")
    assert found.linear_gap == pytest.approx(0.0, abs=0.05)


def test_too_few_latents_leave_a_residual_above_the_water(x):
    found = diagnose(optimal(x, Objective(beta=0.5, n_latents=1)), x)
    assert (found.cause, found.remedies[0].change) == ("capacity", "latents 1 → 3")


def test_a_latent_killed_by_hand_is_a_fault_of_training_and_a_warm_restart_revives_it(x):
    objective = Objective(beta=1.0, n_latents=3)
    probe = optimal(x, objective)
    with torch.no_grad():
        for part in (probe.module.encoder.weight[1], probe.module.decoder.weight[:, 1]):
            part.mul_(1e-4)
        probe.module.log_variance[1] = 0.0
    found = diagnose(probe, x, learning_rate=1e-4)
    assert (found.cause, found.confidence) == ("optimisation", "high")
    assert found.decoder.residual.top == pytest.approx(4.0, rel=0.2)
    tried = verify(found, probe, x, n_remedies=2, n_steps=600, learning_rate=0.02)
    assert [trial.alive_after for trial in tried.trials] == [3, 3]
    assert all(trial.loss_after < trial.loss_before for trial in tried.trials)


def test_a_model_whose_loss_still_falls_is_slow(x):
    objective = Objective(beta=0.5, n_latents=3)
    probe = optimal(x, objective)
    with torch.no_grad():
        probe.module.encoder.weight.mul_(0.2)
        probe.module.decoder.weight.mul_(0.2)
    found = diagnose(probe, x, learning_rate=0.01)
    assert found.cause == "slow"
    assert names(found)[0] == "continued"


def test_a_collapsed_model_under_a_weight_that_lets_latents_live_is_not_blamed_on_its_encoder(x):
    dead = optimal(x, Objective(beta=10.0, n_latents=3))
    with torch.no_grad():
        for part in (dead.module.encoder.weight, dead.module.decoder.weight):
            part.add_(0.02 * torch.randn(part.shape, generator=torch.Generator().manual_seed(0), dtype=part.dtype))
    found = diagnose(replace(dead, objective=Objective(beta=0.5, n_latents=3)), x, learning_rate=0.01)
    assert found.cause in ("slow", "optimisation")


def test_an_encoder_that_says_nothing_beside_a_good_decoder_lags(x):
    objective = Objective(beta=0.5, n_latents=3)
    probe = optimal(x, objective)
    with torch.no_grad():
        probe.module.encoder.weight.mul_(0.0)
        probe.module.log_variance.zero_()
    found = diagnose(probe, x, learning_rate=1e-5)
    assert found.cause == "encoder-lags"
    assert names(found)[0] == "refined"


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_a_log_variance_held_up_is_seen(x, floor):
    probe = optimal(x, Objective(beta=0.5, n_latents=3))
    free = probe.mean_and_log_variance

    def held_up(module, rows, given):
        mean, log_variance = free(module, rows, given)
        return mean, log_variance.clamp(min=floor)

    found = diagnose(replace(probe, mean_and_log_variance=held_up), x)
    assert found.cause == "encoder-stuck"


def test_latents_that_pay_and_say_nothing_are_seen(x):
    probe = optimal(x, Objective(beta=0.5, n_latents=3))
    free = probe.mean_and_log_variance

    def saturated(module, rows, given):
        mean, log_variance = free(module, rows, given)
        return torch.cat([torch.ones_like(mean[:, :1]), mean[:, 1:]], 1), log_variance

    found = diagnose(replace(probe, mean_and_log_variance=saturated), x)
    assert (found.cause, names(found)[0]) == ("encoder-stuck", "constant_mean")


def test_a_water_level_far_below_the_noise_codes_noise(rng):
    x = rng.standard_normal((1500, 2)) @ rng.standard_normal((2, 8)) * 3 + rng.standard_normal((1500, 8))
    found = diagnose(optimal(x, Objective(beta=0.1, n_latents=6)), x)
    assert found.cause == "over-alive"
    assert found.remedies[0].expected_alive == 2


def test_a_hierarchy_whose_upper_level_has_nothing_to_do_is_told_so(x):
    levels = (Level(beta=1.0), Level(beta=4.0))
    objective = Objective(beta=0.5, levels=levels, n_latents=3)
    quick = Training(estimator="analytic", learning_rate=0.02, epochs=6)
    found = diagnose(own_probe(train(x, objective=objective, training=quick)), x)
    assert [len(level) for level in found.measurement.level_kl] == [3, 3]
    assert found.forecast.levels[1].n_alive == 0
    assert (found.cause, names(found)[0]) == ("hierarchy", "upper_levels")


def test_a_network_with_fewer_alive_than_the_linear_count_and_nothing_left_above_water_is_rightly_so(rng):
    """A circle: two linear modes, one latent on the angle leaves only noise; the linear count is two."""
    angle = rng.uniform(-np.pi, np.pi, 2000)
    x = 3 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.02 * rng.standard_normal((2000, 2))

    def of_angle(_, rows, __):
        t = torch.atan2(rows[:, 1], rows[:, 0])
        z = np.sqrt(2) * torch.erfinv((t / np.pi).clamp(-0.999, 0.999))
        mean = torch.stack([0.999 * z, torch.zeros_like(z)], 1)
        return mean, torch.stack([torch.full_like(z, np.log(0.002)), torch.zeros_like(z)], 1)

    def to_circle(_, z, __):
        t = np.pi * torch.erf(z[:, 0] / np.sqrt(2))
        return 3 * torch.stack([torch.cos(t), torch.sin(t)], 1)

    plain = optimal(x, Objective(beta=0.2, n_latents=2))
    probe = replace(plain, mean_and_log_variance=of_angle, output=to_circle)
    found = diagnose(probe, x)
    assert found.forecast.n_alive == 2
    assert (found.cause, found.measurement.n_alive) == ("rightly-dead", 1)


def test_another_kind_of_model_without_gradients_is_diagnosed_too(x):
    probe = optimal(x, Objective(beta=10.0, n_latents=3))

    class Outside:
        name, objective, decoder_variance, trained_for, notes = "outside", probe.objective, None, None, ("read so",)
        encode, decode = staticmethod(probe.encode), staticmethod(probe.decode)

    found = diagnose(Outside(), x)
    assert (found.cause, found.notes) == ("objective", ("read so",))
    with pytest.raises(UncollapseError, match="retrainer"):
        verify(found, Outside(), x)
    own = verify(found, Outside(), x, retrainer=lambda _, plan: optimal(x, plan.objective))
    assert own.trials[0].kept


def test_the_answer_is_strict_json_with_the_keys_that_were_promised(x):
    found = json.loads(json.dumps(diagnose(optimal(x, Objective(n_latents=3)), x).to_dict(), allow_nan=False))
    promised = "n_latents n_alive forecast_alive kl_per_latent active_units mutual_information elbo linear_elbo "
    promised += "tuned_decoder_variance tuned_elbo collapse_curve cause confidence evidence remedies"
    assert set(promised.split()) <= set(found)
    assert set(found["collapse_curve"]) == {"epsilon", "fraction"}


def test_an_objective_that_nobody_knows_is_asked_for(x):
    with pytest.raises(ObjectiveError, match="does not say what it was trained on"):
        diagnose(optimal(x, Objective(n_latents=3)).__class__("m", torch.nn.Linear(1, 1), encode, decode), x)


def test_data_of_another_width_are_refused_in_one_line(x):
    with pytest.raises(DataError, match="6|4") as caught:
        diagnose(optimal(x, Objective(n_latents=3)), x[:, :4])
    assert "\n" not in str(caught.value)


def test_a_generator_cannot_be_walked_twice(x):
    with pytest.raises(DataError, match="more than once"):
        diagnose(optimal(x, Objective(n_latents=3)), (block for block in [x]))


def test_the_spectrum_of_a_dead_model_is_that_of_the_data(x):
    found = diagnose(optimal(x, Objective(beta=50.0, n_latents=3)), x)
    np.testing.assert_allclose(found.decoder.residual.strengths, spectrum(x).strengths, rtol=0.02, atol=1e-3)
