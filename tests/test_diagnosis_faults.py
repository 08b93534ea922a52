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
from uncollapse.probes import open_probe
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
