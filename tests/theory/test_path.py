"""The gain of a linear path, its weights and its threshold, by minimising the loss itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from uncollapse.theory.path import linear_path


def loss(a, s2, b, lam, eta2, beta, prior):
    """Of one direction: E(r − b z)²/2η² + β KL, less that without the path; z has mean a·u and variance s²."""
    missed = -2 * b * a * np.sqrt(lam) + b**2 * (a**2 + s2)
    kl = 0.5 * (a**2 / prior + s2 / prior - 1 - np.log(s2 / prior))
    return missed / (2 * eta2) + beta * kl


@pytest.mark.parametrize("prior", [1.0, 3.0])
@pytest.mark.parametrize("above", [1.05, 1.7, 40.0])
def test_free_widths_are_the_minimum_of_the_loss(rng, prior, above):
    beta, eta2 = rng.uniform(0.2, 5.0, 2)
    lam = above * beta * eta2
    path = linear_path(np.array([lam]), beta * eta2, beta, prior_variance=prior)
    a, s2, b = path.amplitude[0], path.variance[0], path.slope[0]
    assert loss(a, s2, b, lam, eta2, beta, prior) == pytest.approx(-path.gain[0], rel=1e-9)
    best = minimize(
        lambda p: loss(p[0], np.exp(p[1]), p[2], lam, eta2, beta, prior),
        [0.9 * a, np.log(s2) + 0.1, 1.1 * b],
        tol=1e-12,
    )
    assert -best.fun == pytest.approx(path.gain[0], rel=1e-5)
    assert path.kl[0] == pytest.approx(0.5 * np.log(above), rel=1e-9)


@pytest.mark.parametrize("width", [0.3, 1.0, 2.5])
def test_given_widths_are_the_minimum_of_the_loss(rng, width):
    beta, eta2, prior = rng.uniform(0.2, 5.0, 3)
    level = beta * eta2
    lam = 2.3 * level * width / prior
    path = linear_path(np.array([lam]), level, beta, prior_variance=prior, encoder_variance=width)
    start = loss(0.0, width, 0.0, lam, eta2, beta, prior)
    best = minimize(
        lambda p: loss(p[0], width, p[1], lam, eta2, beta, prior) - start,
        [1.1 * path.amplitude[0], 0.9 * path.slope[0]],
        tol=1e-12,
    )
    assert -best.fun == pytest.approx(path.gain[0], rel=1e-5)
    own = loss(path.amplitude[0], width, path.slope[0], lam, eta2, beta, prior) - start
    assert own == pytest.approx(-path.gain[0], rel=1e-9)
    assert path.kl[0] - 0.5 * (width / prior - 1 - np.log(width / prior)) == pytest.approx(
        path.amplitude[0] ** 2 / (2 * prior), rel=1e-9
    )


def test_nothing_lives_under_the_water(rng):
    level = float(rng.uniform(0.5, 2.0))
    path = linear_path(level * np.array([0.0, 0.5, 1.0, 1.01]), level, 1.0)
    for name in ("gain", "kl", "slope", "amplitude"):
        assert getattr(path, name)[:3].tolist() == [0.0] * 3
    assert path.variance[:3].tolist() == [1.0] * 3
    assert path.gain[3] > 0


def test_a_dead_latent_of_given_width_keeps_it(rng):
    path = linear_path(np.array([0.1, 0.3]), 1.0, 2.0, prior_variance=2.0, encoder_variance=0.8)
    assert path.gain.tolist() == path.amplitude.tolist() == path.slope.tolist() == [0.0, 0.0]
    assert path.variance == pytest.approx([0.8, 0.8])
    assert path.kl == pytest.approx([0.5 * (0.4 - 1 - np.log(0.4))] * 2)
