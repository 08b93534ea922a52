"""The linear VAE at its global optimum, as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.estimators.closed_form import ClosedFormEstimator
from uncollapse.spectra.one_pass import Moments, moments

__all__ = ["LinearVAE"]


class LinearVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClosedFormEstimator):  # type: ignore[misc]
    """Linear variational autoencoder, fitted by its closed-form global optimum instead of by gradient descent.

    Parameters
    ----------
    n_components : int, optional
        Number of latents; as many as the data have modes when left out.
    beta : float
        Weight of the KL term.
    decoder_variance : float or "learned"
        η² of the decoder.
    prior_variance : float
        Of each latent.
    encoder_variance : "learned", float or sequence of floats
        σ² of q(z|x).
    ddof : int
        Covariances are divided by ``n - ddof``. 1, as in `sklearn.decomposition.PCA`, makes the two agree to rounding;
        0 is the average that a loss over the training set takes, and what `uncollapse.forecast` uses.

    Attributes
    ----------
    forecast_ : Forecast
        Which latents live, the loss, and what would change it.
    n_components_ : int
    components_ : ndarray of shape (n_components_, n_features)
        Unit directions of the decoder, strongest first; those of collapsed latents are the modes they would carry.
    explained_variance_ : ndarray of shape (n_components_,)
        Mode strengths.
    noise_variance_ : float
        Decoder variance, given or at its optimum.
    decoder_, encoder_ : ndarrays of shape (n_features, n_components_)
        U and W, with zero columns for collapsed latents.
    encoder_std_ : ndarray of shape (n_components_,)
    mean_ : ndarray of shape (n_features,)
    n_samples_ : int

    See Also
    --------
    uncollapse.forecast : The same optimum for a target, for other likelihoods, and without biases.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from uncollapse import LinearVAE
    >>> vae = LinearVAE(n_components=3, decoder_variance="learned").fit(load_wine().data)
    >>> vae.forecast_.n_alive, round(vae.noise_variance_, 3)
    (3, 0.774)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the optimum on the rows of `X`; `y` is ignored."""
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        return self._fitted(moments(X))

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Find the optimum on all rows given since the last `fit`; the result is that of one `fit` on their union."""
        seen = getattr(self, "_moments", None)
        X = validate_data(
            self, X, dtype=[np.float64, np.float32], reset=seen is None, ensure_min_samples=2 if seen is None else 1
        )
        return self._fitted(moments(X) if seen is None else seen + moments(X))

    def transform(self, X: Any) -> np.ndarray:
        """Posterior means, shape (n_samples, n_components_); 0 for collapsed latents."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return (X - self.mean_) @ self.encoder_

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Decoder means of latent values, shape (n_samples, n_features)."""
        check_is_fitted(self)
        z = checks.array(X, "X", error=DataError)
        if z.ndim == 0 or z.shape[-1] != self.n_components_:
            raise DataError(f"X must hold {self.n_components_} latents a row, got {checks.shown(X)}")
        return z @ self.decoder_.T + self.mean_

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-likelihood of each row under the decoder and prior, nats, shape (n_samples,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._log_density(X - self.mean_)

    def score(self, X: Any, y: Any = None) -> float:
        """Average log-likelihood of the rows, nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Rows drawn from prior and decoder, noise included, shape (n_samples, n_features)."""
        check_is_fitted(self)
        drawn: np.ndarray = self._drawn(n_samples, random_state) + self.mean_
        return drawn

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    def _fitted(self, summed: Moments) -> Self:
        result = self._solve(summed)
        self._moments = summed
        self.n_samples_ = summed.n_samples
        self.explained_variance_ = result.spectrum.strengths[: result.n_usable]
        self.mean_ = summed.mean
        return self
