"""What the estimators share: their parameters, the forecast that these make, densities of rows and draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.objective import Learned, Objective
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.one_pass import Moments
from uncollapse.theory.ppca import log_density, signal_variances

__all__ = ["ClosedFormEstimator"]

MOST_VALUES = 2**31
"""Most numbers of one draw: 16 GB."""


class ClosedFormEstimator(BaseEstimator):  # type: ignore[misc]
    """The parameters that linear VAEs share; see `LinearVAE`."""

    forecast_: Forecast
    components_: np.ndarray
    decoder_: np.ndarray
    noise_variance_: float

    def __init__(
        self,
        n_components: int | None = None,
        *,
        beta: float = 1.0,
        decoder_variance: float | Learned = 1.0,
        prior_variance: float = 1.0,
        encoder_variance: Any = "learned",
        ddof: int = 1,
    ) -> None:
        self.n_components = n_components
        self.beta = beta
        self.decoder_variance = decoder_variance
        self.prior_variance = prior_variance
        self.encoder_variance = encoder_variance
        self.ddof = ddof

    def _solve(self, summed: Moments, *, given: bool | None = None) -> Forecast:
        """The optimum on these sums, its arrays stored under the names that scikit-learn gives them."""
        n_latents = None if self.n_components is None else checks.size(self.n_components, "n_components")
        ddof = checks.count(self.ddof, "ddof", most=summed.n_samples - 1, why=f"there are {summed.n_samples} rows")
        objective = Objective(
            beta=self.beta,
            decoder_variance=self.decoder_variance,
            prior_variance=self.prior_variance,
            encoder_variance=self.encoder_variance,
            n_latents=n_latents,
        )
        result = forecast(spectrum(summed, given=given, ddof=ddof), objective=objective)
        weights = result.weights
        self.forecast_ = result
        self.n_components_ = result.n_latents
        self.components_ = result.spectrum.basis.decoder[:, : result.n_usable].T
        self.noise_variance_ = result.decoder_variance
        self.decoder_, self.encoder_ = weights.decoder, weights.encoder
        self.encoder_std_ = weights.encoder_std
        return result

    def _log_density(self, centred: np.ndarray) -> np.ndarray:
        """log p of rows less the decoder's bias, under decoder and prior, nats, shape (n_samples,)."""
        f, n = self.forecast_, self.forecast_.n_usable
        signal = signal_variances(f.modes.decoder_gain[:n], f.objective.prior_variance)
        return log_density(centred, self.components_[:n].T, signal, self.noise_variance_)

    def _drawn(self, n_samples: int, random_state: Any) -> np.ndarray:
        """Rows less the decoder's bias: latents from the prior, decoded, with noise; shape (n_samples, n_targets)."""
        n_samples, (n_targets, n_latents) = checks.size(n_samples, "n_samples"), self.decoder_.shape
        if n_samples * max(n_targets, n_latents) > MOST_VALUES:
            raise ObjectiveError(f"{n_samples} rows of {n_targets} numbers do not fit in memory; draw fewer at a time")
        try:
            rng = check_random_state(random_state)
        except (ValueError, TypeError):
            what = f"None, a whole number or a RandomState, got {checks.shown(random_state)}"
            raise ObjectiveError(f"random_state must be {what}") from None
        z = rng.normal(scale=np.sqrt(self.forecast_.objective.prior_variance), size=(n_samples, n_latents))
        noise = rng.normal(scale=np.sqrt(self.noise_variance_), size=(n_samples, n_targets))
        drawn: np.ndarray = z @ self.decoder_.T + noise
        return drawn
