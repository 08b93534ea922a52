"""The sentences of a forecast: none contradicts another, and each says what is so of these data."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uncollapse import Objective, forecast
from uncollapse.errors import UncollapseWarning
from uncollapse.forecasting.words import caveats


def _said_of(*args, **options) -> str:
    """The warnings of a forecast."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncollapseWarning)
        forecast(*args, **options)
    return " ".join(str(item.message) for item in caught)


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
def test_only_a_gaussian_decoder_is_called_exact(likelihood, rng):
    rates = np.exp(rng.standard_normal((200, 2)) @ rng.standard_normal((2, 6)))
    x = rng.poisson(rates) if likelihood == "poisson" else (rates > 1).astype(float)
    f = forecast(x, objective=Objective(likelihood=likelihood))
    text = " ".join(caveats(f))
    assert "Exact for linear" not in text
    assert f"β = {f.critical_beta:.4g} on is exact. The number alive is an estimate" in text
    gaussian = " ".join(caveats(forecast(x.astype(float))))
    assert "Exact for linear" in gaussian
    assert "estimate" not in gaussian


@pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_constant_data_have_no_critical_beta_to_speak_of(likelihood):
    f = forecast(np.full((50, 3), 2.0), objective=Objective(likelihood=likelihood))
    (only,) = caveats(f)
    assert only.startswith("A mode is a direction")


@pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
def test_where_collapse_is_stable_is_a_number(rng):
    x = np.append(rng.standard_normal((300, 3)) * [3.0, 1.0, 0.5], np.ones((300, 1)), axis=1)
    learned = forecast(x, objective=Objective(decoder_variance="learned", n_latents=1))
    assert f"stable from β = {learned.critical_beta:.4g} on" in caveats(learned)[-1]
    regression = forecast(x, x[:, :2] ** 2)
    assert f"starts at β = {regression.critical_beta:.4g} or above" in caveats(regression)[-1]


def test_constant_columns_touch_a_learned_variance_only_where_there_is_one(rng):
    x = np.append(rng.integers(0, 2, (100, 4)), np.ones((100, 1)), axis=1).astype(float)
    assert "learned decoder variance" in _said_of(x)
    bernoulli = _said_of(x, objective=Objective(likelihood="bernoulli"))
    assert "1 of 5 columns are constant" in bernoulli
    assert "variance" not in bernoulli


def test_a_warning_of_strengths_that_noise_pushes_up_names_those_without_it(rng):
    x = rng.standard_normal((20, 40))
    given = rng.standard_normal((20, 5))
    names = ("debiased_strengths", "debiased_strength of each mode")
    for said in (_said_of(x), _said_of(x[:, :3], given=given)):
        assert all(name in said for name in names)
    with pytest.warns(UncollapseWarning):
        f = forecast(x)
    assert "debiased_strength" in f.to_dict()["modes"][0]
    assert f.spectrum.debiased_strengths[0] < f.spectrum.strengths[0]
