"""Pictures of estimators in scikit-learn's manner: `from_estimator`, `from_predictions`, `ax_`, `figure_`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.estimators.closed_form import ClosedFormEstimator
from uncollapse.estimators.linear_vae import LinearVAE
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.arrays import measure_posterior
from uncollapse.measure.result import Measurement

__all__ = ["LatentsDisplay", "SpectrumDisplay"]


class SpectrumDisplay:
    """Strength of each mode as a bar, alive or collapsed, with the water level across. Needs the extra `plot`.

    Parameters
    ----------
    forecast : Forecast
        Such as `forecast_` of a fitted estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from uncollapse import LinearVAE
    >>> display = SpectrumDisplay.from_estimator(LinearVAE(n_components=3), load_wine().data)
    >>> display.ax_.get_ylabel()
    'strength ζ²'
    """

    ax_: Any
    figure_: Any

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = checks.instance(forecast, "forecast", Forecast)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Draw what an estimator of this package finds in data.

        Parameters
        ----------
        estimator : LinearVAE, LinearCVAE, or a Pipeline that ends in one
            A clone of it is fitted; it may be fitted or not.
        X, y : array_like
            As for its `fit`.
        ax : matplotlib Axes, optional

        Raises
        ------
        DataError
            Another estimator.
        """
        return cls(_last(clone(_ours(estimator, ClosedFormEstimator)).fit(X, y)).forecast_).plot(ax)

    @classmethod
    def from_forecast(cls, forecast: Forecast, *, ax: Any = None) -> Self:
        """Draw a forecast."""
        return cls(forecast).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw on `ax`, or on new axes."""
        self.ax_ = self.forecast.plot(ax)
        self.figure_ = self.ax_.figure
        return self


class LatentsDisplay:
    """KL of each latent as a bar, alive or collapsed, beside the share of collapsed latents. Needs the extra `plot`.

    Parameters
    ----------
    measurement : Measurement

    Attributes
    ----------
    axes_ : ndarray of two matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> display = LatentsDisplay.from_predictions(np.eye(3), log_variance=np.zeros((3, 3)))
    >>> display.measurement.n_alive
    3
    """

    axes_: Any
    figure_: Any

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = checks.instance(measurement, "measurement", Measurement)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, ax: Any = None) -> Self:
        """Draw the posteriors of a fitted estimator on data.

        Parameters
        ----------
        estimator : LinearVAE, or a Pipeline that ends in one
            Fitted.
        X : array_like
            As for its `transform`.
        ax : sequence of two matplotlib Axes, optional

        Raises
        ------
        DataError
            Another estimator.
        """
        mean = np.asarray(_ours(estimator, LinearVAE).transform(X))
        last = _last(estimator)
        prior = last.forecast_.objective.prior_variance
        return cls(measure_posterior(mean, std=last.encoder_std_[None], prior_variance=prior)).plot(ax)

    @classmethod
    def from_predictions(cls, mean: Any, *, ax: Any = None, **spread: Any) -> Self:
        """Draw the posteriors of any encoder.

        Parameters
        ----------
        mean : array_like of shape (n_samples, n_latents)
        ax : sequence of two matplotlib Axes, optional
        **spread
            As in `measure_posterior`: ``log_variance``, ``variance`` or ``std``, and the prior.
        """
        return cls(measure_posterior(mean, **spread)).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw on two axes, or on new ones."""
        self.axes_ = self.measurement.plot(ax)
        self.figure_ = self.axes_[0].figure
        return self


def _last(estimator: Any) -> Any:
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def _ours(estimator: Any, kind: type) -> Any:
    """The estimator, refused if it does not end in one of ours."""
    wanted = "LinearVAE or LinearCVAE" if kind is ClosedFormEstimator else "LinearVAE"
    if isinstance(estimator, type) or not isinstance(_last(estimator), kind):
        raise DataError(f"estimator must be {wanted}, or a Pipeline that ends in one, got {checks.shown(estimator)}")
    return estimator
