"""A KL weight below 0 belongs to no loss: then the encoder is read wrongly, and no such weight is recommended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnosed import linear_model
from problems import rows_with_spectrum
from uncollapse import Objective, forecast
from uncollapse.bill.weight import ImpliedWeight
from uncollapse.diagnosis.causes import find_cause
from uncollapse.diagnosis.gather import gather
from uncollapse.diagnosis.remedies import remedies_for
from uncollapse.diagnosis.verdict import verdict


@pytest.fixture
def facts(rng):
    x = rows_with_spectrum(np.array([9.0, 4.0, 2.0]), 600, 5, rng)
    return gather(linear_model(forecast(x, objective=Objective(n_latents=3))), x)


def at_rest_with(facts, weight, error=0.01):
    values = np.full(3, weight)
    return replace(facts, weight=ImpliedWeight(1.0, np.arange(3), values, np.full(3, error), values))


def test_a_weight_below_0_says_that_the_encoder_is_read_wrongly(facts):
    odd = at_rest_with(facts, -35.8)
    found = find_cause(odd)
    assert (found.cause, found.confidence, found.secondary) == ("cannot-tell", "low", ())
    assert found.evidence[0].name == "implied_weight"
    said = verdict(odd, found)
    assert "below 0, which no loss has" in said
    (remedy,) = remedies_for(odd, found)
    assert "--spread" in remedy.change
    assert "-35.8" not in remedy.change + remedy.why + said


def test_a_weight_above_0_is_still_another_loss(facts):
    other = at_rest_with(facts, 0.3)
    found = find_cause(other)
    assert found.cause == "other-loss"
    assert "seems to be 0.3" in remedies_for(other, found)[0].change


def test_a_weight_of_0_within_its_error_is_a_loss_without_a_kl(facts):
    none = at_rest_with(facts, -0.01, error=0.1)
    found = find_cause(none)
    assert found.cause == "other-loss"
    assert "seems to be 0" in remedies_for(none, found)[0].change
