"""Estimators at home in scikit-learn: named columns out, and pictures by `from_estimator`."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from uncollapse import DataError, LinearCVAE, LinearVAE, ObjectiveError, forecast
from uncollapse.estimators.displays import LatentsDisplay, SpectrumDisplay

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

ALIVE, COLLAPSED = "#1b7f5c", "#b9c0c7"


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.standard_normal((300, 5)) * [4.0, 3.0, 2.0, 0.5, 0.2]


def bars(ax) -> list:
    return [(round(bar.get_height(), 9), to_hex(bar.get_facecolor())) for bar in ax.patches]


def test_latents_come_out_as_named_columns_of_the_rows_that_went_in(x):
    table = pd.DataFrame(x, columns=list("abcde"), index=[f"row {i}" for i in range(300)])
    vae = LinearVAE(3).set_output(transform="pandas")
    out = vae.fit_transform(table)
    assert out.columns.tolist() == vae.get_feature_names_out().tolist() == ["linearvae0", "linearvae1", "linearvae2"]
    assert out.index.equals(table.index)
    np.testing.assert_allclose(out.to_numpy(), LinearVAE(3).fit_transform(x), atol=1e-12)


def test_in_a_pipeline_they_carry_the_name_through(x):
    pipeline = make_pipeline(StandardScaler(), LinearVAE(2)).set_output(transform="pandas")
    assert pipeline.fit_transform(x).columns.tolist() == ["linearvae0", "linearvae1"]
    assert pipeline.get_feature_names_out().tolist() == ["linearvae0", "linearvae1"]


def test_a_spectrum_is_drawn_with_what_lives(x):
    display = SpectrumDisplay.from_estimator(LinearVAE(3), x)
    strengths = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    colours = [ALIVE] * 3 + [COLLAPSED] * 2
    assert bars(display.ax_) == list(zip(np.round(strengths, 9), colours, strict=True))
    assert display.figure_ is display.ax_.figure


def test_it_draws_on_given_axes_and_leaves_the_estimator_as_it_is(x):
    _, ax = plt.subplots()
    estimator = LinearVAE(2, beta=3.0)
    display = SpectrumDisplay.from_estimator(estimator, x, ax=ax)
    assert display.ax_ is ax
    assert not hasattr(estimator, "forecast_")
    fitted = LinearVAE(2, beta=3.0).fit(x)
    assert SpectrumDisplay(fitted.forecast_).plot().forecast.water_level == display.forecast.water_level == 3.0


def test_a_pipeline_and_a_conditional_model_have_a_spectrum(x):
    piped = SpectrumDisplay.from_estimator(make_pipeline(StandardScaler(), LinearVAE(2)), x).forecast
    assert piped.spectrum.strengths.sum() == pytest.approx(5 * 300 / 299)
    given = SpectrumDisplay.from_estimator(LinearCVAE(2), x[:, :1], x[:, 1:]).forecast
    assert given.spectrum.condition is not None


def test_a_forecast_is_drawn_as_it_is(x):
    found = forecast(x, n_latents=2)
    assert SpectrumDisplay.from_forecast(found).forecast is found


def test_the_latents_of_an_estimator_have_the_kl_of_its_forecast(x):
    vae = LinearVAE(5, ddof=0, prior_variance=4.0).fit(x)
    display = LatentsDisplay.from_estimator(vae, x)
    np.testing.assert_allclose(display.measurement.kl, vae.forecast_.modes.kl, atol=1e-9)
    assert [colour for _, colour in bars(display.axes_[0])] == [ALIVE] * 3 + [COLLAPSED] * 2
    piped = make_pipeline(StandardScaler(), LinearVAE(2)).set_output(transform="pandas").fit(x)
    assert LatentsDisplay.from_estimator(piped, x).measurement.n_latents == 2


def test_any_encoders_predictions_are_drawn(x):
    _, axes = plt.subplots(1, 2)
    display = LatentsDisplay.from_predictions(x, log_variance=np.zeros_like(x), ax=axes)
    assert display.axes_ is axes
    assert display.figure_ is axes[0].figure
    np.testing.assert_allclose(display.measurement.kl, (x**2).mean(axis=0) / 2)


@pytest.mark.parametrize("estimator", [PCA(2), LinearVAE, "LinearVAE", make_pipeline(PCA(2))])
@pytest.mark.parametrize("display", [SpectrumDisplay, LatentsDisplay])
def test_another_estimator_is_refused(display, estimator, x):
    with pytest.raises(DataError, match="estimator must be LinearVAE.* or a Pipeline that ends in one, got"):
        display.from_estimator(estimator, x)


def test_what_is_missing_is_said(x):
    with pytest.raises(NotFittedError):
        LatentsDisplay.from_estimator(LinearVAE(2), x)
    with pytest.raises(DataError, match="estimator must be LinearVAE, or"):
        LatentsDisplay.from_estimator(LinearCVAE(2).fit(x[:, :1], x[:, 1:]), x)
    with pytest.raises(ObjectiveError, match="forecast must be a Forecast"):
        SpectrumDisplay(None)
    with pytest.raises(ObjectiveError, match="measurement must be a Measurement"):
        LatentsDisplay(None)
    with pytest.raises(DataError, match="give one of log_variance, variance and std"):
        LatentsDisplay.from_predictions(x)
