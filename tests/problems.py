"""Problems with known answers, and the objective itself written out, for checks that share no code with the package."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.optimize import minimize

torch.set_num_threads(1)  # the matrices are tiny


def rows_with_spectrum(
    strengths: np.ndarray, n: int, d: int, rng: np.random.Generator, mean: float = 0.0
) -> np.ndarray:
    """n rows in d dimensions whose covariance (divided by n) has exactly these eigenvalues."""
    k = len(strengths)
    scores = rng.standard_normal((n, k))
    scores -= scores.mean(axis=0)
    scores = np.linalg.qr(scores)[0] * np.sqrt(n)
    directions = np.linalg.qr(rng.standard_normal((d, k)))[0]
    return mean + (scores * np.sqrt(strengths)) @ directions.T


@dataclass(frozen=True)
class Problem:
    """Data and an objective, small enough to optimise numerically."""

    x: np.ndarray
    y: np.ndarray | None
    n_latents: int
    beta: float
    decoder_variance: float | str
    prior_variance: float
    encoder_variance: object
    bias: bool

    @property
    def settings(self) -> dict[str, object]:
        names = ("n_latents", "beta", "decoder_variance", "prior_variance", "encoder_variance", "bias")
        return {name: getattr(self, name) for name in names}


def full_loss(problem: Problem, parameters: torch.Tensor) -> torch.Tensor:
    """Wang & Ziyin 2022, eq. 4 with biases (eq. 20), averaged over the rows; plus (d2/2) log s for a learned s."""
    x = torch.as_tensor(problem.x)
    y = x if problem.y is None else torch.as_tensor(problem.y)
    (d0, d2, d1), at = (x.shape[1], y.shape[1], problem.n_latents), 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return parameters[at - size : at].reshape(shape)

    u, w = take(d2, d1), take(d0, d1)
    encoder_bias, decoder_bias = take(d1), take(d2)
    log_width, log_s = take(d1), take(1)[0]
    if not problem.bias:
        encoder_bias, decoder_bias = torch.zeros(d1, dtype=x.dtype), torch.zeros(d2, dtype=x.dtype)
    if problem.encoder_variance == "learned":
        variance = torch.exp(2 * log_width)
    else:
        variance = torch.as_tensor(np.broadcast_to(problem.encoder_variance, d1).astype(float).copy())
    s = (
        torch.exp(log_s)
        if problem.decoder_variance == "learned"
        else torch.tensor(float(problem.decoder_variance), dtype=x.dtype)
    )
    mean = x @ w + encoder_bias
    reconstruction = ((mean @ u.T + decoder_bias - y) ** 2).sum(1).mean() + (u**2 * variance).sum()
    prior = problem.prior_variance
    kl = 0.5 * ((mean**2).sum(1).mean() / prior + (variance / prior - 1 - torch.log(variance / prior)).sum())
    normaliser = d2 / 2 * torch.log(s) if problem.decoder_variance == "learned" else 0.0
    return reconstruction / (2 * s) + problem.beta * kl + normaliser


def minimum(problem: Problem, rng: np.random.Generator, n_starts: int = 3) -> float:
    """Smallest value of `full_loss` found by L-BFGS from random starts, gradients by automatic differentiation.

    The input is replaced by uncorrelated coordinates of itself, which changes the encoder and not the minimum.
    """
    u, sizes, _ = np.linalg.svd(problem.x, full_matrices=False)
    y = problem.x if problem.y is None else problem.y
    problem = replace(problem, x=u[:, sizes > 1e-9 * sizes[0]] * np.sqrt(len(u)), y=y)
    d0 = problem.x.shape[1]
    d2 = y.shape[1]
    size = d2 * problem.n_latents + d0 * problem.n_latents + 2 * problem.n_latents + d2 + 1

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(flat, requires_grad=True)
        loss = full_loss(problem, parameters)
        loss.backward()
        return float(loss.detach()), parameters.grad.numpy()

    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    runs = [
        minimize(value_and_gradient, 0.5 * rng.standard_normal(size), jac=True, method="L-BFGS-B", options=options)
        for _ in range(n_starts)
    ]
    return min(run.fun for run in runs)


@st.composite
def problems(
    draw: st.DrawFn, *, target: bool | None = None, learned_decoder: bool = False, widths: str = "learned"
) -> Problem:
    """Random problems over shapes, ranks, scales and objectives."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d0, n_latents = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    n, rank = draw(st.integers(8, 40)), draw(st.integers(1, d0))
    x = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d0)) + rng.standard_normal(d0)
    y = None
    if draw(st.booleans()) if target is None else target:
        d2 = draw(st.integers(1, 4))
        y = x @ rng.standard_normal((d0, d2)) + draw(st.sampled_from([0.3, 1.0])) * rng.standard_normal((n, d2))
    prior = draw(st.sampled_from([0.25, 1.0, 4.0]))
    encoder: object = "learned"
    if widths == "one":
        encoder = float(rng.uniform(0.2, 2.0))
    elif widths == "each":
        encoder = tuple(rng.uniform(0.2, 2.0, n_latents).tolist())
    return Problem(
        x=x,
        y=y,
        n_latents=n_latents,
        beta=float(np.exp(rng.uniform(-2, 1.5))),
        decoder_variance="learned" if learned_decoder else float(np.exp(rng.uniform(-2, 1))),
        prior_variance=prior,
        encoder_variance=encoder,
        bias=draw(st.booleans()),
    )
