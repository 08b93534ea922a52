"""Curvature, gradient flow and pPCA's density, against automatic differentiation and densities written out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import solve_ivp

from uncollapse.theory import ppca
from uncollapse.theory.dynamics import Mode, integrate, own_curvature, uncentred_rates, velocity
from uncollapse.theory.landscape import loss_at, morse_index, origin_block, planes, shared_reach, slide

BETA, VARIANCE, PRIOR = 0.7, 1.3, 1.9


def mode_loss(u, v, log_width, zeta: float, beta: float = BETA) -> torch.Tensor:
    """docs/theory.md section 1, one mode, whitened, without its constant."""
    width = torch.exp(2 * log_width)
    fit = (u * v - zeta) ** 2 + width * u**2
    kl = v**2 / PRIOR + width / PRIOR - 1 - torch.log(width / PRIOR)
    return fit / (2 * VARIANCE) + beta / 2 * kl


def test_the_loss_at_given_factors_is_that_of_the_text(rng):
    u, v = rng.standard_normal((2, 4, 3, 2))
    widths, strengths, total = rng.uniform(0.2, 2.0, (4, 2)), np.array([5.0, 2.0, 0.5]), 9.0
    values = loss_at(u, v, widths, strengths, total, beta=BETA, variance=VARIANCE, prior_variance=PRIOR)
    for i in range(4):
        fit = np.linalg.norm(u[i] @ v[i].T - np.diag(np.sqrt(strengths))) ** 2 + total - 7.5
        fit += np.trace(u[i] @ np.diag(widths[i]) @ u[i].T)
        kl = (v[i] ** 2).sum() / PRIOR + (widths[i] / PRIOR - 1 - np.log(widths[i] / PRIOR)).sum()
        assert values[i] == pytest.approx(fit / (2 * VARIANCE) + BETA / 2 * kl)


def test_the_loss_of_one_set_of_factors_is_a_number(rng):
    u, v, widths = rng.standard_normal((3, 2)), rng.standard_normal((3, 2)), np.array([0.5, 1.5])
    strengths = np.array([5.0, 2.0, 0.5])
    how = {"beta": BETA, "variance": VARIANCE, "prior_variance": PRIOR}
    one = loss_at(u, v, widths, strengths, 9.0, **how)
    assert one.shape == ()
    assert one == pytest.approx(loss_at(u[None], v[None], widths[None], strengths, 9.0, **how)[0])


def test_planes_are_the_eigenpairs_of_their_two_by_two_matrix(rng):
    strengths, gains = np.array([5.0, 2.0, 0.4]), np.array([1.0, 2.5, 0.3])
    decoder_cost, encoder_cost = 1.7, 0.6
    of = planes(strengths, gains, np.array(decoder_cost), np.array(encoder_cost), VARIANCE)
    for i in range(3):
        cross = -gains[i] * np.sqrt(strengths[i])
        matrix = np.array([[decoder_cost, cross], [cross, gains[i] ** 2 * encoder_cost]]) / VARIANCE
        values, vectors = np.linalg.eigh(matrix)
        assert of.lowest[i] == pytest.approx(values[0])
        assert of.highest[i] == pytest.approx(values[1])
        along = np.array([of.decoder[i], of.encoder[i]])
        assert abs(along @ vectors[:, 0]) == pytest.approx(1.0)
        assert (along > 0).all()


def test_the_way_down_a_quartic_is_where_it_is_lowest():
    curvature, quartic = np.array([-0.8, -2.0]), np.array([0.3, -1.1])
    reach, gain = slide(curvature, quartic, VARIANCE)
    for c, q, r, g in zip(curvature, quartic, reach, gain, strict=True):
        t = np.linspace(0, 3 * r, 300_001)
        f = c * t**2 / 2 + q**2 * t**4 / (2 * VARIANCE)
        assert t[f.argmin()] == pytest.approx(r, abs=1e-4)
        assert -f.min() == pytest.approx(g, rel=1e-6)


def brute_index(strengths: np.ndarray, modes: tuple[int, ...], n_latents: int, tau: float) -> int:
    """By the sentence of docs/theory.md section 2, counted."""
    unused = [s for i, s in enumerate(strengths) if i not in modes]
    idle = n_latents - len(modes)
    return idle * sum(s > tau for s in unused) + sum(s > strengths[i] for i in modes for s in unused)


def test_the_morse_index_counts_pairs_and_ties_do_not_count():
    strengths = np.array([5.0, 3.0, 3.0, 2.0, 1.0, 0.5])
    for n_latents in (1, 2, 3):
        for size in range(n_latents + 1):
            for modes in combinations(range(5), size):
                for tau in (0.9, 1.0, 2.5):
                    expected = brute_index(strengths, modes, n_latents, tau)
                    assert morse_index(strengths, modes, n_latents, tau) == expected, (modes, n_latents, tau)


def test_latents_of_one_width_that_share_modes_reach_the_root_of_their_quadratic():
    zetas, k, tau = np.array([2.0, 1.5, 1.2]), 2, 0.8
    x = shared_reach(zetas, k, tau)
    total = zetas.sum()
    # 2kτ/(S + √(S² + 4k(k − m)τ)) solves (k − m) x² + S x − kτ = 0
    assert (k - 3) * x**2 + total * x - k * tau == pytest.approx(0.0, abs=1e-12)
    assert shared_reach(zetas[:1], 3, tau) == pytest.approx(2 * 3 * tau / (2 + np.sqrt(4 + 12 * 2 * tau)))


def test_the_hessian_at_the_origin_is_that_of_automatic_differentiation(rng):
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((30, 3))
    inputs, cross = x.T @ x / 30, y.T @ x / 30
    width = 0.4

    def loss(flat: torch.Tensor) -> torch.Tensor:
        u, w = flat[:3], flat[3:]
        mean = torch.as_tensor(x) @ w
        fit = ((torch.outer(mean, u) - torch.as_tensor(y)) ** 2).sum(1).mean() + width * (u**2).sum()
        return fit / (2 * VARIANCE) + BETA / 2 * (mean**2).mean() / PRIOR

    expected = torch.autograd.functional.hessian(loss, torch.zeros(5, dtype=torch.float64)).numpy()
    block = origin_block(inputs, cross, beta=BETA, variance=VARIANCE, prior_variance=PRIOR, width=width)
    np.testing.assert_allclose(block, expected, atol=1e-12)


def flow_mode(width_speed: float = 1.0, gain: float = 1.0) -> Mode:
    return Mode(zeta=2.0, gain=gain, variance=VARIANCE, prior_variance=PRIOR, width_speed=width_speed)


@pytest.mark.parametrize(("gain", "speed"), [(1.0, 1.0), (1.7, 0.3), (0.5, 0.0)])
def test_the_velocity_is_minus_the_gradient(gain, speed):
    state = torch.tensor([0.8, 0.6, -0.2], dtype=torch.float64, requires_grad=True)
    mode_loss(*state, 2.0).backward()
    down = -state.grad.numpy()
    expected = down * [1.0, gain**2, speed]
    np.testing.assert_allclose(velocity(state.detach().numpy(), BETA, flow_mode(speed, gain)), expected)


def test_the_product_at_rest_is_where_the_gradient_vanishes():
    tau = BETA * VARIANCE
    assert flow_mode().product_at_rest(BETA, 0.3) == pytest.approx(2.0 - tau / 2.0)
    assert flow_mode(0.0).product_at_rest(BETA, 0.3) == pytest.approx(2.0 - np.sqrt(tau * 0.3 / PRIOR))
    assert flow_mode().product_at_rest(9.0, 0.3) == 0.0


def test_a_path_is_that_of_another_integrator():
    mode, start, times = flow_mode(), np.array([0.05, 0.05, 0.5 * np.log(PRIOR)]), np.linspace(0, 30, 7)
    rising = lambda t: BETA * min(t / 5, 1.0)  # noqa: E731
    path = integrate(mode, start, 30.0, rising, 0.5, times)
    other = solve_ivp(
        lambda t, s: velocity(s, rising(t), mode), (0, 30), start, method="DOP853", t_eval=times, rtol=1e-9, atol=1e-12,
        max_step=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(path.states, other.y.T, rtol=1e-5, atol=1e-7)
    fine = integrate(mode, start, 30.0, rising, 0.5, np.linspace(0, 30, 60_001)).states
    first = np.linspace(0, 30, 60_001)[(fine[:, 0] * fine[:, 1] >= 0.5).argmax()]
    assert path.escape == pytest.approx(first, abs=1e-3)
    assert integrate(mode, start, 30.0, rising, 0.5, np.empty(0)).escape == pytest.approx(path.escape, rel=1e-6)
    assert integrate(mode, start, 30.0, lambda t: 9.0, 0.5, times).escape == np.inf
    assert integrate(mode, np.array([1.0, 1.0, 0.0]), 30.0, rising, 0.5, times).escape == 0.0
    assert integrate(mode, np.array([1.0, 0.5, 0.0]), 30.0, rising, 0.5, times).escape == 0.0
    assert integrate(mode, np.array([2.0, 0.4, 0.0]), 30.0, lambda t: 9.0, 0.5, times).escape == 0.0


def test_own_curvature_is_the_largest_of_the_hessian_at_the_optimum():
    tau = BETA * VARIANCE
    strengths = np.array([6.0, 2.0, tau + 0.3])
    for speed, gain in ((1.0, 1.0), (0.4, 1.6)):
        got = own_curvature(strengths, np.full(3, gain), tau, VARIANCE, PRIOR, speed)
        for s, value in zip(strengths, got, strict=True):
            zeta = np.sqrt(s)
            u, v = np.sqrt((s - tau) / PRIOR), np.sqrt(PRIOR * (s - tau)) / zeta
            at = torch.tensor([u, v, 0.5 * np.log(PRIOR * tau / s)], dtype=torch.float64)
            hessian = torch.autograd.functional.hessian(lambda p, z=zeta: mode_loss(*p, z), at).numpy()
            scale = np.array([1.0, gain, np.sqrt(speed)])
            expected = np.linalg.eigvalsh(hessian * np.multiply.outer(scale, scale))[-1]
            assert value == pytest.approx(expected)


def test_uncentred_rates_are_the_lowest_of_the_hessian_with_biases(rng):
    """Raw inputs along their modes, a mean along them and one outside, and biases of encoder and decoder."""
    strengths, mean, outside, width = np.array([4.0, 2.0, 0.5]), np.array([1.0, -0.5, 0.3]), 0.8, 1.1
    got = uncentred_rates(strengths, mean, outside, beta=BETA, variance=VARIANCE, prior_variance=PRIOR, width=width)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        u, w, w_out, b = flat[:3], flat[3:6], flat[6], flat[7]
        s, m = torch.as_tensor(strengths), torch.as_tensor(mean)
        shift = (w * m).sum() + np.sqrt(outside) * w_out + b
        encoded = (s * w**2).sum() + shift**2
        fit = -2 * (u * w * s).sum() + width * (u**2).sum()
        return fit / (2 * VARIANCE) + BETA / (2 * PRIOR) * encoded

    hessian = torch.autograd.functional.hessian(loss, torch.zeros(8, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(got, -np.linalg.eigvalsh(hessian)[:3], atol=1e-12)


def test_the_density_of_ppca_is_that_of_a_multivariate_normal(rng):
    directions = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    gains, noise = np.array([3.0, 0.7]), 0.4
    x = rng.standard_normal((6, 5))
    covariance = directions @ np.diag(gains) @ directions.T + noise * np.eye(5)
    expected = stats.multivariate_normal(np.zeros(5), covariance).logpdf(x)
    np.testing.assert_allclose(ppca.log_density(x, directions, gains, noise), expected)
    np.testing.assert_allclose(ppca.signal_variances(np.array([2.0, 3.0]), 1.5), [6.0, 13.5])


@pytest.mark.parametrize("n_features", [4, 7])
def test_the_likelihood_of_a_stationary_point_is_the_mean_density(rng, n_features):
    x = rng.standard_normal((40, n_features)) * np.geomspace(3, 0.5, n_features)
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / 40)
    values, vectors, total = values[::-1], vectors[:, ::-1], float((x**2).sum() / 40)
    listed = values[:4]
    for modes in ((0, 1), (0, 2), (1,)):
        noise = ppca.best_noise_variance(listed, total, n_features, modes)
        assert noise == pytest.approx(np.delete(values, modes).mean())
        gains = values[list(modes)] - noise
        if (gains < 0).any():
            continue
        mean = ppca.log_density(x, vectors[:, list(modes)], gains, noise).mean()
        assert ppca.stationary_log_likelihood(listed, total, n_features, modes, noise) == pytest.approx(mean)


def test_the_curvature_of_a_column_pushed_along_a_mode(rng):
    eigenvalues, sigma2, h = np.array([3.0, 1.0, 0.2]), 0.6, 1e-3
    for k in range(3):
        lengths = np.zeros(3)
        base = -0.5 * ppca.deviance(eigenvalues, 4.2, 3, lengths, sigma2)
        lengths[k] = h**2
        pushed = -0.5 * ppca.deviance(eigenvalues, 4.2, 3, lengths, sigma2)
        expected = 2 * (pushed - base) / h**2  # symmetric in the push: f(h) = f(0) + f''h²/2
        assert ppca.column_curvature(eigenvalues[k], sigma2) == pytest.approx(expected, rel=1e-3)


def test_what_is_outside_the_listed_modes_counts_with_its_energy():
    listed, sigma2 = np.array([3.0, 1.0]), 0.5
    one = ppca.deviance(listed, 4.9, 4, np.zeros(2), sigma2)
    expected = 4 * np.log(2 * np.pi) + 4 * np.log(sigma2) + 4.9 / sigma2
    assert one == pytest.approx(expected)
    inside = ppca.deviance(listed, 4.0000001, 2, np.zeros(2), sigma2)  # rounding of a whole list is no energy
    assert inside == pytest.approx(2 * np.log(2 * np.pi) + 2 * np.log(sigma2) + 4.0 / sigma2, abs=1e-9)
    rows = ppca.deviance(listed, 4.0, 2, np.array([[0.0, 0.0], [2.5, 0.0]]), sigma2)
    assert rows.shape == (2,)
