"""Cases from practice that an ordered list of causes got wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from uncollapse import Objective
from uncollapse.diagnosis.examine import diagnose
from uncollapse.training import Network, Training, train

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")

DIGITS = load_digits().data
SMALL = DIGITS / 16
NET = Network(hidden=(64,))


def trained(x, objective, **training):
    return train(x, objective=objective, network=NET, training=Training(**training))


class Plain(nn.Module):
    """A user's own module."""

    def __init__(self, k: int, decoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2 * k))
        self.decoder = decoder or nn.Sequential(nn.Linear(k, 64), nn.ReLU(), nn.Linear(64, 64))

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)

    def decode(self, z):
        return self.decoder(z)


class Coarse(nn.Module):
    """Four numbers, each a quarter of the image."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(k, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, z):
        return nn.functional.interpolate(self.layers(z).reshape(-1, 1, 2, 2), size=(8, 8)).flatten(1)


def fitted(model, x, variance, *, free=0.0, free_each=0.0, n_steps=2500):
    """A user's own loop."""
    rows = torch.tensor(x, dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_steps):
        batch = rows[torch.randint(len(rows), (128,), generator=generator)]
        mean, log_variance = model.encode(batch)
        z = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=generator)
        kl = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).mean(0)
        paid = kl.clamp(min=free_each).sum().clamp(min=free)
        loss = (model.decode(z) - batch).square().sum(1).mean() / (2 * variance) + paid
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("epochs", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_latents_that_a_large_weight_kills_are_on_their_way_out(epochs):
    model = train(DIGITS, objective=Objective(beta=400.0, n_latents=8), training=Training(epochs=epochs))
    d = diagnose(model, DIGITS)
    assert (d.cause, d.confidence) == ("objective", "high")
    assert d.verdict.startswith("At this loss every latent dies: the strongest mode, 178.9, lies under the water level")
    assert d.n_alive > 0
    assert "on their way out" in d.verdict
    assert "a collapsed model costs" in d.verdict
    assert d.remedies[0].change.startswith("β 400 →")
    assert d.remedies[0].plan.objective.beta < 179
    assert (d.leads.n_alive, d.leads.exact) == (0, True)


@pytest.mark.parametrize("epochs", [2, 20])
def test_a_mean_reduction_is_named_however_short_the_training(epochs):
    o = Objective.from_loss("mse", reduction="mean", n_features=64, kl_weight=10, n_latents=8)
    d = diagnose(trained(DIGITS, o, epochs=epochs), DIGITS)
    assert (d.cause, d.secondary) == ("convention", ("slow",))
    assert "reduction" in d.verdict
    assert d.remedies[0].change == "sum the reconstruction over features"


def test_free_bits_that_are_known_explain_latents_under_water():
    d = diagnose(trained(SMALL, Objective(n_latents=8), epochs=250, free_bits=0.4), SMALL)
    assert d.cause == "objective"
    assert "0.4 nats a latent that the loss leaves free" in d.verdict
    assert "encoder-lags" not in d.secondary
    assert all(r.expected_alive is None or r.expected_alive >= d.n_alive for r in d.remedies)


@pytest.mark.parametrize("how", [{"free": 3.0}, {"free_each": 0.4}])
def test_free_nats_that_nobody_said_are_a_question(how):
    model = fitted(Plain(8), SMALL, 1.0, **how)
    d = diagnose(model, SMALL, spread="log_variance", objective=Objective(n_latents=8))
    assert (d.cause, d.confidence, d.secondary) == ("other-loss", "low", ())
    assert d.weight.weight < 0.5
    assert "free nats?" in d.remedies[0].why
    assert all(r.expected_alive is None for r in d.remedies)


def test_a_decoder_that_upsamples_a_coarse_grid_is_limited():
    model = fitted(Plain(16, Coarse(16)), SMALL, 0.02)
    d = diagnose(model, SMALL, spread="log_variance", objective=Objective(decoder_variance=0.02, n_latents=16),
                 budget=300.0)  # fmt: skip
    assert (d.cause, d.confidence) == ("decoder-limited", "high")
    assert "spans 4 of 64" in d.remedies[0].change
    assert d.bill.line("path").counts
    assert d.remedies[0].expected_alive is None


def test_a_sigmoid_on_standardised_data_is_limited():
    x = (DIGITS - DIGITS.mean(0)) / (DIGITS.std(0) + 1e-9)
    decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid())
    d = diagnose(fitted(Plain(8, decoder), x, 1.0), x, spread="log_variance", objective=Objective(n_latents=8),
                 budget=300.0)  # fmt: skip
    assert (d.cause, d.confidence) == ("decoder-limited", "high")
    assert "between 0 and 1" in d.remedies[0].change


class Held(Plain):
    """Its log-variance never moves."""

    def encode(self, x):
        mean, log_variance = super().encode(x)
        return mean, 0 * log_variance - 1.0


def test_a_weight_too_small_and_a_stuck_log_variance_are_both_named(rng):
    x = rng.standard_normal((2000, 6)) @ rng.standard_normal((6, 64)) + rng.standard_normal((2000, 64))
    model = fitted(Held(24), x, 0.1)
    d = diagnose(model, x, spread="log_variance", objective=Objective(decoder_variance=0.1, n_latents=24))
    assert d.cause == "encoder-stuck"
    assert "over-alive" in d.secondary


def test_a_stuck_log_variance_is_seen_though_the_loss_asks_for_death(rng):
    x = rng.standard_normal((2000, 6)) @ rng.standard_normal((6, 64))
    model = fitted(Held(8), x, 300.0, n_steps=800)
    d = diagnose(model, x, spread="log_variance", objective=Objective(decoder_variance=300.0, n_latents=8))
    assert d.cause == "encoder-stuck"
    assert "objective" in d.secondary


def test_sums_over_batches_are_read_from_the_model():
    """Squared error summed over the batch: the KL then weighs 128 times less than was said."""
    model = fitted(Plain(8), SMALL, 1 / 128)
    d = diagnose(model, SMALL, spread="log_variance", objective=Objective(n_latents=8))
    assert d.cause == "other-loss"
    assert d.weight.weight == pytest.approx(1 / 128, rel=0.3)
    assert np.isfinite(d.weight.error)
