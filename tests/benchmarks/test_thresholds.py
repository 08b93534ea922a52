"""Where collapse starts beyond Gaussian likelihoods and linear networks; docs/thresholds.md measures it at length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from thresholds.both_ways import both_ways
from thresholds.cases import NAMES, closed_form, make_case, row_wise
from thresholds.coverage import SHAPES, covered
from thresholds.laboratory import Case, collapsed, gaussian, global_beta, multinomial
from thresholds.residuals import data_dependent_widths, revivals
from thresholds.runs import conditional_runs, hessian_threshold, likelihood_runs, regression_runs

SEEDS = range(SEED, SEED + 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_formula_is_where_the_hessian_turns(rng, name):
    """Formula, differentiated likelihood and the full objective's Hessian agree; sizes make D the sample's own."""
    case = make_case(name, rng, n=100, d=4)
    at = collapsed(case)
    assert hessian_threshold(case, at) == pytest.approx(at.strengths[0], rel=1e-6)
    tolerance = 0.1 if name == "negative binomial, size factors" else 1e-8
    np.testing.assert_allclose(closed_form(case), at.strengths, rtol=tolerance, atol=1e-8)


def test_residuals_scaled_row_by_row_miss_the_threshold(rng):
    case = make_case("Poisson, size factors", rng)
    right = collapsed(case).strengths[0]
    assert abs(row_wise(case)[0] / right - 1) > 0.005


def test_one_token_a_row_has_every_strength_at_one(rng):
    """One-hot rows: Cov(y) is D itself, so all d − 1 modes drown together at β = 1."""
    y = torch.tensor(np.eye(5)[rng.integers(0, 5, 60)])
    np.testing.assert_allclose(collapsed(Case(multinomial, y, y[:, :1])).strengths, [1, 1, 1, 1, 0], atol=1e-8)


def test_collapse_can_be_stable_and_not_optimal(rng):
    """Coin flips: stable means optimal. One row in fifty far out: optimal only at far larger β."""
    coin = torch.tensor(np.repeat([[-1.0], [1.0]], 50, axis=0))
    rare = torch.zeros(100, 1, dtype=torch.float64)
    rare[:2] = 7.0
    for y, ratio in ((coin, 1.0), (rare, 3.3)):  # rare: 49/(2 ln 50) beside a variance of 0.96, to first order
        case = Case(gaussian, y, y)
        at = collapsed(case)
        assert at.strengths[0] == pytest.approx(float(y.var(unbiased=False)))
        if ratio == 1.0:
            assert global_beta(case, at) == pytest.approx(at.strengths[0])
        else:
            assert global_beta(case, at) > ratio * at.strengths[0]


def test_widths_that_depend_on_x_gain_nothing():
    """Wang & Ziyin, Proposition 5: C = 0 is optimal among σ(x) = |Cx + f|."""
    w = data_dependent_widths(SEED)
    assert min(w.losses) == pytest.approx(w.optimum, abs=1e-7)
    assert all(slope < 1e-3 for value, slope in zip(w.losses, w.slopes, strict=True) if value < w.optimum + 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Bernoulli, binary", "Poisson"])
def test_training_parts_at_the_threshold(name):
    """A linear VAE started almost collapsed leaves at 0.9 β_c and stays at 1.1 β_c."""
    runs = [r for r in likelihood_runs(name, 0, SEEDS, 1500) if r.start == "quiet"]
    kl = {r.factor: r.kl for r in runs}
    assert kl["0.9"] > 0.02
    assert kl["1.1"] < 0.001


@pytest.mark.slow
def test_a_nonlinear_network_lives_above_the_linear_threshold():
    runs = [r for r in regression_runs(SEEDS, 1200) if r.start == "warm"]
    alive = {(r.network, r.factor): r.alive > 0 for r in runs}
    assert alive["MLP", "0.9 × nonlinear"]
    assert not alive["MLP", "1.1 × nonlinear"]
    assert alive["linear", "0.9 × linear"]
    assert not alive["linear", "0.9 × nonlinear"]


@pytest.mark.slow
def test_a_nonlinear_conditional_decoder_lives_up_to_the_largest_conditional_variance():
    runs = [r for r in conditional_runs(0.5, SEEDS, 1200) if r.start == "warm"]
    alive = {(r.network, r.factor): r.alive > 0 for r in runs}
    assert alive["MLP", "0.8 × largest"]
    assert not alive["MLP", "1.1 × largest"]
    assert not alive["linear", "0.8 × largest"]
    assert alive["linear", "0.8 × mean"]


@pytest.mark.slow
def test_the_residual_level_says_whether_a_dead_latent_helps():
    """On the same draws: the linear path gains iff the level is above β, and its Hessian turns at the level."""
    found = revivals("Poisson", 1, (0.6, 1.1), SEEDS, 600)
    for r in found:
        assert r.hessian == pytest.approx(r.straight.plain, rel=1e-6)
        assert r.bent.plain > r.straight.plain
        for level in (r.straight, r.bent):
            assert (level.drop > 1e-7) == (level.plain > r.beta)
    assert {r.straight.plain > r.beta for r in found} == {True, False}


def test_intervals_hold_where_rows_are_hardly_more_than_columns():
    assert covered(SHAPES[0], 150, 100, n_samples=25, seed=SEED, resamples=60) >= 0.7


def test_networks_trained_both_ways_at_the_smallest_size():
    """From below a rare factor lives above the first threshold and beats collapse there; above both it does not."""
    b = both_ways("rare factor", SEED, levels=(1.3, 6.0), steps=1500)
    assert 2 < b.second < 4
    assert b.gains["from below", 1.3] > 2 * b.errors["from below", 1.3]
    assert all(b.gains[start, 6.0] < 3 * b.errors[start, 6.0] + 1e-3 for start in ("quiet", "from below"))
