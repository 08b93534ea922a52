"""The sentences of a forecast: none contradicts another, and each says what is so of these data."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from problems import rows_with_spectrum
from uncollapse import Objective, forecast
from uncollapse.errors import UncollapseWarning
from uncollapse.forecasting.recommend import recommend
from uncollapse.forecasting.words import advice, caveats, limits


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


def _advice(strengths, n_latents=None, beta=1.0, n=400):
    x = rows_with_spectrum(np.array(strengths), n, len(strengths), np.random.default_rng(0))
    f = forecast(x, beta=beta, n_latents=n_latents)
    return f, advice(f)


WEAK = [0.11, 0.105, 0.1, 0.095, 0.09]
"""As independent columns of one variance give them: under the edge of sampling noise."""


def test_no_weight_is_named_that_would_wake_a_latent_to_code_noise():
    f, lines = _advice([9.0, 4.0, *WEAK], n_latents=6)
    assert (f.n_alive, int(f.spectrum.above_noise.sum())) == (2, 2)
    assert not any(line.startswith("To keep") for line in lines)
    assert lines[0].startswith("A lower β would only code noise: the next mode lies under the edge")
    none, lines = _advice(WEAK)
    assert none.n_alive == 0
    assert len(lines) == 1
    assert lines[0].startswith("A lower β would only code noise: the strongest mode lies under the edge")


def test_a_weight_is_named_up_to_the_last_mode_above_noise():
    f, lines = _advice([9.0, 4.0, 1.0, 0.8, *WEAK], n_latents=9, beta=5.0)
    assert lines[0].startswith("To keep one more alive (2): β below 4")
    assert lines[1].startswith("To keep all 4 whose modes stand above sampling noise alive: β below ")
    assert f"alive: β below {limits(f.keep(4)).split()[2]}" in lines[1]
    first, lines = _advice([9.0, 4.0, *WEAK], n_latents=1, beta=20.0)
    assert first.n_alive == 0
    assert lines[0].startswith("To let a first latent live: β below 9")


@pytest.mark.parametrize(
    ("strengths", "n_latents", "beta", "last"),
    [
        ([9.0, 4.0, *WEAK], 3, 0.05, "2 latents are worth having: the mode of the other lies under the edge"),
        ([9.0, 4.0, *WEAK], 4, 0.05, "2 latents are worth having: the modes of the other 2 lie under the edge"),
        (WEAK, 5, 0.05, "No latent is worth having: the modes of all 5 lie under the edge"),
        (WEAK, 1, 0.05, "No latent is worth having: the mode of the one that lives lies under the edge"),
        ([9.0, 4.0, *WEAK], 4, 1.0, "At this water level 2 latents are worth having; more would be collapsed."),
        ([9.0, 4.0, *WEAK], 1, 1.0, "At this water level 2 latents are worth having, one for each mode above it and "),
    ],
)
def test_how_many_latents_are_worth_having_is_said_of_those_that_there_are(strengths, n_latents, beta, last):
    _, lines = _advice(strengths, n_latents, beta)
    assert lines[-1].startswith(last)


def test_worth_having_is_no_name_of_an_aim():
    f, _ = _advice([62.0, 21.0, 3.0, *WEAK])
    first = recommend(f)[0]
    assert (f.n_worth_having, first.n_latents) == (3, 2)
    assert first.aim == "modes with 95% of energy live"
    assert "worth" not in " ".join(one.aim for one in recommend(f))
