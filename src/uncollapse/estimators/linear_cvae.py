"""The linear conditional VAE at its global optimum, as a scikit-learn regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.estimators.closed_form import ClosedFormEstimator
from uncollapse.spectra.one_pass import moments

__all__ = ["LinearCVAE"]


class LinearCVAE(MultiOutputMixin, RegressorMixin, ClosedFormEstimator):  # type: ignore[misc]
    """Linear conditional VAE of y given X, fitted by its closed-form global optimum.

    `predict` is the decoder with the latents at their prior mean, which is the regression of y on X; the latents code
    what that leaves.

    Parameters
    ----------
    n_components : int, optional
        Number of latents; as many as the residual has modes when left out.
    beta : float
        Weight of the KL term.
    decoder_variance : float or "learned"
        η² of the decoder.
    prior_variance : float
        Of each latent.
    encoder_variance : "learned", float or sequence
        σ² of q(z|x, y).
    ddof : int
        Covariances are divided by ``n - ddof``.

    Attributes
    ----------
    forecast_ : Forecast
        Which latents live given the condition, and what would change it.
    coef_ : ndarray of shape (n_targets, n_features)
        B, the decoder's map of the condition.
    intercept_ : ndarray of shape (n_targets,)
    n_components_ : int
    components_ : ndarray of shape (n_components_, n_targets)
        Unit directions of the residual's modes, strongest first.
    noise_variance_ : float
        Decoder variance, given or at its optimum.
    decoder_, encoder_ : ndarrays of shape (n_targets, n_components_)
        U and W; the posterior mean is Wᵀ(y − predict(x)).
    encoder_std_ : ndarray of shape (n_components_,)

    See Also
    --------
    uncollapse.forecast : The same optimum, with ``given=X``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from uncollapse import LinearCVAE
    >>> sepals, petals = load_iris().data[:, :2], load_iris().data[:, 2:]
    >>> LinearCVAE(decoder_variance=0.05).fit(sepals, petals).forecast_.n_alive
    1
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Find the optimum for targets `y` of shape (n_samples, n_targets) given the rows of `X`."""
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        self._is_flat = y.ndim == 1
        weights = self._solve(moments(X, y.reshape(len(y), -1)), given=True).weights
        self.coef_ = np.asarray(weights.decoder_condition)
        self.intercept_ = weights.decoder_bias
        return self

    def predict(self, X: Any) -> np.ndarray:
        """E[y | x] of the model, shape (n_samples, n_targets), or (n_samples,) as `y` was given."""
        mean = self._mean(X)
        return mean[:, 0] if self._is_flat else mean

    def encode(self, X: Any, y: Any) -> np.ndarray:
        """Posterior means of the latents, shape (n_samples, n_components_); 0 for collapsed ones."""
        return self._left(X, y) @ self.encoder_

    def log_likelihood(self, X: Any, y: Any) -> np.ndarray:
        """log p(y | x) of each row under decoder and prior, nats, shape (n_samples,)."""
        return self._log_density(self._left(X, y))

    def sample(self, X: Any, random_state: Any = None) -> np.ndarray:
        """One draw of y for each row of `X`, decoder noise included, shape (n_samples, n_targets)."""
        mean = self._mean(X)
        drawn: np.ndarray = mean + self._drawn(len(mean), random_state)
        return drawn

    def _mean(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        mean: np.ndarray = X @ np.transpose(self.coef_) + self.intercept_
        return mean

    def _left(self, X: Any, y: Any) -> np.ndarray:
        mean, given = self._mean(X), checks.array(y, "y", error=DataError)
        if given.ndim == 1 and mean.shape[1] == 1:
            given = given[:, None]
        if given.shape != mean.shape:
            raise DataError(f"X and the model call for targets of shape {mean.shape}, got {given.shape}")
        left: np.ndarray = given - mean
        return left
