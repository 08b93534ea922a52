"""One random instance of Wang & Ziyin 2022, section 3, in NumPy alone, and its objective taken from densities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal


@dataclass(frozen=True)
class Draw:
    """Data x (n, D0) and y (n, d2), everything the papers derive from them, and random parameters."""

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray  # A = E[xxᵀ] = P_A Φ P_Aᵀ
    p_a: np.ndarray
    phi: np.ndarray
    white: np.ndarray  # x̃, (n, d0)
    z: np.ndarray  # Z = E[y x̃ᵀ] = F diag(ζ) Gᵀ
    f: np.ndarray
    zeta: np.ndarray
    g: np.ndarray
    u: np.ndarray
    w: np.ndarray
    sigma: np.ndarray
    beta: float
    eta_dec: float
    eta_enc: float

    @property
    def c(self) -> float:
        return np.sqrt(self.beta) * self.eta_dec / self.eta_enc

    @property
    def tau(self) -> float:
        return self.beta * self.eta_dec**2

    @property
    def energy(self) -> float:
        return float((self.y**2).sum(axis=1).mean())

    @property
    def v(self) -> np.ndarray:
        """V = Φ^{1/2} P_Aᵀ W."""
        return np.sqrt(self.phi)[:, None] * (self.p_a.T @ self.w)


def draw(rng: np.random.Generator, *, shape=(4, 3, 2, 3), autoencoder=False, linear=False, scale=1.0) -> Draw:
    """`shape` is (D0, d0, d1, d2): features, rank of x, latents, targets. `scale` multiplies η_dec."""
    features, rank, latents, targets = shape
    x = rng.standard_normal((60, rank)) @ rng.standard_normal((rank, features))
    x -= x.mean(axis=0)
    y = x if autoencoder else x @ rng.standard_normal((features, targets))
    if not (autoencoder or linear):
        y = y + rng.standard_normal((60, targets))
        y -= y.mean(axis=0)
    a = x.T @ x / len(x)
    values, vectors = np.linalg.eigh(a)
    phi, p_a = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    white = x @ p_a / np.sqrt(phi)
    z = y.T @ white / len(x)
    f, zeta, gt = np.linalg.svd(z)
    return Draw(
        *(x, y, a, p_a, phi, white, z, f, zeta, gt.T),
        u=rng.standard_normal((y.shape[1], latents)),
        w=rng.standard_normal((features, latents)),
        sigma=rng.uniform(0.4, 1.6, latents),
        beta=float(rng.uniform(0.3, 2.5)),
        eta_dec=float(rng.uniform(0.4, 1.4)) * scale,
        eta_enc=float(rng.uniform(0.5, 1.8)),
    )


def nodes(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Hermite nodes ε and weights for N(0, diag σ²), exact for polynomials up to degree five."""
    at, weight = np.polynomial.hermite_e.hermegauss(3)
    grid = np.array(list(product(at, repeat=len(sigma)))) * sigma
    weights = np.array([np.prod(w) for w in product(weight / weight.sum(), repeat=len(sigma))])
    return grid, weights


def objective(d: Draw, u=None, w=None, sigma=None, *, b_enc=0.0, b_dec=0.0) -> float:
    """E[−log p(y|z)] + β KL(q‖prior), from densities, less the decoder's normalising constant (eq. 3)."""
    u, w, sigma = (d.u if u is None else u), (d.w if w is None else w), (d.sigma if sigma is None else sigma)
    mean = d.x @ w + b_enc
    noise, weights = nodes(sigma)
    decoder = multivariate_normal(np.zeros(d.y.shape[1]), d.eta_dec**2 * np.eye(d.y.shape[1]))
    log_p = sum(k * decoder.logpdf(d.y - (mean + e) @ u.T - b_dec).mean() for e, k in zip(noise, weights, strict=True))
    q = torch.distributions.Normal(torch.tensor(mean), torch.tensor(sigma).expand(len(mean), -1))
    prior = torch.distributions.Normal(*torch.tensor([0.0, d.eta_enc], dtype=torch.float64))
    kl = float(torch.distributions.kl_divergence(q, prior).sum(1).mean())
    return -log_p + d.beta * kl - d.y.shape[1] / 2 * np.log(2 * np.pi * d.eta_dec**2)


def matrix_loss(d: Draw, u, v, sigma):
    """L(U, V) of eq. 6, for NumPy arrays or tensors."""
    z = torch.as_tensor(d.z) if isinstance(u, torch.Tensor) else d.z
    return ((u @ v.T - z) ** 2).sum() + (u**2 * sigma**2).sum() + d.c**2 * (v**2).sum()


def lowest(
    value: Callable[[torch.Tensor], torch.Tensor], size: int, rng: np.random.Generator, n_starts: int = 4
) -> tuple[float, np.ndarray]:
    """Smallest value that L-BFGS finds from random starts, gradients by automatic differentiation; and where."""

    def both(flat: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(flat, requires_grad=True)
        out = value(at)
        out.backward()
        return float(out.detach()), at.grad.numpy()

    options = {"maxiter": 4000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9}
    runs = [
        minimize(both, 0.7 * rng.standard_normal(size), jac=True, method="L-BFGS-B", options=options)
        for _ in range(n_starts)
    ]
    best = min(runs, key=lambda run: run.fun)
    return float(best.fun), best.x


def lowest_matrix_loss(d: Draw, sigma: np.ndarray, rng: np.random.Generator) -> float:
    """min over U, V of L(U, V) at fixed Σ, found numerically."""
    (d2, d0), d1 = d.z.shape, len(sigma)
    width = torch.as_tensor(sigma)

    def value(flat: torch.Tensor) -> torch.Tensor:
        return matrix_loss(d, flat[: d2 * d1].reshape(d2, d1), flat[d2 * d1 :].reshape(d0, d1), width)

    return lowest(value, (d2 + d0) * d1, rng)[0]


def orthogonal(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def random_strengths(rng, n_modes):
    """Strengths at least 15 % apart, so that both sides of a threshold can be told apart."""
    return 0.3 * np.exp(np.cumsum(rng.uniform(0.15, 0.7, n_modes)))[::-1]


def decoder_loss(s, strengths, n_latents, beta, d2):
    """Eqs. 44–46 with y a linear function of x."""
    top = strengths[:n_latents]
    terms = np.where(beta * s < top, top / s + beta * (np.log(beta * s / top) - 1), 0.0)
    return strengths.sum() / (2 * s) - terms.sum() / 2 + d2 / 2 * np.log(s)


def decoder_slope(s, *problem):
    step = 1e-6 * s
    return (decoder_loss(s + step, *problem) - decoder_loss(s - step, *problem)) / (2 * step)


def best_decoder_variance(strengths, n_latents, beta, d2):
    """Where G is least, by bounded search on log s around the best point of a grid."""
    grid = np.linspace(np.log(1e-4), np.log(1e3), 4000)
    best = grid[np.argmin([decoder_loss(np.exp(t), strengths, n_latents, beta, d2) for t in grid])]

    def at(t):
        return decoder_loss(np.exp(t), strengths, n_latents, beta, d2)

    found = minimize_scalar(at, bounds=(best - 0.01, best + 0.01), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x))


def alive_at(s, strengths, n_latents, beta):
    return int((strengths[:n_latents] > beta * s).sum())
