"""Stationary points against automatic differentiation of the full matrix objective, and likelihoods against SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.stats import multivariate_normal

from problems import Problem, full_loss, rows_with_spectrum
from uncollapse import ObjectiveError, forecast, spectrum
from uncollapse.landscape.origin import origin_hessian
from uncollapse.landscape.pictures import slice_figure
from uncollapse.landscape.slices import likelihood_slice, loss_slice
from uncollapse.landscape.stationary import stationary_point, stationary_points
from uncollapse.theory import landscape, ppca

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def vae(rng, *, strengths=(5.0, 3.0, 2.0, 0.3), n_latents=3, beta=0.8, s=0.7, prior=1.7) -> Problem:
    x = rows_with_spectrum(np.array(strengths), 30, len(strengths) + 1, rng)
    return Problem(x, None, n_latents, beta, s, prior, "learned", True)


def regression(rng, *, n_latents=2, s=0.5, prior=0.6) -> Problem:
    x = rng.standard_normal((40, 4)) * [2.0, 1.0, 0.5, 0.3] + 1.0
    y = x @ rng.standard_normal((4, 3)) * 1.5 + 0.3 * rng.standard_normal((40, 3))
    return Problem(x, y, n_latents, 0.7, s, prior, "learned", True)


def flat(problem: Problem, weights) -> torch.Tensor:
    parts = [weights.decoder, weights.encoder, weights.encoder_bias, weights.decoder_bias, np.log(weights.encoder_std)]
    return torch.tensor(np.concatenate([part.ravel() for part in parts] + [[np.log(weights.decoder_variance)]]))


def hessian_at(problem: Problem, parameters: torch.Tensor) -> np.ndarray:
    return torch.autograd.functional.hessian(lambda at: full_loss(problem, at), parameters).numpy()


def gradient_at(problem: Problem, parameters: torch.Tensor) -> np.ndarray:
    at = parameters.clone().requires_grad_()
    full_loss(problem, at).backward()
    return at.grad.numpy()


def n_negative(hessian: np.ndarray) -> int:
    values = np.linalg.eigvalsh(hessian)
    return int((values < -1e-8 * np.abs(values).max()).sum())


CASES = {
    "vae": vae,
    "spare latents": lambda rng: vae(rng, n_latents=5, strengths=(4.0, 2.0, 0.2)),
    "few latents": lambda rng: vae(rng, n_latents=1),
    "learned decoder": lambda rng: vae(rng, s="learned", beta=0.9, n_latents=2),
    "regression": regression,
    "regression, learned decoder": lambda rng: regression(rng, s="learned"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_point_is_stationary_with_the_index_that_automatic_differentiation_finds(case, rng):
    problem = CASES[case](rng)
    f = forecast(problem.x, problem.y, **problem.settings)
    points = stationary_points(f)
    assert len(points) >= 3
    for point in points:
        at = flat(problem, point.weights)
        hessian = hessian_at(problem, at)
        assert np.abs(gradient_at(problem, at)).max() < 1e-9 * np.abs(hessian).max()
        assert point.index == n_negative(hessian) == len(point.escapes)
        learned = problem.decoder_variance == "learned"
        normaliser = f.spectrum.n_targets / 2 * np.log(point.restricted.decoder_variance) if learned else 0.0
        assert float(full_loss(problem, at)) == pytest.approx(point.loss + normaliser)
    assert [point.index for point in points].count(0) == 1
    assert points[0].index == 0
    assert points[0].modes == tuple(range(f.n_alive))


@pytest.mark.parametrize("case", CASES)
def test_escapes_lower_the_loss_with_the_curvature_and_the_drop_that_they_state(case, rng):
    problem = CASES[case](rng)
    f = forecast(problem.x, problem.y, **problem.settings)
    for point in stationary_points(f)[1:]:
        at = flat(problem, point.weights)
        hessian = hessian_at(problem, at)
        for way in point.escapes:
            du, dw = point.matrices(way)
            step = torch.zeros_like(at)
            step[: du.size + dw.size] = torch.tensor(np.concatenate([du.ravel(), dw.ravel()]))
            if dw.any() and problem.bias:  # the encoder's bias keeps the latent centred
                bias = slice(du.size + dw.size, du.size + dw.size + f.n_latents)
                step[bias] = torch.tensor(-f.spectrum.mean_input @ dw)
            assert np.linalg.norm(du) ** 2 + np.linalg.norm(dw) ** 2 == pytest.approx(1)
            assert step.numpy() @ hessian @ step.numpy() == pytest.approx(way.curvature, rel=1e-7, abs=1e-9)
            assert way.curvature < 0
            here = float(full_loss(problem, at))
            there = [float(full_loss(problem, at + t * way.distance * step)) for t in (0.9, 1.0, 1.1)]
            assert here - there[1] == pytest.approx(way.drop, rel=1e-6)
            assert there[1] < min(there[0], there[2])


def test_when_y_is_x_the_escapes_are_the_hessian_s_own_eigenvectors(rng):
    problem = replace(vae(rng), bias=False)
    f = forecast(problem.x, **problem.settings)
    for point in stationary_points(f):
        values = np.linalg.eigvalsh(hessian_at(problem, flat(problem, point.weights)))
        np.testing.assert_allclose(np.sort(values)[: point.index], [way.curvature for way in point.escapes], rtol=1e-7)


def test_latents_that_share_modes_evenly_are_saddles_that_no_subset_lists(rng):
    """Two latents of one width at 45° to two modes: stationary, and the ELBO's way out is to turn them back."""
    problem = replace(vae(rng, n_latents=2, strengths=(5.0, 3.0)), bias=False)
    f = forecast(problem.x, **problem.settings)
    tau, prior = f.water_level, problem.prior_variance
    for modes in ([0, 1], [0]):
        zetas = np.sqrt(f.spectrum.strengths[modes])
        reach = landscape.shared_reach(zetas, 2, tau)
        width = reach * np.sqrt(prior / tau)
        turn = np.array([[1.0, 1.0], [1.0, -1.0]])[: len(modes)] / np.sqrt(2)
        gain_u = np.sqrt(np.sqrt(tau / prior) / width * (zetas - reach))
        gain_v = np.sqrt(width / np.sqrt(tau / prior) * (zetas - reach))
        decoder = (f.spectrum.basis.decoder[:, modes] * gain_u) @ turn
        encoder = (f.spectrum.basis.encoder[:, modes] * gain_v) @ turn
        weights = replace(f.weights, decoder=decoder, encoder=encoder, encoder_std=np.full(2, width))
        at = flat(problem, weights)
        hessian = hessian_at(problem, at)
        assert np.abs(gradient_at(problem, at)).max() < 1e-9 * np.abs(hessian).max()
        assert n_negative(hessian) >= 1
        losses = [point.loss for point in stationary_points(f)]
        assert np.abs(np.array(losses) - float(full_loss(problem, at))).min() > 1e-3


def test_wherever_the_gradient_vanishes_only_the_global_minimum_has_no_way_down(rng):
    """Lucas et al. 2019, Theorem 1 and Corollary 1, β = 1 or not: points found by driving the gradient to zero."""
    x = rows_with_spectrum(np.array([4.0, 2.5]), 6, 2, rng)
    problem = replace(vae(rng, n_latents=2), x=x, bias=False)
    f = forecast(problem.x, **problem.settings)
    d, k = problem.x.shape[1], problem.n_latents
    free = np.r_[0 : 2 * d * k, 2 * d * k + k + d : 2 * d * k + k + d + k]

    def full(part: np.ndarray) -> torch.Tensor:
        at = torch.zeros(2 * d * k + k + d + k + 1, dtype=torch.float64)
        at[free] = torch.as_tensor(part)
        return at

    indices = []
    for _ in range(15):
        stationary = least_squares(
            lambda part: gradient_at(problem, full(part))[free],
            rng.standard_normal(len(free)) * rng.choice([0.1, 0.7]),
            jac=lambda part: hessian_at(problem, full(part))[np.ix_(free, free)],
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=100,
        )
        if np.abs(stationary.fun).max() < 1e-9:
            index = n_negative(hessian_at(problem, full(stationary.x))[np.ix_(free, free)])
            is_global = float(full_loss(problem, full(stationary.x))) < f.loss + 1e-8
            assert (index == 0) is is_global
            indices.append(index)
    assert len(set(indices)) >= 3, f"too few kinds of points were reached: {indices}"


@pytest.mark.parametrize("encoder_variance", ["learned", 0.4, (0.3, 0.9)])
@pytest.mark.parametrize("beta", [0.5, 30.0])
def test_the_origin_hessian_is_the_one_of_automatic_differentiation(encoder_variance, beta, rng):
    problem = replace(
        vae(rng, n_latents=2, strengths=(5.0, 3.0), beta=beta), bias=False, encoder_variance=encoder_variance
    )
    f = forecast(problem.x, **problem.settings)
    origin = origin_hessian(f)
    at = torch.zeros(2 * 3 * 2 + 2 + 3 + 2 + 1, dtype=torch.float64)
    if encoder_variance == "learned":
        at[-3:-1] = np.log(problem.prior_variance) / 2
    hessian = hessian_at(problem, at)
    ours = np.concatenate(
        [np.repeat(part.ravel(), np.tile(origin.latents, 2)) for part in (origin.lowest, origin.highest)]
    )
    found = np.linalg.eigvalsh(hessian)
    for value in ours:
        assert np.abs(found - value).min() < 1e-9 * np.abs(found).max()
    assert origin.index == n_negative(hessian)
    assert origin.positive_semidefinite is (f.n_alive == 0)
    width = problem.prior_variance if encoder_variance == "learned" else np.min(encoder_variance)
    covariance = problem.x.T @ problem.x / len(problem.x)
    given = {"beta": beta, "variance": 0.7, "prior_variance": problem.prior_variance, "width": width}
    block = np.linalg.eigvalsh(landscape.origin_block(covariance, covariance, **given))
    assert np.abs(block - origin.lowest.min()).min() < 1e-9 * block.max()


def test_a_regression_s_origin_has_one_way_out_per_latent_and_mode_above_water(rng):
    problem = replace(regression(rng), bias=False)
    x, y = problem.x, problem.y
    f = forecast(x, y, **problem.settings)
    settings = {"beta": 0.7, "variance": 0.5, "prior_variance": 0.6, "width": 0.6}
    block = landscape.origin_block(x.T @ x / len(x), y.T @ x / len(x), **settings)
    above = int((f.spectrum.strengths > f.water_level).sum())
    assert int((np.linalg.eigvalsh(block) < 0).sum()) == above
    assert origin_hessian(f, whitened=True).index == above * problem.n_latents == stationary_point(f, []).index


def test_ppca_likelihoods_are_those_of_a_multivariate_normal(rng):
    x = rows_with_spectrum(np.array([5.0, 3.0, 2.0, 0.5]), 60, 6, rng)
    s = spectrum(x)
    for modes in ([], [0, 1], [1, 3], [2]):
        learned = ppca.best_noise_variance(s.strengths, s.total_energy, 6, modes)
        for sigma2 in (0.3, learned):
            if modes and sigma2 >= s.strengths[modes].min():
                continue
            directions = s.basis.decoder[:, modes]
            covariance = directions * (s.strengths[modes] - sigma2) @ directions.T + sigma2 * np.eye(6)
            expected = multivariate_normal(x.mean(axis=0), covariance).logpdf(x).mean()
            ours = ppca.stationary_log_likelihood(s.strengths, s.total_energy, 6, modes, sigma2)
            assert ours == pytest.approx(expected)


def test_ppca_likelihood_of_a_pushed_column_and_its_curvature(rng):
    x = rows_with_spectrum(np.array([5.0, 3.0, 2.0, 0.5]), 60, 5, rng)
    s, sigma2 = spectrum(x), 0.8
    cut = likelihood_slice(forecast(s), [0], (1, 3), sigma2, reach=(1e-3, 1e-3), n_grid=3)
    for values, mode in ((cut.values[1], 1), (cut.values[:, 1], 3)):
        second_difference = (values[0] + values[2] - 2 * values[1]) / 1e-6
        assert second_difference == pytest.approx(ppca.column_curvature(s.strengths[mode], sigma2), rel=1e-4)
    far = likelihood_slice(forecast(s), [0], (1, 3), sigma2, reach=(1.5, 0.7), n_grid=5)
    w = s.basis.decoder[:, [0, 1, 3]] * [np.sqrt(s.strengths[0] - sigma2), 1.5, 0.7]
    start = ppca.stationary_log_likelihood(s.strengths, s.total_energy, 5, [0], sigma2)
    expected = multivariate_normal(x.mean(axis=0), w @ w.T + sigma2 * np.eye(5)).logpdf(x).mean()
    assert far.values[4, 4] == pytest.approx(expected - start)


def test_at_beta_one_the_elbo_of_every_stationary_point_is_its_ppca_likelihood(rng):
    """Lucas et al. 2019, Theorem 1: no bound is lost, so the ELBO has no maximum that the likelihood has not."""
    for s in (0.7, "learned"):
        problem = vae(rng, beta=1.0, s=s)
        f = forecast(problem.x, **problem.settings)
        for point in stationary_points(f):
            given = (f.spectrum.strengths, f.spectrum.total_energy, f.spectrum.n_targets, point.modes)
            variance = point.restricted.decoder_variance
            assert point.elbo == pytest.approx(ppca.stationary_log_likelihood(*given, variance))
            if s == "learned":
                assert variance == pytest.approx(ppca.best_noise_variance(*given))


@pytest.mark.parametrize("case", ["vae", "regression"])
def test_a_slice_shows_the_full_objective(case, rng):
    problem = CASES[case](rng)
    f = forecast(problem.x, problem.y, **problem.settings)
    point = stationary_point(f, [1])
    first = point.direction(0, 0)
    second = point.direction(1, 2)
    cut = loss_slice(point, first, second, n_grid=5)
    at = flat(problem, point.weights)
    (du, dw), (eu, ew) = point.matrices(first), point.matrices(second)
    for i, j in ((0, 0), (1, 4), (3, 2)):
        u, w = cut.first[i] * du + cut.second[j] * eu, cut.first[i] * dw + cut.second[j] * ew
        step = np.concatenate([u.ravel(), w.ravel(), -f.spectrum.mean_input @ w])
        moved = at.clone()
        moved[: len(step)] += torch.tensor(step)
        assert float(full_loss(problem, moved)) - point.loss == pytest.approx(cut.values[j, i])
    assert loss_slice(point, n_grid=21).values.min() < -0.1 * point.escapes[0].drop


def test_the_figure_marks_the_best_of_each_plane(rng):
    f = forecast(vae(rng).x, n_latents=3)
    cuts = [likelihood_slice(f, [0], (1, 2), noise) for noise in (4.0, 2.5, 0.5)]
    figure = slice_figure(cuts)
    best = [
        [mark for mark in panel.marks if getattr(mark, "name", "") == "best in this plane"] for panel in figure.panels
    ]
    assert [sum(len(mark.x) for mark in marks) for marks in best] == [
        0,
        2,
        4,
    ]  # both under water, one above, both above
    np.testing.assert_allclose(np.abs(best[2][0].x), np.sqrt(3.0 - 0.5), atol=0.1)
    assert len(slice_figure([loss_slice(stationary_point(f, [0]), n_grid=11)]).panels[0].marks) == 3


def test_what_is_not_covered_is_refused_in_one_line(rng):
    x = rng.random((50, 6))
    f = forecast(x, n_latents=2)
    with pytest.raises(ObjectiveError, match="Gaussian"):
        stationary_points(forecast(x, likelihood="bernoulli"))
    with pytest.raises(ObjectiveError, match="Gaussian"):
        origin_hessian(forecast(x, likelihood="bernoulli"))
    with pytest.raises(ObjectiveError, match="encoder_variance"):
        stationary_points(forecast(x, encoder_variance=0.5))
    with pytest.raises(ObjectiveError, match="under water"):
        stationary_point(f, [5])
    with pytest.raises(ObjectiveError, match="differ"):
        stationary_point(f, [7])
    with pytest.raises(ObjectiveError, match="latents"):
        stationary_point(forecast(x, beta=1e-4, n_latents=2), [0, 1, 2])
    with pytest.raises(ObjectiveError, match="limit"):
        stationary_points(forecast(x, beta=1e-4), limit=10)
    with pytest.raises(ObjectiveError, match="whitened"):
        origin_hessian(forecast(x, x[:, :2]))
    with pytest.raises(ObjectiveError, match="more with n_modes"):
        stationary_points(forecast(spectrum(x, n_modes=2), beta=1e-4))
    with pytest.raises(ObjectiveError, match="no lower|no stationary"):
        stationary_point(forecast(x, decoder_variance="learned"), range(6))
