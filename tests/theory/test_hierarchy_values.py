"""Hierarchies: conditions that only the optimum of a convex problem meets, and Gaussian moments written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uncollapse.theory.chain import Chain
from uncollapse.theory.hierarchy import critical_betas, optimum_at, water_levels
from uncollapse.theory.taut_string import concave_majorant, obstacles, taut_string

N_CHAINS = 4


def random_chain(rng: np.random.Generator, n_levels: int, n_latents: tuple[int, ...] | None = None) -> Chain:
    """Weights that rise from one learned level to the next, so that there is one minimum."""
    learned, betas = rng.random(n_levels) < 0.5, np.exp(rng.uniform(-1, 1, n_levels))
    betas[learned] = np.sort(betas[learned]) * (1 + 0.2 * np.arange(learned.sum()))
    widths = np.exp(rng.uniform(-1.5, 1.5, n_levels))
    eta2, prior = np.exp(rng.uniform(-1, 1, 2))
    return Chain(
        betas=tuple(betas.tolist()),
        variances=tuple(None if free else float(s) for free, s in zip(learned, widths, strict=True)),
        n_latents=n_latents or (N_CHAINS,) * n_levels,
        decoder_variance=float(eta2),
        prior_variance=float(prior),
    )


def runs(chain: Chain, index: int) -> list[tuple[int, int]]:
    """First and last level of each unbroken run of latents that one chain has."""
    found, start = [], None
    for level in range(chain.n_levels + 1):
        present = level < chain.n_levels and chain.n_latents[level] > index
        if present and start is None:
            start = level
        if not present and start is not None:
            found.append((start, level - 1))
            start = None
    return found


def assert_optimal(chain: Chain, beta: float, zeta2: float, t: np.ndarray, s: np.ndarray, run: tuple[int, int]) -> None:
    """Karush–Kuhn–Tucker: of a problem that is convex in (log t, log ρ), they hold at the global minimum alone.

    The cost is Σ_l w_l t_l ρ_{l+1}/(2η²) − ½ Σ_l w_l log s_l with w_0 = 1, w_l = ββ_l; ρ ≤ 1 always.
    """
    first, last = run
    weights = np.concatenate([[1.0], beta * np.array(chain.betas)])[first : last + 2]
    top = chain.decoder_variance / chain.prior_variance if last == chain.n_levels - 1 else 1.0
    t = np.concatenate([[zeta2 if first == 0 else 0.0], t[first : last + 1]])
    rho = np.concatenate([s[first : last + 1] / t[1:], [top]])
    terms = weights * t * rho / (2 * chain.decoder_variance)
    for i, level in enumerate(range(first, last + 1)):
        half = weights[i + 1] / 2
        scale = half + terms[i] + terms[i + 1]
        if chain.variances[level] is None:
            assert terms[i + 1] == pytest.approx(half, abs=1e-9 * scale)  # in log t
            slope = terms[i] - half  # in log ρ
            assert slope == pytest.approx(0, abs=1e-9 * scale) if rho[i] < 1 - 1e-9 else slope < 1e-9 * scale
        else:
            assert s[level] == pytest.approx(chain.variances[level])
            slope = terms[i + 1] - terms[i]  # in log t, with ρ = s/t
            assert slope == pytest.approx(0, abs=1e-9 * scale) if rho[i] < 1 - 1e-9 else slope > -1e-9 * scale


@pytest.mark.parametrize("n_levels", [1, 2, 3, 5])
def test_no_change_of_any_variance_lowers_the_cost(rng, n_levels):
    for _ in range(15):
        chain, zeta2 = random_chain(rng, n_levels), -np.sort(-np.exp(rng.uniform(-2, 4, N_CHAINS)))
        betas = np.exp(rng.uniform(-1, 1, 3))
        result = optimum_at(betas, zeta2, chain)
        assert result.variance.shape == (3, N_CHAINS, n_levels)
        for b, beta in enumerate(betas):
            for k in range(N_CHAINS):
                of = result.variance[b, k], result.encoder_variance[b, k]
                assert_optimal(chain, beta, zeta2[k], *of, (0, n_levels - 1))


@pytest.mark.parametrize("n_latents", [(2, 4, 1), (4, 0, 3), (1, 2, 4), (4, 2, 4), (0, 3, 3), (4, 4, 2), (2, 2, 2)])
def test_levels_of_different_widths_are_runs_of_their_own(rng, n_latents):
    for _ in range(10):
        chain = random_chain(rng, 3, n_latents)
        zeta2 = np.array([9.0, 2.0, 0.4, 0.0])
        result = optimum_at(np.array([0.6]), zeta2, chain)
        for k in range(N_CHAINS):
            t, s = result.variance[0, k], result.encoder_variance[0, k]
            absent = np.array([n <= k for n in n_latents])
            for values in (t, s, result.kl[0, k], result.decoder_gain[0, k], result.encoder_gain[0, k]):
                np.testing.assert_array_equal(np.isnan(values), absent)
            assert not result.alive[0, k, absent].any()
            for run in runs(chain, k):
                assert_optimal(chain, 0.6, zeta2[k], t, s, run)
                if run[0] > 0 or zeta2[k] == 0:
                    assert not result.alive[0, k, run[0]]


@pytest.mark.parametrize("n_latents", [None, (4, 2, 1), (2, 4, 4)])
def test_kl_distortion_and_variances_are_the_moments_of_the_gaussians(rng, n_latents):
    for _ in range(10):
        chain = random_chain(rng, 3, n_latents)
        eta2, zeta2 = chain.decoder_variance, np.array([30.0, 8.0, 1.0, 0.2])
        result = optimum_at(np.array([0.5]), zeta2, chain)
        for k in range(N_CHAINS):
            error, below = zeta2[k], 1.0  # E(y − ŷ)² where nothing is coded; level 1 reads a score of variance one
            for level in range(3):
                if chain.n_latents[level] <= k:
                    below = 0.0
                    continue
                t, s = result.variance[0, k, level], result.encoder_variance[0, k, level]
                w, u = result.encoder_gain[0, k, level], result.decoder_gain[0, k, level]
                assert t == pytest.approx(w**2 * below + s)
                own = zeta2[k] if level == 0 else below
                cross = w * (np.sqrt(zeta2[k]) if level == 0 else below)  # E[z_{l−1} z_l]
                left = own - 2 * u * cross + u**2 * t
                if level == 0:
                    error = left
                above = level + 1 < 3 and chain.n_latents[level + 1] > k
                prior = chain.prior_variance if level == 2 else eta2
                u2, w2 = (
                    (result.decoder_gain[0, k, level + 1], result.encoder_gain[0, k, level + 1]) if above else (0, 0)
                )
                t2 = result.variance[0, k, level + 1] if above else 0.0
                missed = t - 2 * u2 * w2 * t + u2**2 * t2
                kl = missed / (2 * prior) + 0.5 * np.log(prior / s) - 0.5
                assert result.kl[0, k, level] == pytest.approx(kl, abs=1e-9)
                assert result.alive[0, k, level] == (w > 0)
                assert (u > 0) == (w > 0)
                below = t
            assert result.distortion[0, k] == pytest.approx(error)


@pytest.mark.parametrize("n_latents", [(4, 4, 4), (3, 1, 2), (2, 3, 4), (0, 2, 2)])
def test_the_water_level_parts_the_living_from_the_dead(rng, n_latents):
    for _ in range(20):
        chain = random_chain(rng, 3, n_latents)
        levels = water_levels(chain, N_CHAINS)
        assert levels.shape == (N_CHAINS,)
        for k, water_level in enumerate(levels):
            if k >= n_latents[0]:
                assert water_level == np.inf
                continue
            for beta in (0.3, 1.0, 5.0):
                for share, alive in ((1 - 1e-7, False), (1 + 1e-7, True)):
                    zeta2 = np.full(N_CHAINS, beta * water_level * share)
                    assert optimum_at(np.array([beta]), zeta2, chain).alive[0, k, 0] == alive


def test_critical_betas_are_strengths_over_water_levels():
    levels = np.array([0.5, 2.0, np.inf, np.inf])
    np.testing.assert_allclose(critical_betas(np.array([4.0, 3.0, 1.0]), levels), [8.0, 1.5, 2.0])


def test_obstacles_are_the_printed_sums(rng):
    """C_j = Σ_{i≤j} log(ββ_{i−1}s_i/(2η²)), the last edge by the prior; heights log s_j − C_j, 0 − C at the end."""
    chain = replace(random_chain(rng, 4), variances=(0.3, 2.0, 0.7, 1.1))
    beta, eta2, prior = 0.8, chain.decoder_variance, chain.prior_variance
    for last in (3, 2):
        heights, offsets = obstacles(np.log(np.array(beta)), chain, -1, last + 1, last)
        weights = np.concatenate([[1.0], beta * np.array(chain.betas)])
        edges = [weights[i] * chain.variances[i] / (2 * eta2) for i in range(last + 1)]
        edges.append(weights[last + 1] / (2 * (prior if last == 3 else eta2)))
        sums = np.cumsum(np.log(edges))
        np.testing.assert_allclose(offsets, sums)
        logs = np.append(np.log(chain.variances[: last + 1]), 0.0)
        np.testing.assert_allclose(heights, logs - sums)
        string = taut_string(np.log(np.array([beta])), np.array([1.5]), chain, -1, last + 1, (0, last), (1,))
        np.testing.assert_allclose(string.points[0], [1.5, *(logs - sums)])
        np.testing.assert_allclose(string.offsets[0], [0.0, *sums])


def test_each_beta_has_a_string_of_its_own(rng):
    chain, betas = random_chain(rng, 4), np.log(np.array([0.2, 1.0, 5.0]))
    source = np.array([1.5, 0.3, -2.0])
    for below, above in ((-1, 2), (0, 3), (1, 4)):
        all_at_once = taut_string(betas, source, chain, below, above, (0, 3), (3,))
        for i in range(3):
            alone = taut_string(betas[i : i + 1], source[i : i + 1], chain, below, above, (0, 3), (1,))
            np.testing.assert_allclose(all_at_once.points[i], alone.points[0])
            np.testing.assert_allclose(all_at_once.hull[i], alone.hull[0])


def test_a_hull_keeps_shapes_ties_and_short_rows():
    np.testing.assert_array_equal(concave_majorant(np.array([3.0])), [3.0])
    np.testing.assert_array_equal(concave_majorant(np.array([3.0, -1.0])), [3.0, -1.0])
    straight = np.array([0.0, 1.0, 2.0, 3.0, 3.0])
    np.testing.assert_array_equal(concave_majorant(straight), straight)
    block = np.array([[[0.0, -9.0, -9.0, 3.0], [5.0, 5.0, 0.0, 5.0]]])
    np.testing.assert_allclose(concave_majorant(block), [[[0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]]])


def test_neighbours_among_learned_levels_say_whether_there_is_a_minimum():
    def of(betas: tuple[float, ...], variances: tuple[float | None, ...]) -> Chain:
        return Chain(betas, variances, (1,) * len(betas), 1.0, 1.0)

    falling = of((1.0, 5.0, 0.5, 0.2), (None, 1.0, None, None))
    assert list(falling.learned_pairs()) == [(0, 2), (2, 3)]
    assert falling.falling == (0, 2)
    assert falling.flat is None
    assert falling.n_levels == 4
    flat = of((1.0, 0.1, 1.0, 2.0), (None, 1.0, None, None))
    assert flat.flat == (0, 2)
    assert flat.falling is None
    rising = of((1.0, 2.0), (None, None))
    assert (rising.falling, rising.flat) == (None, None)
    fixed = of((2.0, 1.0), (1.0, None))
    assert list(fixed.learned_pairs()) == []
    assert fixed.falling is None


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_a_mode_exactly_at_the_water_level_is_dead_in_any_unit(rng, unit):
    """A string that only touches its points is no sign of life, however large the logarithms that rounding moves."""
    for _ in range(40):
        widths, betas = np.exp(rng.uniform(-1, 1, 2)), np.exp(rng.uniform(-1, 1, 2))
        fixed = Chain(tuple(betas), (float(widths[0]), float(widths[1])), (1, 1), 0.7 * unit, 1.3 * unit)
        one = Chain((float(betas[0]),), (float(widths[0]),), (1,), 0.7 * unit, 1.3)
        for chain in (fixed, one):
            water_level = water_levels(chain, 1)
            for share in (0.5, 1.0):
                assert not optimum_at(np.ones(1), share * water_level, chain).alive[0, 0, 0]
            assert optimum_at(np.ones(1), 1.001 * water_level, chain).alive[0, 0, 0]


@pytest.mark.parametrize("n_latents", [(2, 2, 2), (2, 0, 2), (0, 2, 1), (1, 2, 0)])
def test_nothing_warns_whatever_numpy_is_told(rng, n_latents):
    for _ in range(5):
        with np.errstate(all="raise"):
            result = optimum_at(np.array([1.0, 1e-3]), np.array([4.0, 0.0]), random_chain(rng, 3, n_latents))
        assert not result.alive[:, 1, 0].any()
