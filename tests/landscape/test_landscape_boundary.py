"""Whatever is passed to the landscape and the dynamics: a right answer or one clear line, for any number of latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from odd_values import NEVER_NUMBERS, TWO, label
from problems import rows_with_spectrum
from uncollapse import (
    Objective,
    ObjectiveError,
    escape_times,
    forecast,
    gradient_flow,
    likelihood_slice,
    linear_warmup,
    loss_slice,
    origin_hessian,
    stationary_point,
    stationary_points,
)

MANY = 10**18
pytestmark = pytest.mark.filterwarnings("ignore:1000000000000000000 latents:uncollapse.UncollapseWarning")


@pytest.fixture
def x(rng):
    return rows_with_spectrum(np.array([9.0, 4.0, 1.5, 0.7]), 60, 5, rng)


def refused(make, words: str) -> None:
    with pytest.raises(ObjectiveError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, None, 3, "a", Objective()], ids=label)
def test_the_first_argument_is_a_forecast(wrong):
    for make in (
        lambda: stationary_points(wrong),
        lambda: stationary_point(wrong, [0]),
        lambda: origin_hessian(wrong),
        lambda: likelihood_slice(wrong, [0], (1, 2), 1.0),
        lambda: escape_times(wrong, 1e-3),
        lambda: gradient_flow(wrong, 100, 1e-3),
    ):
        refused(make, "forecast must be a Forecast, got")
    refused(lambda: loss_slice(wrong), "point must be a StationaryPoint, got")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, -1, 1.5, "0"], ids=label)
def test_modes_and_latents_are_counted_from_0(x, wrong):
    f = forecast(x, n_latents=2)
    if not isinstance(wrong, np.ndarray | torch.Tensor):
        refused(lambda: stationary_point(f, [wrong]), "each of modes must be|modes must differ")
        refused(lambda: likelihood_slice(f, [wrong], (1, 2), 1.0), "each of modes must be|must differ")
    point = stationary_point(f, [1])
    refused(lambda: point.direction(wrong, 0), "latent")
    refused(lambda: point.direction(0, wrong), "mode")
    refused(lambda: point.input_gain(wrong), "mode must be")
    refused(lambda: point.matrices(wrong), "direction must be a Direction")
    if not isinstance(wrong, int):
        refused(lambda: stationary_points(f, limit=wrong), "limit must be")


@pytest.mark.parametrize("two", TWO, ids=label)
def test_a_mode_in_any_form_is_that_mode(x, two):
    f = forecast(x, n_latents=2)
    assert stationary_point(f, [two]).modes == (2,)
    assert stationary_point(f, np.array([2, 0])).modes == (0, 2)


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, 0, -1.0], ids=label)
def test_slices_check_their_settings(x, wrong):
    f = forecast(x, n_latents=2)
    point = stationary_point(f, [])
    refused(lambda: loss_slice(point, wrong), "first must be a Direction")
    refused(lambda: loss_slice(point, second=wrong), "second must be a Direction")
    refused(lambda: loss_slice(point, reach=wrong), "reach must be")
    refused(lambda: loss_slice(point, reach=(1.0, wrong)), "reach must be")
    refused(lambda: loss_slice(point, n_grid=wrong), "n_grid must be")
    refused(lambda: likelihood_slice(f, [0], (1, 2), wrong), "noise_variance must be")
    refused(lambda: likelihood_slice(f, [0], (1,), 1.0), "pushed must be two modes")
    refused(lambda: likelihood_slice(f, [0], "ab", 1.0), "pushed must be")
    refused(lambda: origin_hessian(f, whitened="no"), "whitened must be True or False")


@pytest.mark.parametrize("wrong", [*NEVER_NUMBERS, 0, -1.0], ids=label)
def test_descents_check_their_settings(x, wrong):
    f = forecast(x, n_latents=2)
    for verb in (escape_times, lambda f, rate, **more: gradient_flow(f, 100, rate, **{"inputs": "centred"} | more)):
        refused(lambda verb=verb: verb(f, wrong), "learning_rate must be")
        refused(lambda verb=verb: verb(f, 1e-3, initial_std=wrong), "initial_std must be")
        refused(lambda verb=verb: verb(f, 1e-3, initial_std=(1e-3, wrong)), "initial_std must be")
        refused(lambda verb=verb: verb(f, 1e-3, inputs=wrong), "inputs must be one of raw, centred, whitened")
        refused(lambda verb=verb: verb(f, 1e-3, width_parameter=wrong), "width_parameter must be one of")
        if not callable(wrong):
            refused(lambda verb=verb: verb(f, 1e-3, beta=wrong), "beta must be a function")
    refused(lambda: gradient_flow(f, wrong, 1e-3), "n_steps must be")
    refused(lambda: gradient_flow(f, 100, 1e-3, n_points=wrong), "n_points must be")
    refused(lambda: linear_warmup(100, wrong), "beta must be")
    if type(wrong) is not int or wrong > 0:  # a warm-up of no step is a start at the end
        refused(lambda: linear_warmup(wrong, 1.0), "n_steps must be")


def test_a_schedule_that_raises_is_kept_as_the_cause(x):
    f = forecast(x, n_latents=2)

    def broken(step):
        raise KeyError("no such epoch")

    for verb in (lambda: escape_times(f, 1e-3, beta=broken), lambda: gradient_flow(f, 100, 1e-3, beta=broken)):
        with pytest.raises(ObjectiveError, match="beta raised KeyError at step 0") as caught:
            verb()
        assert isinstance(caught.value.__cause__, KeyError)
    for wrong in ("4", None, float("nan"), -1.0):
        refused(lambda wrong=wrong: escape_times(f, 1e-3, beta=lambda step: wrong), "beta at step 0 must be 0 or more")


def test_a_schedule_that_stays_above_a_mode_is_not_called_water(x):
    f = forecast(x, n_latents=1)
    times = escape_times(f, 1e-3, inputs="centred", beta=lambda step: 100.0)
    assert times.steps[0] == np.inf
    assert times.sentences[0] == "mode 1 lives at the optimum, but did not come alive from this start under this β"


def test_dead_latents_cost_nothing(x):
    """The geometry of a quintillion latents is that of five, but for how often a dead latent's escapes repeat."""
    many = forecast(x, n_latents=MANY)
    with pytest.warns(UserWarning, match="can never live"):
        few = forecast(x, n_latents=5)
    point, small = stationary_point(many, [1]), stationary_point(few, [1])
    # each dead latent can grow along modes 1 and 3 of strengths 9 and 1.5; the living one can turn to the first
    assert (point.index, small.index) == ((MANY - 1) * 2 + 1, 4 * 2 + 1)
    assert len(small.escapes) == small.index
    refused(lambda: point.escapes, "escapes, too many to list")
    assert point.direction(MANY - 1, 0).curvature == small.direction(4, 0).curvature
    np.testing.assert_array_equal(loss_slice(point, n_grid=5).values, loss_slice(small, n_grid=5).values)
    refused(lambda: point.matrices(point.direction(0, 0)), "lower n_latents")
    assert origin_hessian(many).index == MANY * 3
    fixed = forecast(x, n_latents=MANY, encoder_variance=0.5)
    assert origin_hessian(fixed).index == MANY * 4  # ζ² > τρ² for every mode
    times, again = (escape_times(f, 1e-3, initial_std=1e-3, inputs="centred") for f in (few, few))
    np.testing.assert_array_equal(times.steps, again.steps)
    assert np.isfinite(escape_times(many, 1e-3, initial_std=1e-9, inputs="centred").steps[:3]).all()


def test_the_slice_holds_the_loss_of_the_whole_model(x):
    """At every corner the loss of matrices with all latents written out."""
    f = forecast(x, n_latents=3, beta=1.2, prior_variance=0.8)
    point = stationary_point(f, [1])
    first, second = point.direction(0, 0), point.direction(2, 2)
    around = loss_slice(point, first, second, reach=(0.3, 0.2), n_grid=3)
    (du, dw), (eu, ew) = point.matrices(first), point.matrices(second)
    centred, w = x - x.mean(axis=0), point.weights
    for i, a in enumerate(around.first):
        for j, b in enumerate(around.second):
            u, v = w.decoder + a * du + b * eu, w.encoder + a * dw + b * ew
            missed = ((centred - centred @ v @ u.T) ** 2).sum(axis=1).mean() + (u**2 * w.encoder_std**2).sum()
            ratio = w.encoder_std**2 / 0.8
            kl = 0.5 * (((centred @ v) ** 2).sum(axis=1).mean() / 0.8 + (ratio - 1 - np.log(ratio)).sum())
            assert around.values[j, i] + point.loss == pytest.approx(missed / 2 + 1.2 * kl, rel=1e-9)


def test_so_many_subsets_that_no_float_counts_them_are_refused(rng):
    x = rows_with_spectrum(np.full(1100, 4.0), 1201, 1100, rng)
    refused(lambda: stationary_points(forecast(x)), "1100 modes on 1100 latents make 1.36e[+]331 subsets")


def test_no_numpy_warning_leaks(x):
    with np.errstate(all="raise"):
        for beta in (1e-200, 1.0, 8.0, 1e200):
            f = forecast(x, n_latents=3, beta=beta)
            assert origin_hessian(f).lowest.shape == (4, 1)
            for point in stationary_points(f):
                assert len(point.escapes) == point.index
                assert np.isfinite(point.loss)
        f = forecast(x, n_latents=3)
        assert np.isfinite(escape_times(f, 1e-3).steps[:3]).all()
        assert np.isfinite(gradient_flow(f, 1e4, 1e-3).loss).all()


def test_warnings_point_at_the_callers_line(x):
    f = forecast(x, n_latents=2)
    for verb in (lambda: escape_times(f, 10.0, inputs="centred"), lambda: gradient_flow(f, 10, 10.0)):
        with pytest.warns(UserWarning, match="cannot settle at the optimum") as caught:
            verb()
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="can never live") as caught:
        forecast(x, n_latents=9)
    assert caught[0].filename == __file__


def test_a_path_too_long_to_follow_is_refused(x):
    f = forecast(x, n_latents=2)
    with pytest.warns(UserWarning, match="cannot settle"):
        refused(lambda: gradient_flow(f, 1e308, 1e10), "more steps than a computer number can count")
    refused(lambda: gradient_flow(f, 10, 1e-3, n_points=10**9), "n_points must be below 50000000")


@pytest.mark.parametrize("rate", [1e-320, 1e-100, 1e100])
def test_learning_rates_that_no_solver_can_step_with_are_refused(x, rate):
    """One of 1e-280 never came back."""
    f = forecast(x, n_latents=2)
    refused(lambda: escape_times(f, rate), "learning_rate 1e|learning_rate 9.99")
    refused(lambda: gradient_flow(f, 1e5, rate), "learning_rate 1e|learning_rate 9.99")
    refused(lambda: gradient_flow(f, 1e-20, 1e-20), "nothing moves within 1e-40")
