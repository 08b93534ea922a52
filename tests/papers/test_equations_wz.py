"""Wang & Ziyin 2022, equations 1–42 (main text, Appendices B and C), each by a route that shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from draws import draw, lowest, lowest_matrix_loss, matrix_loss, nodes, objective, orthogonal
from uncollapse import forecast
from uncollapse.theory import optimum
from uncollapse.theory.modes import autoencoder_strengths, regression_strengths


def var_terms(d, sigma):
    """ℓ_var of eq. 5."""
    ratio = sigma**2 / d.eta_enc**2
    return d.beta / 2 * (ratio - 1 - np.log(ratio)).sum()


def gains(d, sigma):
    """Eq. 8, with ζ = 0 beyond d*."""
    zeta = np.pad(d.zeta, (0, max(len(sigma) - len(d.zeta), 0)))[: len(sigma)]
    height = np.maximum(zeta - d.c * sigma, 0)
    return np.sqrt(d.c / sigma * height), np.sqrt(sigma / d.c * height)


def factors(d, lam, theta, turn):
    """U = FΛP, V = GΘP, eq. 7."""
    rectangle_u, rectangle_v = np.zeros((len(d.f), len(lam))), np.zeros((len(d.g), len(lam)))
    k = min(len(lam), len(d.zeta))
    rectangle_u[range(k), range(k)], rectangle_v[range(k), range(k)] = lam[:k], theta[:k]
    return d.f @ rectangle_u @ turn, d.g @ rectangle_v @ turn


def encoder_of(d, v):
    """A solution W of Φ^{1/2} P_Aᵀ W = V."""
    return d.p_a @ (v / np.sqrt(d.phi)[:, None])


def settings(d, **more):
    return {"beta": d.beta, "decoder_variance": d.eta_dec**2, "prior_variance": d.eta_enc**2, **more}


def test_eqs_1_to_5_the_objective_from_densities_is_the_closed_form(rng):
    d = draw(rng)
    noise, weights = nodes(d.sigma)
    mean = d.x @ d.w
    inner = sum(k * (((mean + e) @ d.u.T - d.y) ** 2).sum(1).mean() for e, k in zip(noise, weights, strict=True))
    eq4 = (inner + d.c**2 * (mean**2).sum(1).mean()) / (2 * d.eta_dec**2) + var_terms(d, d.sigma)
    l_mean = d.c**2 * np.trace(d.w.T @ d.a @ d.w)
    fit = ((mean @ d.u.T - d.y) ** 2).sum(1).mean() + np.trace(d.u @ np.diag(d.sigma**2) @ d.u.T)
    eq5 = (fit + l_mean) / (2 * d.eta_dec**2) + var_terms(d, d.sigma)
    assert eq4 == pytest.approx(objective(d))
    assert eq5 == pytest.approx(objective(d))
    rho = d.sigma / d.eta_enc
    assert d.beta * optimum.fixed_width_kl(rho).sum() == pytest.approx(var_terms(d, d.sigma))


def test_notation_x_can_be_whitened_and_the_strengths_are_squared_singular_values(rng):
    d = draw(rng)
    np.testing.assert_allclose(d.white.T @ d.white / len(d.x), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(d.white * np.sqrt(d.phi) @ d.p_a.T, d.x, atol=1e-10)
    yx = d.y.T @ d.x / len(d.x)
    np.testing.assert_allclose(yx @ d.p_a / np.sqrt(d.phi), d.z, atol=1e-10)
    found, rank = regression_strengths(d.a, yx, 1e-10)
    np.testing.assert_allclose(found, d.zeta**2)
    assert rank == 3


def test_eq_6_the_vae_is_a_regularised_matrix_factorisation(rng):
    """Proposition 1: 2η²·L_VAE − L(U, V) does not depend on U and W, nor on what W does to null directions of x."""
    d = draw(rng)
    outside = np.eye(4) - d.p_a @ d.p_a.T
    for _ in range(3):
        u, w = rng.standard_normal(d.u.shape), rng.standard_normal(d.w.shape)
        v = np.sqrt(d.phi)[:, None] * (d.p_a.T @ w)
        constant = d.energy - (d.z**2).sum() + 2 * d.eta_dec**2 * var_terms(d, d.sigma)
        shifted = w + outside @ rng.standard_normal(w.shape)
        assert 2 * d.eta_dec**2 * objective(d, u, shifted) == pytest.approx(
            matrix_loss(d, u, v, d.sigma) + constant, rel=1e-9
        )


@pytest.mark.parametrize("shape", [(4, 3, 2, 3), (3, 2, 4, 3), (4, 4, 3, 2)])
def test_eqs_7_and_8_the_minimum_at_equal_widths_with_any_rotation(rng, shape):
    """Proposition 2, Σ = σ²I: P is arbitrary, and the singular values are those of eq. 8."""
    d = draw(rng, shape=shape)
    sigma = np.full(shape[2], d.sigma[0])
    lam, theta = gains(d, sigma)
    u, v = factors(d, lam, theta, orthogonal(shape[2], rng))
    assert matrix_loss(d, u, v, sigma) == pytest.approx(lowest_matrix_loss(d, sigma, rng), rel=1e-7)
    f = forecast(d.x, d.y, **settings(d, n_latents=len(sigma[:2]), encoder_variance=float(sigma[0] ** 2)))
    k = min(len(sigma), len(d.zeta), 2)
    np.testing.assert_allclose(f.modes.decoder_gain[:k], lam[:k], atol=1e-7)
    np.testing.assert_allclose(f.modes.encoder_gain[:k], theta[:k], atol=1e-7)


def test_eq_9_for_a_vae_zzt_is_the_covariance(rng):
    """Eq. 9 itself is corrected in test_errata_more.py; its use, γM = I, is right."""
    d = draw(rng, autoencoder=True)
    np.testing.assert_allclose(d.z @ d.z.T, d.a, atol=1e-10)
    np.testing.assert_allclose(autoencoder_strengths(d.a, 1e-10), d.zeta**2)


def test_eq_10_widths_of_the_prior_and_when_they_collapse(rng):
    """Theorem 1: eq. 8 at σ = η_enc; a mode dies at ζ = √β η_dec, whatever η_enc; only β η_dec² counts."""
    d = draw(rng, autoencoder=True)
    sigma = np.full(2, d.eta_enc)
    root = np.sqrt(d.beta) * d.eta_dec
    lam = np.sqrt(np.maximum(0, root / d.eta_enc**2 * (d.zeta[:2] - root)))
    theta = np.sqrt(np.maximum(0, d.eta_enc**2 / root * (d.zeta[:2] - root)))
    np.testing.assert_allclose((lam, theta), gains(d, sigma), atol=1e-12)
    for factor, alive in ((0.98, 1), (1.02, 0)):
        at = {"decoder_variance": factor * d.zeta[0] ** 2 / d.beta, "beta": d.beta, "encoder_variance": d.eta_enc**2}
        f = forecast(d.x, **at, prior_variance=d.eta_enc**2, n_latents=1)
        assert f.n_alive == alive


def test_eq_11_the_minimum_at_given_widths_when_the_narrowest_takes_the_strongest_mode(rng):
    """Corollary 1, brackets around each summand, σ ascending; with modes left over (d1 < d*) and without."""
    for shape in ((4, 3, 2, 3), (3, 2, 3, 2)):
        d = draw(rng, shape=shape, scale=0.7)
        sigma = np.sort(d.sigma)
        k = min(len(sigma), len(d.zeta))
        heights = np.maximum(d.zeta[:k] - d.c * sigma[:k], 0)
        eq11 = (d.zeta[:k] ** 2 - heights**2).sum() + (d.zeta[k:] ** 2).sum()
        assert lowest_matrix_loss(d, d.sigma, rng) == pytest.approx(eq11, rel=1e-7)
        f = forecast(d.x, d.y, **settings(d, n_latents=k, encoder_variance=tuple(sigma[:k] ** 2)))
        residual = d.energy - (d.zeta**2).sum()
        assert f.loss == pytest.approx((eq11 + residual) / (2 * d.eta_dec**2) + var_terms(d, sigma[:k]))


def test_eqs_12_to_14_and_92_the_best_width_of_one_latent(rng):
    """Proposition 3, against a bounded search on l_i(σ), and `at_modes`."""
    for height in (0.3, 0.9, 1.1, 3.0):  # ζ in units of √β η_dec
        d = draw(rng)
        zeta = height * np.sqrt(d.tau)

        def reduced(sigma, d=d, zeta=zeta):
            ratio = sigma**2 / d.eta_enc**2
            return zeta**2 - max(zeta - d.c * sigma, 0) ** 2 + d.tau * (ratio - 1 - np.log(ratio))

        found = minimize_scalar(reduced, bounds=(1e-3, 3 * d.eta_enc), method="bounded", options={"xatol": 1e-10}).x
        eq14 = np.sqrt(d.tau) / zeta * d.eta_enc if d.tau < zeta**2 else d.eta_enc
        assert found == pytest.approx(eq14, rel=1e-5)
        alive = int(height > 1)
        mode = optimum.at_modes(
            d.tau, np.array([zeta**2]), rho=None, n_usable=1, alive=np.array([bool(alive)]), prior_std=d.eta_enc
        )
        assert mode.encoder_std[0] == pytest.approx(eq14)


def test_eqs_15_to_19_the_global_minimum_with_learned_widths(rng):
    """Theorem 2 with P = I: its loss, from densities, is the least that L-BFGS finds over U, V and Σ."""
    d = draw(rng, scale=0.8)
    lam = np.sqrt(np.maximum(0, d.zeta**2 - d.tau))[:2] / d.eta_enc
    theta = np.sqrt(np.maximum(0, d.zeta**2 - d.tau))[:2] * d.eta_enc / d.zeta[:2]
    sigma = np.where(d.tau < d.zeta**2, np.sqrt(d.tau) * d.eta_enc / d.zeta, d.eta_enc)[:2]
    u, v = factors(d, lam, theta, np.eye(2))
    eq15_to_19 = objective(d, u, encoder_of(d, v), sigma)

    def value(flat):
        width = torch.exp(flat[12:])
        ratio = width**2 / d.eta_enc**2
        kl = d.beta / 2 * (ratio - 1 - torch.log(ratio)).sum()
        return matrix_loss(d, flat[:6].reshape(3, 2), flat[6:12].reshape(3, 2), width) / (2 * d.eta_dec**2) + kl

    residual = (d.energy - (d.z**2).sum()) / (2 * d.eta_dec**2)
    assert eq15_to_19 == pytest.approx(lowest(value, 14, rng)[0] + residual, rel=1e-8)
    f = forecast(d.x, d.y, **settings(d, n_latents=2))
    assert f.loss == pytest.approx(eq15_to_19)
    np.testing.assert_allclose(f.modes.decoder_gain[:2], lam, atol=1e-7)
    np.testing.assert_allclose(f.weights.encoder_std, sigma)


def test_eqs_20_to_25_the_gradient_in_the_biases_and_where_it_vanishes(rng):
    """Proposition 4, on data that are not centred: printed gradients, and the biases by solving the linear system."""
    d = draw(rng)
    shift_x, shift_y = rng.standard_normal(4), rng.standard_normal(3)
    x, y = torch.tensor(d.x + shift_x), torch.tensor(d.y + shift_y)
    u, w = torch.tensor(d.u), torch.tensor(d.w)

    def loss(flat):
        mean = x @ w + flat[:2]
        fit = ((mean @ u.T + flat[2:] - y) ** 2).sum(1).mean() + d.c**2 * (mean**2).sum(1).mean()
        return fit / (2 * d.eta_dec**2)

    biases = torch.tensor(rng.standard_normal(5), requires_grad=True)
    gradient = torch.autograd.grad(loss(biases), biases)[0].numpy()
    b_enc, b_dec = biases.detach().numpy()[:2], biases.detach().numpy()[2:]
    mean = d.w.T @ shift_x + b_enc
    eq23 = ((d.u.T @ d.u + d.c**2 * np.eye(2)) @ mean + d.u.T @ (b_dec - shift_y)) / d.eta_dec**2
    eq25 = (d.u @ mean + b_dec - shift_y) / d.eta_dec**2
    np.testing.assert_allclose(gradient, np.concatenate([eq23, eq25]), atol=1e-10)
    hessian = torch.autograd.functional.hessian(loss, biases.detach()).numpy()
    solved = biases.detach().numpy() - np.linalg.solve(hessian, gradient)
    np.testing.assert_allclose(solved, np.concatenate([-d.w.T @ shift_x, shift_y]), atol=1e-8)
    weights = forecast(x.numpy(), y.numpy(), **settings(d, n_latents=2)).weights
    np.testing.assert_allclose(weights.encoder_bias, -shift_x @ weights.encoder, atol=1e-9)
    np.testing.assert_allclose(weights.decoder_bias, shift_y, atol=1e-9)


def varying_width_loss(d, c, offset):
    """L^DDV of eq. 29 with σ_i(x) = |c_iᵀx + f_i|, ε integrated by quadrature row by row."""
    width = np.abs(d.x @ c.T + offset)
    noise, weights = nodes(np.ones(len(offset)))
    mean = d.x @ d.w
    fit = sum(k * (((mean + width * e) @ d.u.T - d.y) ** 2).sum(1).mean() for e, k in zip(noise, weights, strict=True))
    ratio = width**2 / d.eta_enc**2
    kl = d.beta / 2 * (ratio - 1 - np.log(ratio)).mean(0).sum()
    return (fit + d.c**2 * (mean**2).sum(1).mean()) / (2 * d.eta_dec**2) + kl, width


def test_eqs_26_to_34_a_width_that_depends_on_x_enters_through_its_mean_square(rng):
    d = draw(rng)
    c, offset = 0.4 * rng.standard_normal((2, 4)), rng.standard_normal(2)
    loss, width = varying_width_loss(d, c, offset)
    squares = offset**2 + np.einsum("ij,jk,ik->i", c, d.a, c)  # eq. 31
    np.testing.assert_allclose((width**2).mean(0), squares)
    noise, weights = nodes(np.ones(2))
    trace = sum(k * (((width * e) @ d.u.T) ** 2).sum(1).mean() for e, k in zip(noise, weights, strict=True))
    assert trace == pytest.approx(np.trace(d.u @ np.diag(squares) @ d.u.T))  # eq. 32
    error = d.x @ d.w @ d.u.T - d.y  # UWᵀx − y: the parenthesis of eqs. 30 and 33 put right
    cross = sum(k * (error * ((width * e) @ d.u.T)).sum(1).mean() for e, k in zip(noise, weights, strict=True))
    assert cross == pytest.approx(0, abs=1e-10)  # eq. 33
    fit = (error**2).sum(1).mean() + (d.u**2 * squares).sum() + d.c**2 * ((d.x @ d.w) ** 2).sum(1).mean()
    ratio = width**2 / d.eta_enc**2
    eq34 = fit / (2 * d.eta_dec**2) + d.beta / 2 * (ratio - 1 - np.log(ratio)).mean(0).sum()
    assert loss == pytest.approx(eq34)


def test_eqs_35_to_42_a_constant_width_is_never_worse(rng):
    """Lemma 1 and Proposition 5; the loss gained is (β/2) Σ_i (log E σ_i² − E log σ_i²)."""
    d = draw(rng)
    for _ in range(5):
        c, offset = rng.standard_normal((2, 4)), rng.standard_normal(2)
        constant = np.sqrt(offset**2 + np.einsum("ij,jk,ik->i", c, d.a, c))  # eq. 37
        varying, width = varying_width_loss(d, c, offset)
        flat, same = varying_width_loss(d, np.zeros_like(c), constant)
        np.testing.assert_allclose((width**2).mean(0), (same**2).mean(0))  # eqs. 35, 36
        gain = d.beta / 2 * (np.log((width**2).mean(0)) - np.log(width**2).mean(0)).sum()
        assert varying - flat == pytest.approx(gain)
        assert gain > 0
