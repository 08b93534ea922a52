"""The residual water-level test against simulation and against the loss itself."""

from __future__ import annotations

import numpy as np
import pytest

from problems import rows_with_spectrum
from uncollapse import forecast
from uncollapse.theory.residual import residual_spectrum


def test_the_linear_optimum_leaves_min_of_strength_squared_and_level(rng):
    """At the optimum of mode i, r̄ keeps (τ/ζ²)² of its variance ζ²: τ²/ζ² alive, ζ² dead, by hand from section 1."""
    strengths, tau = np.array([6.0, 3.0, 0.8, 0.3]), 1.5
    x = rows_with_spectrum(strengths, 500, 4, rng)
    w = forecast(x, beta=tau, n_latents=4).weights
    mean = x @ w.encoder + w.encoder_bias
    draws = [(mean + w.encoder_std * rng.standard_normal(mean.shape)) @ w.decoder.T + w.decoder_bias for _ in range(64)]
    expected = sorted([tau**2 / 6, tau**2 / 3, 0.8, 0.3], reverse=True)
    assert residual_spectrum(x - draw for draw in draws).strengths == pytest.approx(expected, abs=0.03)


def test_the_noise_of_few_draws_is_taken_out(rng):
    """f(z) is pure noise around x: nothing is left, however few the draws, and without the correction a third is."""
    x = rng.standard_normal((4000, 3)) * [3.0, 2.0, 1.0]
    draws = [x + rng.standard_normal(x.shape) for _ in range(3)]
    assert np.abs(residual_spectrum(x - draw for draw in draws).strengths).max() < 0.05
    plain = np.linalg.eigvalsh(np.cov(np.mean(draws, axis=0) - x, rowvar=False))
    assert plain.min() > 0.25


@pytest.mark.parametrize(("strength", "helps"), [(1.3, True), (0.7, False)])
def test_a_dead_latent_opened_along_the_top_direction_lowers_the_loss_only_above_the_level(rng, strength, helps):
    """The loss of the model itself, with and without a small path for its second latent."""
    tau = 1.0
    x = rows_with_spectrum(np.array([4.0, strength, 0.2]), 300, 3, rng)
    first = forecast(x, beta=tau, n_latents=2).weights
    directions = np.linalg.svd(x - x.mean(0), full_matrices=False)[2]
    width = np.array([first.encoder_std[0], 1.0])
    encoder, decoder = first.encoder * [1.0, 0.0], first.decoder * [1.0, 0.0]
    mean = x @ encoder
    draws = [(mean + width * rng.standard_normal(mean.shape)) @ decoder.T for _ in range(64)]
    top = residual_spectrum(x - draw for draw in draws).strengths[0]
    assert top == pytest.approx(strength, abs=0.02)

    def loss(step: float) -> float:
        u, w = decoder.copy(), encoder.copy()
        u[:, 1] = step * directions[1]
        w[:, 1] = step * directions[1] / np.sqrt(tau * strength)
        m = x @ w
        misfit = ((m @ u.T - x) ** 2).sum(1).mean() + (u**2 * width**2).sum()
        kl = 0.5 * ((m**2).mean(0) + width**2 - 1 - np.log(width**2)).sum()
        return 0.5 * misfit + tau * kl

    assert (loss(0.05) < loss(0.0)) == helps
    assert (top > tau) == helps


def test_one_draw_cannot_tell_noise_from_residual():
    with pytest.raises(ValueError, match="two of them"):
        residual_spectrum([np.eye(3)])
