"""Forecasts with a floor under the KL: against training, in words, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run
from uncollapse import Level, Objective, certify, forecast, gradient_flow
from uncollapse.errors import UncollapseError, UncollapseWarning
from uncollapse.training import Network, Training, train


@pytest.fixture
def x(rng):
    """Rows whose modes have the same strengths at any seed."""
    rows = rng.standard_normal((2000, 4))
    directions = np.linalg.qr(rows - rows.mean(axis=0))[0]
    return np.sqrt(2000) * directions * [2.5, 1.5, 0.7, 0.3]


@pytest.mark.parametrize(("each", "n_paying"), [(0.15, 1), (0.05, 2)])
def test_training_lands_on_the_forecast(x, each, n_paying):
    """At 0.15 three latents share the second mode; at 0.05 two help the one that pays for it."""
    o = Objective(n_latents=4)
    f = forecast(x, objective=o)
    expected = f.free_bits(each)
    assert (expected.n_paying, expected.n_modes_coded) == (n_paying, 2)
    training = Training(epochs=1500, learning_rate=0.01, batch_size=None, cooling=700, free_bits=each)
    found = train(x, objective=o, network=Network(), training=training).evaluate(x)
    np.testing.assert_allclose(np.sort(found.kl)[::-1], expected.kl, atol=5e-3)
    assert found.misfit == pytest.approx(expected.distortion, rel=5e-3)
    assert found.loss == pytest.approx(expected.loss, rel=3e-4)
    guess = np.minimum(1.0, f.spectrum.strengths * np.exp(-2 * each)).sum()  # a mode for each latent
    assert abs(found.misfit - guess) > 0.02 * guess


@pytest.mark.parametrize("how", [{"each": 0.1}, {"each": 2.0}, {"in_all": 4.0}, {"in_all": 0.01}])
def test_the_loss_is_distortion_and_kl(x, how):
    f = forecast(x, beta=0.7, decoder_variance=0.5, n_latents=4)
    free = f.free_bits(**how)
    assert free.loss == pytest.approx(free.distortion / (2 * 0.5) + 0.7 * free.rate)
    assert free.loss >= f.loss - 1e-12
    assert free.distortion <= f.distortion + 1e-12


def test_a_floor_in_all_is_another_beta(x):
    f = forecast(x, beta=3.0, n_latents=4)
    free = f.free_bits(in_all=4.0)
    other = forecast(x, beta=free.beta_without, n_latents=4)
    assert free.rate == pytest.approx(4.0)
    np.testing.assert_allclose(free.kl, other.modes.kl)
    assert (free.n_alive, free.distortion) == (other.n_alive, pytest.approx(other.distortion))


def test_words(x):
    f = forecast(x, n_latents=4)
    assert f.free_bits(0.1).headline == "With 0.1 free nats each, no latent dies; 3 of 4 carry only what is free."
    assert "free nats in all change nothing" in f.free_bits(in_all=0.1).headline
    assert "as at β = " in f.free_bits(in_all=5).headline
    assert "changes nothing" in forecast(x, beta=1e-3, n_latents=4).free_bits(0.01).headline
    with pytest.warns(UncollapseWarning, match="no mode"):
        constant = forecast(np.ones((5, 3)))
    assert "no mode" in constant.free_bits(0.1).headline
    assert constant.free_bits(0.1).loss == pytest.approx(0.1)


@pytest.mark.parametrize("how", [{}, {"each": 0.1, "in_all": 1.0}, {"each": -1}, {"in_all": "much"}, {"each": 1e3}])
def test_floors_that_are_none_are_refused_in_one_line(x, how):
    with pytest.raises(UncollapseError) as caught:
        forecast(x, n_latents=4).free_bits(**how)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"levels": (Level(), Level())}, {"encoder_variance": 0.5}, {"decoder_variance": "learned", "beta": 3.0}],
)
def test_objectives_without_a_closed_form_are_refused(x, settings):
    with pytest.raises(UncollapseError, match="free bits are known for one level"):
        forecast(x, n_latents=2, **settings).free_bits(0.1)


def test_what_knows_no_floor_refuses_one(x):
    free = forecast(x, n_latents=2).free_bits(0.1)
    for verb in (certify, lambda f: gradient_flow(f, 10, 0.01)):
        with pytest.raises(UncollapseError, match="forecast must be"):
            verb(free)


@pytest.mark.parametrize(("option", "value"), [("--free-bits", "0.1"), ("--free-bits-total", "6")])
def test_the_command_says_the_same(x, tmp_path, option, value):
    np.save(tmp_path / "x.npy", x)
    given = ["forecast", str(tmp_path / "x.npy"), "--latents", "4", "--bootstrap", "0", option, value]
    free = forecast(x, n_latents=4).free_bits(**{"each" if option == "--free-bits" else "in_all": float(value)})
    told = run(*given, "--html", str(tmp_path / "page.html"))
    assert free.headline[:40] in " ".join(told.stdout.split())
    assert free.headline[:40] in (tmp_path / "page.html").read_text(encoding="utf-8")
    values = json.loads(run(*given, "--json", "-").stdout)
    assert values["free_bits"] == free.to_dict()
