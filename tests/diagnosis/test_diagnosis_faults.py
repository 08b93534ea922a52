"""Models, losses and data that are not the usual ones: the diagnosis stays right, or says in one line what it lacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnosed import linear_model
from linear_models import linear_probe
from problems import rows_with_spectrum
from uncollapse import Objective, forecast
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.trial import verify
from uncollapse.errors import DataError, UncollapseError
from uncollapse.measure.observe import observe
from uncollapse.measure.posterior import posterior
from uncollapse.probes import CallableProbe, open_probe
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import retrain, start_anew
from uncollapse.reviving.build import revive
from uncollapse.theory.posterior import gaussian_kl


@pytest.fixture
def x(rng):
    return rows_with_spectrum(np.array([9.0, 4.0, 1.0, 0.04]), 600, 6, rng)


def test_the_kl_is_from_the_prior_of_the_objective(x):
    objective = Objective(beta=1.0, decoder_variance=0.5, prior_variance=9.0, n_latents=4)
    f = forecast(x, objective=objective)
    for probe in (linear_model(f), linear_probe(f.weights, objective)):
        q = probe.encode(x)
        assert np.allclose(q.kl, gaussian_kl(q.mean, q.variance, 9.0))
        found = diagnose(probe, x)
        assert (found.measurement.n_alive, found.cause) == (3, "healthy")
        assert np.allclose(np.sort(found.measurement.kl), np.sort(f.modes.kl), atol=1e-6)


def test_an_objective_told_to_the_diagnosis_brings_its_prior(x):
    objective = Objective(beta=1.0, decoder_variance=0.5, prior_variance=9.0, n_latents=4)
    probe = replace(linear_model(forecast(x, objective=objective)), objective=None)
    assert diagnose(probe, x, objective=objective).measurement.n_alive == 3
    assert open_probe(probe, objective=objective).encode(x).prior_variance == 9.0


def broken(kind):
    def encoder(x):
        raise kind("boom\nand more")

    return CallableProbe(encoder, lambda z: z, spread="std", name="m")


@pytest.mark.parametrize("kind", [AssertionError, KeyError, ZeroDivisionError, NotImplementedError, MemoryError])
def test_whatever_a_users_encoder_raises_is_said_in_one_line(x, kind):
    with pytest.raises(DataError, match=f"^[^\n]*{kind.__name__}[^\n]*boom[^\n]*$"):
        observe(broken(kind), x)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_a_message_numbers_rows_as_the_whole_data_do(drop, bad):
    x = np.zeros((70_000, 2))
    x[69_997, 0] = 99.0
    if drop:
        x[[5, 69_990], 1] = np.inf

    def encoder(rows):
        return rows[:, :1], np.where(rows[:, :1] == 99, bad, 1.0)

    probe = CallableProbe(encoder, lambda z: np.hstack([z, z]), spread="variance")
    with pytest.raises(DataError, match="row 69997, counted from 0"):
        observe(probe, x, drop_nonfinite=drop)


@pytest.mark.parametrize("bad", [[], [np.inf], [np.inf, -np.inf], [np.nan]])
def test_rows_are_left_out_for_what_they_hold_and_not_for_their_sum(bad):
    x = np.full((300, 2), 3e38, np.float32)  # no sum of two is finite
    x[100 : 100 + len(bad), 1] = bad
    probe = CallableProbe(lambda rows: (np.sign(rows[:, :1]), 0 * rows[:, :1]), lambda z: np.hstack([z, z]))
    assert observe(probe, x, drop_nonfinite=True).measurement.sums.n_samples == 300 - len(bad)


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        ({"prior_variance": 0.0}, "positive, got 0"),
        ({"prior_variance": np.array([1.0, -1.0])}, "positive, got -1"),
        ({"prior_variance": np.nan}, "not finite"),
        ({"prior_mean": np.zeros(7)}, "shape"),
        ({"prior_mean": "x"}, "not one or more real numbers"),
        ({"kl": np.zeros((5, 3))}, "a KL of shape"),
        ({"kl": np.zeros((4, 2))}, "a KL of shape"),
    ],
)
def test_a_prior_or_kl_that_does_not_fit_is_refused(unfit, message):
    with pytest.raises(DataError, match=message):
        posterior(np.zeros((5, 2)), variance=np.ones((5, 2)), **unfit)


def test_the_prior_of_spatial_latents_may_have_their_shape():
    mean = np.ones((5, 2, 3, 4))
    q = posterior(mean, variance=mean, prior_mean=np.ones((2, 3, 4)), prior_variance=mean)
    assert q.kl.shape == (5, 24)
    assert not q.kl.any()


def test_an_encoder_sees_no_more_numbers_at_once_than_it_must(x):
    seen = []

    def encode(module, rows, given):
        seen.append(rows.numel())
        return module(rows).chunk(2, dim=1)

    wide = np.tile(x, (10, 100))
    probe = TorchProbe("m", nn.Linear(600, 4).double(), encode, lambda m, z, c: z)
    q = probe.encode(wide)
    assert len(seen) > 1
    assert max(seen) <= 2**20
    with torch.no_grad():
        whole = probe.module(torch.tensor(wide))[:, :2].numpy()
    assert np.allclose(q.mean, whole, atol=1e-12)


class Small(nn.Module):
    """A VAE as users write it, untrained."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.e = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 6))
        self.d = nn.Linear(3, 6)

    def encode(self, x):
        return self.e(x).chunk(2, dim=1)

    def decode(self, z):
        return self.d(z)


class NoGradient(Small):
    encode = torch.no_grad()(Small.encode)


class NoGradientAtAll(NoGradient):
    decode = torch.no_grad()(Small.decode)


class Inference(Small):
    encode = torch.inference_mode()(Small.encode)


class Detached(Small):
    def decode(self, z):
        return torch.from_numpy(self.d(z).detach().numpy())


class WithoutParameters(nn.Module):
    def encode(self, x):
        return 3 * x[:, :3], torch.zeros(len(x), 3)

    def decode(self, z):
        return torch.cat([z, z], 1)


class Overflowing(Small):
    """Finite where it is looked at, and not finite while it trains."""

    def decode(self, z):
        return self.d(z) / (0 if self.training else 1)


def frozen():
    return Small().requires_grad_(False)


def closed():
    model = Small()
    e, d = model.e, model.d
    model.encode, model.decode = lambda x: e(x).chunk(2, 1), lambda z: d(z)
    return model


SMALL = Objective(decoder_variance=0.3)


@pytest.mark.parametrize(
    "make", [NoGradient, NoGradientAtAll, Inference, Detached, WithoutParameters, Overflowing, frozen, closed]
)
def test_a_model_that_cannot_be_trained_here_is_diagnosed_without_that(x, make):
    torch.manual_seed(0)
    model = make()
    before = [p.detach().clone() for p in model.parameters()]
    probe = open_probe(model, objective=SMALL, spread="log_variance")
    found = diagnose(probe, x)
    assert any(note.startswith("not tried: ") and "\n" not in note for note in found.notes)
    assert not {"refined", "continued"} & {item.name for item in found.evidence}
    if any(remedy.plan for remedy in found.remedies):
        with pytest.raises(UncollapseError, match="^[^\n]+$"):
            verify(found, probe, x, n_steps=5)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_an_encoder_that_a_user_froze_leaves_the_decoder_to_be_trained(x):
    model = Small()
    model.e.requires_grad_(False)
    again = retrain(open_probe(model, spread="log_variance"), x, x, objective=SMALL, n_steps=3).module
    assert torch.equal(again.e[0].weight, model.e[0].weight)
    assert not torch.equal(again.d.weight, model.d.weight)


def test_training_a_copy_leaves_random_numbers_and_gradients_of_the_user_alone(x):
    model = Small(dropout=0.5)
    probe = open_probe(model, spread="log_variance")
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    runs = [retrain(start_anew(probe, 3), x, x, objective=SMALL, n_steps=3, seed=3) for _ in range(2)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(*(run.module.parameters() for run in runs), strict=True))
    assert all(p.grad is None for m in (model, runs[0].module) for p in m.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed must"),
        ({"seed": 0.5}, "seed must"),
        ({"learning_rate": 0.0}, "learning_rate must"),
        ({"learning_rate": -1.0}, "learning_rate must"),
        ({"learning_rate": float("nan")}, "learning_rate must"),
    ],
)
def test_seeds_and_learning_rates_are_checked(x, settings, message):
    probe = linear_model(forecast(x, n_latents=3))
    found = diagnose(probe, x)
    with pytest.raises(DataError, match=message):
        diagnose(probe, x, **settings)
    with pytest.raises(DataError, match=message):
        verify(found, probe, x, **settings)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_handful_of_rows_is_refused(x, n):
    with pytest.raises(DataError, match=f"needs 8 rows or more, got {n}"):
        diagnose(open_probe(Small(), objective=SMALL, spread="log_variance"), x[:n])


def test_a_handful_of_rows_that_was_asked_for_is_not_blamed_on_the_data(x):
    probe = open_probe(Small(), objective=SMALL, spread="log_variance")
    with pytest.raises(DataError, match=r"needs 8 rows or more, and n_rows \(--rows\) asks for 3"):
        diagnose(probe, x, n_rows=3)
    with pytest.raises(DataError, match=r"on 24 rows or more, and n_rows \(--rows\) asks for 9"):
        revive(probe, x, n_rows=9)


class Handwritten:
    """A probe that is no dataclass."""

    name, objective, decoder_variance, trained_for, notes = "by hand", None, None, None, ("seen by hand",)

    def encode(self, x, given=None):
        return posterior(x[:, :2], log_variance=0 * x[:, :2], prior_variance=4.0)

    def decode(self, z, given=None):
        return np.repeat(z, 3, axis=1)


def test_a_probe_of_ones_own_may_be_told_its_objective(x):
    probe = open_probe(Handwritten(), objective=Objective(decoder_variance=0.3, prior_variance=4.0))
    found = diagnose(probe, x)
    assert (found.name, found.notes[0], probe.decoder_variance) == ("by hand", "seen by hand", 0.3)
    q = Handwritten().encode(x)
    assert np.allclose(found.measurement.kl, q.kl.mean(axis=0))
    with pytest.raises(AttributeError, match="module"):
        probe.module  # noqa: B018


def test_a_trial_compares_no_more_rows_than_a_sample(rng):
    x = rows_with_spectrum(np.array([4.0, 1.0]), 5000, 4, rng)
    known = linear_model(forecast(x, beta=30.0, n_latents=2))
    sizes = []

    def decoder(z):
        sizes.append(len(z))
        return known.decoder(z)

    probe = replace(known, decoder=decoder)
    found = diagnose(probe, x)
    trained_on = []
    tried = verify(found, probe, x, retrainer=lambda probe, plan: trained_on.append(plan) or probe)
    assert len(tried.trials) == len(trained_on) == 1
    assert max(sizes) <= 2048
