"""Conditional models: strengths by least squares, what the condition costs, and what goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from uncollapse import DataError, LinearCVAE, UncollapseWarning, forecast, moments, spectrum
from uncollapse.forecasting.intervals import bootstrap


def problem(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 3)) + 1
    y = x @ rng.standard_normal((3, 5)) + rng.standard_normal((n, 5)) * [3, 2, 1, 0.5, 0.2] + 4
    return x, y


def test_strengths_are_those_of_the_least_squares_residual(rng):
    x, y = problem(rng)
    residual = y - LinearRegression().fit(x, y).predict(x)
    s = spectrum(y, given=x)
    np.testing.assert_allclose(s.strengths, np.linalg.eigvalsh(residual.T @ residual / 300)[::-1], rtol=1e-10)
    assert s.total_energy == pytest.approx((residual**2).sum() / 300)
    assert s.condition.energy == pytest.approx(((y - y.mean(0)) ** 2).sum() / 300)
    np.testing.assert_allclose(s.condition.regression, LinearRegression().fit(x, y).coef_, atol=1e-10)
    uncentred = spectrum(y, given=x, bias=False)
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(uncentred.strengths, np.linalg.eigvalsh(left.T @ left / 300)[::-1], rtol=1e-10)


def test_explained_is_the_share_of_each_modes_energy(rng):
    x, y = problem(rng)
    s = spectrum(y, given=x)
    scores = (y - y.mean(0)) @ s.basis.decoder
    fitted = LinearRegression().fit(x, scores)
    r2 = 1 - ((scores - fitted.predict(x)) ** 2).mean(0) / scores.var(0)
    np.testing.assert_allclose(s.condition.explained, r2, atol=1e-10)


def test_a_condition_can_only_kill(rng):
    x, y = problem(rng)
    f = forecast(y, given=x, beta=1.5)
    plain = forecast(y, beta=1.5)
    assert f.without_condition.n_alive == plain.n_alive
    assert f.without_condition.loss == pytest.approx(plain.loss)
    assert (f.spectrum.strengths <= plain.spectrum.strengths * (1 + 1e-12)).all()
    assert f.n_alive <= plain.n_alive
    assert plain.without_condition is None


def test_more_correlation_means_more_collapse(rng):
    """Dang et al. 2024, sec. 5: x = ρy + √(1 − ρ²)n; the residual strengths fall as 1 − ρ²."""
    y, noise = rng.standard_normal((4000, 6)), rng.standard_normal((4000, 6))
    counts = [
        forecast(y, given=rho * y + np.sqrt(1 - rho**2) * noise, decoder_variance=0.5).n_alive
        for rho in (0.0, 0.5, 0.9)
    ]
    assert counts == [6, 6, 0]


def test_pairs_moments_and_arrays_agree(rng):
    x, y = problem(rng)
    whole = spectrum(y, given=x).strengths
    pairs = [(x[i : i + 50], y[i : i + 50]) for i in range(0, 300, 50)]
    np.testing.assert_allclose(spectrum(iter(pairs), paired=True, given=True).strengths, whole, rtol=1e-10)
    joint = moments(x[:100], y[:100]) + moments(x[100:], y[100:])
    np.testing.assert_allclose(spectrum(joint, given=True).strengths, whole, rtol=1e-10)


def test_dask_gives_the_same(rng):
    array = pytest.importorskip("dask.array")
    x, y = problem(rng)
    lazy = spectrum(array.from_array(y, chunks=(70, 5)), given=array.from_array(x, chunks=(90, 3)))
    np.testing.assert_allclose(lazy.strengths, spectrum(y, given=x).strengths, rtol=1e-10)


def test_debiased_strengths_undo_the_freedom_that_the_regression_takes(rng):
    x, y = rng.standard_normal((200, 80)), rng.standard_normal((200, 2)) * [3.0, 0.1]
    with pytest.warns(UncollapseWarning, match="80 of 200 degrees of freedom"):
        s = spectrum(y, given=x)
    assert s.strengths[0] == pytest.approx(9 * 120 / 200, rel=0.25)
    assert s.debiased_strengths[0] == pytest.approx(s.strengths[0] * 200 / 120, rel=0.02)


def test_a_condition_as_wide_as_the_rows_explains_everything_and_says_so(rng):
    with pytest.warns(UncollapseWarning, match="30 columns, 19 of them independent on 20 rows: it explains any data"):
        f = forecast(rng.standard_normal((20, 4)), given=rng.standard_normal((20, 30)))
    assert f.spectrum.rank == 0
    assert f.status == "complete"


def test_a_redundant_condition_is_named_and_harmless(rng):
    x, y = problem(rng)
    with pytest.warns(UncollapseWarning, match="6 varying columns span only 3 directions"):
        doubled = spectrum(y, given=np.hstack([x, x @ rng.standard_normal((3, 3))]))
    np.testing.assert_allclose(doubled.strengths, spectrum(y, given=x).strengths, rtol=1e-9)


def test_a_constant_condition_is_an_ordinary_vae(rng):
    _, y = problem(rng)
    with pytest.warns(UncollapseWarning, match="the condition never changes"):
        s = spectrum(y, given=np.ones((300, 2)))
    np.testing.assert_allclose(s.strengths, spectrum(y).strengths, rtol=1e-12)


def test_a_condition_that_is_the_data_leaves_nothing(rng):
    _, y = problem(rng)
    with pytest.warns(UncollapseWarning, match="explains the data entirely"):
        f = forecast(y, given=y)
    assert f.n_alive == 0
    assert f.to_dict()["condition"]["explained"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": np.ones((300, 2)), "given": np.ones((300, 2))}, "target or a condition, not both"),
        ({"given": True}, "given=True goes with pairs or moments"),
        ({"given": np.ones((10, 2))}, "10 rows and .* has 300"),
        ({"given": True, "likelihood": "bernoulli"}, "needed row by row"),
        ({"given": np.full((300, 2), np.nan), "likelihood": "bernoulli"}, "row 0 .* or its condition is not finite"),
    ],
)
def test_conditions_that_do_not_fit(rng, options, message):
    with pytest.raises(DataError, match=message):
        spectrum(rng.random((300, 4)), **options)
    with pytest.raises(DataError, match="these moments hold no condition"):
        spectrum(moments(rng.random((300, 4))), given=True)


def test_a_condition_of_another_length_is_told_apart_from_the_data(rng):
    x, y = problem(rng, 300)
    f = forecast(y, given=x)
    for call in (lambda short: spectrum(y, given=short), lambda short: bootstrap(y, f, given=short)):
        with pytest.raises(DataError, match="^the condition has 299 rows and the data has 300; both need one row"):
            call(x[1:])
        with pytest.raises(DataError, match="^the condition ends after 299 rows, before the data; both need one row"):
            call(iter([x[1:]]))


def test_bootstrap_intervals_cover_the_other_half(rng):
    x, y = problem(rng, 4000)
    f = forecast(y[:2000], given=x[:2000])
    found = bootstrap(y[:2000], f, given=x[:2000], n_samples=200)
    other = forecast(y[2000:], given=x[2000:])
    low, high = found.critical_betas[0]
    assert 0.8 * low < other.critical_beta < 1.2 * high
    assert low < f.critical_beta < high


@parametrize_with_checks([LinearCVAE()])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit data that deserve our warnings
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


def test_the_estimator_is_the_forecast(rng):
    x, y = problem(rng)
    model = LinearCVAE(n_components=3, ddof=0).fit(x, y)
    f = forecast(y, given=x, n_latents=3)
    assert model.forecast_.loss == pytest.approx(f.loss)
    np.testing.assert_allclose(model.predict(x), LinearRegression().fit(x, y).predict(x), atol=1e-9)
    z = model.encode(x, y)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(z[:, : f.n_alive].var(axis=0), f.modes.encoder_gain[: f.n_alive] ** 2, rtol=1e-9)
    assert model.log_likelihood(x, y).mean() == pytest.approx(f.elbo, rel=1e-9)  # tight at β = 1
    assert model.sample(x, random_state=0).shape == y.shape
