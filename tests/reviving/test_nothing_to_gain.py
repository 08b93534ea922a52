"""Where nothing is to be gained, it is said why, and what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnosed import linear_model
from problems import rows_with_spectrum
from uncollapse import Objective, forecast, revive


def revived(rng, beta, budget=60.0):
    """Of the collapsed optimum of a loss whose water level is β."""
    x = rows_with_spectrum(np.array([4.0, 2.0, 0.5]), 600, 5, rng)
    model = linear_model(forecast(x, objective=Objective(beta=100.0, n_latents=3)))
    return revive(replace(model, objective=None), x, objective=Objective(beta=beta, n_latents=3), budget=budget)


def test_a_loss_that_asks_for_collapse_is_named_with_its_water_level(rng):
    found = revived(rng, 32.0)
    assert not found.better
    assert "under the water level 32" in found.why_not
    assert "uncollapse diagnose" in found.why_not
    assert found.why_not in " ".join(found.summary().split())
    assert found.to_dict()["why_not"] == found.why_not
    assert found.missed == pytest.approx(4.0, rel=1e-3)  # the strongest of all modes


def test_a_better_model_needs_no_reason(rng):
    found = revived(rng, 1.0)
    assert found.better
    assert found.why_not == ""
    assert found.to_dict()["why_not"] is None


def test_what_there_was_no_time_for_is_not_called_nothing_to_gain(rng):
    found = revived(rng, 1.0, budget=0.0)
    assert not found.better
    assert "by what was tried" in found.headline
    assert "no time was left (--budget)" in found.why_not
