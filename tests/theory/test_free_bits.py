"""Free bits: the exact objective minimised from many starts, and cases that can be seen through."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from uncollapse.theory.free_bits import balanced_weight, free_each, free_in_all, level_of_rate
from uncollapse.theory.optimum import at_modes

KINDS = {"each": free_each, "in all": free_in_all}


def minimised(strengths, k, tau, free, *, each, rng, n_starts=8):
    """Least D/2 + τ·paid over means V, widths σ and what is paid, which is at least the KL and at least the floor.

    Nothing is assumed of directions: V is a full matrix, the decoder the best linear one.
    """
    d, n_paid = len(strengths), k if each else 1
    split = [d * k, d * k + k]

    def parts(v):
        means, log_variance, paid = np.split(v, split)
        return means.reshape(d, k), log_variance, paid

    def value(v):
        means, log_variance, paid = parts(v)
        scaled = means / np.exp(log_variance / 2)
        left = np.linalg.inv(np.eye(d) + scaled @ scaled.T)
        pull = -left @ (strengths[:, None] * (left @ scaled))
        gradient = [(pull / np.exp(log_variance / 2)).ravel(), -0.5 * (pull * scaled).sum(0), np.full(n_paid, tau)]
        return 0.5 * strengths @ np.diag(left) + tau * paid.sum(), np.concatenate(gradient)

    def room(v):
        means, log_variance, paid = parts(v)
        kl = 0.5 * ((means**2).sum(0) + np.exp(log_variance) - 1 - log_variance)
        return paid - (kl if each else kl.sum())

    def slope(v):
        means, log_variance, _ = parts(v)
        each_latent = np.zeros((k, len(v)))
        for i in range(k):
            own = np.zeros((d, k))
            own[:, i] = -means[:, i]
            each_latent[i, : d * k] = own.ravel()
            each_latent[i, d * k + i] = -0.5 * (np.exp(log_variance[i]) - 1)
        total = each_latent if each else each_latent.sum(0, keepdims=True)
        total[:, split[1] :] = np.eye(n_paid)
        return total

    bounds = [(None, None)] * split[1] + [(free, None)] * n_paid
    best, kl = np.inf, np.zeros(k)
    for _ in range(n_starts):
        start = [rng.uniform(0.1, 2) * rng.standard_normal(d * k), rng.uniform(-2, 0, k), np.full(n_paid, free + k)]
        found = minimize(
            value, np.concatenate(start), jac=True, method="SLSQP", bounds=bounds,
            constraints={"type": "ineq", "fun": room, "jac": slope}, options={"maxiter": 500, "ftol": 1e-14},
        )  # fmt: skip
        if room(found.x).min() > -1e-7 and found.fun < best:
            means, log_variance, _ = parts(found.x)
            best, kl = found.fun, 0.5 * ((means**2).sum(0) + np.exp(log_variance) - 1 - log_variance)
    return best, np.sort(kl)[::-1]


@pytest.mark.parametrize("kind", KINDS)
def test_no_start_finds_less_and_the_best_has_its_kls(kind, rng):
    for _ in range(8):
        d, k = rng.integers(1, 5, size=2)
        strengths = np.sort(np.exp(rng.normal(0.5, 1.2, d)))[::-1]
        tau, free = float(np.exp(rng.normal(0, 0.4))), float(rng.choice([0.03, 0.2, 0.7]))
        closed = KINDS[kind](tau, strengths, int(k), free)
        cost, kl = minimised(strengths, int(k), tau, free, each=kind == "each", rng=rng)
        assert closed.cost == pytest.approx(cost, rel=1e-6, abs=1e-7)
        if kind == "each":
            np.testing.assert_allclose(closed.kl, kl, atol=5e-3)


def test_sharing_beats_a_mode_for_each_latent():
    """The guess that each latent keeps its own mode holds for equal modes alone."""
    free, tau = 0.3, 5.0

    def guess(strengths):
        return strengths.sum() * np.exp(-2 * free) / 2 + tau * free * len(strengths)

    equal, apart = np.array([2.0, 2.0]), np.array([3.9, 0.1])
    assert free_each(tau, equal, 2, free).cost == pytest.approx(guess(equal))
    assert free_each(tau, apart, 2, free).cost < guess(apart) - 0.3
    assert free_each(tau, apart, 2, free).distortion[1] == 0.1  # nothing of the weak mode is coded, no latent is dead


def test_free_latents_without_end_code_everything_for_nothing_but_the_floor():
    strengths, tau = np.array([4.0, 1.0]), 1.0
    left = [free_each(tau, strengths, k, 0.05).distortion.sum() for k in (10, 100, 1000)]
    assert left[0] > 2 * left[1] > 10 * left[2]


def test_a_tiny_floor_feeds_the_mode_nearest_to_the_water():
    """On the log scale: 1.2 above 1 is nearer than 0.5 below it, and farther than 0.95."""
    near_above = free_each(1.0, np.array([5.0, 1.2, 0.5]), 5, 1e-5)
    assert near_above.distortion[2] == 0.5
    assert near_above.kl[1] < np.log(1.2) / 2 - 1e-5
    near_below = free_each(1.0, np.array([5.0, 1.2, 0.95]), 5, 1e-5)
    assert near_below.distortion[2] < 0.95
    assert near_below.kl[1] == pytest.approx(np.log(1.2) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_floor_that_goes_to_nothing_is_the_forecast(kind):
    strengths, tau = np.array([4.0, 1.5, 0.5]), 1.0
    plain = at_modes(tau, strengths, rho=None, n_usable=3, alive=strengths > tau, prior_std=1.0)
    found = KINDS[kind](tau, strengths, 3, 1e-12)
    np.testing.assert_allclose(found.kl, plain.kl, atol=1e-9)
    np.testing.assert_allclose(found.distortion, plain.distortion, atol=1e-9)
    assert found.cost == pytest.approx(plain.distortion.sum() / 2 + tau * plain.kl.sum(), abs=1e-9)


def test_the_level_of_a_rate_spends_it(rng):
    strengths = np.sort(np.exp(rng.normal(0, 1.5, 6)))[::-1]
    for rate in (0.1, 1.0, 10.0):
        level = level_of_rate(strengths, rate)
        assert (np.log(np.maximum(strengths / level, 1)) / 2).sum() == pytest.approx(rate)
    spent = brentq(lambda tau: (np.log(np.maximum(strengths / tau, 1)) / 2).sum() - 10.0, 1e-9, strengths[0])
    assert level == pytest.approx(spent)


def test_a_capacity_is_a_floor_in_all():
    """γ|Σ KL − C| is least where γ max(C, Σ KL) is: along the curve of least distortion, on a fine grid."""
    strengths, capacity = np.array([4.0, 1.5, 0.5]), 1.2
    levels = np.geomspace(1e-3, 4.0, 200_001)
    rates = (np.log(np.maximum(strengths[:, None] / levels, 1)) / 2).sum(0)
    distortions = np.minimum(strengths[:, None], levels).sum(0)
    for gamma in (0.1, 1.0, 30.0):
        best = int(np.argmin(distortions / 2 + gamma * np.abs(rates - capacity)))
        closed = free_in_all(gamma, strengths, 3, capacity)
        assert closed.kl.sum() == pytest.approx(rates[best], abs=1e-3)
        assert closed.distortion.sum() == pytest.approx(distortions[best], abs=1e-3)


def test_a_kl_balance_rests_where_the_smaller_weight_does():
    """Descent of one latent on the balance's own gradient: D in full, KL by the encoder's share alone."""
    torch = pytest.importorskip("torch")
    strength, beta, alpha = 4.0, 2.0, 0.8
    values = torch.tensor([0.5, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([values], max_iter=2000, tolerance_grad=1e-10, tolerance_change=1e-16, lr=0.3)

    def closure():
        optimiser.zero_grad()
        mean, log_variance, decoder = values
        variance = log_variance.exp()
        misfit = strength * (1 - decoder * mean) ** 2 + decoder**2 * strength * variance
        kl = 0.5 * (mean**2 + variance - 1 - log_variance)
        balance = alpha * kl.detach() + (1 - alpha) * kl  # p = N(0, 1) has nothing to learn
        loss = misfit / 2 + beta * balance
        loss.backward()
        return loss

    optimiser.step(closure)
    mean, log_variance, _ = values.detach()
    kl = float(0.5 * (mean**2 + log_variance.exp() - 1 - log_variance))
    assert kl == pytest.approx(np.log(strength / balanced_weight(beta, alpha)) / 2, rel=1e-6)
