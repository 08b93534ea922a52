"""What is left once the scores before are known: right where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import DataError, Level, ObjectiveError, forecast
from uncollapse.forecasting.sequential import sequential
from uncollapse.spectra.sequential import held_out_predictions, leading_scores, sequential_strengths


def gaussian(rng, strengths, n=900):
    """Rows whose sample strengths are these exactly."""
    x = rng.standard_normal((n, len(strengths)))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(n * np.array(strengths))
    return x @ np.linalg.qr(rng.standard_normal((len(strengths),) * 2))[0]


def arc(rng, span, n=900, noise=0.05):
    """A part of a circle of radius one in a plane of five dimensions."""
    angle = rng.uniform(0, span, n)
    plane = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    return np.column_stack([np.cos(angle), np.sin(angle)]) @ plane.T + noise * rng.standard_normal((n, 5))


@pytest.mark.parametrize("strengths", [[8.0, 4.0, 2.0, 0.1, 0.05], [3.0, 0.2], [0.5, 0.4, 0.1]])
def test_gaussian_data_give_the_linear_count(rng, strengths):
    x = gaussian(rng, strengths)
    f = forecast(x)
    found = sequential(x, f)
    assert found.n_alive == found.n_linear == f.n_alive == sum(s > 1 for s in strengths)
    kept = found.strengths[: found.n_alive]
    np.testing.assert_allclose(kept, strengths[: len(kept)], rtol=0.1)


def test_a_circle_needs_two_latents_and_half_of_one_needs_one(rng):
    for level in (0.02, 0.1):
        whole, half = arc(rng, 2 * np.pi), arc(rng, np.pi)
        assert sequential(whole, forecast(whole, beta=level)).n_alive == 2
        half = sequential(half, forecast(half, beta=level / 2))
        assert (half.n_alive, half.n_linear) == (1, 2)


def test_a_bent_line_needs_fewer_than_it_has_modes(rng):
    """Six waves of one number: its strongest directions tell it well, and the other modes with it."""
    u = rng.uniform(-1, 1, (1200, 1))
    x = np.sin(u @ np.linspace(0.5, 4, 6)[None] + np.linspace(0, 2, 6)) + 0.05 * rng.standard_normal((1200, 6))
    f = forecast(x, beta=0.01)
    found = sequential(x, f)
    assert found.n_alive < found.n_linear
    assert "may need fewer: about" in found.headline


@pytest.mark.parametrize("power", [-300, -3, 5, 300])
def test_scaling_data_and_level_together_changes_nothing(rng, power):
    x = arc(rng, 5.0)
    plain = sequential(x, forecast(x, beta=0.05))
    other = sequential(np.ldexp(x, power), forecast(np.ldexp(x, power), beta=np.ldexp(0.05, 2 * power)))
    assert other.n_alive == plain.n_alive
    np.testing.assert_allclose(other.strengths, np.ldexp(plain.strengths, 2 * power), rtol=1e-9)


def test_scale_of_the_forecast_counts(rng):
    x = arc(rng, 5.0)
    plain, scaled = sequential(x, forecast(x, beta=0.05)), sequential(x, forecast(x, beta=0.45, scale=3.0))
    np.testing.assert_allclose(scaled.strengths, 9 * plain.strengths, rtol=1e-6)


def test_the_number_of_latents_is_the_limit(rng):
    x = gaussian(rng, [8.0, 6.0, 5.0, 4.0])
    found = sequential(x, forecast(x, n_latents=2))
    assert (found.n_alive, found.n_linear, len(found.strengths)) == (2, 2, 2)


def test_rows_are_sampled_and_the_seed_decides_which(rng):
    x = rng.standard_normal((3000, 4)) * [3, 2, 1, 0.1]
    f = forecast(x)
    assert sequential(x, f).n_rows == 2048
    one, same, other = (sequential(x, f, n_rows=300, seed=seed).strengths for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    blocks = sequential(iter([x[:1000], x[1000:]]), f, n_rows=300, seed=1)
    assert blocks.n_rows == 300


def test_wide_rows_give_the_scores_of_the_same_rows_turned(rng):
    x = rng.standard_normal((50, 20)) * np.linspace(3, 0.5, 20)
    turned = x @ np.linalg.qr(rng.standard_normal((80, 20)))[0].T
    a, b = leading_scores(x, 0.5), leading_scores(turned, 0.5)
    np.testing.assert_allclose(np.abs(a), np.abs(b), atol=1e-8)
    np.testing.assert_allclose(sequential_strengths(x, 0.5), sequential_strengths(turned, 0.5), rtol=1e-6)


def test_noise_is_not_foretold_and_a_row_far_away_does_no_harm(rng):
    scores, rows = rng.standard_normal((600, 2)), rng.standard_normal((600, 3))
    assert (held_out_predictions(scores, rows) ** 2).mean() < 0.05
    scores[0] = 1e9
    assert np.isfinite(held_out_predictions(scores, rows)).all()


@pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
def test_data_without_modes_and_two_rows_need_nothing():
    still = np.ones((30, 3))
    assert sequential(still, forecast(still)).n_alive == 0
    two = np.array([[0.0, 1.0], [3.0, 1.0]])
    assert sequential(two, forecast(two)).n_rows == 2


def test_what_is_not_covered_is_refused_in_one_line(rng):
    x = np.abs(gaussian(rng, [3.0, 0.2], n=60))
    for f, message in {
        forecast(np.round(x), likelihood="poisson"): "a Gaussian decoder, and this one is poisson",
        forecast(x, levels=(Level(), Level(2.0)), n_latents=1): "one level of latents",
        forecast(x, decoder_variance="learned", n_latents=1): "this one is learned",
        forecast(x, encoder_variance=0.5): "encoder variances that are learned",
        forecast(x, bias=False): "--no-bias",
        forecast(x, x[:, :1]): "nonlinear_spectrum",
        forecast(x, given=x[:, :1] ** 2): "nonlinear_residual",
    }.items():
        with pytest.raises(ObjectiveError, match=message) as caught:
            sequential(x, f)
        assert "\n" not in str(caught.value)
    f = forecast(x)
    with pytest.raises(DataError, match="3 columns and the forecast 2"):
        sequential(np.ones((5, 3)), f)
    with pytest.raises(DataError, match="NaN or infinite"):
        sequential(np.where(x > x.min(), x, np.nan), f)
    assert sequential(np.where(x > x.min(), x, np.nan), f, drop_nonfinite=True).n_rows == 59
    for wrong in ({"n_rows": 1}, {"n_rows": "many"}, {"seed": -1}, {"drop_nonfinite": 1}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            sequential(x, f, **wrong)


def test_predictions_do_not_depend_on_where_scores_lie_and_a_line_goes_on(rng):
    scores = rng.standard_normal((400, 1))
    rows = np.abs(scores) + 0.1 * rng.standard_normal((400, 1))
    plain, moved = held_out_predictions(scores, rows), held_out_predictions(scores + 1e7, rows)
    np.testing.assert_allclose(moved, plain, atol=1e-4)
    scores[0] = 40.0  # far beyond the rows that predict it
    assert held_out_predictions(scores, 2 * scores)[0, 0] == pytest.approx(80, rel=0.1)
