"""With few rows the strongest mode is hardly known: what rests on its side of the water is of low confidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnosed import linear_model
from problems import rows_with_spectrum
from uncollapse import Objective, forecast
from uncollapse.diagnosis.evidence import evidence_of
from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.gather import gather
from uncollapse.theory.residual import ResidualSpectrum


def collapsed(x, beta):
    """Diagnosis of the optimum of a loss that asks for collapse."""
    objective = Objective(beta=beta, n_latents=2)
    return diagnose(linear_model(forecast(x, objective=objective)), x)


@pytest.mark.parametrize(("n", "confidence"), [(30, "low"), (4000, "high")])
def test_the_same_mode_and_water_are_sure_with_many_rows_only(rng, n, confidence):
    x = rows_with_spectrum(np.array([3.2, 0.2, 0.1]), n, 5, rng)  # of exactly these strengths at any n
    d = collapsed(x, 4.0)
    assert (d.cause, d.confidence) == ("objective", confidence), d.verdict
    mode = next(item for item in d.evidence if item.name == "strongest_mode")
    assert ("30 rows put it between" in mode.text) == (n == 30)
    assert any("30 rows are few" in note for note in d.notes) == (n == 30)


def test_a_water_level_far_above_is_sure_with_few_rows_too(rng):
    x = rows_with_spectrum(np.array([3.2, 0.2, 0.1]), 30, 5, rng)
    d = collapsed(x, 400.0)
    assert (d.cause, d.confidence) == ("objective", "high"), d.verdict
    assert "strongest" not in " ".join(d.notes)


def test_the_interval_is_that_of_the_scaled_data(rng):
    x = rows_with_spectrum(np.array([3.2, 1.0, 0.5]), 12, 4, rng)
    objective = Objective(beta=4.0, n_latents=2)
    model = linear_model(forecast(x, objective=objective))
    own, scaled = gather(model, x).strongest, gather(model, x / 10, scale=10.0).strongest
    np.testing.assert_allclose(own, scaled)
    assert own[0] < 3.2 < own[1]


@pytest.mark.parametrize(
    ("top", "error", "side"), [(1.629, 0.49, "below"), (3.5, 0.49, "about at"), (5.5, 0.49, "above")]
)
def test_a_residual_two_errors_below_the_water_is_called_below(rng, top, error, side):
    x = rows_with_spectrum(np.array([3.2, 1.0, 0.5]), 100, 5, rng)
    facts = gather(linear_model(forecast(x, objective=Objective(beta=4.0, n_latents=2))), x)
    r = facts.decoder.residual
    seen = ResidualSpectrum(np.array([3.167]), r.directions[:, :1], np.array([top]), np.array([0.49]), 10)
    facts = replace(facts, decoder=replace(facts.decoder, residual=seen))
    text = next(item.text for item in evidence_of(facts) if item.name == "top_residual")
    assert f", {side} the water level 4." in text
