"""Errata 18–27: steps of proofs, claims of Lucas et al., numbers of a table. Printed fails, corrected holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from draws import draw, lowest, lowest_matrix_loss, nodes, random_strengths
from problems import rows_with_spectrum
from uncollapse import forecast

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def log_likelihood(w: torch.Tensor, variance: torch.Tensor | float, strengths: np.ndarray) -> torch.Tensor:
    """Mean log p(x) of pPCA on data with covariance diag(strengths)."""
    covariance = w @ w.T + variance * torch.eye(len(w), dtype=w.dtype)
    quadratic = (torch.diagonal(torch.linalg.inv(covariance)) * torch.as_tensor(strengths)).sum()
    return -0.5 * (len(w) * np.log(2 * np.pi) + torch.logdet(covariance) + quadratic)


def columns(strengths: np.ndarray, modes: tuple[int, ...], n_latents: int, variance: float) -> torch.Tensor:
    w = torch.zeros((len(strengths), n_latents), dtype=torch.float64)
    for column, mode in enumerate(modes):
        w[mode, column] = np.sqrt(strengths[mode] - variance)
    return w


def test_erratum_18_the_rotation_of_the_latents_does_not_leave_the_trace(rng):
    """Wang & Ziyin, eqs. 79–81: Tr(UΣUᵀ) = Tr(PᵀΛᵀΛPΣ); dropping P is what lets errata 1 and 2 in."""
    d = draw(rng, shape=(3, 3, 2, 3), scale=0.5)
    sizes, p = np.linalg.svd(d.u)[1:]
    lam = np.zeros((3, 2))
    lam[[0, 1], [0, 1]] = sizes
    true = np.trace(d.u @ np.diag(d.sigma**2) @ d.u.T)
    assert np.trace(p.T @ lam.T @ lam @ p @ np.diag(d.sigma**2)) == pytest.approx(true)
    assert abs(np.trace(lam.T @ lam @ np.diag(d.sigma**2)) - true) > 1e-3 * true

    sigma = np.array([0.9, 0.4]) * d.zeta[1] / d.c  # the wider latent first: the order printed is not the best
    lengths = np.linspace(0, 6 * np.sqrt(d.zeta[0]), 4001) ** 2

    def eq81(order):
        pairs = zip(sigma, d.zeta[list(order)], strict=True)
        return sum((s**2 * lengths - zeta**2 * lengths / (d.c**2 + lengths)).min() for s, zeta in pairs)

    bounds = [eq81((0, 1)), eq81((1, 0))]
    best = lowest_matrix_loss(d, sigma, rng) - (d.zeta**2).sum()
    assert best == pytest.approx(bounds[1], rel=1e-3)
    assert best < bounds[0] - 1e-3 * abs(bounds[0])
    rising = np.diag(np.array([0.5, 1.5, 0.0]) ** 2)  # eq. 80 needs λ in descending order
    inner = rising / (d.c**2 + rising)
    swap = d.f @ np.eye(3)[[1, 0, 2]]
    zzt = d.f @ np.diag(d.zeta**2) @ d.f.T
    assert np.trace(swap @ inner @ swap.T @ zzt) > np.trace(inner @ np.diag(d.zeta**2)) + 1e-9


def test_erratum_19_the_width_that_depends_on_x(rng):
    """Wang & Ziyin, App. C: eq. 30 loses a parenthesis and 1/(2η_dec²); eqs. 39–42 the sum over i and β/2."""
    d = draw(rng, shape=(4, 4, 2, 3))
    c, offset = rng.standard_normal((2, 4)), rng.standard_normal(2)
    width = np.abs(d.x @ c.T + offset)
    with pytest.raises(ValueError, match="shapes"):
        d.x @ d.w - d.y  # Wᵀx − y of eqs. 30 and 33: d1 numbers less d2
    noise, weights = nodes(np.ones(2))
    mean, ratio = d.x @ d.w, width**2 / d.eta_enc**2
    fit = sum(k * (((mean + width * e) @ d.u.T - d.y) ** 2).sum(1).mean() for e, k in zip(noise, weights, strict=True))
    kl = d.beta / 2 * (ratio - 1 - np.log(ratio)).mean(0).sum()
    penalty = d.c**2 * (mean**2).sum(1).mean()
    eq29 = (fit + penalty) / (2 * d.eta_dec**2) + kl
    noise_energy = (d.u**2 * (width**2).mean(0)).sum()
    clean = ((mean @ d.u.T - d.y) ** 2).sum(1).mean() + noise_energy
    printed, corrected = clean / (2 * d.eta_dec**2) + penalty + kl, (clean + penalty) / (2 * d.eta_dec**2) + kl
    assert corrected == pytest.approx(eq29)
    assert abs(printed - eq29) > 1e-6
    flat = np.sqrt((width**2).mean(0))
    flat_kl = d.beta / 2 * (flat**2 / d.eta_enc**2 - 1 - np.log(flat**2 / d.eta_enc**2)).sum()
    gains = np.log((width**2).mean(0)) - np.log(width**2).mean(0)
    assert kl - flat_kl == pytest.approx(d.beta / 2 * gains.sum())
    assert all(abs(kl - flat_kl - gain) > 1e-6 for gain in gains)  # eq. 42: no β/2, one i


def test_erratum_20_the_sums_in_the_proof_of_lemma_4(rng):
    """Wang & Ziyin, eqs. 51–52: Σ_{i=q+1}^{p−1}(βt − ζ_i²) in the middle; the sign between the last two is >, not =."""
    strengths, beta, d2, p = random_strengths(rng, 6), 0.7, 7, 4
    t = 1.02 * strengths[1] / beta  # between s_2 and s_1: q = 1
    q = int((strengths > beta * t).sum())
    assert q < p - 1
    left = (d2 - beta * q) * t - strengths[q:].sum()
    last = (d2 - beta * (p - 1)) * t - strengths[p - 1 :].sum()
    printed = last - sum(beta * t for _ in range(p, q + 1))
    corrected = last + (beta * t - strengths[q : p - 1]).sum()
    assert corrected == pytest.approx(left)
    assert abs(printed - left) > 1e-3
    at_start = (d2 - beta * (p - 1)) * strengths[p - 1] / beta - strengths[p - 1 :].sum()
    assert last > at_start + 1e-3


def test_erratum_21_the_tail_of_eq_91_and_the_factor_of_eq_93(rng):
    d = draw(rng, shape=(4, 4, 2, 4), scale=0.5)
    sigma = np.full(2, d.sigma[0])
    head = (d.zeta[:2] ** 2 - np.maximum(d.zeta[:2] - d.c * sigma, 0) ** 2).sum()
    tail = (d.zeta[2:] ** 2).sum()
    best = lowest_matrix_loss(d, sigma, rng)
    assert head + tail == pytest.approx(best, rel=1e-7)
    assert head < best * (1 - 1e-6)
    width = torch.tensor(0.5 * d.zeta[0] / d.c, requires_grad=True)
    ratio = width**2 / d.eta_enc**2
    loss = d.zeta[0] ** 2 - (d.zeta[0] - d.c * width) ** 2 + d.tau * (ratio - 1 - torch.log(ratio))
    true = float(torch.autograd.grad(loss, width)[0])
    at = float(width.detach())
    printed = (d.zeta[0] - d.c * at) * d.c + d.tau / d.eta_enc**2 * (at - d.eta_enc**2 / at)
    assert true == pytest.approx(2 * printed)
    assert abs(true - printed) > 1e-9


def test_erratum_22_the_condition_for_a_partial_collapse(rng):
    """Text after eq. 10: ζ_i − √β η_dec ≤ 0, not ζ_i² − √β η_dec ≤ 0; a mode of ζ = 0.9 lives at √β η_dec = 0.85."""
    x = rows_with_spectrum(np.array([4.0, 0.81]), 40, 2, rng)
    f = forecast(x, decoder_variance=0.85**2, encoder_variance=1.0, n_latents=2)
    assert f.n_alive == 2
    assert 0.81 <= 0.85  # the printed condition says that the second has collapsed
    d = draw(rng, autoencoder=True)
    other = type(d)(**{**vars(d), "z": np.diag([2.0, 0.9, 0.0]), "beta": 1.0, "eta_dec": 0.85, "eta_enc": 1.0})
    only_first = 4 - (2 - 0.85) ** 2 + 0.81
    assert lowest_matrix_loss(other, np.ones(2), rng) == pytest.approx(only_first - 0.05**2, rel=1e-8)


def test_erratum_23_a_divergence_is_never_below_zero(rng):
    """Lucas et al., 6.2: with KL < ε no latent can be (0, 0)-collapsed; with KL ≤ ε a dead one is."""
    x = rows_with_spectrum(np.array([4.0, 0.3]), 50, 2, rng)
    w = forecast(x, n_latents=2).weights
    mean, std = x @ w.encoder + w.encoder_bias, w.encoder_std
    kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std))
    assert (kl[:, 1] < 0).mean() == 0
    assert (kl[:, 1] <= 0).mean() == 1
    assert (kl[:, 0] <= 0).mean() == 0


@pytest.mark.parametrize("variance", [0.7, 2.0, 4.5])
def test_erratum_24_ppca_has_no_spurious_local_maxima(rng, variance):
    """Lucas et al. say log p(x) may have them. At fixed σ² every ascent ends at one value, where a collapsed column is
    stable it belongs to that maximum; with σ² learned every collapsed point has a direction up."""
    strengths = np.array([5.0, 3.0, 1.2, 0.5])
    kept = tuple(i for i in range(3) if strengths[i] > variance)
    best = float(log_likelihood(columns(strengths, kept, 3, variance), variance, strengths))
    for _ in range(5):
        minus, _ = lowest(lambda p: -log_likelihood(p.reshape(4, 3), variance, strengths), 12, rng, n_starts=1)
        assert -minus == pytest.approx(best, rel=1e-8)
    learned = strengths[1:].mean()

    def value(flat):
        return log_likelihood(flat[:8].reshape(4, 2), torch.exp(flat[8]), strengths)

    collapsed = columns(strengths, (0,), 2, learned)
    at = torch.cat([collapsed.ravel(), torch.tensor([np.log(learned)])]).requires_grad_()
    np.testing.assert_allclose(torch.autograd.grad(value(at), at)[0].numpy(), 0, atol=1e-10)
    curvature = torch.linalg.eigvalsh(torch.autograd.functional.hessian(value, at.detach()))
    assert float(curvature[-1]) > 0.05


def test_erratum_25_stationary_points_are_more_than_the_optimum_with_columns_zeroed():
    """Lucas et al., 4.1: any subset of eigenvectors will do; and a column zeroed at σ²_MLE leaves σ² unbalanced."""
    strengths = np.array([5.0, 3.0, 1.2, 0.5])
    other = columns(strengths, (1, 2), 2, 0.6).requires_grad_()
    gradient = torch.autograd.grad(log_likelihood(other, 0.6, strengths), other)[0]
    np.testing.assert_allclose(gradient.numpy(), 0, atol=1e-12)

    def slope(left_out, variance):
        log_variance = torch.tensor(np.log(variance), requires_grad=True)
        w = columns(strengths, tuple(i for i in range(2) if i not in left_out), 2, variance)
        return float(torch.autograd.grad(log_likelihood(w, torch.exp(log_variance), strengths), log_variance)[0])

    mle = strengths[2:].mean()
    assert slope((), mle) == pytest.approx(0, abs=1e-12)
    assert abs(slope((1,), mle)) > 0.1
    assert slope((1,), strengths[1:].mean()) == pytest.approx(0, abs=1e-12)


def test_erratum_26_what_lowering_or_learning_the_noise_does():
    """Lucas et al., 4.1: lowering σ² helps iff it is above the mean left-out eigenvalue; a small fixed σ² keeps all
    latents alive; eq. 8 needs σ² ≤ λ_k; Corollary 1 needs distinct eigenvalues."""
    strengths = np.array([5.0, 3.0, 1.2, 0.5])

    def value(variance):  # the column of mode 0 kept at its own optimum
        return float(log_likelihood(columns(strengths, (0,), 3, variance), variance, strengths))

    threshold = strengths[1:].mean()
    assert value(1.9 * threshold) > value(2 * threshold)
    assert value(0.4 * threshold) < value(0.5 * threshold)
    x = rows_with_spectrum(strengths, 60, 4, np.random.default_rng(0))
    assert forecast(x, decoder_variance=0.4, n_latents=4).n_alive == 4
    under = [
        float(log_likelihood(torch.tensor([[0.0], [0.0], [0.0], [t]]).double(), 0.6, strengths)) for t in (0, 0.2, 0.4)
    ]
    assert (np.diff(under) < 0).all()  # λ = 0.5 < σ² = 0.6: only the zero column is stationary
    equal = np.array([4.0, 4.0, 0.5])
    w = columns(equal, (0, 1), 2, 0.5)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    m = (w @ turn).T @ (w @ turn) + 0.5 * torch.eye(2)
    gap = 0.5 * (torch.log(torch.diagonal(m)).sum() - torch.logdet(m))
    assert float(gap) == pytest.approx(0, abs=1e-12)  # rotated columns are as good: not eigenvectors of one choice


def test_erratum_27_two_rows_of_table_1_contradict_themselves():
    """Lucas et al., CelebA, n = 12288, σ² learned from 0.01 and 0.001: final and tuned σ² are 6 % apart, so tuning had
    to gain (n/2)(r − 1 − log r) ≈ 15 nats, and the table says 0.2 and 0.3. From 10.0 and 1.0 the two agree."""
    n = 64 * 64 * 3

    def gain(final, tuned):
        ratio = tuned / final
        return n / 2 * (ratio - 1 - np.log(ratio))

    assert gain(0.0911, 0.0963) > 9
    assert gain(0.1040, 0.0974) > 9
    assert gain(0.0962, 0.0963) < 0.1
    assert gain(0.0875, 0.0875) == 0
