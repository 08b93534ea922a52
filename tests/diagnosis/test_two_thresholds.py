"""Between the two thresholds: stable is not best. A rare factor, a network from below, and one that starts quietly."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import Objective, diagnose, forecast
from uncollapse.training import Network, Schedule, Training, train

LEVEL = 1.3


@pytest.fixture(scope="module")
def rare():
    rng = np.random.default_rng(0)
    on = rng.random(4000) < 0.05
    return np.outer(np.where(on, 3.0, 0.0), [0.6, 0.8, 0.0]) + 0.1 * rng.standard_normal((4000, 3))


@pytest.fixture(scope="module")
def objective(rare):
    return Objective(decoder_variance=LEVEL * float(forecast(rare).critical_levels[0]), n_latents=1)


def trained(x, objective, schedule):
    how = Training(epochs=60, learning_rate=5e-3, seed=1, schedule=schedule)
    network = Network(hidden=(16,), activation="tanh")
    return train(x, objective=objective, network=network, training=how, device="cpu")


def test_the_forecast_is_true_of_a_network_from_below(rare, objective):
    f = forecast(rare, objective=objective)
    assert f.n_alive == 0
    assert f.zone == "between"
    assert f.global_threshold.level > 2 * f.critical_levels[0]
    assert "starts quietly" in f.summary()
    gain = f.objective.beta * f.global_threshold.gain_at(f.water_level)
    assert gain > 0.02


def test_what_lives_there_and_is_better_than_collapse_is_not_called_dying(rare, objective):
    model = trained(rare, objective, Schedule("linear", warmup=40))
    found = diagnose(model, rare)
    assert found.measurement.n_alive == 1
    assert found.bill.line("collapsed").gain < 0
    assert found.cause == "healthy"
    assert "starts quietly" in found.verdict
    assert found.to_dict()["leads"]["zone"] == "between"


def test_a_network_that_started_quietly_is_dead_and_is_told_to_warm_up(rare, objective):
    model = trained(rare, objective, Schedule())
    found = diagnose(model, rare)
    if found.measurement.n_alive:
        pytest.fail("the plain start found life; the plant is void")
    assert found.cause == "objective"
    warm = [remedy for remedy in found.remedies if "warm up" in remedy.change]
    assert len(warm) == 1
    assert warm[0].gain > 0
    assert found.to_dict()["leads"]["every_latent_dies"] is False


def test_of_normal_data_the_two_thresholds_are_one(rng):
    x = rng.standard_normal((4000, 3)) * [2.0, 1.0, 0.5]
    f = forecast(x, decoder_variance=1.5 * 4.0)
    assert f.zone == "dead"
    assert "every latent will die" in f.summary()
    assert diagnose(trained(x, f.objective, Schedule()), x).cause == "objective"
