"""The objective of training, against the problem written out, against sampling, and against other libraries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import settings
from scipy import stats

from problems import full_loss, problems
from uncollapse import DataError, Objective, ObjectiveError, forecast
from uncollapse.objective import Level
from uncollapse.training import Network, Schedule, Setup, Training, forecast_loss, train
from uncollapse.training.analytic import analytic_terms, second_moments
from uncollapse.training.architecture import architecture, initial, warm
from uncollapse.training.data import table
from uncollapse.training.likelihoods import LOG_RATE_LIMIT, negative_log_likelihood
from uncollapse.training.losses import minimised, objective, sampled_terms
from uncollapse.training.models import coefficients
from uncollapse.training.schedules import kl_weight

CPU, DOUBLE = torch.device("cpu"), torch.float64


def stacked(setup: Setup, rows, seed: int = 0):
    a = architecture(setup, *rows.widths)
    values = initial(a, setup.training.initial_decoder_variance, torch.Generator().manual_seed(seed), DOUBLE)
    return a, {name: value[None] for name, value in values.items()}, coefficients([setup], a, CPU, DOUBLE)


def analytic(a, p, k, rows):
    n_targets = 0 if rows.y is rows.x else a.n_targets
    return analytic_terms(a, p, k, second_moments(rows.moments(), a.n_inputs, n_targets, CPU, DOUBLE))


@settings(deadline=None, max_examples=30)
@for_all(problem=problems())
def test_the_analytic_loss_is_the_objective_written_out(problem):
    setup = Setup(Objective(**problem.settings), training=Training(estimator="analytic", initial_decoder_variance=0.7))
    rows = table(problem.x, problem.y)
    a, p, k = stacked(setup, rows)
    flat = [p["decoder.out.weight"][0].T, p["encoder0.head.weight"][0]]
    zeros = torch.zeros(problem.n_latents, dtype=DOUBLE)
    flat += [p["encoder0.head.bias"], p["decoder.out.bias"]] if problem.bias else [zeros, torch.zeros(a.n_targets)]
    flat += [p.get("encoder0.log_variance", zeros) / 2, torch.tensor(math.log(0.7))]
    expected = full_loss(problem, torch.cat([part.reshape(-1).to(DOUBLE) for part in flat]))
    torch.testing.assert_close(objective(analytic(a, p, k, rows), k)[0], expected, rtol=1e-9, atol=1e-9)


SHAPES = {
    "plain": {},
    "no bias": {"bias": False},
    "fixed widths": {"encoder_variance": (0.3, 0.5, 2.0)},
    "partly learned": {"encoder_variance": (0.3, "learned", 2.0)},
    "two levels": {"levels": (Level(1.0, 0.4, 3), Level(2.0, "learned", 2))},
    "three levels, no bias": {"bias": False, "levels": (Level(1, 0.4, 3), Level(2, 0.7, 4), Level(3, "learned", 2))},
}


@pytest.mark.parametrize("data", ["itself", "target", "condition"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_analytic_loss_is_the_average_of_the_sampled(shape, data, rng):
    x, other = rng.standard_normal((50, 4)) + 1, rng.standard_normal((50, 2))
    rows = table(x, target=other if data == "target" else None, given=other if data == "condition" else None)
    o = Objective(beta=1.3, decoder_variance=0.6, prior_variance=1.7, **SHAPES[shape])
    setup = Setup(replace(o, n_latents=3))
    a, p, k = stacked(setup, rows)
    n = 2000
    parts = [None if t is None else t.double().repeat(n, 1)[None] for t in (rows.x, rows.y, rows.given)]
    noise = torch.from_numpy(rng.standard_normal((1, 50 * n, a.n_latents)))
    sampled, exact = sampled_terms(a, p, k, *parts, noise), analytic(a, p, k, rows)
    torch.testing.assert_close(objective(sampled, k), objective(exact, k), rtol=1e-2, atol=0)
    torch.testing.assert_close(sampled.misfit, exact.misfit, rtol=1e-2, atol=0)
    torch.testing.assert_close(sampled.kl, exact.kl, rtol=2e-2, atol=2e-2)


CASES = {
    "plain": {"beta": 0.5, "n_latents": 3},
    "partly collapsed": {"beta": 2.0, "decoder_variance": 0.5, "prior_variance": 2.0},
    "learned decoder variance": {"decoder_variance": "learned", "n_latents": 2},
    "fixed widths": {"encoder_variance": (0.3, 1.5, 0.7), "decoder_variance": 0.3},
    "no bias": {"bias": False, "n_latents": 2},
    "two levels": {"levels": (Level(1.0, 0.25, 3), Level(2.0, "learned", 3)), "decoder_variance": 0.3, "n_latents": 3},
}


REACHED = [
    *((case, "itself") for case in CASES),
    ("plain", "target"), ("learned decoder variance", "target"), ("partly collapsed", "condition"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "data"), REACHED)
def test_linear_training_reaches_the_forecast(case, data, rng):
    # strengths well apart, as two latents that share two modes of like strength turn towards them very slowly
    x = rng.standard_normal((300, 5)) * [2.5, 1.6, 1.0, 0.5, 0.3] + 0.5
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    y = x[:, :4] @ turn + 0.5 * rng.standard_normal((300, 4)) if data == "target" else None
    c = x[:, :2] + rng.standard_normal((300, 2)) if data == "condition" else None
    o = Objective(**CASES[case])
    steps = Training(estimator="analytic", learning_rate=0.03, epochs=40, patience=12, min_delta=1e-6, seed=1)
    setup = Setup(replace(o, n_latents=o.n_latents or 3), training=steps)
    vae = train(x, y, c, objective=setup.objective, training=setup.training)
    expected = forecast(x, y, given=c, objective=setup.objective)
    found = vae.evaluate(x, y, c)
    assert found.exact
    assert found.loss == pytest.approx(forecast_loss(expected), rel=1e-3, abs=1e-3)
    assert found.loss >= forecast_loss(expected) - 1e-7
    if not o.levels:
        assert found.rate == pytest.approx(expected.rate, rel=0.02, abs=0.02)
        assert found.decoder_variance == pytest.approx(expected.decoder_variance, rel=0.01)
    if not o.levels and o.beta == 1:
        assert found.elbo == pytest.approx(expected.elbo, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_a_warm_start_is_the_optimum(case, rng):
    x = rng.standard_normal((200, 4)) * [3.0, 2.0, 1.0, 0.5] + 0.5
    c = x[:, :2] + rng.standard_normal((200, 2)) if case == "plain" else None
    o = replace(Objective(**CASES[case]), n_latents=Objective(**CASES[case]).n_latents or 3)
    setup = Setup(o, training=Training(warm_start=True))
    rows = table(x, given=c)
    a, p, k = stacked(setup, rows)
    expected = forecast(x, given=c, objective=o)
    values = warm(a, {name: value[0] for name, value in p.items()}, expected.weights)
    at_start = objective(analytic(a, {name: value[None] for name, value in values.items()}, k, rows), k)
    assert float(at_start) == pytest.approx(forecast_loss(expected), rel=1e-6, abs=1e-6)
    vae = train(x, given=c, objective=o, training=Training(warm_start=True, epochs=1, learning_rate=1e-12))
    assert vae.evaluate(x, given=c).loss == pytest.approx(forecast_loss(expected), rel=1e-4, abs=1e-4)


def test_sampled_training_of_the_linear_vae_reaches_the_forecast(rng):
    x = rng.standard_normal((512, 4)) * [3.0, 2.0, 1.0, 0.5]
    o = Objective(beta=1.5, n_latents=4)
    first = Training(epochs=150, learning_rate=0.02, batch_size=64)
    vae = train(x, objective=o, training=first)
    found, expected = vae.evaluate(x), forecast(x, objective=o)
    assert found.loss == pytest.approx(forecast_loss(expected), rel=2e-2)
    assert found.n_alive == expected.n_alive
    # what the history averaged over the last epochs is the same loss
    assert vae.history["loss"][-10:].mean() == pytest.approx(found.loss, rel=0.05)


def test_the_optimal_decoder_variance_is_that_of_the_forecast(rng):
    x = rng.standard_normal((400, 5)) * [3.0, 2.0, 1.0, 0.8, 0.7]
    o = Objective(decoder_variance="learned", n_latents=2)
    steps = Training(estimator="analytic", learning_rate=0.03, epochs=15, decoder_variance_rule="optimal")
    vae = train(x, objective=o, training=steps)
    found, expected = vae.evaluate(x), forecast(x, objective=o)
    assert found.decoder_variance == pytest.approx(expected.decoder_variance, rel=1e-2)
    assert found.loss == pytest.approx(forecast_loss(expected), rel=1e-3)


def test_the_importance_weighted_bound_rises_to_the_likelihood(rng):
    x = rng.standard_normal((60, 3)) * [2.0, 1.0, 0.5]
    o = Objective(decoder_variance=0.5, n_latents=2)
    vae = train(x, objective=o, training=Training(epochs=60, learning_rate=0.02, double=True))
    p = {name: value.numpy() for name, value in vae.parameters.items()}
    covariance = p["decoder.out.weight"].T @ p["decoder.out.weight"] + 0.5 * np.eye(3)
    exact = stats.multivariate_normal(p["decoder.out.bias"][0], covariance).logpdf(x).mean()
    few, many = (vae.evaluate(x, importance_samples=n).importance_bound for n in (2, 3000))
    elbo = vae.evaluate(x).elbo
    assert elbo < few < many + 0.05
    assert many == pytest.approx(exact, abs=0.05)


def test_the_importance_weighted_bound_of_a_hierarchy_and_of_counts_is_above_the_elbo(rng):
    x = rng.standard_normal((100, 4))
    two = Objective(decoder_variance=0.5, levels=(Level(1, 0.5, 3), Level(1, "learned", 2)))
    for vae, data in (
        (train(x, objective=two, training=Training(epochs=2)), x),
        (train(rng.poisson(3, (100, 4)), objective=Objective(likelihood="poisson", n_latents=2),
               training=Training(epochs=2)), rng.poisson(3, (100, 4))),
    ):  # fmt: skip
        found = vae.evaluate(data, importance_samples=200)
        assert found.importance_bound > found.elbo


def test_likelihoods_agree_with_scipy(rng):
    output = torch.from_numpy(rng.standard_normal((1, 7, 3)))
    mean, r = np.exp(output.numpy()), np.exp(rng.standard_normal(3))
    y = rng.poisson(2.0, (1, 7, 3)).astype(float)
    log_r = torch.from_numpy(np.log(r))[None, None]
    found = negative_log_likelihood("poisson", output, torch.from_numpy(y), None)
    np.testing.assert_allclose(found, -stats.poisson(mean).logpmf(y), rtol=1e-10)
    found = negative_log_likelihood("negative-binomial", output, torch.from_numpy(y), log_r)
    np.testing.assert_allclose(found, -stats.nbinom(r, r / (r + mean)).logpmf(y), rtol=1e-9)
    y = (y > 1).astype(float)
    found = negative_log_likelihood("bernoulli", output, torch.from_numpy(y), None)
    np.testing.assert_allclose(found, -stats.bernoulli(1 / (1 + 1 / mean)).logpmf(y), rtol=1e-10)


def test_the_clamp_cuts_only_rates_that_no_data_have():
    y = torch.full((1, 1, 1), 3.0)
    at, above = (torch.full((1, 1, 1), LOG_RATE_LIMIT + more) for more in (-0.5, 30.0))
    for log_dispersion, likelihood in ((None, "poisson"), (torch.zeros(1, 1, 1), "negative-binomial")):
        uncut = negative_log_likelihood(likelihood, at, y, log_dispersion)
        same = negative_log_likelihood(likelihood, at.double(), y.double(), log_dispersion)
        assert float(uncut) == pytest.approx(float(same), rel=1e-5)
        cut = negative_log_likelihood(likelihood, above, y, log_dispersion)
        limit = negative_log_likelihood(likelihood, torch.full_like(above, LOG_RATE_LIMIT), y, log_dispersion)
        assert torch.equal(cut, limit)
        assert torch.isfinite(cut).all()


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "negative-binomial"])
def test_data_that_a_likelihood_cannot_have_are_refused(likelihood):
    data = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, -2.0]])
    with pytest.raises(DataError, match=f"-2 in row 2, column 1, so no {likelihood}"):
        train(data, objective=Objective(likelihood=likelihood))
    with pytest.raises(DataError, match="row 0, column 0"):
        train(data * 0 + 1.5, objective=Objective(likelihood=likelihood))


def test_schedules_rise_to_one():
    for kind in ("linear", "cyclical", "tanh"):
        schedule = Schedule(kind, warmup=8, start=0.1, cycles=2)
        weights = [kl_weight(schedule, e) for e in np.linspace(0, 30, 121)]
        assert weights[0] == pytest.approx(0.1)
        assert min(weights) >= 0.1
        assert weights[-1] == max(weights) == 1.0
        jumps = np.diff([kl_weight(schedule, e) for e in np.linspace(0, 8, 801)][:-1])
        assert (jumps >= 0).all()
        assert jumps.max() < 0.02
    assert kl_weight(Schedule(), 0.0) == 1.0
    with pytest.raises(ObjectiveError, match="schedule must be one of"):
        Schedule("cosine")


def test_free_bits_take_the_pressure_off_a_latent_that_is_nearly_dead(rng):
    x = rng.standard_normal((300, 4))
    o = Objective(beta=3.0, n_latents=2)  # complete collapse
    plain = train(x, objective=o, training=Training(epochs=30, learning_rate=0.01, batch_size=32))
    kept = train(x, objective=o, training=Training(epochs=30, learning_rate=0.01, batch_size=32, free_bits=0.2))
    assert plain.evaluate(x).rate < 0.02
    assert kept.evaluate(x).rate == pytest.approx(0.4, rel=0.3)


def test_level_weights_and_the_schedule_weigh_the_kl(rng):
    x = rng.standard_normal((20, 4))
    setup = Setup(Objective(beta=2.0, levels=(Level(1.0, 0.5, 3), Level(3.0, "learned", 2))))
    rows = table(x)
    a, p, k = stacked(setup, rows)
    found = analytic(a, p, k, rows)
    weighted = found.reconstruction + 0.25 * (2 * found.kl[:, :3].sum() + 6 * found.kl[:, 3:].sum())
    torch.testing.assert_close(minimised(found, k, 0.25, free_bits=False), weighted)


def test_settings_that_make_no_sense_are_refused():
    for message, call in {
        "activation must be one of relu, tanh, silu, got 'gelu'": lambda: Network(activation="gelu"),
        "each of hidden must be a whole number from 1 on": lambda: Network(hidden=(0,)),
        "needs both channels and image": lambda: Network(channels=(8,)),
        "leave nothing of an image": lambda: Network(channels=(8, 8, 8), image=(1, 4, 4)),
        "epochs must be a whole number": lambda: Training(epochs=0),
        "learning_rate must be a positive number": lambda: Training(learning_rate=-1),
        "optimiser must be one of adam, sgd": lambda: Training(optimiser="lion"),
        "the analytic loss is that of linear": lambda: Setup(
            network=Network(hidden=(4,)), training=Training(estimator="analytic")
        ),
        "warm start needs linear": lambda: Setup(network=Network(hidden=(4,)), training=Training(warm_start=True)),
        "the input has 6 columns and the network expects images": lambda: train(
            np.zeros((5, 6)), network=Network(channels=(2,), image=(1, 4, 4))
        ),
    }.items():
        with pytest.raises((ObjectiveError, DataError), match=message):
            call()
