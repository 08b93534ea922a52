"""Recommended settings: each does what its aim says, and no other setting does it better."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run
from uncollapse import Level, Objective, ObjectiveError, UncollapseWarning, forecast
from uncollapse.forecasting.recommend import recommend


@pytest.fixture
def x(rng):
    return rng.standard_normal((800, 8)) * np.sqrt([9.0, 5.0, 2.0, 0.1, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_each_setting_does_what_it_says(x, variance):
    for one in recommend(forecast(x, decoder_variance=variance), kl_budget=1.5):
        f = forecast(x, beta=one.beta, decoder_variance=variance, n_latents=one.n_latents)
        assert f.water_level == pytest.approx(one.water_level)
        assert f.rate == pytest.approx(one.kl)
        assert f.distortion / f.spectrum.total_energy == pytest.approx(one.distortion)
        assert f.n_alive == one.n_latents


def test_all_that_stands_above_noise_lives_and_none_else(x):
    worth, _, clean = recommend(forecast(x))
    assert worth.n_latents == clean.n_latents == 3  # the third carries what is left of 95 %
    edge = forecast(x).spectrum.noise.edge
    assert clean.water_level > edge
    assert forecast(x, beta=clean.beta).n_alive == 3  # unlimited latents, and none of them codes noise


def test_the_best_picture_spends_its_budget_and_no_lower_water_can_be_paid(x):
    budget = 1.2
    picture = recommend(forecast(x), kl_budget=budget)[1]
    assert picture.kl == pytest.approx(budget, rel=1e-6)
    for other in np.geomspace(0.3, 3, 9) * picture.beta:
        f = forecast(x, beta=other)
        assert f.rate > budget or f.distortion >= picture.distortion * f.spectrum.total_energy * (1 - 1e-9)


def test_a_loss_gets_its_own_weight(x):
    o = Objective.from_loss("mse", reduction="mean", n_features=8, kl_weight=1.0)
    one = recommend(forecast(x, objective=o))[0]
    again = Objective.from_loss("mse", reduction="mean", n_features=8, kl_weight=one.kl_weight)
    assert again.water_level == pytest.approx(one.water_level)
    assert "kl_weight" in one.summary()


def test_of_noise_alone_nothing_is_recommended(rng):
    with pytest.warns(UncollapseWarning, match="no setting is recommended"):
        assert recommend(forecast(rng.standard_normal((400, 5)))) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoder_variance": "learned", "n_latents": 2}, "a decoder variance that is given"),
        ({"encoder_variance": 0.1}, "learned encoder variances"),
        ({"levels": (Level(), Level(2.0)), "n_latents": 2}, "one level"),
    ],
)
def test_what_it_is_not_for_is_one_line(x, settings, message):
    with pytest.raises(ObjectiveError, match=message):
        recommend(forecast(x, **settings))


def test_the_command_and_the_page_show_it(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    words = ["forecast", tmp_path / "x.npy", "--sweep", "--kl-budget", 2, "--json", tmp_path / "r.json"]
    done = run(*words, "--html", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "none codes noise" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(json.loads((tmp_path / "r.json").read_text("utf-8"))["recommended"]) == 3
    assert "Settings to take" in (tmp_path / "r.html").read_text("utf-8")
