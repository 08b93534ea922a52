"""Trained models with a latent held dead: would it live if it were let? And widths that depend on x."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from thresholds.cases import make_case
from thresholds.laboratory import ALIVE, Batch, Case, Fit, Model, collapsed, inverse_root, train

HALF = 16
"""Draws of z per row in each of the two halves, whose product has no bias from the noise of either."""


@dataclass(frozen=True)
class Level:
    """What a dead latent could do for a trained model that stays as it is.

    Attributes
    ----------
    level : float
        Top eigenvalue of D̄^{-1/2} Cov(r̄) D̄^{-1/2}, r̄(x) = E_q[score | x], D̄ = E_q[second derivative of the nll], or
        the operator norm when the latent's direction J depends on the living latents; noise of the draws taken out.
    plain : float
        The same over all draws at once: exact for these draws, a little high for the model.
    drop : float
        What the loss loses, in nats on these draws, when the path (decoder + J z, encoder mean wᵀ r̄) is optimised.
    """

    level: float
    plain: float
    drop: float


@dataclass(frozen=True)
class Revival:
    """One trained model with its last latent held dead.

    Attributes
    ----------
    beta : float
    straight, bent : Level
        With a constant J; with a J that is a polynomial of degree 2 in the living latents.
    hessian : float
        β under which the Hessian along the straight path has a negative eigenvalue, on the same draws.
    revived, warmed : bool
        Whether the dead latent lives after training of the whole model goes on without the hold, at full β throughout
        or with β rising from a fifth once more.
    gain, warmed_gain : float
        Nats by which that beats the same further training with the hold.
    """

    beta: float
    straight: Level
    bent: Level
    hessian: float
    revived: bool
    gain: float
    warmed: bool
    warmed_gain: float


def revivals(name: str, n_live: int, factors: tuple[float, ...], seeds: range, steps: int) -> list[Revival]:
    """tanh networks with n_live + 1 latents, the last held dead, at β = factor × the strength of mode n_live + 1."""
    cases = [make_case(name, np.random.default_rng(seed)) for seed in seeds]
    asked = [(case, at, f * at.strengths[n_live]) for case, at in ((c, collapsed(c)) for c in cases) for f in factors]
    batch = Batch(
        asked[0][0].nll,
        torch.stack([torch.tensor(at.pearson) for _, at, _ in asked]).float(),
        torch.stack([case.y for case, *_ in asked]).float(),
        torch.stack([case.extra for case, *_ in asked]).float(),
        torch.stack([torch.tensor(at.base) for _, at, _ in asked]).float(),
        torch.tensor([beta for *_, beta in asked]).float(),
        torch.ones(len(asked), dtype=torch.bool),
    )
    k = n_live + 1
    live = torch.ones(k)
    live[-1] = 0.0
    held = train(batch, n_latents=k, hidden=16, steps=steps, live=live)
    levels = [_levels(held.model, batch, asked[i][0], i, n_live, asked[i][2]) for i in range(len(asked))]
    ends = []
    for warm in (~batch.warm, batch.warm):
        further = replace(batch, warm=warm)
        ends += [
            train(further, hidden=16, steps=steps, rate=5e-3, model=_released(held.model, k, mask))
            for mask in (torch.ones(k), live)
        ]
    return [
        Revival(asked[i][2], *levels[i], *(part for at in (0, 2) for part in _compared(ends[at], ends[at + 1], i)))
        for i in range(len(asked))
    ]


def _compared(freed: Fit, held: Fit, run: int) -> tuple[bool, float]:
    return bool(freed.kl[run, -1] > ALIVE), float(held.loss[run] - freed.loss[run])


def _released(model: Model, k: int, live: Tensor) -> Model:
    """A copy whose last latent has small weights, for `live` to let go."""
    encoder = [w.detach().clone() for w in model.encoder]
    decoder = [w.detach().clone() for w in model.decoder]
    encoder[-2][..., k - 1] *= 0.1
    encoder[-2][..., 2 * k - 1] = 0.0
    decoder[0][:, k - 1] *= 0.1
    parameters = [w.requires_grad_() for w in (*encoder, *decoder)]
    return Model(parameters[: len(encoder)], parameters[len(encoder) :], live)


def _levels(model: Model, batch: Batch, case: Case, run: int, n_live: int, beta: float):
    with torch.no_grad():
        mean, log_width = (part[run].double() for part in model.encode(batch.inputs))
        noise = torch.randn(HALF, *mean.shape, generator=torch.Generator().manual_seed(run), dtype=torch.float64)
        z = mean + torch.cat([noise[::2], -noise[::2], noise[1::2], -noise[1::2]]) * torch.exp(log_width)
        one = Model([w[run : run + 1] for w in model.encoder], [w[run : run + 1] for w in model.decoder], model.live)
        f = one.decode(z[None].float())[0].double()  # (2 HALF, n, d)
    y, extra = case.y.double().expand(f.shape), case.extra.double().expand(*f.shape[:2], -1)
    free = f.clone().requires_grad_()
    (slope,) = torch.autograd.grad(case.nll(free, y, extra).sum(), free, create_graph=True)
    d = f.shape[-1]
    curvature = torch.stack(
        [torch.autograd.grad(slope[..., j].sum(), free, retain_graph=True)[0] for j in range(d)], -1
    )
    data = _Draws(case, f, y, extra, -slope.detach(), curvature.detach())
    straight, path = _level(data, torch.ones(*f.shape[:2], 1, dtype=torch.float64), beta)
    bent, _ = _level(data, _polynomials(z[..., :n_live]), beta)
    return straight, bent, _hessian_threshold(path)


@dataclass(frozen=True, eq=False)
class _Draws:
    """Draws of a trained decoder's output f of shape (draws, n, d), with scores and second derivatives there."""

    case: Case
    f: Tensor
    y: Tensor
    extra: Tensor
    scores: Tensor
    curvature: Tensor


def _polynomials(z: Tensor) -> Tensor:
    """1, z_i and z_i z_j; shape (draws, n, terms)."""
    columns = list(z.unbind(-1))
    pairs = [a * b for a, b in combinations_with_replacement(columns, 2)]
    return torch.stack([torch.ones_like(columns[0]), *columns, *pairs], -1)


def _level(data: _Draws, terms: Tensor, beta: float) -> tuple[Level, _Path]:
    """Levels over directions J(z) = Σ_k J_k terms_k(z), terms of shape (draws, n, k)."""
    spread = (terms[..., :, None] * data.scores[..., None, :]).flatten(-2)  # (draws, n, k d)
    halves = [part.mean(0).numpy() for part in spread.chunk(2)]
    halves = [part - part.mean(0) for part in halves]
    mean = (halves[0] + halves[1]) / 2
    size = torch.einsum("snk,snij,snl->kilj", terms, data.curvature, terms) / (terms.shape[0] * terms.shape[1])
    n = spread.shape[-1]
    root = inverse_root(size.reshape(n, n).numpy())
    cross = halves[0].T @ halves[1] / len(mean)
    values, vectors = np.linalg.eigh(root @ (mean.T @ mean / len(mean)) @ root)
    path = _Path(data, terms, torch.tensor(mean @ root))
    start = 0.03 * np.concatenate([root @ vectors[:, -1], vectors[:, -1], [0.0]])
    level = float(np.linalg.eigvalsh(root @ (cross + cross.T) @ root / 2)[-1])
    return Level(level, float(values[-1]), path.drop(start, beta)), path


@dataclass(frozen=True, eq=False)
class _Path:
    """Decoder + Σ_k terms_k J_k z, encoder mean wᵀ reads(x), one width; the rest of the model stays."""

    data: _Draws
    terms: Tensor
    reads: Tensor

    def loss(self, parameters: Tensor, kl_weight: float) -> Tensor:
        data, (k, d) = self.data, (self.terms.shape[-1], self.data.f.shape[-1])
        j, w, log_width = parameters[: k * d].reshape(k, d), parameters[k * d : -1], parameters[-1]
        mean, direction = self.reads @ w, self.terms @ j
        nodes, weights = np.polynomial.hermite_e.hermegauss(7)
        nll = sum(
            weight * data.case.nll(data.f + z[:, None] * direction, data.y, data.extra).mean()
            for z, weight in ((mean + torch.exp(log_width) * node, w) for node, w in zip(nodes, weights, strict=True))
        )
        kl = 0.5 * ((mean**2).mean() + torch.exp(2 * log_width) - 1 - 2 * log_width)
        return nll / weights.sum() + kl_weight * kl

    def drop(self, start: np.ndarray, beta: float) -> float:
        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            parameters = torch.tensor(flat, requires_grad=True)
            result = self.loss(parameters, beta)
            return float(result.detach()), torch.autograd.grad(result, parameters)[0].numpy()

        best = minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 40})
        return value(0 * start)[0] - float(best.fun)


def _hessian_threshold(path: _Path) -> float:
    origin = torch.zeros(2 * path.data.f.shape[-1] + 1, dtype=torch.float64)
    free, whole = (
        torch.autograd.functional.hessian(lambda q, b=b: path.loss(q, b), origin).numpy() for b in (0.0, 1.0)
    )
    low, high = 1e-3, 1e3
    while high / low > 1 + 1e-9:
        middle = np.sqrt(low * high)
        stable = np.linalg.eigvalsh(free + middle * (whole - free))[0] > -1e-9
        low, high = (low, middle) if stable else (middle, high)
    return float(high)


@dataclass(frozen=True)
class Widths:
    """Best loss with widths |Cx + f| against the closed-form optimum with constant ones; nats."""

    optimum: float
    losses: list[float]
    slopes: list[float]


def data_dependent_widths(seed: int, n_starts: int = 12, beta: float = 0.7) -> Widths:
    """Linear VAE, η = η_e = 1, two latents, σ_i(x) = |c_iᵀx + f_i|, from random starts with C ≠ 0."""
    rng = np.random.default_rng(seed)
    n, d, k = 200, 3, 2
    rows = np.linalg.qr(rng.standard_normal((n, d)) - 0.0)[0]
    rows = np.linalg.qr(rows - rows.mean(0))[0] * np.sqrt(n) * np.sqrt([3.0, 1.5, 0.4])
    x = torch.tensor(rows)
    energy = np.array([3.0, 1.5])
    optimum = 0.5 * (4.9 - (energy + beta * (np.log(beta / energy) - 1)).sum())

    def loss(flat: Tensor) -> Tensor:
        u, w, c = flat[: d * k].reshape(d, k), flat[d * k : 2 * d * k].reshape(d, k), flat[2 * d * k : -k].reshape(d, k)
        mean, variance = x @ w, (x @ c + flat[-k:]) ** 2
        error = ((mean @ u.T - x) ** 2).sum(1).mean() + (variance.mean(0) * (u**2).sum(0)).sum()
        return 0.5 * error + 0.5 * beta * (mean**2 + variance - 1 - torch.log(variance)).sum(1).mean()

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(flat, requires_grad=True)
        result = loss(parameters)
        return float(result.detach()), torch.autograd.grad(result, parameters)[0].numpy()

    losses, slopes = [], []
    for _ in range(n_starts):
        start = np.concatenate([0.5 * rng.standard_normal(2 * d * k), 0.3 * rng.standard_normal(d * k), np.ones(k)])
        run = minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 3000, "ftol": 1e-15})
        losses.append(float(run.fun))
        slopes.append(float(np.abs(run.x[2 * d * k : -k]).max()))
    return Widths(float(optimum), losses, slopes)
