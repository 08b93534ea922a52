"""Wang & Ziyin 2022, Appendix E (equations 66–118): the steps of the proofs, by NumPy and automatic differentiation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from draws import draw, lowest_matrix_loss, matrix_loss, orthogonal
from uncollapse import forecast


def j_of(d, lam, sigma):
    """J_{Q*} of eq. 81, summed with its brackets: Σ (σ_i²λ_i² − ζ_i²η_enc²λ_i²/(βη_dec² + η_enc²λ_i²))."""
    zeta = d.zeta[: len(lam)]
    return (sigma**2 * lam**2 - zeta**2 * d.eta_enc**2 * lam**2 / (d.tau + d.eta_enc**2 * lam**2)).sum()


def equal_width(d):
    return np.full(d.u.shape[1], d.sigma[0])


def test_eqs_66_to_71_from_the_data_to_the_matrices(rng):
    """Each line equals the one before, with V̂ᵀ for V in eq. 69; eq. 72 drops E‖y‖² − ‖Z‖² (erratum 3)."""
    d = draw(rng)
    penalty = (d.u**2 * d.sigma**2).sum()
    eq67 = ((d.x @ d.w @ d.u.T - d.y) ** 2).sum(1).mean() + penalty + d.c**2 * np.trace(d.w.T @ d.a @ d.w)
    inner = d.white * np.sqrt(d.phi) @ d.p_a.T @ d.w
    weighted = np.trace(d.w.T @ d.p_a @ np.diag(d.phi) @ d.p_a.T @ d.w)
    eq68 = ((inner @ d.u.T - d.y) ** 2).sum(1).mean() + penalty + d.c**2 * weighted
    eq69 = ((d.white @ d.v @ d.u.T - d.y) ** 2).sum(1).mean() + penalty + d.c**2 * (d.v**2).sum()
    product = np.trace(d.u.T @ d.u @ d.v.T @ d.v - 2 * d.u.T @ d.z @ d.v)
    eq70 = product + d.energy + penalty + d.c**2 * np.trace(d.v.T @ d.v)
    eq71 = matrix_loss(d, d.u, d.v, d.sigma) - (d.z**2).sum() + d.energy
    np.testing.assert_allclose([eq68, eq69, eq70, eq71], eq67)


def test_eqs_73_to_78_the_encoder_that_is_best_for_a_decoder(rng):
    d = draw(rng)
    u, v = torch.tensor(d.u), torch.tensor(d.v, requires_grad=True)
    gradient = torch.autograd.grad(matrix_loss(d, u, v, torch.tensor(d.sigma)), v)[0].numpy()
    eq73 = d.v @ d.u.T @ d.u - d.z.T @ d.u + d.c**2 * d.v
    np.testing.assert_allclose(gradient / 2, eq73, atol=1e-10)
    inverse = np.linalg.inv(d.c**2 * np.eye(2) + d.u.T @ d.u)
    eq74 = d.z.T @ d.u @ inverse
    np.testing.assert_allclose(eq74 @ d.u.T @ d.u - d.z.T @ d.u + d.c**2 * eq74, 0, atol=1e-10)
    penalty, energy = (d.u**2 * d.sigma**2).sum(), (d.z**2).sum()
    quadratic = (d.u.T @ d.u + d.c**2 * np.eye(2)) @ eq74.T @ eq74 - 2 * d.u.T @ d.z @ eq74
    eq75 = np.trace(quadratic) + penalty + energy
    eq76 = penalty - np.trace(d.u.T @ d.z @ eq74) + energy
    eq77 = penalty - np.trace(d.u.T @ d.z @ d.z.T @ d.u @ inverse) + energy
    np.testing.assert_allclose([eq75, eq76, eq77], matrix_loss(d, d.u, eq74, d.sigma))
    q, sizes, p = np.linalg.svd(d.u)
    np.testing.assert_allclose(inverse, p.T @ np.diag(1 / (d.c**2 + sizes**2)) @ p, atol=1e-10)  # eq. 78
    # eq. 79 with one width for all latents: only then is Tr(UΣUᵀ) = Tr(ΛᵀΛΣ) for any P
    same = np.full(2, d.sigma[0])
    lam = np.zeros((3, 2))
    lam[[0, 1], [0, 1]] = sizes
    gamma = np.diag(1 / (d.c**2 + sizes**2))
    rotated = np.trace(q @ lam @ gamma @ lam.T @ q.T @ d.f @ np.diag(d.zeta**2) @ d.f.T)
    eq79 = np.trace(lam.T @ lam @ np.diag(same**2)) - rotated
    assert eq79 == pytest.approx(eq77 - energy - penalty + (d.u**2 * same**2).sum())


def test_eqs_80_and_81_von_neumann_bounds_the_trace(rng):
    """For λ in descending order Q = F is best, over random orthogonal Q and over all permutations."""
    d = draw(rng, shape=(3, 3, 3, 3))
    for _ in range(20):
        lam = np.sort(rng.uniform(0, 2, 3))[::-1]
        inner = np.diag(lam**2 / (d.c**2 + lam**2))
        bound = np.trace(inner @ np.diag(d.zeta**2))
        rotations = [orthogonal(3, rng), *(d.f @ np.eye(3)[list(order)] for order in permutations(range(3)))]
        for q in rotations:
            value = np.trace(q @ inner @ q.T @ d.f @ np.diag(d.zeta**2) @ d.f.T)
            assert value <= bound + 1e-10
        sigma = equal_width(d)
        assert j_of(d, lam, sigma) == pytest.approx(sigma[0] ** 2 * (lam**2).sum() - bound)


def test_eqs_82_to_88_the_best_singular_value_of_the_decoder():
    """∂J/∂t, its zeros and the sign of t⁽²⁾, by symbolic algebra."""
    sympy = pytest.importorskip("sympy")
    t, sigma, zeta, beta, dec, enc = sympy.symbols("t sigma zeta beta eta_dec eta_enc", positive=True)
    j = sigma**2 * t - zeta**2 * enc**2 * t / (beta * dec**2 + enc**2 * t)
    below = beta * dec**2 + enc**2 * t
    eq83 = sigma**2 - (zeta**2 * enc**2 * below - enc**2 * zeta**2 * enc**2 * t) / below**2
    eq84 = sigma**2 - zeta**2 * enc**2 * beta * dec**2 / below**2
    eq85 = (sigma**2 * below**2 - zeta**2 * enc**2 * beta * dec**2) / below**2
    for printed in (eq83, eq84, eq85):
        assert sympy.simplify(sympy.diff(j, t) - printed) == 0
    scale, c = sympy.sqrt(beta) * dec / (sigma * enc), sympy.sqrt(beta) * sigma * dec / enc
    for zero in (scale * (zeta - c), scale * (-zeta - c)):  # eqs. 86, 87
        assert sympy.simplify((sigma**2 * below**2 - zeta**2 * enc**2 * beta * dec**2).subs(t, zero)) == 0


def test_eqs_88_to_91_the_optimum_and_its_value(rng):
    """λ* minimises J on a grid, θ* follows from eq. 74, ‖Z‖² + J is the minimum (the tail of eq. 91 included)."""
    d = draw(rng, scale=0.7)
    sigma = equal_width(d)
    height = np.maximum(d.zeta[:2] - d.c * sigma, 0)
    lam, theta = np.sqrt(d.c / sigma * height), np.sqrt(sigma / d.c * height)
    for i in range(2):
        grid = np.linspace(0, 5 * (lam[i] + 0.1), 2001)
        curve = sigma[i] ** 2 * grid**2 - d.zeta[i] ** 2 * grid**2 / (d.c**2 + grid**2)
        assert grid[curve.argmin()] == pytest.approx(lam[i], abs=2 * (grid[1] - grid[0]))
    np.testing.assert_allclose(d.zeta[:2] * lam / (d.c**2 + lam**2), theta, atol=1e-12)  # eq. 89 from eq. 74
    eq91 = (d.zeta**2).sum() + j_of(d, lam, sigma)
    assert eq91 == pytest.approx(lowest_matrix_loss(d, sigma, rng), rel=1e-7)
    f = forecast(
        d.x, d.y, n_latents=2, beta=d.beta, decoder_variance=d.eta_dec**2,
        prior_variance=d.eta_enc**2, encoder_variance=float(sigma[0] ** 2),
    )  # fmt: skip
    np.testing.assert_allclose(f.modes.decoder_gain[:2], lam, atol=1e-7)


def test_eqs_93_to_100_the_best_width_of_the_encoder(rng):
    """½l′ is printed as l′ (eq. 93); it rises, has the sign claimed at σ₋ and σ₊, and vanishes at eqs. 96 and 99."""
    for height in (0.4, 0.95, 1.05, 2.5):
        d = draw(rng)
        root = np.sqrt(d.tau)
        zeta = height * root

        def loss(sigma, d=d, zeta=zeta):
            ratio = sigma**2 / d.eta_enc**2
            return zeta**2 - torch.relu(zeta - d.c * sigma) ** 2 + d.tau * (ratio - 1 - torch.log(ratio))

        def half_slope(sigma, d=d, zeta=zeta):
            return (zeta - d.c * sigma) * d.c * (zeta > d.c * sigma) + d.tau / d.eta_enc**2 * (
                sigma - d.eta_enc**2 / sigma
            )

        sigma = torch.linspace(0.05, 4 * d.eta_enc, 50, dtype=torch.float64, requires_grad=True)
        true = torch.autograd.grad(loss(sigma).sum(), sigma)[0].numpy()
        at = sigma.detach().numpy()
        np.testing.assert_allclose(true, 2 * half_slope(at), rtol=1e-9, atol=1e-9)
        assert (np.diff(half_slope(at)) > 0).all()
        limit = zeta / d.c
        assert half_slope(0.5 * min(limit, root * d.eta_enc / zeta)) < 0
        assert half_slope(2 * max(limit, 2 * d.eta_enc)) > 0
        solution = root * d.eta_enc / zeta if height > 1 else d.eta_enc  # eqs. 96, 99
        assert half_slope(solution) == pytest.approx(0, abs=1e-9)
        alive = bool(solution < limit)
        assert alive is (height > 1)  # eqs. 97, 100
        left = d.c * zeta if alive else d.c**2 * solution
        assert left == pytest.approx(d.tau / solution)  # eqs. 94, 95, 98


def second_derivatives(d, u, v):
    """Eqs. 103–106 as printed, flattened over (U, V)."""
    (d2, d0), d1, c2, s2 = d.z.shape, u.shape[1], d.c**2, d.sigma**2
    same = np.eye
    uu = 2 * np.einsum("pr,qs->rspq", same(d2), v.T @ v + np.diag(s2))
    error = u @ v.T - d.z
    vu = 2 * (np.einsum("ps,rq->rspq", u, v) + np.einsum("pr,qs->rspq", error, same(d1)))
    uv = 2 * (np.einsum("ps,rq->rspq", v, u) + np.einsum("rp,qs->rspq", error, same(d1)))
    vv = 2 * np.einsum("pr,qs->rspq", same(d0), u.T @ u + c2 * same(d1))
    k, m = d2 * d1, d0 * d1
    return np.block([[uu.reshape(k, k), uv.reshape(k, m)], [vu.reshape(m, k), vv.reshape(m, m)]])


def test_eqs_101_to_110_the_derivatives_of_the_matrix_loss(rng):
    d = draw(rng)
    sigma = torch.tensor(d.sigma)

    def loss(flat):
        return matrix_loss(d, flat[:6].reshape(3, 2), flat[6:].reshape(3, 2), sigma)

    at = torch.tensor(np.concatenate([d.u.ravel(), d.v.ravel()]), requires_grad=True)
    gradient = torch.autograd.grad(loss(at), at)[0].numpy()
    eq101 = 2 * (d.u @ d.v.T @ d.v - d.z @ d.v + d.u @ np.diag(d.sigma**2))
    eq102 = 2 * (d.v @ d.u.T @ d.u - d.z.T @ d.u + d.c**2 * d.v)
    np.testing.assert_allclose(gradient, np.concatenate([eq101.ravel(), eq102.ravel()]), atol=1e-9)
    hessian = torch.autograd.functional.hessian(loss, at.detach()).numpy()
    np.testing.assert_allclose(second_derivatives(d, d.u, d.v), hessian, atol=1e-9)
    origin = torch.autograd.functional.hessian(loss, torch.zeros(12, dtype=torch.float64)).numpy()
    zero = np.zeros((3, 2))
    np.testing.assert_allclose(second_derivatives(d, zero, zero), origin, atol=1e-9)


def test_eqs_111_to_118_and_theorem_3_the_curvature_at_the_origin(rng):
    """The quadratic form, its minimum over directions (½ of eq. 118), and that it is ≥ 0 iff the origin is best."""
    d = draw(rng)
    step_u, step_v = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    flat = np.concatenate([step_u.ravel(), step_v.ravel()])
    hessian = second_derivatives(d, np.zeros((3, 2)), np.zeros((3, 2)))
    eq114 = 2 * (
        np.trace(step_u @ np.diag(d.sigma**2) @ step_u.T)
        - 2 * np.trace(d.z @ step_v @ step_u.T)
        + d.c**2 * np.trace(step_v @ step_v.T)
    )
    assert flat @ hessian @ flat == pytest.approx(eq114)
    for factor in (0.9, 1.1):  # σ² just under and just over the value at which the origin turns
        sigma = np.full(2, np.sqrt(factor) * d.zeta[0] / d.c)
        same = type(d)(**{**vars(d), "sigma": sigma})
        smallest = np.linalg.eigvalsh(second_derivatives(same, np.zeros((3, 2)), np.zeros((3, 2))))[0]
        alpha2 = np.linspace(0, 1, 20001)
        eq117 = sigma[0] ** 2 * alpha2 - 2 * np.sqrt(alpha2 * (1 - alpha2)) * d.zeta[0] + d.c**2 * (1 - alpha2)
        gap = np.sqrt((sigma[0] ** 2 - d.c**2) ** 2 + 4 * d.zeta[0] ** 2)
        eq118 = sigma[0] ** 2 + d.c**2 - gap
        assert eq117.min() == pytest.approx(eq118 / 2, abs=1e-4 * gap)
        assert smallest == pytest.approx(eq118)  # 2 · ½
        origin = (d.z**2).sum()
        is_global = lowest_matrix_loss(d, sigma, rng) > origin - 1e-9 * origin
        assert (smallest >= 0) == is_global == (factor > 1)


def test_theorem_3_also_holds_at_unequal_widths_where_the_narrowest_latent_decides(rng):
    """The proof takes Σ = σ²I; the origin turns where ζ_1² = c² min σ_i², and is the minimum until then."""
    d = draw(rng)
    zero, energy = np.zeros((3, 2)), (d.z**2).sum()
    for factor in (0.9, 1.1):
        sigma = np.array([2.0, 1.0]) * np.sqrt(factor) * d.zeta[0] / d.c
        other = type(d)(**{**vars(d), "sigma": sigma})
        smallest = np.linalg.eigvalsh(second_derivatives(other, zero, zero))[0]
        is_global = lowest_matrix_loss(d, sigma, rng) > energy * (1 - 1e-9)
        assert bool(smallest >= 0) == bool(is_global) == (factor > 1)
