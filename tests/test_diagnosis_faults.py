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
from uncollapse.diagnosis.diagnose import diagnose
from uncollapse.errors import DataError
from uncollapse.observe import observe
from uncollapse.posterior import posterior
from uncollapse.probes import CallableProbe, open_probe
from uncollapse.probes.probe import TorchProbe
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
    with pytest.raises(DataError, match="row 69998[^0-9]"):
        observe(probe, x, drop_nonfinite=drop)


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        ({"prior_variance": 0.0}, "positive, got 0"),
        ({"prior_variance": np.array([1.0, -1.0])}, "positive, got -1"),
        ({"prior_variance": np.nan}, "not finite"),
        ({"prior_mean": np.zeros(7)}, "shape"),
        ({"prior_mean": "x"}, "shape"),
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
