"""Small VAEs of every likelihood, trained many at a time, and where theory says they collapse.

Shares no code with the package: the collapsed point, the scores and D come from automatic differentiation of the
log-likelihood, so what is measured here can contradict it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.nn.functional import softplus

torch.set_num_threads(1)  # the matrices are tiny

ALIVE = 0.01
"""Nats of KL, averaged over the data, from which a latent counts as alive."""

DRAWS = 64
"""Mirrored draws of z for the loss of a trained model."""

Nll = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(f, y, extra), each of shape (..., n, columns) → negative log-likelihood up to a constant, shape (..., n)."""


def gaussian(f: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """Variance 1."""
    return 0.5 * ((y - f) ** 2).sum(-1)


def bernoulli(f: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """Logits f; y binary or grey."""
    return (softplus(f) - y * f).sum(-1)


def poisson(f: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """Log means f, plus log size factors in extra[..., 0]."""
    return (torch.exp(f + extra[..., :1]) - y * f).sum(-1)


def negative_binomial(f: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """Log means f, plus log size factors in extra[..., 0]; inverse dispersions r in the other columns of extra."""
    m, r = f + extra[..., :1], extra[..., 1:]
    return ((y + r) * torch.logaddexp(torch.log(r), m) - y * m).sum(-1)


def multinomial(f: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """Logits f; y counts, any number of tokens a row."""
    return -(y * torch.log_softmax(f, -1)).sum(-1)


@dataclass(frozen=True, eq=False)
class Case:
    """Data with a likelihood: y of shape (n, d), extra of shape (n, e)."""

    nll: Nll
    y: Tensor
    extra: Tensor


@dataclass(frozen=True, eq=False)
class Collapsed:
    """The collapsed solution and its second-order form.

    Attributes
    ----------
    base : ndarray of shape (d,)
        The constant natural parameter that fits the data best.
    pearson : ndarray of shape (n, d)
        Scores g at `base`, times the pseudo-inverse root of D, D the mean second derivative of the nll.
    strengths : ndarray of shape (d,)
        Eigenvalues of E[pearson pearsonᵀ], descending: mode strengths in units of β.
    loss : float
        Mean nll at `base`.
    """

    base: np.ndarray
    pearson: np.ndarray
    strengths: np.ndarray
    loss: float


def collapsed(case: Case) -> Collapsed:
    """Fit the constant, then differentiate; nothing is assumed about the likelihood."""
    y, extra = case.y.double(), case.extra.double()

    def mean_nll(f: Tensor) -> Tensor:
        return case.nll(f.expand(y.shape), y, extra).mean()

    base = torch.zeros(y.shape[1], dtype=torch.float64)
    for _ in range(100):  # damped Newton: the problem is convex, but e^f is steep
        gradient = jacobian(mean_nll, base)
        step = torch.linalg.pinv(hessian(mean_nll, base), hermitian=True) @ gradient
        base = base - step * min(1.0, 1.0 / float(step.abs().max() + 1e-30))
        if gradient.abs().max() < 1e-13:
            break
    each = base.expand(y.shape).clone().requires_grad_()
    scores = -torch.autograd.grad(case.nll(each, y, extra).sum(), each)[0].numpy()
    curvature = hessian(mean_nll, base).numpy()
    pearson = scores @ inverse_root(curvature)
    strengths = np.linalg.eigvalsh(pearson.T @ pearson / len(pearson))[::-1]
    return Collapsed(base.numpy(), pearson, strengths, float(mean_nll(base)))


def inverse_root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric pseudo-inverse square root."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-10 * values[-1]
    return (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T


def global_beta(case: Case, at: Collapsed, most: float = 8.0) -> float:
    """Smallest β ≥ β_c at which complete collapse is the global optimum for every encoder, decoder and q.

    That is where sup_f E exp((ℓ(y, f) − ℓ(y, b*))/β) ≤ 1 (docs/thresholds.md). The supremum is searched from each of
    some rows' own best fits, so the result can be too low when the search misses it, never too high; it is looked for
    up to `most` times β_c.
    """
    y, extra = case.y.double(), case.extra.double()
    base = torch.tensor(at.base)
    ground = case.nll(base.expand(y.shape), y, extra)
    directions = np.linalg.eigh(at.pearson.T @ at.pearson)[1][:, -3:].T
    extremes = np.unique(np.argsort((at.pearson**2).sum(1))[-8:])
    starts = [at.base + size * way for way in directions for size in (-2.0, -0.5, 0.5, 2.0)]
    starts += [at.base + np.clip(at.pearson[row], -3, 3) for row in extremes]

    def excess(flat: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        f = torch.tensor(flat, requires_grad=True)
        gain = (ground - case.nll(f.expand(y.shape), y, extra)) / beta
        value = -(torch.logsumexp(gain, 0) - math.log(len(y)))
        return float(value.detach()), torch.autograd.grad(value, f)[0].numpy()

    def is_global(beta: float) -> bool:
        for start in starts:
            bounds = [(b - 12, b + 12) for b in at.base]
            if minimize(excess, start, (beta,), jac=True, method="L-BFGS-B", bounds=bounds).fun < -1e-7:
                return False
        return True

    low, high = at.strengths[0], most * at.strengths[0]
    if is_global(1.005 * low):
        return float(low)
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_global(middle) else (middle, high)
    return float(high)


@dataclass(frozen=True, eq=False)
class Batch:
    """R models trained side by side; every tensor has a leading axis R.

    Attributes
    ----------
    nll : Nll
    inputs : Tensor of shape (R, n, p)
        What the encoder sees.
    y, extra : Tensors of shape (R, n, d), (R, n, e)
    base : Tensor of shape (R, d)
        Where the decoder's bias starts.
    betas : Tensor of shape (R,)
    warm : Tensor of bool, shape (R,)
        Start with all latents alive, β rising from a fifth of its value over the first half; else start almost
        collapsed, at full β throughout.
    condition : Tensor of shape (R, n, q), optional
        What the decoder sees beside z.
    noise : float
        Standard deviation of the Gaussian noise added afresh to y at every step.
    """

    nll: Nll
    inputs: Tensor
    y: Tensor
    extra: Tensor
    base: Tensor
    betas: Tensor
    warm: Tensor
    condition: Tensor | None = None
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Model:
    """Weights of R small VAEs."""

    encoder: list[Tensor]
    decoder: list[Tensor]
    live: Tensor

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log width of q, each (R, n, k); latents not in `live` are held at the prior."""
        out = _network(self.encoder, inputs)
        k = out.shape[-1] // 2
        return out[..., :k] * self.live, out[..., k:] * self.live

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """(R, ..., n, k) → (R, ..., n, d)."""
        z = z * self.live
        return _network(self.decoder, z if condition is None else torch.cat([z, condition], -1))


def _network(layers: list[Tensor], x: Tensor) -> Tensor:
    """Weights and biases in turn, tanh between; x of shape (R, n, p) or (R, S, n, p)."""
    for index in range(0, len(layers), 2):
        weight, bias = layers[index], layers[index + 1]
        if x.dim() == 4:
            weight, bias = weight[:, None], bias[:, None]
        x = x @ weight + bias[..., None, :]
        if index + 2 < len(layers):
            x = torch.tanh(x)
    return x


def fresh(batch: Batch, n_latents: int, hidden: int, seed: int, live: Tensor | None = None) -> Model:
    """Random weights; `hidden` 0 makes encoder means and decoder linear, with widths that do not depend on x."""
    generator = torch.Generator().manual_seed(seed)
    n_runs, _, p = batch.inputs.shape
    q = 0 if batch.condition is None else batch.condition.shape[-1]
    d = batch.y.shape[-1]
    size = torch.where(batch.warm, 1.0, 0.1)[:, None, None]

    def layers(*shape: int) -> list[Tensor]:
        made: list[Tensor] = []
        for a, b in pairwise(shape):
            made += [torch.randn(n_runs, a, b, generator=generator) / math.sqrt(a), torch.zeros(n_runs, b)]
        made[-2] = made[-2] * size
        return made

    middle = (hidden,) if hidden else ()
    encoder, decoder = layers(p, *middle, 2 * n_latents), layers(n_latents + q, *middle, d)
    encoder[-2][..., n_latents:] = 0.0
    decoder[-1] = batch.base.clone()
    parameters = [weight.requires_grad_() for weight in (*encoder, *decoder)]
    return Model(
        parameters[: len(encoder)], parameters[len(encoder) :], torch.ones(n_latents) if live is None else live
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """R trained models.

    Attributes
    ----------
    model : Model
    kl : ndarray of shape (R, k)
        Nats per latent, averaged over the data.
    loss, error : ndarrays of shape (R,)
        nll + β KL over `DRAWS` mirrored draws of z, without the noise on y, and its standard error over the draws.
    """

    model: Model
    kl: np.ndarray
    loss: np.ndarray
    error: np.ndarray

    @property
    def n_alive(self) -> np.ndarray:
        return (self.kl > ALIVE).sum(1)


def train(
    batch: Batch,
    *,
    n_latents: int = 3,
    hidden: int = 0,
    steps: int = 2000,
    rate: float = 1e-2,
    seed: int = 0,
    model: Model | None = None,
    live: Tensor | None = None,
) -> Fit:
    """Adam on the whole data, two mirrored draws of z a row, rate falling to 0 along a cosine."""
    model = fresh(batch, n_latents, hidden, seed, live) if model is None else model
    optimizer = torch.optim.Adam([*model.encoder, *model.decoder], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed + 1)
    for step in range(steps):
        rise = min(1.0, 0.2 + 1.6 * step / steps)
        betas = torch.where(batch.warm, rise * batch.betas, batch.betas)
        optimizer.zero_grad()
        nll, kl = losses(model, batch, generator, hidden == 0).T
        loss = (nll + betas * kl).sum()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        kl = divergence(*_widths(model, batch, hidden == 0)).mean(1)
        still = replace(batch, noise=0.0)
        draws = torch.stack([losses(model, still, generator, hidden == 0) for _ in range(DRAWS)]).double()
    each = draws[..., 0] + batch.betas * draws[..., 1]
    return Fit(model, kl.numpy(), each.mean(0).numpy(), (each.std(0) / math.sqrt(DRAWS)).numpy())


def losses(model: Model, batch: Batch, generator: torch.Generator, one_width: bool) -> Tensor:
    """Columns: mean nll and KL of each model; shape (R, 2)."""
    mean, log_width = _widths(model, batch, one_width)
    noise = torch.randn(mean.shape, generator=generator) * torch.exp(log_width)
    z = mean[:, None] + torch.stack([noise, -noise], 1)  # (R, 2, n, k)
    y = batch.y
    if batch.noise:
        y = y + batch.noise * torch.randn(y.shape, generator=generator)
    condition = None if batch.condition is None else batch.condition[:, None].expand(-1, 2, -1, -1)
    nll = batch.nll(model.decode(z, condition), y[:, None], batch.extra[:, None]).mean((1, 2))
    return torch.stack([nll, divergence(mean, log_width).sum(-1).mean(1)], 1)


def _widths(model: Model, batch: Batch, one_width: bool) -> tuple[Tensor, Tensor]:
    mean, log_width = model.encode(batch.inputs)
    if one_width:
        log_width = log_width.mean(1, keepdim=True).expand_as(mean)
    return mean, log_width


def divergence(mean: Tensor, log_width: Tensor) -> Tensor:
    """KL(N(mean, width²) ‖ N(0, 1)) of each latent and row."""
    return 0.5 * (mean**2 + torch.exp(2 * log_width) - 1 - 2 * log_width)
