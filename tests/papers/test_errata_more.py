"""Errata 6–17: results and conditions. The printed formula fails on numbers, the corrected one holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from draws import (
    alive_at,
    best_decoder_variance,
    decoder_loss,
    decoder_slope,
    draw,
    lowest,
    lowest_matrix_loss,
    matrix_loss,
    random_strengths,
)
from uncollapse import forecast
from uncollapse.theory.critical import critical_betas

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def test_erratum_6_the_partition_function_counts_every_dimension():
    """Lucas et al., eq. 10 has −½ log 2πσ²; it is −(n/2) log 2πσ². Their own Table 1 shows which.

    With σ² learned the squared error over σ² is n at the optimum, so ELBO + KL + (n/2)(log 2πσ² + 1) must be the same
    number (the Jacobian of their preprocessing) in all five rows for MNIST, n = 784.
    """
    variance = np.array([1.320, 1.183, 1.194, 1.194, 1.208])
    elbo = np.array([-1022.2, -1011.1, -1025.4, -1030.6, -1038.7])
    kl = np.array([73.8, 106.3, 116.1, 121.9, 124.9])
    corrected = elbo + kl + 784 / 2 * (np.log(2 * np.pi * variance) + 1)
    printed = elbo + kl + 784 / 2 + 0.5 * np.log(2 * np.pi * variance)
    assert np.ptp(corrected) < 1.5
    assert np.ptp(printed) > 30


def test_erratum_6_the_gap_of_the_bound_is_to_the_posterior_not_to_the_prior(rng):
    """Eq. 2: log p(x) = ELBO + KL(q ‖ p(z|x)). With KL(q ‖ p(z)) in its place, as some copies have it, it fails."""
    w, variance = rng.uniform(0.5, 2.0), rng.uniform(0.3, 1.0)
    x, mean, width = rng.standard_normal(), rng.standard_normal(), rng.uniform(0.3, 1.0)
    z = np.linspace(-12, 12, 20001)

    def normal(at, centre, var):
        return -0.5 * (np.log(2 * np.pi * var) + (at - centre) ** 2 / var)

    log_q, log_prior, log_joint = normal(z, mean, width**2), normal(z, 0, 1), normal(x, w * z, variance)
    weight = np.exp(log_q) * (z[1] - z[0])
    bound = (weight * (log_joint + log_prior - log_q)).sum()
    m = w**2 + variance
    to_posterior = (weight * (log_q - normal(z, w * x / m, variance / m))).sum()
    to_prior = (weight * (log_q - log_prior)).sum()
    marginal = normal(x, 0, w**2 + variance)
    assert bound + to_posterior == pytest.approx(marginal)
    assert abs(bound + to_prior - marginal) > 1e-3


def two_levels(zeta, beta_1, beta_2, sigma_1, sigma_2, v, u_2):
    """Two-level objective of one mode at the best u_1 and w_2; widths fixed, their own KL left out, η = η_enc = 1."""
    t = v**2 + sigma_1**2
    fit = zeta**2 * sigma_1**2 / t
    w_2 = beta_1 * u_2 / (beta_1 * u_2**2 + beta_2)
    upper = beta_1 * (t * (1 - u_2 * w_2) ** 2 + u_2**2 * sigma_2**2) + beta_2 * t * w_2**2
    return (fit + upper) / 2


def claimed_optimum(zeta, beta_1, beta_2, sigma_1, sigma_2, in_the_denominator):
    """(v, u_2) of docs and of Dang et al. for both widths fixed and c = 1, with or without √β1 in the condition."""
    joint = np.sqrt(beta_1 * beta_2) * sigma_1 * sigma_2
    enters = beta_2 * sigma_2**2 / (in_the_denominator * sigma_1)
    if zeta >= np.sqrt(joint) and zeta >= enters:
        v2 = (sigma_1**2 / (np.sqrt(beta_1 * beta_2) * sigma_2)) ** (2 / 3) * (zeta ** (4 / 3) - joint ** (2 / 3))
        first = (np.sqrt(beta_2) * sigma_1 / (beta_1 * sigma_2**2)) ** (2 / 3)
        u2 = first * (zeta ** (2 / 3) - (beta_2**2 * sigma_2**4 / (beta_1 * sigma_1**2)) ** (1 / 3))
        return np.sqrt(v2), np.sqrt(max(u2, 0.0))
    if np.sqrt(beta_1) * sigma_1 >= np.sqrt(beta_2) * sigma_2:
        return 0.0, np.sqrt(np.sqrt(beta_2) * sigma_1 / (np.sqrt(beta_1) * sigma_2) - beta_2 / beta_1)
    if zeta < np.sqrt(beta_1) * sigma_1:
        return 0.0, 0.0
    return np.sqrt(sigma_1 * (zeta / np.sqrt(beta_1) - sigma_1)), 0.0


@pytest.mark.parametrize(("beta_1", "beta_2"), [(4.0, 8.0), (0.25, 1.0)])
def test_erratum_7_two_levels_with_fixed_widths_need_the_root_of_beta_1(rng, beta_1, beta_2):
    """Dang et al., both widths fixed: active iff ζ ≥ β2c²σ2²/(√β1 σ1); without √β1 modes between the two go wrong."""
    ends = np.sort([beta_2 / np.sqrt(beta_1), beta_2])
    zeta = float(rng.uniform(ends[0] * 1.2, ends[1] * 0.9))

    def value(p):
        return two_levels(zeta, beta_1, beta_2, 1.0, 1.0, p[0], p[1])

    best, _ = lowest(value, 2, rng, n_starts=6)
    corrected = value(claimed_optimum(zeta, beta_1, beta_2, 1.0, 1.0, np.sqrt(beta_1)))
    printed = value(claimed_optimum(zeta, beta_1, beta_2, 1.0, 1.0, 1.0))
    assert corrected == pytest.approx(best, rel=1e-9)
    assert printed > best * (1 + 1e-4)


def test_erratum_8_a_larger_beta_collapses_more_and_reconstructs_worse(rng):
    """The summary of Dang et al. says that increasing β reduces collapse. At the optimum found numerically it grows."""
    d = draw(rng, shape=(3, 3, 3, 3), autoencoder=True)
    alive, distortion = [], []
    for beta in np.array([0.5, 1.0, 1.5]) * d.zeta[1] ** 2:

        def value(flat, beta=beta):
            u, v, width = flat[:9].reshape(3, 3), flat[9:18].reshape(3, 3), torch.exp(flat[18:])
            fit = ((u @ v.T - torch.tensor(d.z)) ** 2).sum() + (u**2 * width).sum() + beta * (v**2).sum()
            return fit + beta * (width - 1 - torch.log(width)).sum()

        _, at = lowest(value, 21, rng)
        u, v, width = at[:9].reshape(3, 3), at[9:18].reshape(3, 3), np.exp(at[18:])
        alive.append(int((np.linalg.svd(u @ v.T, compute_uv=False) > 1e-3 * d.zeta[0]).sum()))
        distortion.append(((u @ v.T - d.z) ** 2).sum() + (u**2 * width).sum())
    assert alive[0] > alive[2]
    assert (np.diff(alive) <= 0).all()
    assert (np.diff(distortion) > 0).all()


def test_erratum_8_fixed_widths_hide_dead_directions_by_a_rotation(rng):
    """ "Fixed Σ prevents collapse": no column vanishes, yet the rank and the information are those of the axes."""
    d = draw(rng, shape=(3, 3, 2, 3), autoencoder=True)
    sigma = torch.full((2,), float(d.zeta[:2].mean() / d.c), dtype=torch.float64)  # between the two thresholds

    def value(flat):
        return matrix_loss(d, flat[:6].reshape(3, 2), flat[6:].reshape(3, 2), sigma)

    best, at = lowest(value, 12, rng)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.linalg.svd(at[:6].reshape(3, 2))[2]
    u, v = at[:6].reshape(3, 2) @ turn.T, at[6:].reshape(3, 2) @ turn.T
    assert float(value(torch.tensor(np.concatenate([u.ravel(), v.ravel()])))) == pytest.approx(best)
    assert (np.linalg.norm(u, axis=0) > 1e-2).all()  # every latent looks alive …
    sizes = np.linalg.svd(v, compute_uv=False)
    assert sizes[1] < 1e-4 * sizes[0]  # … but only one direction carries anything
    rotated = np.linalg.slogdet(np.eye(2) + v.T @ v / float(sigma[0]) ** 2)[1] / 2
    assert rotated == pytest.approx(0.5 * np.log1p(sizes[0] ** 2 / float(sigma[0]) ** 2))


def test_erratum_9_the_strengths_of_a_linear_target(rng):
    """Wang & Ziyin, eq. 9: ZZᵀ = γ² M A Mᵀ, not γ² Mᵀ A M, whose eigenvalues differ."""
    d = draw(rng, shape=(3, 3, 2, 3))
    m, gamma = rng.standard_normal((3, 3)), 1.7
    m /= np.linalg.norm(m, 2)
    y = gamma * d.x @ m.T
    z = y.T @ d.white / len(d.x)
    np.testing.assert_allclose(z @ z.T, gamma**2 * m @ d.a @ m.T, atol=1e-10)
    printed = np.linalg.eigvalsh(gamma**2 * m.T @ d.a @ m)
    strengths = np.linalg.eigvalsh(z @ z.T)
    assert np.abs(printed / strengths - 1).max() > 1e-3
    np.testing.assert_allclose(forecast(d.x, y).spectrum.strengths, strengths[::-1])


def test_erratum_10_the_modes_left_over_run_to_the_last_mode_of_the_data(rng):
    """Table 1, partial collapse, and eqs. 49–52: sums to d̂1 leave out the modes that have no latent."""
    strengths, n_latents, d2 = random_strengths(rng, 5), 2, 5
    top = strengths[0]
    printed = d2 * top / (strengths[1:n_latents].sum() + top)
    corrected = d2 * top / (strengths[1:].sum() + top)
    between = (corrected + printed) / 2
    s = best_decoder_variance(strengths, n_latents, between, d2)
    assert alive_at(s, strengths, n_latents, between) == 0  # printed: 1
    below = 0.99 * corrected
    assert alive_at(best_decoder_variance(strengths, n_latents, below, d2), strengths, n_latents, below) >= 1
    assert critical_betas(strengths, strengths.sum(), d2, None, None)[0] == pytest.approx(corrected)
    at = 1.5 * top / between
    eq49 = [(d2 * at - left) / (2 * at**2) for left in (strengths[:n_latents].sum(), strengths.sum())]
    true = decoder_slope(at, strengths, n_latents, between, d2)
    assert abs(eq49[0] / true - 1) > 1e-2
    assert eq49[1] == pytest.approx(true, rel=1e-5)


def test_erratum_11_the_slope_under_the_weakest_mode_is_d2_minus_beta_d1():
    """Eqs. 54–56 have d2/β − d̂1: s₋ is then too large when β > 1, and the slope positive where it should fall."""
    strengths, n_latents, beta, d2 = np.array([6.0, 3.0, 2.0, 1.0]), 2, 1.2, 4
    problem, left = (strengths, n_latents, beta, d2), 3.0
    printed = min(strengths[1] / beta, left / (d2 / beta - n_latents))
    corrected = min(strengths[1] / beta, left / (d2 - beta * n_latents))
    assert printed == pytest.approx(2.25)
    assert corrected == pytest.approx(1.875)
    assert decoder_slope(0.99 * printed, *problem) > 0
    assert all(decoder_slope(t * corrected, *problem) < 0 for t in (0.2, 0.6, 0.99))
    s = 1.0
    eq54 = [(slope * s - left) / (2 * s**2) for slope in (d2 / beta - n_latents, d2 - beta * n_latents)]
    true = decoder_slope(s, *problem)
    assert abs(eq54[0] - true) > 0.1
    assert eq54[1] == pytest.approx(true, rel=1e-6)
    far = 20.0  # eq. 56: above s₊ no mode lives, and all of them are left over
    eq56 = [(slope * far - rest) / (2 * far**2) for slope, rest in ((d2 / beta, left), (d2, strengths.sum()))]
    assert abs(eq56[0] / decoder_slope(far, *problem) - 1) > 0.05
    assert eq56[1] == pytest.approx(decoder_slope(far, *problem), rel=1e-6)


def test_erratum_12_the_ends_of_the_ranges():
    """Case 2, eqs. 58–59, Table 1: at s = s_d̂1 modes are dead, all of them if they are equal; the ranges overlap."""
    equal = np.full(3, 2.0)
    beta = 5 / 3  # d2/d̂1
    end = equal[-1] / beta
    values = [decoder_loss(s, equal, 3, beta, 5) for s in (0.1 * end, end)]
    assert values[0] == pytest.approx(values[1])  # both are optimal …
    assert (alive_at(0.1 * end, equal, 3, beta), alive_at(end, equal, 3, beta)) == (3, 0)  # … with nothing or all dead
    strengths = np.array([6.0, 3.0, 2.0, 1.0])
    lower = 4 * 3.0 / (3.0 + 2 * 3.0)  # lower end of eq. 58 for p = 1, d2 = 4
    s = best_decoder_variance(strengths, 2, lower, 4)
    assert s == pytest.approx(3.0 / lower, rel=1e-4)  # s* = s_{p+1}: inside [s_{p+1}, s_p), not (s_{p+1}, s_p)


def test_erratum_13_what_a_small_beta_guarantees_with_a_learned_decoder_variance():
    """Sec. 4.4: with a latent for every mode, β < d2/d* has no minimum at all, and β = d2/d* forces no collapse."""
    equal = np.full(3, 2.0)
    lower = [decoder_loss(s, equal, 3, 0.99, 3) for s in (1e-2, 1e-4, 1e-6)]
    assert (np.diff(lower) < 0).all()  # the "fix" drives s to 0
    flat = [decoder_loss(s, equal, 3, 1.0, 3) for s in (1e-3, 1.0, 2.0)]
    np.testing.assert_allclose(flat, flat[0])  # β = d2/d*: collapse at s = 2 and life at s < 2 cost the same
    fewer = best_decoder_variance(equal, 2, 1.01, 3)
    assert alive_at(fewer, equal, 2, 1.01) == 0  # with fewer latents than modes the claim holds


def test_erratum_14_the_prior_variance_counts_when_the_encoder_variance_is_fixed(rng):
    """After eq. 10, sec. 4.5: true for σ learned or tied to η_enc; at fixed σ a mode needs ζη_enc > √β η_dec σ."""
    d = draw(rng, autoencoder=True)
    sigma = np.full(2, 0.8)
    energy = (d.z**2).sum()
    critical = np.sqrt(d.beta) * d.eta_dec * sigma[0] / d.zeta[0]
    for factor, lives in ((0.9, False), (1.1, True)):
        other = type(d)(**{**vars(d), "eta_enc": critical * factor})
        assert bool(lowest_matrix_loss(other, sigma, rng) < energy * (1 - 1e-6)) is lives
        f = forecast(d.x, beta=d.beta, decoder_variance=d.eta_dec**2, prior_variance=(critical * factor) ** 2,
                     encoder_variance=0.64, n_latents=2)  # fmt: skip
        assert (f.n_alive > 0) is lives


def test_erratum_15_no_beta_saves_a_latent_that_has_no_mode(rng):
    """After eq. 10: a small β prevents collapse only of as many latents as Z has non-zero singular values."""
    d = draw(rng, shape=(3, 2, 3, 3))
    beta, target = 0.1 * float(d.zeta[1]) ** 2, torch.tensor(d.z)

    def value(flat):
        u, v, width = flat[:9].reshape(3, 3), flat[9:15].reshape(2, 3), torch.exp(flat[15:])
        fit = ((u @ v.T - target) ** 2).sum() + (u**2 * width).sum() + beta * (v**2).sum()
        return fit / beta + (width - 1 - torch.log(width)).sum()

    at = lowest(value, 18, rng)[1]
    kl = 0.5 * ((at[9:15].reshape(2, 3) ** 2).sum(0) + np.exp(at[15:]) - 1 - at[15:])
    assert np.sort(kl)[0] < 1e-3
    assert np.sort(kl)[1] == pytest.approx(0.5 * np.log(10), rel=1e-3)
    assert forecast(d.x, d.y, beta=beta, n_latents=3).n_alive == 2


def test_erratum_16_a_larger_beta_acts_like_a_larger_decoder_variance(rng):
    """Sec. 4.5: "increasing β is identical to decreasing η_dec". It is identical to increasing it."""
    d = draw(rng, autoencoder=True)

    def learned(beta, variance):
        other = type(d)(**{**vars(d), "beta": beta, "eta_dec": np.sqrt(variance)})
        sigma = torch.full((2,), d.eta_enc, dtype=torch.float64)

        def value(flat):
            return matrix_loss(other, flat[:8].reshape(4, 2), flat[8:].reshape(3, 2), sigma)

        at = lowest(value, 14, rng)[1]
        return np.linalg.svd(at[:8].reshape(4, 2) @ at[8:].reshape(3, 2).T, compute_uv=False)[0]

    variance = 0.1 * d.zeta[0] ** 2
    larger_beta, larger, smaller = learned(2.0, variance), learned(1.0, 2 * variance), learned(1.0, variance / 2)
    assert larger_beta == pytest.approx(larger, rel=1e-4)
    assert larger_beta < 0.9 * smaller


def test_erratum_17_the_decoder_grows_with_the_water_only_up_to_half_the_mode(rng):
    """After eq. 10: λ² = (r/η_enc²)(ζ − r), r = √β η_dec, rises up to r = ζ/2 and then falls to 0."""
    d = draw(rng, shape=(3, 3, 1, 3), autoencoder=True)
    sigma = torch.full((1,), d.eta_enc, dtype=torch.float64)
    sizes = []
    for share in (0.2, 0.5, 0.8):
        other = type(d)(**{**vars(d), "beta": 1.0, "eta_dec": share * d.zeta[0]})

        def value(flat, other=other):
            return matrix_loss(other, flat[:3].reshape(3, 1), flat[3:].reshape(3, 1), sigma)

        sizes.append(float((lowest(value, 6, rng)[1][:3] ** 2).sum()))
    expected = np.array([0.2 * 0.8, 0.25, 0.8 * 0.2]) * d.zeta[0] ** 2 / d.eta_enc**2
    np.testing.assert_allclose(sizes, expected, rtol=1e-4)
    assert sizes[2] < sizes[1]
