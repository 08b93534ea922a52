"""Rates and times against gradient descent on the full matrix objective itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from problems import Problem, full_loss, rows_with_spectrum
from uncollapse import Objective, ObjectiveError, UncollapseWarning, forecast, spectrum
from uncollapse.landscape.descent import linear_warmup
from uncollapse.landscape.escape import escape_times
from uncollapse.landscape.flow import gradient_flow
from uncollapse.landscape.pictures import flow_figure
from uncollapse.theory import dynamics
from uncollapse.theory.landscape import origin_block


def vae(rng, strengths=(4.0, 2.5, 0.5), *, n_latents=3, beta=1.0, s=1.0, prior=1.0, mean=0.0, bias=False) -> Problem:
    x = rows_with_spectrum(np.array(strengths), 30, len(strengths), rng, mean=mean)
    return Problem(x, None, n_latents, beta, s, prior, "learned", bias)


def descend(problem: Problem, u, w, learning_rate, n_steps, beta=None, biases=None) -> list[torch.Tensor]:
    """Parameters of `full_loss` after each step of gradient descent, from (u, w), widths at the prior's."""
    d1, d2, d0 = problem.n_latents, u.shape[0], w.shape[0]
    encoder_bias, decoder_bias = biases or (np.zeros(d1), np.zeros(d2))
    width = np.full(d1, np.log(problem.prior_variance) / 2)
    at = torch.tensor(np.concatenate([u.ravel(), w.ravel(), encoder_bias, decoder_bias, width, [0.0]]))
    assert len(at) == d2 * d1 + d0 * d1 + 2 * d1 + d2 + 1
    path = [at]
    for step in range(n_steps):
        now = problem if beta is None else replace(problem, beta=beta(step))
        leaf = path[-1].clone().requires_grad_()
        full_loss(now, leaf).backward()
        path.append(path[-1] - learning_rate * leaf.grad)
    return path


def products(path, f) -> np.ndarray:
    """Whitened decoder–encoder product of each mode, at each step: F_kᵀ U Wᵀ A E_k."""
    d2, d0, d1 = f.spectrum.n_targets, f.spectrum.n_features, f.n_latents
    basis, zetas = f.spectrum.basis, np.sqrt(f.spectrum.strengths)
    reader = basis.decoder * zetas if f.spectrum.target_is_input else basis.encoder
    out = []
    for at in path:
        u = at[: d2 * d1].reshape(d2, d1).numpy()
        w = at[d2 * d1 : d2 * d1 + d0 * d1].reshape(d0, d1).numpy()
        out.append(np.einsum("ik,ik->k", basis.decoder.T @ u @ w.T @ reader, np.eye(len(zetas))))
    return np.array(out)


def in_modes(f, flow, encoder_unit):
    """U and W of a flow's first point; W along unit vectors, read through the gain."""
    p = f.n_usable
    u, w = np.zeros((f.spectrum.n_targets, f.n_latents)), np.zeros((f.spectrum.n_features, f.n_latents))
    u[:, :p] = f.spectrum.basis.decoder[:, :p] * flow.decoder[0]
    w[:, :p] = encoder_unit[:, :p] * flow.encoder[0]
    return u, w


def test_a_mode_moves_along_minus_the_gradient(rng):
    problem = vae(rng, strengths=(3.0,), n_latents=1, s=0.8, prior=1.5, beta=0.7)
    for _ in range(5):
        u, w, log_std = rng.standard_normal(3)
        at = torch.tensor([u, w, 0.0, 0.0, log_std, 0.0], requires_grad=True)
        full_loss(problem, at).backward()
        gradient = at.grad.numpy()[[0, 1, 4]]
        zeta = np.sqrt(3.0)
        moved = dynamics.velocity(np.array([u, zeta * w, log_std]), 0.7, dynamics.Mode(zeta, zeta, 0.8, 1.5, 1.0))
        np.testing.assert_allclose(moved, -gradient * [1, zeta, 1], rtol=1e-8)
        slower = dynamics.velocity(np.array([u, zeta * w, log_std]), 0.7, dynamics.Mode(zeta, zeta, 0.8, 1.5, 0.25))
        assert slower[2] == pytest.approx(moved[2] / 4)


def test_the_flow_is_gradient_descent_with_small_steps_on_raw_inputs(rng):
    problem = vae(rng, s=0.8, prior=1.5)
    f = forecast(problem.x, **problem.settings)
    flow = gradient_flow(f, 600, 0.01, initial_std=0.05, width_parameter="log_std", n_points=7)
    u, w = in_modes(f, flow, f.spectrum.basis.encoder)
    path = descend(problem, u, w, 0.01, 600)
    np.testing.assert_allclose(products(path[::100], f), flow.product, atol=0.03 * flow.product.max())
    width = np.array([np.exp(at[-4:-1].numpy()) for at in path[::100]])
    np.testing.assert_allclose(width, flow.encoder_std, atol=0.02)
    losses = [float(full_loss(problem, at)) for at in path[::100]]
    np.testing.assert_allclose(losses, flow.loss, atol=0.03 * losses[0])


def test_the_flow_of_whitened_inputs_is_gradient_descent_on_whitened_inputs(rng):
    x = np.linalg.qr(rng.standard_normal((40, 3)))[0] * np.sqrt(40)
    y = x @ rng.standard_normal((3, 2)) * 2 + 0.1 * rng.standard_normal((40, 2))
    problem = Problem(x, y, 2, 0.5, 1.0, 1.0, "learned", False)
    f = forecast(x, y, **problem.settings)
    flow = gradient_flow(f, 400, 0.01, initial_std=0.05, inputs="whitened", width_parameter="log_std", n_points=5)
    path = descend(problem, *in_modes(f, flow, f.spectrum.basis.encoder), 0.01, 400)
    np.testing.assert_allclose(products(path[::100], f), flow.product, atol=0.03 * flow.product.max())


def test_raw_inputs_leave_the_origin_at_the_raw_rate_and_not_at_the_whitened_one(rng):
    problem = vae(rng)
    f = forecast(problem.x, **problem.settings)
    rates = {kind: escape_times(f, 1e-3, inputs=kind).rates[0] for kind in ("raw", "whitened")}
    u, w = 1e-6 * rng.standard_normal((2, 3, 3))
    lr = 2e-3
    product = products(descend(problem, u, w, lr, 1800)[1000::800], f)[:, 0]
    measured = np.log(np.abs(product[1] / product[0])) / (2 * 800 * lr)
    assert measured == pytest.approx(rates["raw"], rel=0.01)
    assert rates["whitened"] < 0.7 * rates["raw"]
    whitened = replace(problem, x=problem.x @ f.spectrum.basis.encoder, y=problem.x)
    path = descend(whitened, u, w, lr, 3000)[1000::2000]
    product = products(path, forecast(whitened.x, whitened.y, **whitened.settings))[:, 0]
    assert np.log(np.abs(product[1] / product[0])) / (2 * 2000 * lr) == pytest.approx(rates["whitened"], rel=0.01)


@pytest.mark.parametrize("prior", [0.5, 1.0, 2.0])
def test_the_rates_of_raw_inputs_with_a_mean_are_the_hessian_s(prior, rng):
    problem = vae(rng, mean=1.5, bias=True, n_latents=1, prior=prior, s=0.7)
    f = forecast(problem.x, **problem.settings)
    at = np.zeros(3 + 3 + 1 + 3 + 1 + 1)
    at[7:10], at[10] = f.spectrum.mean_input, np.log(prior) / 2
    hessian = torch.autograd.functional.hessian(lambda point: full_loss(problem, point), torch.tensor(at)).numpy()
    expected = -np.sort(np.linalg.eigvalsh(hessian))[: f.n_alive]
    times = escape_times(f, 1e-3)
    np.testing.assert_allclose(times.rates[: f.n_alive], expected, rtol=1e-8)
    centred = escape_times(f, 1e-3, inputs="centred")
    assert (times.rates[: f.n_alive] < centred.rates[: f.n_alive]).all()
    assert (np.isfinite(times.steps) == (np.arange(3) < f.n_alive)).all()


def test_a_regression_s_rates_on_raw_inputs_come_from_the_moments(rng):
    x = rng.standard_normal((50, 3)) * [2.0, 1.0, 0.3]
    y = x @ rng.standard_normal((3, 2)) + 0.2 * rng.standard_normal((50, 2))
    problem = Problem(x, y, 1, 0.4, 1.0, 1.0, "learned", False)
    block = origin_block(x.T @ x / 50, y.T @ x / 50, beta=0.4, variance=1.0, prior_variance=1.0, width=1.0)
    rate, lr = -np.linalg.eigvalsh(block)[0], 0.02
    n = int(2.0 / (rate * lr))
    path = descend(problem, *(1e-7 * rng.standard_normal((d, 1)) for d in (2, 3)), lr, 6 * n)
    sizes = [float(torch.linalg.norm(at[:5])) for at in (path[4 * n], path[-1])]
    assert np.log(sizes[1] / sizes[0]) / (2 * n) == pytest.approx(np.log1p(lr * rate), rel=0.01)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_escape_times_foretell_gradient_descent_from_a_random_start(mean, rng):
    problem = vae(rng, strengths=(5.0, 3.0, 0.4), mean=mean, bias=True)
    f = forecast(problem.x, **problem.settings)
    times = escape_times(f, 0.01, initial_std=0.01, width_parameter="log_std")
    u, w = 0.01 * rng.standard_normal((2, 3, 3))
    path = descend(problem, u, w, 0.01, 900, biases=(-f.spectrum.mean_input @ w, f.spectrum.mean_input))
    goal = (f.spectrum.strengths - f.water_level) / np.sqrt(f.spectrum.strengths) / 2
    found = products(path, f)[:, :2] > goal[:2]
    assert found[-1].all()
    # a random start is sometimes shorter or longer than its mean square along a mode, and modes disturb each other
    np.testing.assert_allclose(np.log(found.argmax(axis=0) / times.steps[:2]), 0.0, atol=np.log(1.9))
    assert times.steps[2] == np.inf
    assert "under water" in times.sentences[2]
    assert list(times.slow(times.steps[0] + 1)) == [1]


def test_steps_count_at_the_scale_of_the_loss_as_written(rng):
    """Descent on torch's own mean-reduced loss, from the start that the flow takes."""
    x = rows_with_spectrum(np.array([9.0, 6.0]), 20, 2, rng)
    written = Objective.from_loss("mse", reduction="mean", kl_weight=0.7, n_features=2, n_latents=2, bias=False)
    f = forecast(x, objective=written)
    flow = gradient_flow(f, 1000, 0.01, initial_std=0.05, n_points=5)
    u, w = (torch.tensor(part) for part in in_modes(f, flow, f.spectrum.basis.encoder))
    log_variance, data = torch.zeros(2, dtype=torch.float64), torch.tensor(x)
    reached = []
    for step in range(1001):
        if step % 250 == 0:
            reached.append(np.diag(f.spectrum.basis.decoder.T @ (u @ w.T).numpy() @ f.spectrum.basis.decoder))
        leaves = [part.detach().requires_grad_() for part in (u, w, log_variance)]
        mean = data @ leaves[1]
        noise = (leaves[0] ** 2 * torch.exp(leaves[2])).sum() / 2  # the mean over 2 features of what sampling adds
        kl = 0.5 * (mean**2 + torch.exp(leaves[2]) - 1 - leaves[2]).sum(1).mean()
        (functional.mse_loss(mean @ leaves[0].T, data) + noise + 0.7 * kl).backward()
        u, w, log_variance = (part.detach() - 0.01 * part.grad for part in leaves)
    np.testing.assert_allclose(reached * np.sqrt(f.spectrum.strengths), flow.product, atol=0.03 * flow.product.max())
    per_batch = Objective.from_loss("mse", kl_weight=0.7, batch="sum", kl_batch="sum", batch_size=8, bias=False)
    per_sample = Objective.from_loss("mse", kl_weight=0.7, bias=False)
    batch, sample = (escape_times(forecast(x, objective=o), 1e-4).steps for o in (per_batch, per_sample))
    np.testing.assert_allclose(8 * batch, sample)


def test_annealing_speeds_the_escape_and_cannot_change_the_end(rng):
    problem = vae(rng, strengths=(3.0, 1.3, 0.6))
    f = forecast(problem.x, **problem.settings)
    warmup = linear_warmup(1000, 1.0)
    plain, annealed = (
        gradient_flow(f, 40_000, 0.01, initial_std=0.01, beta=beta, width_parameter="log_std", n_points=401)
        for beta in (None, warmup)
    )
    assert (annealed.escapes[:2] < plain.escapes[:2]).all()
    assert annealed.escapes[1] < 0.7 * plain.escapes[1]
    rest = np.append((f.spectrum.strengths - 1)[:2] / np.sqrt(f.spectrum.strengths[:2]), 0.0)
    for flow in (plain, annealed):
        np.testing.assert_allclose(flow.product[-1], rest, atol=1e-5)
        assert flow.loss[-1] == pytest.approx(f.loss, abs=1e-8)
    assert annealed.product[:, 2].max() > 100 * annealed.product[-1, 2]  # alive during the warm-up, drowned by its end
    stepped = escape_times(f, 0.01, initial_std=0.01, beta=warmup, inputs="centred", width_parameter="log_std").steps
    np.testing.assert_allclose(stepped[:2], annealed.escapes[:2], rtol=1e-4)
    path = descend(problem, *in_modes(f, annealed, f.spectrum.basis.encoder), 0.01, 800, beta=warmup)
    np.testing.assert_allclose(products(path[::100], f), annealed.product[:9], atol=0.03 * rest.max())


def test_the_figure_marks_each_escape(rng):
    f = forecast(vae(rng).x, n_latents=3)
    flows = {"plain": gradient_flow(f, 3000, 0.01), "short": gradient_flow(f, 20, 0.01, initial_std=1e-3)}
    figure = flow_figure(flows, [0, 1], f.modes.decoder_gain * f.modes.encoder_gain)
    marks = [mark for panel in figure.panels for mark in panel.marks if mark.name == "escape"]
    assert len(marks) == 1  # in the short flow none escapes
    np.testing.assert_array_equal(marks[0].x, flows["plain"].escapes[:2])


@pytest.mark.parametrize("width", ["learned", 0.5, 1.3])
def test_a_mode_comes_to_rest_at_the_closed_form_optimum(width, rng):
    problem = replace(vae(rng, prior=1.4), encoder_variance=width)
    f = forecast(problem.x, **problem.settings)
    flow = gradient_flow(f, 100_000, 0.01, n_points=2)
    np.testing.assert_allclose(flow.product[-1], f.modes.decoder_gain * f.modes.encoder_gain, atol=1e-6)
    np.testing.assert_allclose(flow.encoder_std[-1], f.modes.encoder_std, atol=1e-6)
    assert flow.loss[-1] == pytest.approx(f.loss, rel=1e-8)
    assert np.isfinite(flow.escapes).tolist() == f.modes.alive.tolist()


def test_curvature_at_the_optimum_bounds_the_learning_rate(rng):
    problem = vae(rng, strengths=(4.0,), n_latents=1, s=0.3, prior=1.3)
    f = forecast(problem.x, **problem.settings)
    w = f.weights
    at = torch.tensor([w.decoder.item(), w.encoder.item(), 0.0, 0.0, np.log(w.encoder_std.item()), 0.0])
    hessian = torch.autograd.functional.hessian(lambda point: full_loss(problem, point), at).numpy()
    ours = dynamics.own_curvature(f.spectrum.strengths, np.full(1, 2.0), 0.3, 0.3, 1.3, 1.0)
    assert ours == pytest.approx(np.linalg.eigvalsh(hessian)[-1])
    with pytest.warns(UncollapseWarning, match="cannot settle"):
        escape_times(f, 2.1 / float(ours[0]), width_parameter="log_std")


def test_what_is_not_covered_is_refused_in_one_line(rng):
    x = rng.random((50, 6))
    f = forecast(x, beta=0.01, n_latents=3)
    for bad, words in (
        (forecast(x, likelihood="bernoulli"), "Gaussian"),
        (forecast(x, decoder_variance="learned", n_latents=2), "decoder variance"),
        (forecast(x, encoder_variance=(0.1, 0.2)), "differ"),
        (forecast(x, x[:, :2] * 2), "whitened"),
        (forecast(x, objective=Objective.from_loss(batch="sum", kl_batch="sum")), "batch_size"),
    ):
        with pytest.raises(ObjectiveError, match=words):
            escape_times(bad, 1e-3)
    with pytest.raises(ObjectiveError, match="initial_std"):
        escape_times(f, 1e-3, initial_std=0.0)
    with pytest.raises(ObjectiveError, match="learning_rate"):
        escape_times(f, 0.0)
    with pytest.raises(ObjectiveError, match="inputs"):
        escape_times(f, 1e-3, inputs="pca")
    with pytest.raises(ObjectiveError, match="n_steps"):
        gradient_flow(f, 0, 1e-3)
    with pytest.raises(ObjectiveError, match="centred"):
        gradient_flow(f, 10, 1e-3, inputs="raw")


def test_sentences_name_what_each_mode_waits_for(rng):
    f = forecast(spectrum(rows_with_spectrum(np.array([5.0, 3.0, 0.4]), 30, 3, rng)), n_latents=1)
    first, second, third = escape_times(f, 1e-4).sentences
    assert "needs about" in first
    assert "no latent left" in second
    assert "under water" in third
