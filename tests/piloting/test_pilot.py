"""The pilot: networks trained to their end over a grid of water levels, beside the linear forecast."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from commandline import run
from uncollapse import DataError, Level, ObjectiveError, forecast
from uncollapse.cli import main
from uncollapse.data.sample import sample_rows
from uncollapse.piloting import pilot as pilot_module
from uncollapse.piloting.pilot import pilot
from uncollapse.training import Network, Schedule, Training

SHORT = Training(epochs=30, learning_rate=5e-3, schedule=Schedule("linear", warmup=15))


def table(rng: np.random.Generator, n: int = 600) -> np.ndarray:
    return rng.standard_normal((n, 4)) @ np.diag([3.0, 2.0, 0.5, 0.1]) @ rng.standard_normal((4, 6)) + 5


def test_nothing_lives_above_the_strongest_mode_and_everything_far_below(rng):
    x = table(rng)
    f = forecast(x, n_latents=3)
    found = pilot(x, f, network=Network(hidden=(16,)), n_levels=3, n_seeds=2, training=SHORT)
    assert (found.n_alive[0] == 0).all()
    assert (found.n_earning <= found.n_alive).all()
    assert found.quiet_n_alive[0] == 0
    assert (found.n_alive[-1] >= 2).all()
    assert (np.diff(np.median(found.kl, axis=1)) >= -1e-3).all()
    assert found.water_levels[found.here] == pytest.approx(f.water_level)


def test_the_count_at_the_end_is_told_from_a_snapshot(rng):
    """A usual training shows latents that are on their way out; what earns after the cooled one is what lives on."""
    x = table(rng)
    f = forecast(x, n_latents=4)
    found = pilot(x, f, network=Network(hidden=(16,), activation="tanh"), n_levels=2, n_seeds=1, epochs=4)
    i = found.here
    assert abs(found.n_earning[i][0] - found.linear.n_alive[i]) <= 1
    assert found.usual_n_alive.shape == (1,)
    assert "After 4 epochs" in found.headline


def test_a_linear_network_lands_on_the_linear_forecast(rng):
    """No hidden layer: counts and losses must be those of the closed form, in the data's own units."""
    x = table(rng)
    f = forecast(x, n_latents=3, beta=0.7, decoder_variance=0.4)
    how = Training(estimator="analytic", epochs=40, learning_rate=0.02, schedule=Schedule("linear", warmup=5))
    found = pilot(x, f, network=Network(), n_levels=3, n_seeds=1, training=how)
    np.testing.assert_allclose(found.loss[:, 0], found.linear.loss, rtol=1e-3)
    np.testing.assert_array_equal(found.n_alive[:, 0], found.linear.n_alive)


def test_conditions_and_other_likelihoods(rng):
    x = table(rng, 200)
    short = Training(epochs=2, schedule=Schedule("linear", warmup=1))
    small = {"network": Network(hidden=(8,)), "n_levels": 2, "n_seeds": 1, "training": short}
    conditional = pilot(x, forecast(x, given=x[:, :1], n_latents=2), None, x[:, :1], **small)
    assert np.isfinite(conditional.loss).all()
    binary = (x > x.mean(axis=0)).astype(float)
    assert np.isfinite(pilot(binary, forecast(binary, n_latents=2, likelihood="bernoulli"), **small).loss).all()


def test_a_sample_takes_each_row_once_and_pairs_stay_together(rng):
    blocks = [np.arange(i, i + 50.0)[:, None] for i in range(0, 500, 50)]
    x, y, _ = sample_rows(np.concatenate(blocks), -np.concatenate(blocks), None, 120, 0)
    assert x.shape == (120, 1)
    assert len(np.unique(x)) == 120
    np.testing.assert_array_equal(x, -y)
    whole, _, _ = sample_rows(blocks[0], None, None, 120, 0)
    assert len(whole) == 50
    with pytest.raises(DataError, match="2 rows or more"):
        sample_rows(blocks[0], None, None, 1, 0)
    with pytest.raises(DataError, match="the data has .* rows and the condition has 1; both need one row per sample"):
        sample_rows(blocks[0], None, blocks[0][:1], 120, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": (Level(), Level(2.0))}, "a pilot is for one level"),
        ({"decoder_variance": "learned", "n_latents": 2}, "needs a decoder variance that is given"),
    ],
)
def test_what_a_pilot_does_not_cover(rng, settings, message):
    x = table(rng)
    with pytest.raises(ObjectiveError, match=message):
        pilot(x, forecast(x, **settings))


def test_the_command_shows_the_pilot_everywhere(rng, tmp_path):
    np.save(tmp_path / "data.npy", table(rng, 150))
    words = (f"{tmp_path}/data.npy", "--latents", "2", "--network", "8", "--epochs", "5")
    done = run("forecast", *words, "--html", f"{tmp_path}/r.html", "--json", f"{tmp_path}/r.json")
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert {"water_level", "n_earning", "quiet_n_alive", "kl", "loss"} <= set(answer["pilot"]["levels"][0])
    assert len(answer["pilot"]["usual_n_alive"]) == answer["pilot"]["n_seeds"]
    assert "Networks at each water level" in (tmp_path / "r.html").read_text("utf-8")
    assert "Pilot: trained to the end" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


OWN = """
import torch
from torch import nn


class VAE(nn.Module):
    def __init__(self, n_latents=2):
        super().__init__()
        self.to_mean, self.log_variance = nn.Linear(6, n_latents), nn.Parameter(torch.zeros(n_latents))
        self.back = nn.Linear(n_latents, 6)

    def encode(self, x):
        mean = self.to_mean(x)
        return mean, self.log_variance.expand_as(mean)

    def reparameterize(self, mean, log_variance):
        return mean + torch.randn_like(mean) * torch.exp(log_variance / 2)

    def decode(self, z):
        return self.back(z)


def three():
    return VAE(3)


def broken():
    raise RuntimeError("no such weights")
"""


@pytest.fixture
def own_file(tmp_path):
    (tmp_path / "my_vae.py").write_text(OWN, encoding="utf-8")
    return tmp_path / "my_vae.py"


def test_a_linear_module_of_ones_own_lands_on_the_linear_forecast(rng, own_file):
    """The same closed form as for our own networks, through the user's module, in its own units."""
    from uncollapse.reading.named import maker_named

    x = table(rng)
    x = (x - x.mean(axis=0)) / x.std()
    f = forecast(x, n_latents=2, beta=0.7, decoder_variance=0.2)
    how = Training(epochs=160, cooling=120, learning_rate=0.02, schedule=Schedule("linear", warmup=5))
    found = pilot(x, f, model=maker_named(f"{own_file}:VAE"), n_levels=2, n_seeds=1, training=how, epochs=2)
    np.testing.assert_allclose(found.loss[:, 0], found.linear.loss, rtol=0.01)
    np.testing.assert_array_equal(found.n_earning[:, 0], found.linear.n_alive)
    assert found.shape == "VAE"
    assert found.usual_n_alive.shape == (1,)


def test_a_module_that_can_start_anew_is_left_as_it_is(rng):
    import torch
    from torch import nn

    class Resettable(nn.Module):
        def __init__(self):
            super().__init__()
            self.both, self.back = nn.Linear(6, 4), nn.Linear(2, 6)

        def encode(self, x):
            return self.both(x).chunk(2, 1)

        def decode(self, z):
            return self.back(z)

    x, own = table(rng, 100), Resettable()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    short = Training(epochs=3, schedule=Schedule("linear", warmup=2))
    small = {"n_levels": 1, "n_seeds": 2, "training": short, "spread": "log_variance"}
    found = pilot(x, forecast(x, n_latents=2), model=own, **small)
    assert found.kl[found.here][0] != found.kl[found.here][1]  # other weights at another seed
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    with pytest.raises(ObjectiveError, match="give a network or a model of your own, not both"):
        pilot(x, forecast(x, n_latents=2), network=Network(), model=own)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("three", "has 3 latents, the forecast is of 2"),
        ("broken", "the function that makes the model failed: RuntimeError: no such weights"),
        ("torch.nn.Identity", "cannot be read"),
    ],
)
def test_models_that_a_pilot_cannot_train(rng, own_file, name, message):
    from uncollapse import UncollapseError
    from uncollapse.reading.named import maker_named

    x = table(rng, 100)
    with pytest.raises(UncollapseError, match=message):
        pilot(x, forecast(x, n_latents=2), model=maker_named(f"{own_file}:{name}"))


def test_the_time_is_said_before_the_training(rng, own_file):
    said = []
    x = table(rng, 100)
    short = Training(epochs=3, schedule=Schedule("linear", warmup=2))
    found = pilot(x, forecast(x, n_latents=2), n_levels=2, n_seeds=1, training=short, on_estimate=said.append)
    assert said[0].n_networks == 2 * len(found.water_levels)
    assert 0 < said[0].seconds < 60
    assert str(said[0]).startswith(f"{said[0].n_networks} networks to train: about ")


def test_the_command_pilots_a_module_of_ones_own(rng, own_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pilot_module, "EPOCHS", 60)
    monkeypatch.setattr(pilot_module, "LEAST_STEPS", 60)  # what is asked here is the way to the answer, not the answer
    np.save(tmp_path / "data.npy", table(rng, 60) / 10)
    words = (f"{tmp_path}/data.npy", "--model", f"{own_file}:VAE", "--epochs", "2", "--json", f"{tmp_path}/r.json")
    monkeypatch.setattr(sys, "argv", ["uncollapse", "forecast", *words])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert "networks to train: about" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["pilot"]["network"] == "VAE"
    missing = run("forecast", *words[:2], f"{own_file}:nothing")
    assert missing.returncode == 2
    assert "has no 'nothing'" in missing.stderr
