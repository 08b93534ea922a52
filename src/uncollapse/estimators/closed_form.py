"""What the estimators share: their parameters, and the objective that these make."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from uncollapse.objective import Learned, Objective

__all__ = ["ClosedFormEstimator"]


class ClosedFormEstimator(BaseEstimator):  # type: ignore[misc]
    """The parameters that linear VAEs share; see `LinearVAE`."""

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

    def _objective(self) -> Objective:
        return Objective(
            beta=self.beta,
            decoder_variance=self.decoder_variance,
            prior_variance=self.prior_variance,
            encoder_variance=self.encoder_variance,
            n_latents=self.n_components,
        )
