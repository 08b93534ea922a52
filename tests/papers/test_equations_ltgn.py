"""Lucas, Tucker, Grosse & Norouzi 2019, equations 1–10 and the claims around them, each by an independent route."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from draws import lowest, nodes, orthogonal
from problems import rows_with_spectrum
from uncollapse import forecast
from uncollapse.theory.ppca import log_density

LOG_2PI = np.log(2 * np.pi)


@dataclass(frozen=True)
class Model:
    """p(z) = N(0, I), p(x|z) = N(Wz + μ, σ² I), and an arbitrary q(z|x) = N(V(x − μ), D)."""

    w: np.ndarray
    mu: np.ndarray
    variance: float
    v: np.ndarray
    d: np.ndarray

    @property
    def m(self) -> np.ndarray:
        return self.w.T @ self.w + self.variance * np.eye(self.w.shape[1])


@pytest.fixture
def model(rng) -> Model:
    return Model(
        w=rng.standard_normal((3, 2)), mu=rng.standard_normal(3), variance=float(rng.uniform(0.3, 1.5)),
        v=rng.standard_normal((2, 3)), d=rng.uniform(0.2, 1.5, 2),
    )  # fmt: skip


def log_marginal(w: torch.Tensor, variance, strengths) -> torch.Tensor:
    """Mean log p(x) of pPCA on centred data with covariance diag(strengths), from its density."""
    covariance = w @ w.T + variance * torch.eye(len(w), dtype=w.dtype)
    inverse = torch.linalg.inv(covariance)
    quadratic = (torch.diagonal(inverse) * torch.as_tensor(strengths)).sum()
    return -0.5 * (len(w) * LOG_2PI + torch.logdet(covariance) + quadratic)


def elbo(w, v, log_d, variance, strengths):
    """Mean ELBO of the linear VAE (eqs. 4 and 9) on such data."""
    s, d = torch.as_tensor(strengths), torch.exp(log_d)
    log_s = torch.log(torch.as_tensor(variance, dtype=w.dtype))
    error = torch.eye(len(w), dtype=w.dtype) - w @ v
    fit = ((error**2) * s).sum() + (w**2 * d).sum()
    kl = 0.5 * (((v**2) * s).sum() + (d - 1 - log_d).sum())
    return -fit / (2 * variance) - len(w) / 2 * (LOG_2PI + log_s) - kl


def test_eqs_1_and_5_the_marginal_density(model, rng):
    """∫ p(x|z)p(z) dz on a fine grid, eq. 5, and `log_density`."""
    x = model.mu + rng.standard_normal(3)
    axis = np.linspace(-9, 9, 401)
    z = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    joint = multivariate_normal(np.zeros(3), model.variance * np.eye(3)).pdf(x - model.mu - z @ model.w.T)
    integral = (joint * multivariate_normal(np.zeros(2)).pdf(z)).sum() * (axis[1] - axis[0]) ** 2
    eq5 = multivariate_normal(model.mu, model.w @ model.w.T + model.variance * np.eye(3)).logpdf(x)
    assert np.log(integral) == pytest.approx(eq5, rel=1e-8)
    f, sizes, _ = np.linalg.svd(model.w, full_matrices=False)
    assert log_density((x - model.mu)[None], f, sizes**2, model.variance)[0] == pytest.approx(eq5)


def test_eqs_2_to_4_the_bound_and_its_gap(model, rng):
    """For any Gaussian q: log p(x) − ELBO = KL(q ‖ p(z|x)), all expectations by quadrature."""
    x = model.mu + rng.standard_normal(3)
    mean = model.v @ (x - model.mu)
    noise, weights = nodes(np.sqrt(model.d))
    z = mean + noise
    q, prior = multivariate_normal(mean, np.diag(model.d)), multivariate_normal(np.zeros(2))
    decoder = multivariate_normal(np.zeros(3), model.variance * np.eye(3))
    inverse = np.linalg.inv(model.m)
    posterior = multivariate_normal(inverse @ model.w.T @ (x - model.mu), model.variance * inverse)
    log_x_given_z = decoder.logpdf(x - model.mu - z @ model.w.T)
    eq3 = weights @ (log_x_given_z + prior.logpdf(z) - q.logpdf(z))
    eq4 = weights @ log_x_given_z - weights @ (q.logpdf(z) - prior.logpdf(z))
    gap = weights @ (q.logpdf(z) - posterior.logpdf(z))
    marginal = multivariate_normal(model.mu, model.w @ model.w.T + model.variance * np.eye(3)).logpdf(x)
    assert eq3 + gap == pytest.approx(marginal)
    assert eq4 == pytest.approx(eq3)
    assert gap > 0


def test_eq_6_the_posterior_by_conditioning_the_joint_gaussian(model):
    marginal = np.linalg.inv(model.w @ model.w.T + model.variance * np.eye(3))
    inverse = np.linalg.inv(model.m)
    np.testing.assert_allclose(inverse @ model.w.T, model.w.T @ marginal, atol=1e-10)
    np.testing.assert_allclose(model.variance * inverse, np.eye(2) - model.w.T @ marginal @ model.w, atol=1e-10)


def test_eqs_7_and_8_the_maximum_likelihood(rng):
    """Against L-BFGS over W and log σ², scikit-learn's PCA, and the forecast with a learned decoder variance."""
    strengths = np.array([5.0, 3.0, 0.8, 0.5])
    variance = strengths[2:].mean()
    lowest_minus, at = lowest(lambda p: -log_marginal(p[:8].reshape(4, 2), torch.exp(p[8]), strengths), 9, rng)
    assert np.exp(at[8]) == pytest.approx(variance, rel=1e-5)
    w = np.zeros((4, 2))
    w[[0, 1], [0, 1]] = np.sqrt(strengths[:2] - variance)
    turned = w @ orthogonal(2, rng)  # R of eq. 8 is free
    assert -lowest_minus == pytest.approx(float(log_marginal(torch.tensor(turned), variance, strengths)), rel=1e-9)
    x = rows_with_spectrum(strengths, 50, 4, rng, mean=2.0)
    f = forecast(x, decoder_variance="learned", n_latents=2)
    assert f.decoder_variance == pytest.approx(variance)
    assert f.elbo == pytest.approx(-lowest_minus)
    pca = PCA(2).fit(x * np.sqrt(49 / 50))  # scikit-learn divides by n − 1
    assert pca.noise_variance_ == pytest.approx(variance)
    np.testing.assert_allclose(f.modes.decoder_gain[:2] ** 2, strengths[:2] - variance)


def test_eq_8_stays_stationary_at_any_smaller_noise_and_its_stability(rng):
    """Section 4.1: zero gradient for σ² below the kept eigenvalues; a zero column is stable iff λ_k < σ²."""
    strengths = np.array([5.0, 3.0, 1.2, 0.5])
    for variance in (0.3, 0.9, 2.0):
        w = torch.zeros((4, 3), dtype=torch.float64)
        w[0, 0] = np.sqrt(5.0 - variance)
        turned = (w @ torch.tensor(orthogonal(3, rng))).requires_grad_()
        gradient = torch.autograd.grad(log_marginal(turned, variance, strengths), turned)[0]
        np.testing.assert_allclose(gradient.numpy(), 0, atol=1e-10)
        for k in (1, 2, 3):

            def along(t, k=k, w=w, variance=variance):
                push = torch.zeros_like(w)
                push[k, 2] = 1.0
                return log_marginal(w + t * push, variance, strengths)

            t = torch.zeros((), dtype=torch.float64)
            curvature = float(torch.autograd.functional.hessian(along, t))
            assert curvature == pytest.approx((strengths[k] - variance) / variance**2)
            assert (curvature < 0) == (strengths[k] < variance)


def test_figure_1_the_likelihood_around_zero_columns():
    """−2 log p = Σ log(ℓ_i + σ²) + λ_i/(ℓ_i + σ²) + n log 2π for columns of squared length ℓ_i along eigenvectors."""
    strengths, variance = np.array([5.0, 3.0, 1.2, 0.5]), 0.8
    for first, second in ((0.0, 0.0), (0.4, 1.1), (1.5, 0.2)):
        lengths = np.array([5.0 - variance, first**2, second**2, 0.0])
        w = torch.tensor(np.diag(np.sqrt(lengths))[:, :3])
        closed = -0.5 * (4 * LOG_2PI + (np.log(lengths + variance) + strengths / (lengths + variance)).sum())
        assert float(log_marginal(w, variance, strengths)) == pytest.approx(closed)


def test_eq_9_and_lemma_1_the_elbo_reaches_the_likelihood(rng):
    """The numerical maximum of the ELBO over W, V, D, σ² is pPCA's; there M = Λ_k and q is the true posterior."""
    strengths = np.array([4.0, 2.5, 0.7, 0.4])
    variance = strengths[2:].mean()

    def value(p):
        return -elbo(p[:8].reshape(4, 2), p[8:16].reshape(2, 4), p[16:18], torch.exp(p[18]), strengths)

    minus, at = lowest(value, 19, rng)
    w = np.zeros((4, 2))
    w[[0, 1], [0, 1]] = np.sqrt(strengths[:2] - variance)
    assert -minus == pytest.approx(float(log_marginal(torch.tensor(w), variance, strengths)), rel=1e-8)
    m = w.T @ w + variance * np.eye(2)
    np.testing.assert_allclose(m, np.diag(strengths[:2]))
    posterior = (torch.tensor(np.linalg.inv(m) @ w.T), torch.tensor(np.log(variance / strengths[:2])))
    assert float(elbo(torch.tensor(w), *posterior, variance, strengths)) == pytest.approx(-minus, rel=1e-8)
    # Corollary 1, for distinct eigenvalues: the columns found are scaled eigenvectors, in some order and sign
    found = at[:8].reshape(4, 2)
    order = np.argsort(-np.abs(found[0]))
    np.testing.assert_allclose(np.abs(found[:, order]), w, atol=2e-4)
    f = forecast(rows_with_spectrum(strengths, 50, 4, rng), decoder_variance="learned", n_latents=2)
    assert f.elbo == pytest.approx(-minus)


def test_theorem_1_the_elbo_adds_no_local_maxima(rng):
    """From every start the ELBO ends where pPCA's likelihood has its maximum, at fixed and at learned noise."""
    strengths = np.array([4.0, 2.5, 1.5, 0.4])
    w = np.diag(np.sqrt(np.maximum(strengths - 1.0, 0)))[:, :2]
    best = float(log_marginal(torch.tensor(w), 1.0, strengths))
    for _ in range(6):
        minus, _ = lowest(
            lambda p: -elbo(p[:8].reshape(4, 2), p[8:16].reshape(2, 4), p[16:18], 1.0, strengths), 18, rng, n_starts=1
        )
        assert -minus == pytest.approx(best, rel=1e-6)


def test_theorem_1_the_gap_and_the_rotation_that_closes_it(model):
    """With the best diagonal q the gap is ½(Σ log M_ii − log det M); a rotation of the latents lowers it."""

    def gap(angle):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        m = turn.T @ model.m @ turn
        return 0.5 * (np.log(np.diag(m)).sum() - np.linalg.slogdet(m)[1])

    strengths = np.array([4.0, 2.0, 1.0])
    inverse = np.linalg.inv(model.m)
    v, log_d = torch.tensor(inverse @ model.w.T), torch.tensor(np.log(model.variance / np.diag(model.m)))
    w = torch.tensor(model.w)
    bound, likelihood = elbo(w, v, log_d, model.variance, strengths), log_marginal(w, model.variance, strengths)
    assert float(likelihood - bound) == pytest.approx(gap(0.0))
    _, vectors = np.linalg.eigh(model.m)
    to_axes = np.arctan2(vectors[1, 0], vectors[0, 0])
    path = [gap(t * to_axes) for t in (0.0, 1.0)]
    assert path[1] == pytest.approx(0, abs=1e-10)
    angles = np.linspace(0, np.pi, 181)
    gaps = np.array([gap(a) for a in angles])
    peak = int(gaps.argmax())  # even where the rotation's slope is zero, the gap curves down
    assert gaps[peak] > gaps[(peak + 5) % 180]
    assert gaps[peak] > gaps[(peak - 5) % 180]


def test_eq_10_with_the_factor_n_and_what_beta_does_to_the_gradient(model, rng):
    """ELBO per sample with −(n/2) log 2πσ² (erratum 6); a β-VAE at σ0² has β times the gradient of σ² = βσ0²."""
    x = torch.tensor(rng.standard_normal((30, 3)))
    beta = 3.0
    v, log_d = torch.tensor(model.v), torch.tensor(np.log(model.d))

    def loss(w, variance, weight):
        mean = x @ v.T
        fit = ((x - mean @ w.T) ** 2).sum(1).mean() + (w**2 * torch.exp(log_d)).sum()
        kl = 0.5 * ((mean**2).sum(1).mean() + (torch.exp(log_d) - 1 - log_d).sum())
        return fit / (2 * variance) + weight * kl, kl

    w = torch.tensor(model.w, requires_grad=True)
    weighted = torch.autograd.grad(loss(w, model.variance, beta)[0], w)[0]
    plain = torch.autograd.grad(loss(w, beta * model.variance, 1.0)[0], w)[0]
    np.testing.assert_allclose(weighted.numpy(), beta * plain.numpy())
    noise, weights = nodes(np.sqrt(model.d))
    density = multivariate_normal(np.zeros(3), model.variance * np.eye(3))
    rows = x.numpy()
    expected = sum(
        k * density.logpdf(rows - (rows @ model.v.T + e) @ model.w.T).mean()
        for e, k in zip(noise, weights, strict=True)
    )
    total, kl = loss(w, model.variance, 1.0)
    eq10 = float((-total).detach()) - 3 / 2 * np.log(2 * np.pi * model.variance)
    assert eq10 == pytest.approx(expected - float(kl))


def test_section_6_2_epsilon_delta_collapse_of_the_linear_optimum(rng):
    """KL(q(z_i|x) ‖ p(z_i)) = ½[(1−s)g² + s − 1 − log s], s = τ/ζ_i², g the whitened score; a dead latent has 0."""
    x = rows_with_spectrum(np.array([5.0, 2.0, 0.4]), 400, 3, rng)
    f = forecast(x, n_latents=3, prior_variance=1.7)
    w = f.weights
    q = torch.distributions.Normal(torch.tensor(x @ w.encoder + w.encoder_bias), torch.tensor(w.encoder_std))
    prior = torch.distributions.Normal(*torch.tensor([0.0, np.sqrt(1.7)], dtype=torch.float64))
    kl = torch.distributions.kl_divergence(q, prior).numpy()
    scores = (x - x.mean(0)) @ np.linalg.svd(x - x.mean(0), full_matrices=False)[2].T
    scores /= scores.std(0)
    s = f.water_level / np.array([5.0, 2.0])
    np.testing.assert_allclose(kl[:, :2], 0.5 * ((1 - s) * scores[:, :2] ** 2 + s - 1 - np.log(s)), atol=1e-8)
    np.testing.assert_allclose(kl[:, 2], 0, atol=1e-12)
    np.testing.assert_allclose(kl.mean(0)[:2], 0.5 * np.log(1 / s))
    epsilon = 0.9
    share = (scores[:, :2] ** 2 < (2 * epsilon + np.log(s) + 1 - s) / (1 - s)).mean(0)
    np.testing.assert_allclose((kl[:, :2] < epsilon).mean(0), share)


def test_figure_2_more_columns_at_a_fixed_noise_help_and_then_hurt(mnist_dir):
    """Section 6.1, 1000 MNIST images: W_MLE of k columns under the σ² that is best for 50."""
    content = gzip.decompress((mnist_dir / "t10k-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784)[:1000] / 255
    strengths = np.linalg.eigvalsh(np.cov(x.T, ddof=0))[::-1].clip(0)
    fixed = strengths[50:].mean()

    def likelihood(k, variance):
        width = np.concatenate([strengths[:k] - strengths[k:].mean() + variance, np.full(784 - k, variance)])
        return -0.5 * (784 * LOG_2PI + (np.log(width) + strengths / width).sum())

    curve = {k: likelihood(k, fixed) for k in (50, 60, 200, 300, 500)}
    assert curve[60] > curve[50]
    assert curve[500] < curve[300] < max(curve.values())
    best = [likelihood(k, strengths[k:].mean()) for k in (50, 100, 200, 300)]
    assert (np.diff(best) > 0).all()  # with the noise fitted each time, more columns never hurt


def test_theorem_1_latents_that_mix_modes_are_stationary_points_and_saddles():
    """The further stationary points of its proof: equal columns' lengths, σ_i equal, columns not orthogonal.

    With ζ̄ the mean of the mixed ζ_k and c = τ/η_enc², UᵀU has eigenvalues c(ζ_kζ̄/τ − 1): a mode under water can take
    part, here ζ² = 0.81 at τ = 1.
    """
    zeta, tau, prior = np.array([3.0, 0.9, 0.5]), 1.0, 1.69
    c, mean = tau / prior, zeta[:2].mean()
    decoder = np.zeros((3, 2))
    decoder[[0, 1], [0, 1]] = np.sqrt(c * (zeta[:2] * mean / tau - 1))
    decoder = decoder @ np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    encoder = np.diag(zeta) @ decoder @ np.linalg.inv(c * np.eye(2) + decoder.T @ decoder)
    widths = np.full(2, tau / (np.sqrt(c) * mean))

    def loss(flat):
        u, v, log_std = flat[:6].reshape(3, 2), flat[6:12].reshape(3, 2), flat[12:]
        variance = torch.exp(2 * log_std)
        fit = ((u @ v.T - torch.diag(torch.tensor(zeta))) ** 2).sum() + (u**2 * variance).sum()
        return fit + c * (v**2).sum() + tau * (variance / prior - 1 - torch.log(variance / prior)).sum()

    at = torch.tensor(np.concatenate([decoder.ravel(), encoder.ravel(), np.log(widths)]), requires_grad=True)
    np.testing.assert_allclose(torch.autograd.grad(loss(at), at)[0].numpy(), 0, atol=1e-10)
    assert abs((decoder.T @ decoder)[0, 1]) > 1
    curvature = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, at.detach()))
    assert float(curvature[0]) < -0.1
