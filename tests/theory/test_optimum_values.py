"""The closed forms of one level, mode by mode, against a search over one number at a time."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from uncollapse.theory.assignment import critical_water_levels, fixed_gain, learned_gain, lives, pair_modes
from uncollapse.theory.critical import critical_betas, decoder_variances, energy_left
from uncollapse.theory.optimum import at_modes, fixed_width_kl, joined, summed, totals

STRENGTHS = np.array([7.0, 3.0, 1.2, 0.4])


def saved(strength: float, tau: float, rho: float | None) -> float:
    """What a latent takes off 2η²L on a mode, by search over one number (docs/theory.md section 1).

    A learned width that leaves the distortion D costs D + τ log(ζ²/D). A given width ρ with the encoder's mean
    a·g costs the error of the best decoder, plus τa².
    """
    if rho is None:
        cost = lambda log_d: np.exp(log_d) + tau * (np.log(strength) - log_d)  # noqa: E731
        top = np.log(strength)
        best = minimize_scalar(cost, bounds=(top - 30, top), method="bounded", options={"xatol": 1e-12}).fun
        return strength - min(best, strength)

    def fixed(a: float) -> float:
        return strength - strength * a**2 / (a**2 + rho**2) + tau * a**2

    best = minimize_scalar(fixed, bounds=(0, 50), method="bounded", options={"xatol": 1e-12}).fun
    return strength - min(best, strength)


@pytest.mark.parametrize("rho", [0.3, 1.0, 1.8])
def test_gains_are_those_of_a_search(rho):
    for tau in (0.2, 1.0, 5.0):
        for s in STRENGTHS:
            assert fixed_gain(s, tau, rho) == pytest.approx(saved(s, tau, rho), abs=1e-6)
            assert learned_gain(np.array([s]), tau)[0] == pytest.approx(saved(s, tau, None), abs=1e-6)


def test_a_mode_lives_strictly_above_its_water():
    rho = np.array([1.0, 0.5, np.nan, 2.0])
    np.testing.assert_allclose(critical_water_levels(STRENGTHS, rho), [7.0, 12.0, 1.2, 0.1])
    np.testing.assert_array_equal(critical_water_levels(STRENGTHS, None), STRENGTHS)
    np.testing.assert_array_equal(lives(STRENGTHS, None, 3.0), [True, False, False, False])
    np.testing.assert_array_equal(lives(STRENGTHS, rho, 1.2), [True, True, False, False])


def test_modes_and_latents_are_paired_as_the_best_of_all_pairings(rng):
    for _ in range(60):
        m, n_learned = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        strengths = np.sort(np.exp(rng.uniform(-2, 2, m)))[::-1]
        rho = np.sort(np.exp(rng.uniform(-1.5, 1.5, int(rng.integers(0 if n_learned else 1, 4)))))
        tau = float(np.exp(rng.uniform(-2, 2)))
        widths = pair_modes(strengths, tau, rho, n_learned)
        latents = [*rho.tolist(), *[np.nan] * n_learned]
        k = min(m, len(latents))

        def gain(chosen, strengths=strengths, tau=tau):
            return sum(
                float(learned_gain(np.array([s]), tau)[0] if np.isnan(w) else fixed_gain(s, tau, w))
                for s, w in zip(strengths, chosen, strict=False)
            )

        best = max(gain(chosen) for chosen in permutations(latents, k))
        assert len(widths) == k
        assert gain(widths) == pytest.approx(best)
        left = latents.copy()  # nobody serves twice
        for w in widths:
            left.remove(next(x for x in left if x == w or (np.isnan(x) and np.isnan(w))))


def test_dead_modes_take_what_is_left_in_the_order_of_width():
    widths = pair_modes(np.array([5.0, 0.3, 0.2]), 1.0, np.array([0.8, 1.5]), 1)
    assert np.isnan(widths[0]) or widths[0] == 0.8
    rest = [1.0 if np.isnan(w) else w for w in widths[1:]]
    assert rest == sorted(rest)
    nobody = pair_modes(np.array([0.3, 0.2]), 1.0, np.array([1.5, 0.9]), 1)
    np.testing.assert_array_equal(nobody, [0.9, np.nan])  # a learned width is that of the prior, 1


def test_energy_left_counts_what_is_in_no_mode_and_no_rounding():
    np.testing.assert_allclose(energy_left(STRENGTHS, 13.6), [13.6, 6.6, 3.6, 2.4, 2.0])
    np.testing.assert_allclose(energy_left(STRENGTHS, 11.6 * (1 + 1e-10)), [11.6, 4.6, 1.6, 0.4, 0.0])
    np.testing.assert_allclose(energy_left(STRENGTHS, 11.6 * (1 - 1e-3))[-1], 0.0)
    large = energy_left(1e6 * STRENGTHS, 1e6 * 11.6 + 1.0)
    assert large[-1] == pytest.approx(1.0, rel=1e-6)


def best_variance(beta: float, total: float, d: int, rho: np.ndarray | None, n_usable: int) -> float:
    """η² at the least loss, the optimal modes put in: by search in log η²."""

    def loss(log_s: float) -> float:
        s = np.exp(log_s)
        gains = learned_gain(STRENGTHS, beta * s) if rho is None else fixed_gain(STRENGTHS, beta * s, rho)
        return (total - gains[:n_usable].sum()) / (2 * s) + d / 2 * log_s

    grid = np.linspace(-12, 6, 2000)
    start = grid[np.argmin([loss(g) for g in grid])]
    found = minimize_scalar(loss, bounds=(start - 0.02, start + 0.02), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x))


@pytest.mark.parametrize("rho", [None, np.array([0.4, 0.7, 1.0, 1.6])], ids=["learned", "given"])
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
def test_the_learned_decoder_variance_is_where_the_loss_is_least(rho, beta):
    total, d = 13.0, 9
    t = totals(np.array([beta]), STRENGTHS, total, d, decoder_variance=None, rho=rho, n_usable=3)
    expected = best_variance(beta, total, d, rho, 3)
    assert t.decoder_variance[0] == pytest.approx(expected, rel=1e-5)
    alone = decoder_variances(np.array([beta]), t.n_alive, STRENGTHS, total, d, rho)
    assert alone[0] == t.decoder_variance[0]


@pytest.mark.parametrize("rho", [None, np.array([0.4, 0.7, 1.0, 1.6])], ids=["learned", "given"])
def test_a_mode_dies_at_its_critical_beta_with_the_variance_learned(rho):
    total, d = 13.0, 9
    critical = critical_betas(STRENGTHS, total, d, None, rho)
    assert (np.diff(critical) < 0).all()
    for k in range(4):
        counts = [
            totals(np.array([b]), STRENGTHS, total, d, decoder_variance=None, rho=rho, n_usable=4).n_alive[0]
            for b in (critical[k] * (1 - 1e-6), critical[k] * (1 + 1e-6))
        ]
        assert counts == [k + 1, k]
        s = best_variance(critical[k], total, d, rho, 4)
        assert critical_water_levels(STRENGTHS, rho)[k] == pytest.approx(critical[k] * s, rel=1e-3)
    given = critical_betas(STRENGTHS, total, d, 2.0, rho)
    np.testing.assert_allclose(given, critical_water_levels(STRENGTHS, rho) / 2.0)


def test_with_no_latent_alive_the_variance_is_the_energy_per_target():
    s = decoder_variances(np.array([9.0]), np.array([0]), STRENGTHS, 13.0, 9, np.array([0.4, 0.7, 1.0, 1.6]))
    np.testing.assert_allclose(s, [13.0 / 9])


def test_a_variance_that_runs_to_zero_is_said_to():
    betas = np.array([0.5, 2.0])
    s = decoder_variances(betas, np.array([4, 4]), STRENGTHS, 11.6, 5, None)  # nothing is left; or no room
    np.testing.assert_array_equal(s, [0.0, 0.0])
    short = decoder_variances(np.array([2.0, 2.0, 2.5]), np.array([4, 4, 2]), STRENGTHS, 12.0, 5, None)
    np.testing.assert_array_equal(short, [0.0, 0.0, 0.0])  # energy is left, but d2 − βp is not above 0
    t = totals(betas[:1], STRENGTHS, 11.6, 5, decoder_variance=None, rho=None, n_usable=4)
    assert (t.decoder_variance[0], t.loss[0], t.elbo[0]) == (0.0, -np.inf, np.inf)


@pytest.mark.parametrize("rho", [None, np.array([0.4, 0.7, 1.0, 1.6])], ids=["learned", "given"])
def test_totals_are_sums_over_modes(rho):
    betas, eta2, d, total, width_kl = np.array([0.1, 1.0, 4.0, 50.0]), 0.8, 6, 12.5, 0.37
    t = totals(
        betas,
        STRENGTHS,
        total,
        d,
        decoder_variance=eta2,
        rho=rho,
        n_usable=3,
        width_kl=0.0 if rho is None else width_kl,
    )
    with np.errstate(all="raise"):
        plain = totals(betas, STRENGTHS, total, d, decoder_variance=eta2, rho=rho, n_usable=3)
    for i, beta in enumerate(betas):
        tau = beta * eta2
        alive = lives(STRENGTHS[:3], None if rho is None else rho[:3], tau)
        assert t.n_alive[i] == alive.sum()
        assert t.water_level[i] == pytest.approx(tau)
        gains = learned_gain(STRENGTHS, tau) if rho is None else fixed_gain(STRENGTHS, tau, rho)
        extra = 0.0 if rho is None else width_kl
        loss = (total - gains[:3].sum()) / (2 * eta2) + beta * extra
        assert t.loss[i] == pytest.approx(loss)
        assert plain.loss[i] == pytest.approx(loss - beta * extra)
        assert t.elbo[i] == pytest.approx(-loss - d / 2 * np.log(2 * np.pi * eta2))
        assert t.loss[i] == pytest.approx(t.distortion[i] / (2 * eta2) + beta * t.rate[i])
        modes = at_modes(tau, STRENGTHS, rho=rho, n_usable=3, alive=np.append(alive, False), prior_std=1.0)
        assert t.distortion[i] == pytest.approx(modes.distortion.sum() + total - STRENGTHS.sum())
        if rho is None:
            assert t.rate[i] == pytest.approx(modes.kl.sum())


def test_weights_and_water_levels_of_its_own_are_taken_over():
    one = np.ones(1)
    t = summed(2 * one, one, 0.5 * one, 3 * one, 4 * one, 6, weighted_rate=5 * one, water_level=9 * one)
    assert (t.loss[0], t.water_level[0]) == (4 / (2 * 0.5) + 2 * 5, 9.0)
    plain = summed(2 * one, one, 0.5 * one, 3 * one, 4 * one, 6)
    assert (plain.loss[0], plain.water_level[0]) == (4 / (2 * 0.5) + 2 * 3, 1.0)
    with np.errstate(all="raise"):
        nothing = summed(2 * one, one, 0 * one, 3 * one, 4 * one, 6)
    assert (nothing.loss[0], nothing.elbo[0]) == (-np.inf, np.inf)
    both = joined([t, plain])
    np.testing.assert_array_equal(both.loss, [14.0, 10.0])
    np.testing.assert_array_equal(both.n_alive, [1.0, 1.0])


@pytest.mark.parametrize("prior_std", [1.0, 1.7])
def test_modes_at_the_optimum_have_the_gradient_zero(prior_std):
    """u, v, σ of each mode: the loss of section 1, one mode at a time, is least there (by differences)."""
    tau, eta2 = 1.0, 0.5
    rho = np.array([np.nan, 0.6, np.nan, 0.5])
    alive = lives(STRENGTHS, rho, tau)
    o = at_modes(tau, STRENGTHS, rho=rho, n_usable=4, alive=alive, prior_std=prior_std)
    beta, e2 = tau / eta2, prior_std**2

    def loss(u, v, sigma, zeta):
        fit = (u * v - zeta) ** 2 + u**2 * sigma**2
        return fit / (2 * eta2) + beta / 2 * (v**2 / e2 + sigma**2 / e2 - 1 - np.log(sigma**2 / e2))

    for i, s in enumerate(STRENGTHS):
        at = [o.decoder_gain[i], o.encoder_gain[i], o.encoder_std[i]]
        for j in range(3):
            if j == 2 and not np.isnan(rho[i]):
                assert o.encoder_std[i] == pytest.approx(rho[i] * prior_std)
                continue
            step = np.eye(3)[j] * 1e-5
            slope = (loss(*(at + step), np.sqrt(s)) - loss(*(at - step), np.sqrt(s))) / 2e-5
            assert slope == pytest.approx(0.0, abs=1e-6)
        u, v, sigma = at
        assert o.distortion[i] == pytest.approx((u * v - np.sqrt(s)) ** 2 + u**2 * sigma**2)
        kl = 0.5 * (v**2 / e2 + sigma**2 / e2 - 1 - np.log(sigma**2 / e2))
        assert o.kl[i] == pytest.approx(kl)
    np.testing.assert_array_equal(o.alive, alive)


def test_modes_without_a_latent_have_no_width():
    o = at_modes(1.0, STRENGTHS, rho=None, n_usable=2, alive=np.array([True, True, False, False]), prior_std=2.0)
    np.testing.assert_array_equal(np.isnan(o.encoder_std), [False, False, True, True])
    np.testing.assert_array_equal(o.kl[2:], [0.0, 0.0])
    dead = at_modes(9.0, STRENGTHS, rho=np.full(4, 0.5), n_usable=3, alive=np.zeros(4, dtype=bool), prior_std=2.0)
    np.testing.assert_allclose(dead.encoder_std[:3], 1.0)
    np.testing.assert_allclose(dead.kl, [fixed_width_kl(0.5)] * 3 + [0.0])
    assert fixed_width_kl(np.array(0.5)) == pytest.approx(0.5 * (0.25 - 1 - np.log(0.25)))


def test_a_learned_width_without_life_is_the_priors():
    rho = np.array([np.nan, 0.5, np.nan, 0.5])
    o = at_modes(9.0, STRENGTHS, rho=rho, n_usable=4, alive=np.zeros(4, dtype=bool), prior_std=2.0)
    np.testing.assert_allclose(o.encoder_std, [2.0, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(o.kl, [0.0, fixed_width_kl(0.5), 0.0, fixed_width_kl(0.5)])


def test_no_warning_of_numpy_leaks_at_the_ends():
    with np.errstate(all="raise"):
        totals(np.array([1e-300, 1e300]), STRENGTHS, 12.0, 5, decoder_variance=1.0, rho=None, n_usable=4)
        at_modes(1e-300, STRENGTHS, rho=np.full(4, 1e-3), n_usable=4, alive=np.ones(4, dtype=bool), prior_std=1.0)
