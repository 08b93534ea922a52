"""Wang & Ziyin 2022, Appendix D (equations 43–65, Table 1): the decoder variance learned.

G(s) is evaluated from eq. 44, and minimised on a grid and by bounded search; nothing here calls the closed forms it
checks. Sums over the modes left over run to d̂*, which eqs. 49–52 and Table 1 print as d̂1 (docs/errata.md, 10).
"""

from __future__ import annotations

import numpy as np
import pytest

from draws import alive_at, best_decoder_variance, decoder_loss, decoder_slope, draw, objective, random_strengths
from uncollapse import forecast
from uncollapse.theory import critical, optimum


def test_eq_43_the_minimum_of_the_objective(rng):
    """Corollary 2, with E‖y‖² for Σζ² (erratum 3), against the objective from densities at the optimal weights."""
    for scale in (0.5, 1.0):
        d = draw(rng, linear=True, scale=scale)
        f = forecast(d.x, d.y, beta=d.beta, decoder_variance=d.eta_dec**2, prior_variance=d.eta_enc**2, n_latents=2)
        top = d.zeta[:2][d.zeta[:2] ** 2 > d.tau] ** 2
        alive = (top * (1 + d.tau / top * (np.log(d.tau / top) - 1))).sum()
        eq43 = ((d.zeta**2).sum() - alive) / (2 * d.eta_dec**2)
        w = f.weights
        assert objective(d, w.decoder, w.encoder, w.encoder_std) == pytest.approx(eq43)
        assert f.loss == pytest.approx(eq43)


def test_eqs_44_to_46_the_loss_as_a_function_of_the_decoder_variance(rng):
    strengths, beta = random_strengths(rng, 4), 0.8
    for s in (0.1, 1.0, 4.0, 20.0):
        at = {"decoder_variance": s, "rho": None, "n_usable": 2}
        loss = optimum.totals(np.array([beta]), strengths, strengths.sum(), 5, **at).loss[0]
        assert decoder_loss(s, strengths, 2, beta, 5) == pytest.approx(loss + 5 / 2 * np.log(s))


def test_eqs_47_and_48_each_mode_enters_smoothly():
    """Lemma 2: F_i and its derivative (β/s²)(s − ζ²/β) vanish at s = ζ²/β, by hand-free symbolic algebra."""
    sympy = pytest.importorskip("sympy")
    s, zeta, beta = sympy.symbols("s zeta beta", positive=True)
    branch = zeta**2 / s + beta * (sympy.log(beta * s / zeta**2) - 1)
    assert sympy.simplify(branch.subs(s, zeta**2 / beta)) == 0
    assert sympy.simplify(sympy.diff(branch, s) - beta / s**2 * (s - zeta**2 / beta)) == 0


def test_eqs_49_50_and_54_the_derivative_and_its_values_where_modes_enter(rng):
    strengths, beta, d2 = random_strengths(rng, 5), 1.3, 6
    for n_latents in (2, 5):
        problem = (strengths, n_latents, beta, d2)
        for s in rng.uniform(0.05, 6.0, 6):
            p = alive_at(s, strengths, n_latents, beta)
            eq49 = ((d2 - beta * p) * s - strengths[p:].sum()) / (2 * s**2)
            assert decoder_slope(s, *problem) == pytest.approx(eq49, rel=1e-5, abs=1e-7)
        for p in range(1, n_latents + 1):
            top = strengths[p - 1]
            first = ((d2 / beta - (p - 1)) * top - strengths[p - 1 :].sum()) * beta**2 / (2 * top**2)
            second = ((d2 / beta - p) * top - strengths[p:].sum()) * beta**2 / (2 * top**2)
            assert first == pytest.approx(second)
            assert decoder_slope(top / beta, *problem) == pytest.approx(first, rel=1e-4, abs=1e-5)


def test_lemmas_3_and_4_corollary_3_and_proposition_6_the_slope_changes_sign_once(rng):
    """2s²G′ is convex and piecewise linear, starts at −Σ_{i>d̂1} ζ² and ends above 0: at most one stationary point."""
    for _ in range(20):
        n_modes = int(rng.integers(1, 6))
        n_latents = int(rng.integers(1, n_modes + 1))
        problem = (
            random_strengths(rng, n_modes),
            n_latents,
            float(rng.uniform(0.2, 4)),
            n_modes + int(rng.integers(0, 3)),
        )
        s = np.geomspace(1e-2, 200, 200)
        h = np.array([2 * t**2 * decoder_slope(t, *problem) for t in s])
        signs = np.sign(h[np.abs(h) > 1e-6 * np.abs(h).max()])
        assert (np.diff(signs) >= 0).all()  # Corollary 3: from negative to positive, once
        strengths, beta, d2 = problem[0], problem[2], problem[3]
        assert (np.diff(np.diff(h) / np.diff(s)) > -1e-3 * d2 * (1 + beta * n_modes)).all()
        for p in range(1, n_latents + 1):  # Lemma 4: t²G′(t) > s_p²G′(s_p) for t > s_p when p ≤ d2/β
            start = strengths[p - 1] / beta
            if p <= d2 / beta:
                for t in start * np.array([1.01, 1.5, 4.0]):
                    assert t**2 * decoder_slope(t, *problem) > start**2 * decoder_slope(start, *problem)


def test_eqs_51_and_52_with_their_terms_put_right(rng):
    """(d2−βq)t − Σ_{i>q} = (d2−β(p−1))t + Σ_{i=q+1}^{p−1}(βt − ζ_i²) − Σ_{i≥p} ≥ (d2−β(p−1))t − Σ_{i≥p}."""
    strengths, beta, d2 = random_strengths(rng, 6), 0.7, 7
    p = 4
    for t in strengths[p - 1] / beta * np.array([1.05, 2.0, 10.0]):
        q = alive_at(t, strengths, 6, beta)
        left = (d2 - beta * q) * t - strengths[q:].sum()
        middle = (beta * t - strengths[q : p - 1]).sum()
        right = (d2 - beta * (p - 1)) * t - strengths[p - 1 :].sum()
        assert left == pytest.approx(right + middle)
        assert middle >= 0
        at_start = (d2 - beta * (p - 1)) * strengths[p - 1] / beta - strengths[p - 1 :].sum()
        assert right > at_start


def test_eqs_53_55_and_56_the_slope_at_both_ends(rng):
    """Up to s₋ G falls, from s₊ on it rises, with s₋ as corrected: the whole of (0, s_d̂1) when βd̂1 ≥ d2."""
    for beta in (0.3, 1.0, 1.9, 4.0):
        strengths, n_latents, d2 = random_strengths(rng, 5), 3, 6
        problem = (strengths, n_latents, beta, d2)
        s_plus = strengths[0] / beta + strengths.sum()
        eq53 = (d2 * strengths[0] / beta + (d2 - 1) * strengths.sum()) / (2 * s_plus**2)
        assert decoder_slope(s_plus, *problem) == pytest.approx(eq53, rel=1e-5)
        assert all(decoder_slope(t * s_plus, *problem) > 0 for t in (1.1, 3.0, 50.0))
        room = d2 - beta * n_latents
        enters = strengths[n_latents - 1] / beta
        s_minus = min(enters, strengths[n_latents:].sum() / room) if room > 0 else enters
        assert all(decoder_slope(t * s_minus, *problem) < 0 for t in (0.1, 0.5, 0.99))


@pytest.mark.parametrize(("n_modes", "n_latents", "d2"), [(5, 3, 5), (4, 1, 6), (3, 3, 3), (6, 5, 6)])
def test_eqs_57_to_65_and_proposition_7_the_best_decoder_variance(rng, n_modes, n_latents, d2):
    """Theorem 4 on both sides of every threshold, against the minimum of G found by search."""
    strengths = random_strengths(rng, n_modes)
    kept = strengths[:n_latents]
    beyond = strengths.sum() - np.cumsum(kept)
    thresholds = d2 * kept / (beyond + np.arange(1, n_latents + 1) * kept)  # eqs. 57–59, 60, 62, 64
    explained = n_modes == n_latents
    package = critical.critical_betas(strengths, strengths.sum(), d2, None, None)[:n_latents]
    np.testing.assert_allclose(package, thresholds)
    for p, threshold in enumerate(thresholds, start=1):
        for factor, n_alive in ((0.998, p), (1.002, p - 1)):
            beta = threshold * factor
            if explained and beta * n_latents <= d2:
                continue  # case 1: no minimum
            s = best_decoder_variance(strengths, n_latents, beta, d2)
            eq61_63_65 = (strengths.sum() - kept[:n_alive].sum()) / (d2 - beta * n_alive)
            assert alive_at(s, strengths, n_latents, beta) == n_alive
            assert s == pytest.approx(eq61_63_65, rel=1e-4)
            found = critical.decoder_variances(
                np.array([beta]), np.array([n_alive]), strengths, strengths.sum(), d2, None
            )
            assert found[0] == pytest.approx(eq61_63_65)


def test_table_1_case_1_the_loss_has_no_lower_bound(rng):
    """d̂1 = d̂* and β < d2/d̂1: G rises everywhere, from −∞."""
    strengths = random_strengths(rng, 3)
    problem = (strengths, 3, 0.9, 3)
    s = np.geomspace(1e-8, 100, 60)
    values = np.array([decoder_loss(t, *problem) for t in s])
    assert (np.diff(values) > 0).all()
    assert decoder_loss(1e-7, *problem) - decoder_loss(1e-3, *problem) == pytest.approx(
        (3 - 0.9 * 3) / 2 * np.log(1e-4), abs=1e-6
    )
    x = np.linalg.qr(rng.standard_normal((40, 3)))[0]
    assert forecast(x - x.mean(0), beta=0.9, decoder_variance="learned", n_latents=3).ill_posed


def test_table_1_case_2_a_continuum_of_variances(rng):
    """d̂1 = d̂* and β = d2/d̂1: G is flat on (0, s_d̂1] and rises after it."""
    strengths = random_strengths(rng, 3)
    problem = (strengths, 3, 5 / 3, 5)
    last = strengths[-1] / problem[2]
    flat = [decoder_loss(t * last, *problem) for t in (0.01, 0.3, 0.7, 1.0)]
    np.testing.assert_allclose(flat, flat[0])
    assert decoder_loss(1.1 * last, *problem) > flat[0]
    assert alive_at(last, *problem[:3]) == 2  # at the end point the weakest mode is dead


def test_remark_a_target_linear_in_x_with_beta_below_d2_over_modes_never_collapses(rng):
    """The remark after Theorem 4, and its tightness: with equal strengths every mode dies at β > d2/d*."""
    for _ in range(30):
        n_modes = int(rng.integers(2, 7))
        n_latents, d2 = int(rng.integers(1, n_modes)), n_modes + int(rng.integers(0, 3))
        strengths = random_strengths(rng, n_modes)
        assert critical.critical_betas(strengths, strengths.sum(), d2, None, None)[n_latents - 1] >= d2 / n_modes
    equal = np.full(4, 2.0)
    for beta, alive in ((0.99, 2), (1.01, 0)):
        assert alive_at(best_decoder_variance(equal, 2, beta, 4), equal, 2, beta) == alive
