"""The closed forms against optimisation of the full matrix objective, and against each other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from problems import Problem, full_loss, minimum, problems, rows_with_spectrum
from seeds import SEED
from uncollapse import UncollapseWarning, forecast, spectrum
from uncollapse.theory import critical, optimum

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
checked = settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking would repeat minutes of optimisation
)


def solve(problem: Problem):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)
        return forecast(problem.x, problem.y, **problem.settings)


def assert_minimum(problem: Problem, rng: np.random.Generator) -> None:
    f = solve(problem)
    learned = problem.decoder_variance == "learned"
    expected = f.loss + (f.spectrum.n_targets / 2 * np.log(f.decoder_variance) if learned else 0.0)
    found = minimum(problem, rng)
    scale = 1 + abs(expected)
    assert found >= expected - 1e-7 * scale, "the closed form was beaten"
    assert found <= expected + 1e-5 * scale, "the closed form is not attained"


@seed(SEED)
@checked
@given(problems())
def test_no_optimiser_beats_or_misses_the_closed_form(problem):
    assert_minimum(problem, np.random.default_rng(SEED))


@seed(SEED)
@checked
@given(problems(widths="one"))
def test_closed_form_with_one_fixed_encoder_variance(problem):
    assert_minimum(problem, np.random.default_rng(SEED))


@seed(SEED)
@checked
@given(problems(widths="each"))
def test_closed_form_with_unequal_fixed_encoder_variances(problem):
    assert_minimum(problem, np.random.default_rng(SEED))


@seed(SEED)
@checked
@given(problems(target=True, learned_decoder=True))
def test_closed_form_with_learned_decoder_variance(problem):
    f = solve(problem)
    assume(not f.ill_posed and f.decoder_variance > 1e-4)
    assert_minimum(problem, np.random.default_rng(SEED))


@seed(SEED)
@checked
@given(problems(learned_decoder=True, widths="each"))
def test_closed_form_with_learned_decoder_variance_and_fixed_encoder_variances(problem):
    assume(solve(problem).decoder_variance > 1e-4)
    assert_minimum(problem, np.random.default_rng(SEED))


@seed(SEED)
@checked
@given(st.tuples(problems(), problems(widths="each"), problems(target=True, learned_decoder=True)))
def test_the_weights_attain_the_loss_and_have_no_gradient(cases):
    for problem in cases:
        f = solve(problem)
        if f.ill_posed:
            continue
        w = f.weights
        log_s = np.log(w.decoder_variance)
        parts = [w.decoder, w.encoder, w.encoder_bias, w.decoder_bias, np.log(w.encoder_std), [log_s]]
        parameters = torch.tensor(np.concatenate([np.ravel(part) for part in parts]), requires_grad=True)
        loss = full_loss(problem, parameters)
        loss.backward()
        learned = problem.decoder_variance == "learned"
        expected = f.loss + (f.spectrum.n_targets / 2 * log_s if learned else 0.0)
        scale = 1 + abs(expected)
        assert float(loss.detach()) == pytest.approx(expected, abs=1e-9 * scale)
        assert float(parameters.grad.abs().max()) < 1e-6 * scale / min(1.0, w.decoder_variance)


@seed(SEED)
@checked
@given(st.tuples(problems(), problems(widths="each"), problems(target=True, learned_decoder=True)))
def test_modes_add_up_to_the_totals_and_to_the_loss(cases):
    for problem in cases:
        f = solve(problem)
        if f.ill_posed:
            continue
        idle = 0.0
        if problem.encoder_variance != "learned" and f.n_latents > f.spectrum.rank:
            widths = np.sort(np.broadcast_to(problem.encoder_variance, f.n_latents))[f.spectrum.rank :]
            idle = optimum.fixed_width_kl(np.sqrt(widths / problem.prior_variance)).sum()
        beyond = f.spectrum.residual_energy
        assert f.modes.kl.sum() + idle == pytest.approx(f.rate, rel=1e-9, abs=1e-12)
        assert f.modes.distortion.sum() + beyond == pytest.approx(f.distortion, rel=1e-9)
        assert f.distortion / (2 * f.decoder_variance) + problem.beta * f.rate == pytest.approx(f.loss, rel=1e-9)


def test_reverse_water_filling(rng):
    """KL_i = ½ log(ζ²/τ) and D_i = min(ζ², τ): theory.md section 1."""
    strengths = np.array([9.0, 4.0, 1.0, 0.25])
    f = forecast(rows_with_spectrum(strengths, 50, 6, rng), beta=2.0)
    np.testing.assert_allclose(f.modes.kl, [0.5 * np.log(4.5), 0.5 * np.log(2.0), 0, 0], atol=1e-12)
    np.testing.assert_allclose(f.modes.distortion, [2.0, 2.0, 1.0, 0.25], rtol=1e-12)
    np.testing.assert_allclose(f.modes.encoder_std, [np.sqrt(2) / 3, np.sqrt(2) / 2, 1, 1], rtol=1e-12)


def test_a_mode_at_the_water_level_is_dead(rng):
    f = forecast(spectrum(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), beta=2.0)
    assert f.critical_beta == 2.0
    assert f.status == "complete"


@pytest.mark.parametrize("widths", ["learned", 0.3, (0.2, 0.5, 1.5)])
@pytest.mark.parametrize("variance", [0.7, "learned"])
def test_critical_beta_is_where_the_mode_dies(rng, widths, variance):
    x = rng.standard_normal((60, 5)) * [3, 2, 1, 0.5, 0.2]
    s = spectrum(x)
    f = forecast(s, n_latents=3, decoder_variance=variance, encoder_variance=widths)
    for i, critical_beta in enumerate(f.critical_betas[:3]):
        below = forecast(s, beta=critical_beta * 0.999, n_latents=3, decoder_variance=variance, encoder_variance=widths)
        above = forecast(s, beta=critical_beta * 1.001, n_latents=3, decoder_variance=variance, encoder_variance=widths)
        assert (below.n_alive, above.n_alive) == (i + 1, i)


def test_learned_decoder_variance_is_ppca_at_beta_one(rng):
    """s* = mean of the discarded eigenvalues: Lucas et al. 2019, theory.md section 1."""
    x = rng.standard_normal((200, 8)) * np.arange(1, 9)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    f = forecast(x, n_latents=3, decoder_variance="learned")
    assert f.decoder_variance == pytest.approx(eigenvalues[3:].mean(), rel=1e-12)


def test_enough_latents_and_a_learned_decoder_variance_are_ill_posed(rng):
    x = rng.standard_normal((50, 4))
    f = forecast(x, n_latents=4, beta=0.5, decoder_variance="learned")
    assert f.status == "ill-posed"
    assert f.decoder_variance == 0
    assert f.loss == -np.inf
    assert f.to_dict()["loss"] is None
    flat = forecast(x, n_latents=4, beta=1.0, decoder_variance="learned")
    assert flat.status == "flat"
    assert "same loss" in flat.flat
    assert forecast(x, n_latents=4, beta=1.01, decoder_variance="learned").status != "ill-posed"


def test_targets_over_modes_guarantees_life_only_without_residual_energy(rng):
    """β < d2/d* keeps every mode alive if T = Σ ζ²: Wang & Ziyin 2022, remark after Theorem 4. With a residual not."""
    strengths = np.exp(rng.uniform(-4, 4, (50, 4)))
    for row in -np.sort(-strengths):
        assert critical.critical_betas(row, row.sum(), 6, None, None).min() >= 6 / 4 * (1 - 1e-12)
    x = rng.standard_normal((300, 3)) * [5, 1, 0.1]
    y = np.hstack([x, 3 * rng.standard_normal((300, 2))])
    assert forecast(x, y, beta=5 / 3 * 0.999, n_latents=3, decoder_variance="learned").n_alive < 3


@pytest.mark.parametrize("variance", [0.5, "learned"])
@pytest.mark.parametrize("widths", ["learned", 0.4])
def test_curves_equal_forecasts_one_by_one(rng, variance, widths):
    x = rng.standard_normal((80, 6)) * np.arange(1, 7)
    y = x[:, :4] + rng.standard_normal((80, 4))
    s = spectrum(x, y)
    settings_ = {"n_latents": 3, "decoder_variance": variance, "encoder_variance": widths}
    betas = np.geomspace(0.01, 100, 50)
    curves = forecast(s, **settings_).curves(betas)
    for i, beta in enumerate(betas):
        one = forecast(s, beta=beta, **settings_)
        assert one.n_alive == curves.n_alive[i]
        assert one.loss == pytest.approx(curves.loss[i], rel=1e-12)
        assert one.elbo == pytest.approx(curves.elbo[i], rel=1e-12)


def test_elbo_is_the_average_log_likelihood_at_beta_one(rng):
    """The linear VAE's bound is tight at its optimum ([LTGN] Theorem 1): the gap to log N(x) is zero."""
    x = rng.standard_normal((100, 5)) * [4, 3, 1, 0.5, 0.2] + 7
    f = forecast(x, n_latents=2, decoder_variance=0.8)
    w = f.weights
    covariance = w.decoder @ w.decoder.T + 0.8 * np.eye(5)
    gaps = x - x.mean(axis=0)
    quadratic = np.einsum("ij,ij->i", gaps, np.linalg.solve(covariance, gaps.T).T).mean()
    log_density = -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * covariance)[1])
    assert f.elbo == pytest.approx(log_density, rel=1e-12)
