"""Encoder variances partly fixed, partly learned: the pairing is the best one, and the user's latents keep theirs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from problems import rows_with_spectrum
from uncollapse import ObjectiveError, forecast, spectrum
from uncollapse.theory.assignment import critical_water_levels, fixed_gain, learned_gain, pair_modes


def test_pairing_is_the_best_assignment(rng):
    """Against SciPy's solver of the assignment problem on the whole matrix of gains."""
    for _ in range(500):
        m, n_fixed, n_learned = rng.integers(1, 7), rng.integers(0, 5), rng.integers(1, 4)
        strengths, tau = -np.sort(-np.exp(rng.uniform(-2, 3, m))), np.exp(rng.uniform(-2, 1))
        rho = np.sort(rng.uniform(0.05, 2.5, n_fixed))
        columns = [fixed_gain(strengths, tau, width) for width in rho] + [learned_gain(strengths, tau)] * n_learned
        gains = np.stack(columns, axis=1)
        best = gains[linear_sum_assignment(-gains)].sum()
        paired = pair_modes(strengths, tau, rho, n_learned)
        mine = [
            learned_gain(strengths[i : i + 1], tau)[0] if np.isnan(width) else fixed_gain(strengths[i], tau, width)
            for i, width in enumerate(paired)
        ]
        assert sum(mine) == pytest.approx(best, rel=1e-12, abs=1e-12)
        assert np.isnan(paired).sum() <= n_learned


def test_a_critical_level_is_where_the_gain_ends(rng):
    strengths, rho = np.exp(rng.uniform(-3, 3, 50)), np.exp(rng.uniform(-3, 1, 50))
    fixed, learned = critical_water_levels(strengths, rho), critical_water_levels(strengths, np.full(50, np.nan))
    for share, pays in ((0.999, True), (1.001, False)):
        each = [fixed_gain(strengths[i], fixed[i] * share, rho[i]) > 0 for i in range(50)]
        each += [learned_gain(strengths[i], learned[i] * share) > 0 for i in range(50)]
        assert all(gain == pays for gain in each)


def test_all_learned_or_all_fixed_are_the_ends(rng):
    strengths = -np.sort(-rng.random(4))
    assert np.isnan(pair_modes(strengths, 0.1, np.array([]), 4)).all()
    np.testing.assert_array_equal(pair_modes(strengths, 0.1, np.array([0.2, 0.3]), 0), [0.2, 0.3])


def test_each_latent_keeps_its_own_width(rng):
    x = rows_with_spectrum(np.array([9.0, 4.0, 1.0, 0.5]), 60, 4, rng)
    given = (1.5, "learned", 0.04, "learned")
    w = forecast(x, encoder_variance=given, beta=0.5, prior_variance=1.0).weights
    assert w.encoder_std[0] == pytest.approx(np.sqrt(1.5))
    assert w.encoder_std[2] == pytest.approx(0.2)


def test_a_fixed_latent_at_its_best_width_is_worth_a_learned_one(rng):
    x = rows_with_spectrum(np.array([9.0, 4.0]), 60, 3, rng)
    learned = forecast(x, n_latents=2)
    partly = forecast(x, encoder_variance=(float(learned.modes.encoder_std[0] ** 2), "learned"))
    assert partly.loss == pytest.approx(learned.loss, rel=1e-12)


def test_keep_finds_the_last_beta_at_which_so_many_live(rng):
    s = spectrum(rng.standard_normal((80, 5)) * [5, 3, 2, 1, 0.5])
    settings = {"encoder_variance": (0.3, "learned", 1.7, "learned")}
    for k in (1, 2, 3, 4):
        beta = forecast(s, **settings).keep(k).beta
        assert forecast(s, beta=beta * 0.9999, **settings).n_alive >= k
        assert forecast(s, beta=beta * 1.0001, **settings).n_alive < k


def test_number_alive_never_rises_with_beta(rng):
    for _ in range(30):
        s = spectrum(rows_with_spectrum(-np.sort(-np.exp(rng.uniform(-2, 3, 4))), 20, 5, rng))
        widths = (*np.exp(rng.uniform(-2, 1, 2)), "learned", "learned")
        counts = forecast(s, encoder_variance=widths).curves(np.geomspace(0.01, 200, 60)).n_alive
        assert (np.diff(counts) <= 0).all()


def test_a_learned_decoder_variance_is_refused():
    with pytest.raises(ObjectiveError, match="partly fixed and partly learned; fix the decoder variance"):
        forecast(np.eye(4), encoder_variance=(0.5, "learned"), decoder_variance="learned")


def test_the_critical_beta_is_where_the_last_latent_dies(rng):
    """Whatever β the forecast is made at: the narrowest fixed latent, or a learned one, holds out longest."""
    s = spectrum(rng.standard_normal((80, 3)) * [3, 2, 1])
    for widths in ((0.01, "learned", "learned"), (0.5, "learned"), (3.0, "learned")):
        narrowest = min(1.0, widths[0])
        for beta in (1e-3, 1.0, 1e3):
            f = forecast(s, beta=beta, encoder_variance=widths, n_latents=len(widths))
            assert f.critical_beta == pytest.approx(s.strengths[0] / narrowest)
            assert f.curves([f.critical_beta * 0.999, f.critical_beta * 1.001]).n_alive.tolist() == [1, 0]


def test_dead_modes_wait_on_the_latents_that_would_wake_first():
    paired = pair_modes(np.array([1.0, 0.5]), 100.0, np.array([0.1, 3.0]), 1)
    assert paired[0] == 0.1
    assert np.isnan(paired[1])
