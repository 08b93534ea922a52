"""Nonlinear strengths on data whose E[y|x] is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR

from uncollapse import DataError, UncollapseWarning, spectrum
from uncollapse.spectra.nonlinear import nonlinear_residual, nonlinear_spectrum

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")

CURVES = {
    "abs": lambda x: np.abs(x[:, :1]),
    "sine": lambda x: np.sin(4 * np.pi * x[:, :1]),  # two periods on (−1, 1) and odd: a weak linear trace
    "product": lambda x: x[:, :1] * x[:, 1:2],
}
MEAN_SQUARES = {"abs": 1 / 12, "sine": 0.5, "product": 1 / 9}


def uniform(rng, n, d=2):
    return rng.uniform(-1, 1, (n, d))


@pytest.mark.parametrize("name", CURVES)
def test_what_is_bent_is_seen_from_below(rng, name):
    """Strength of E[y|x] known exactly; the linear part of it is nearly nothing."""
    x = uniform(rng, 1500)
    true = 4.0
    f = CURVES[name](x) * np.sqrt(true / MEAN_SQUARES[name])
    y = f + rng.standard_normal(f.shape)
    strength = nonlinear_spectrum(x, y).strengths[0]
    sampled = f.var()  # of these rows; the rest of the gap is the regression's
    assert spectrum(x, y).strengths[0] < 0.25 * true
    assert 0.75 * true < strength < sampled + 4 * np.sqrt(4 * sampled / len(x))


def test_more_rows_come_nearer(rng):
    x = uniform(rng, 3000)
    y = 6 * np.abs(x[:, :1]) + rng.standard_normal((3000, 1))
    gaps = [3 - nonlinear_spectrum(x[:n], y[:n]).strengths[0] / np.var(6 * np.abs(x[:n, 0])) * 3 for n in (100, 3000)]
    assert gaps[1] < 0.5 * gaps[0]


@quiet
def test_noise_has_no_strength(rng):
    """Within-sample, 100 columns of noise explain a seventh of y; out of fold next to nothing."""
    x, y = rng.standard_normal((700, 100)), rng.standard_normal((700, 2))
    assert spectrum(x, y).strengths.sum() > 0.2
    assert nonlinear_spectrum(x, y, regressor=LinearRegression()).strengths.sum() < 0.08
    assert nonlinear_spectrum(x[:, :3], y).strengths.sum() < 0.08


def test_a_linear_relation_is_not_lost(rng):
    """Trees alone would leave a tenth of it; the ridge predictions bring it back."""
    x = rng.standard_normal((600, 4))
    y = x[:, :2] @ np.diag([3.0, 1.5]) + rng.standard_normal((600, 2))
    np.testing.assert_allclose(nonlinear_spectrum(x, y).strengths, spectrum(x, y).strengths, rtol=0.08)


@quiet
@pytest.mark.parametrize("regressor", [KNeighborsRegressor(10), SVR()])
def test_any_regressor_serves(rng, regressor):
    """One with many outputs, and one that has only one."""
    x = uniform(rng, 400)
    y = np.column_stack([9 * np.abs(x[:, 0]), 9 * x[:, 0] * x[:, 1]]) + 0.3 * rng.standard_normal((400, 2))
    assert (nonlinear_spectrum(x, y, regressor=regressor).strengths[:2] > 3).all()


def test_components_left_out_are_announced(rng):
    x = uniform(rng, 300)
    y = np.abs(x) * [9, 5] + 0.1 * rng.standard_normal((300, 2))
    with pytest.warns(UncollapseWarning, match=r"1 of the target's 2 components .* 2\d% of its energy"):
        s = nonlinear_spectrum(x, y, n_components=1)
    assert s.strengths[0] > 0.7 * y[:, 0].var()
    assert s.strengths[1:].sum() < 0.1 * y[:, 1].var()
    assert s.total_energy == pytest.approx(y.var(axis=0).sum())


def test_the_residual_is_what_a_nonlinear_decoder_leaves(rng):
    x = uniform(rng, 1500, 1)
    noise = rng.standard_normal((1500, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    y = np.column_stack([8 * np.abs(x[:, 0]), 5 * np.sin(3 * x[:, 0])]) + noise
    left = nonlinear_residual(x, y)
    expected = np.linalg.eigvalsh(np.cov(noise.T, ddof=0))[::-1]
    assert left.target_is_input
    np.testing.assert_allclose(left.strengths, expected, rtol=0.2)
    linear = spectrum(y - LinearRegression().fit(x, y).predict(x)).strengths
    assert linear[0] > 2 * left.strengths[0]


def test_what_is_explained_and_what_is_left_add_up(rng):
    x = uniform(rng, 200)
    y = np.column_stack([np.abs(x[:, 0]), x[:, 1] ** 3, rng.standard_normal(200)])
    explained, left = nonlinear_spectrum(x, y), nonlinear_residual(x, y)
    assert explained.strengths.sum() + left.total_energy == pytest.approx(y.var(axis=0).sum())
    scaled = nonlinear_residual(x, y, scale=3.0)
    np.testing.assert_allclose(scaled.strengths, 9 * left.strengths)


def test_a_binary_target_is_measured_in_units_of_beta(rng):
    """P(y = 1 | x) is 0.9 or 0.1 by the sign of x1·x2: Var E[y|x] / p(1−p) = 0.16/0.25."""
    x = uniform(rng, 2000)
    y = (rng.random((2000, 1)) < np.where(x[:, :1] * x[:, 1:] > 0, 0.9, 0.1)).astype(float)
    s = nonlinear_spectrum(x, y, likelihood="bernoulli")
    assert s.strengths[0] == pytest.approx(0.64, abs=0.1)


def test_the_seed_decides_everything(rng):
    x = uniform(rng, 100)
    y = np.abs(x)
    first, again = (nonlinear_spectrum(x, y, seed=3).strengths for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_unfit_tables_are_refused_in_one_line(rng):
    x, y = uniform(rng, 50), uniform(rng, 50)
    for call in (nonlinear_spectrum, nonlinear_residual):
        with pytest.raises(DataError, match="whole table in memory.*pass an array"):
            call((block for block in [x]), y)
        with pytest.raises(DataError, match="50 rows against 40"):
            call(x, y[:40])
        with pytest.raises(DataError, match="30 folds for 50 rows"):
            call(x, y, folds=30)
        with pytest.raises(DataError, match="n_components must be a whole number from 1 on, got 0"):
            call(x, y, n_components=0)
        with pytest.raises(DataError, match="the target: 1 value.*row 3, column 1"):
            call(x, np.where(np.arange(100).reshape(50, 2) == 7, np.nan, y))
    holed = np.where(np.arange(100).reshape(50, 2) == 7, np.nan, y)
    with pytest.warns(UncollapseWarning, match="left out 1 row"):
        assert nonlinear_spectrum(x, holed, drop_nonfinite=True).n_samples == 49


def test_tables_in_pieces_are_put_together(rng):
    x, y = uniform(rng, 120), uniform(rng, 120)
    pieces = [x[:50], x[50:]]
    np.testing.assert_array_equal(nonlinear_spectrum(pieces, y).strengths, nonlinear_spectrum(x, y).strengths)


WRONG = {
    "folds": ["5", None, 1, 2.5, np.nan, True, 10**400, object()],
    "seed": ["0", None, -1, 0.5, 2**32, np.datetime64("2020-01-01")],
    "n_components": ["20", None, 0, 2.5, np.array([1, 2]), {}],
    "drop_nonfinite": ["no", None, 1, np.array([True, False])],
    "regressor": ["ridge", 1.0, LinearRegression, np.ones(3)],
    "scale": ["1", None, np.nan, np.inf, 10**400, True],
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("call", [nonlinear_spectrum, nonlinear_residual])
def test_wrong_settings_are_refused_in_one_line_that_names_them(rng, call, name):
    x, y = uniform(rng, 20), uniform(rng, 20)
    for wrong in WRONG[name]:
        with pytest.raises(DataError, match=name) as caught:
            call(x, y, **{name: wrong})
        assert "\n" not in str(caught.value), wrong


def test_settings_with_an_obvious_meaning_are_taken(rng):
    x, y = uniform(rng, 60), uniform(rng, 60)
    plain = nonlinear_spectrum(x, y, folds=3, n_components=2, regressor=LinearRegression())
    other = nonlinear_spectrum(
        x, y, folds=3.0, seed=np.uint8(0), n_components=10**18, regressor=LinearRegression(), drop_nonfinite=np.False_
    )
    np.testing.assert_array_equal(plain.strengths, other.strengths)


class Failing(LinearRegression):
    def fit(self, x, y, sample_weight=None):
        raise RuntimeError("no luck today\nsecond line")


class Exploding(LinearRegression):
    def predict(self, x):
        return np.full((len(x), 2), np.inf)


def test_a_regressor_that_fails_is_named_and_its_error_kept(rng):
    x, y = uniform(rng, 60), uniform(rng, 60)
    with pytest.raises(DataError, match="the regressor Failing cannot predict the target: no luck today$") as caught:
        nonlinear_spectrum(x, y, regressor=Failing())
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(DataError, match="the regressor predicts values that are not finite"):
        nonlinear_spectrum(x, y, regressor=Exploding())


@quiet
@pytest.mark.parametrize("power", [-400, 0, 400])
def test_the_unit_of_the_data_does_not_matter(rng, power):
    """Strengths scale with the square of the target's unit, and not with the input's; a power of two is exact."""
    x, y = uniform(rng, 100), uniform(rng, 100) * [3, 1]
    plain = nonlinear_residual(x, y, regressor=LinearRegression())
    with np.errstate(all="raise"):
        other = nonlinear_residual(np.ldexp(x, power), np.ldexp(y, power), regressor=LinearRegression())
    np.testing.assert_allclose(other.strengths, np.ldexp(plain.strengths, 2 * power), rtol=1e-9)
    assert len(other.strengths) == 2


def test_a_size_whose_squares_do_not_fit_is_refused(rng):
    x, y = uniform(rng, 40), uniform(rng, 40)
    for factor in (1e-305, 1e304):
        with pytest.raises(DataError, match="the target: values so large or so small"):
            nonlinear_spectrum(x, y * factor)
