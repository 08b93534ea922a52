"""The optimal parameters themselves: U, W, Σ, biases and decoder variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uncollapse.errors import ObjectiveError

if TYPE_CHECKING:
    from uncollapse.forecast import Forecast

__all__ = ["Weights", "optimal_weights"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Parameters of the linear VAE at its global optimum; latent j lives in column j.

    Attributes
    ----------
    decoder : ndarray of shape (d2, d1)
        U, columns F λ; zero for a collapsed latent.
    encoder : ndarray of shape (d0, d1)
        W, columns E θ, so that the posterior mean is Wᵀx + b_e.
    encoder_std : ndarray of shape (d1,)
        σ of q(z|x).
    encoder_bias : ndarray of shape (d1,)
        −WᵀE[x] (Wang & Ziyin 2022, Proposition 4).
    decoder_bias : ndarray of shape (d2,)
        E[y].
    decoder_variance : float
    """

    decoder: np.ndarray
    encoder: np.ndarray
    encoder_std: np.ndarray
    encoder_bias: np.ndarray
    decoder_bias: np.ndarray
    decoder_variance: float


def optimal_weights(f: Forecast) -> Weights:
    """Parameters at the global optimum of a forecast; see `Forecast.weights`."""
    s, o = f.spectrum, f.objective
    if not f.exact:
        raise ObjectiveError(f"no closed-form weights are known for a {s.likelihood} decoder; ask for a Gaussian one")
    if f.ill_posed:
        raise ObjectiveError(f"no optimal weights exist: {f.ill_posed}")
    n, d1 = f.n_usable, f.n_latents
    # with fixed widths latent j keeps its own σ, and the narrowest takes the strongest mode (docs/errata.md, 2)
    std = np.full(d1, math.sqrt(o.prior_variance))
    latent = np.arange(d1)
    if o.encoder_variance != "learned":
        std = np.sqrt(np.broadcast_to(o.encoder_variance, d1).astype(float))
        latent = np.argsort(std, kind="stable")
    latent = latent[:n]
    std[latent] = f.modes.encoder_std[:n]
    decoder, encoder = np.zeros((s.n_targets, d1)), np.zeros((s.n_features, d1))
    decoder[:, latent] = s.basis.decoder[:, :n] * f.modes.decoder_gain[:n]
    encoder[:, latent] = s.basis.encoder[:, :n] * f.modes.encoder_gain[:n]
    encoder_bias = -(s.mean_input @ encoder) if o.bias else np.zeros(d1)
    decoder_bias = s.mean_target if o.bias else np.zeros(s.n_targets)
    return Weights(decoder, encoder, std, encoder_bias, decoder_bias, f.decoder_variance)
