"""The bill of models whose best is known: what it promises is what the better model has, on rows of their own."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from diagnosed import linear_model
from uncollapse import DataError, Objective, forecast
from uncollapse.bill.budget import Budget
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import make_sample
from uncollapse.bill.wrapped import WrappedProbe
from uncollapse.measure.decoder import measure_decoder, row_losses
from uncollapse.measure.observe import observe
from uncollapse.probes.callables import CallableProbe
from uncollapse.theory.path import linear_path

STRENGTHS = np.array([6.0, 4.0, 2.0, 0.2, 0.1])


def billed(rng, *, dead=(), n=3000, strengths=STRENGTHS, **settings):
    """A linear VAE with latents put to death, on normal rows."""
    x = rng.standard_normal((n, len(strengths))) * np.sqrt(strengths)
    objective = Objective(**{"n_latents": 4, **settings})
    model = linear_model(forecast(x, objective=objective), dead=dead)
    seen = observe(model, x, n_rows=n)
    sample = make_sample(model, seen, objective, float(objective.decoder_variance))
    return model, sample, bill_of(sample)


@pytest.mark.parametrize(("beta", "prior"), [(1.0, 1.0), (0.5, 1.0), (1.0, 4.0)])
def test_a_dead_latent_is_worth_what_the_forecast_says(rng, beta, prior):
    _, _, bill = billed(rng, dead=(1,), beta=beta, prior_variance=prior)
    line = bill.line("path")
    expected = linear_path(np.array([4.0]), beta, beta).gain[0]
    assert line.gain == pytest.approx(expected, abs=4 * line.error)
    assert line.predicted == pytest.approx(line.gain, abs=4 * line.error)
    assert bill.lines[0].gain > 0


def test_several_dead_latents_add_up(rng):
    _, sample, bill = billed(rng, dead=(0, 1, 2))
    line = bill.line("path")
    expected = linear_path(np.array([6.0, 4.0, 2.0]), 1.0, 1.0).gain.sum()
    assert line.gain == pytest.approx(expected, abs=4 * line.error)
    assert bill.additions.n_paths == 3
    assert bill.additions.n_new == 0
    wrapped = WrappedProbe(sample.probe, bill.additions, sample.objective)
    assert wrapped.encode(sample.x).kl.mean(axis=0)[[0, 1, 2]] == pytest.approx(0.5 * np.log([6.0, 4.0, 2.0]), abs=0.2)


def test_the_optimum_owes_nothing(rng):
    _, _, bill = billed(rng, n_latents=5)
    assert bill.line("path") is None or abs(bill.line("path").gain) < 0.02
    assert bill.line("prune") is None
    assert bill.n_earning == 3


def test_a_model_that_needs_another_latent_gets_a_new_one(rng):
    _, _, bill = billed(rng, n_latents=2)
    line = bill.line("path")
    assert bill.additions.n_new == 1
    assert line.gain == pytest.approx(linear_path(np.array([2.0]), 1.0, 1.0).gain[0], abs=4 * line.error)


def test_a_latent_that_pays_for_noise_is_pruned(rng):
    """Its mean moves, its KL is paid, and the decoder makes nothing of it."""
    x = rng.standard_normal((3000, 3)) * [3.0, 2.0, 0.1]
    objective = Objective(n_latents=3)
    model = linear_model(forecast(x, objective=objective))
    encoder = model.encoder

    def noisy(rows):
        mean, std = encoder(rows)
        mean[:, 2] = rows[:, 2] * 5
        return mean, std

    odd = replace(model, encoder=noisy)
    bill = bill_of(make_sample(odd, observe(odd, x, n_rows=3000), objective, 1.0))
    line = bill.line("prune")
    assert line.gain == pytest.approx(0.125, abs=4 * line.error)
    assert bill.additions.pruned.tolist() == [False, False, True]
    assert bill.n_earning == 2


def test_the_model_that_is_handed_over_has_the_loss_that_the_bill_says(rng):
    model, sample, bill = billed(rng, dead=(1, 2))
    fresh = rng.standard_normal((4000, 5)) * np.sqrt(STRENGTHS)
    o = sample.objective
    before, after = (
        row_losses(probe, observe(probe, fresh, n_rows=4000), o)
        for probe in (model, WrappedProbe(model, bill.additions, o))
    )
    fall = before.mean() - after.mean()
    line = bill.line("revived")
    error = np.hypot(line.error, np.hypot(before.std(), after.std()) / np.sqrt(4000))
    assert fall == pytest.approx(line.gain, abs=4 * error)


def test_an_offset_is_a_line_of_its_own(rng):
    x = rng.standard_normal((1500, 5)) + 3.0
    objective = Objective(n_latents=2, beta=4.0)
    model = linear_model(forecast(x - 0.5, objective=objective))
    bill = bill_of(make_sample(model, observe(model, x, n_rows=1500), objective, 1.0))
    assert bill.line("offset").gain == pytest.approx(5 * 0.25 / 2, abs=0.15)
    assert bill.line("path") is None


def test_given_widths_have_paths_too(rng):
    _, _, bill = billed(rng, dead=(1,), encoder_variance=0.5)
    line = bill.line("path")
    expected = linear_path(np.array([4.0]), 1.0, 1.0, encoder_variance=0.5).gain[0]
    assert line.gain == pytest.approx(expected, abs=4 * line.error)


def test_a_conditional_models_path_reads_what_the_condition_leaves(rng):
    given = rng.standard_normal((3000, 2))
    own = rng.standard_normal((3000, 2)) * [2.0, 1.5]
    x = np.hstack([given @ rng.standard_normal((2, 3)), own])
    objective = Objective(n_latents=2)
    w = forecast(x, given=given, objective=objective).weights

    def encoder(rows, condition):
        mean = rows @ w.encoder + w.encoder_bias + condition @ w.encoder_condition
        return np.where([True, False], mean, 0.0), np.where([True, False], w.encoder_std, 1.0) + 0 * mean

    def decoder(z, condition):
        return np.where([True, False], z, 0.0) @ w.decoder.T + w.decoder_bias + condition @ w.decoder_condition.T

    model = CallableProbe(encoder, decoder, spread="std", objective=objective)
    bill = bill_of(make_sample(model, observe(model, x, given=given, n_rows=3000), objective, 1.0))
    expected = linear_path(forecast(x, given=given).spectrum.strengths[1:2], 1.0, 1.0).gain[0]
    assert bill.line("path").gain == pytest.approx(expected, abs=4 * bill.line("path").error)


def test_of_another_target_only_what_the_input_tells_makes_a_path(rng):
    x = rng.standard_normal((3000, 4))
    y = np.stack([3 * x[:, 0], 0 * x[:, 0]], 1) + rng.standard_normal((3000, 2)) * [0.1, 3.0]
    objective = Objective(n_latents=1)
    model = CallableProbe(lambda x: (0 * x[:, :1], 1 + 0 * x[:, :1]), lambda z: np.zeros((len(z), 2)), spread="std")
    bill = bill_of(make_sample(model, observe(model, x, y, n_rows=3000), objective, 1.0))
    line = bill.line("path")
    assert not bill.additions.reads_residual
    assert line.gain == pytest.approx(linear_path(np.array([9.0]), 1.0, 1.0).gain[0], abs=5 * line.error)


def test_a_learned_decoder_variance_is_tuned_with_the_path(rng):
    x = rng.standard_normal((3000, 5)) * [4.0, 3.0, 0.5, 0.5, 0.5]
    objective = Objective(decoder_variance="learned", n_latents=2)
    f = forecast(x, objective=objective)
    model = replace(linear_model(f, dead=(1,)), decoder_variance=float((x.var(0)[1:]).mean()))
    bill = bill_of(make_sample(model, observe(model, x, n_rows=3000), objective, model.decoder_variance))
    assert bill.additions.decoder_variance == pytest.approx(0.25, rel=0.25)
    assert bill.line("revived").gain > bill.line("path").gain


def test_without_time_the_cheap_lines_stand_and_the_rest_is_said(rng):
    x = rng.standard_normal((900, 5)) * [4.0, 3.0, 2.0, 0.5, 0.5]
    objective = Objective(n_latents=3)
    model = linear_model(forecast(x, objective=objective), dead=(1,))
    sample = make_sample(model, observe(model, x), objective, 1.0)
    bill = bill_of(sample, baselines={"collapsed": np.full(900, 1e3)}, budget=Budget(0.0))
    assert bill.line("collapsed") is not None
    assert bill.line("path") is None
    assert any("no time" in line for line in bill.untried)
    assert bill.n_earning is None


@pytest.mark.parametrize("n", [24, 60])
def test_few_rows_are_enough_or_refused(rng, n):
    x = rng.standard_normal((n, 8)) * 3
    objective = Objective(n_latents=40)
    model = CallableProbe(lambda x: (np.zeros((len(x), 40)), np.ones((len(x), 40))), lambda z: np.zeros((len(z), 8)),
                          spread="std")  # fmt: skip
    bill = bill_of(make_sample(model, observe(model, x), objective, 1.0))
    assert "path" not in bill.models or bill.models["path"][0].n_paths <= n // 12
    with pytest.raises(DataError, match="24 rows or more"):
        make_sample(model, observe(model, x[:20]), objective, 1.0)


def test_a_binary_column_that_is_on_in_one_row_of_thousands_does_not_rule(rng):
    z = rng.standard_normal((3000, 2))
    x = (rng.random((3000, 12)) < 1 / (1 + np.exp(-2 * z @ rng.standard_normal((2, 12))))).astype(float)
    x[:, -3:] = rng.random((3000, 3)) < 5e-4
    mean = x.mean(axis=0)
    objective = Objective(likelihood="bernoulli", n_latents=2, beta=0.5)
    model = CallableProbe(lambda x: (np.zeros((len(x), 2)), np.ones((len(x), 2))), lambda z: np.tile(mean, (len(z), 1)),
                          spread="std")  # fmt: skip
    seen = observe(model, x, n_rows=3000)
    bill = bill_of(make_sample(model, seen, objective, 1.0))
    assert bill.line("path").gain > 10 * bill.line("path").error
    residual = measure_decoder(model, seen, objective).residual
    assert np.abs(residual.directions[-3:, 0]).max() < 0.2


def test_a_part_of_a_budget_is_of_what_is_left():
    began, worked = time.monotonic() - 6, time.process_time() - 6
    spent = Budget(10.0, began, worked)
    assert spent.part(0.5).seconds == pytest.approx(2, abs=0.1)
    assert spent.part(0.5).left()
    assert not Budget(1.0, began, worked).part(1.0).left()


def test_a_second_of_waiting_is_a_fifth_of_a_second_of_the_budget():
    now, worked = time.monotonic(), time.process_time()
    assert Budget(1.0, now - 20, worked).spent == pytest.approx(4, abs=0.1)
    assert Budget(1.0, now - 20, worked - 7).spent == pytest.approx(7, abs=0.1)
    assert Budget(1.0, now - 20, worked - 35).spent == pytest.approx(20, abs=0.1)  # two cores worked for it
