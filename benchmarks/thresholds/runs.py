"""Where collapse starts, item by item: each study returns plain rows, which tests assert on and a script prints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thresholds.cases import closed_form, make_case
from thresholds.laboratory import Batch, Case, Collapsed, collapsed, gaussian, global_beta, train

NODES, NODE_WEIGHTS = (torch.tensor(part) for part in np.polynomial.hermite_e.hermegauss(24))
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True)
class Run:
    """One trained model: what it was asked, and what came out (KL and losses in nats per sample)."""

    network: str
    start: str
    factor: str
    expected: int
    alive: int
    kl: float
    below_collapse: float
    error: float

    @property
    def beats_collapse(self) -> bool:
        """Its loss is under the collapsed one beyond the noise of its estimate."""
        return self.below_collapse > max(4 * self.error, 1e-4)


def hessian_threshold(case: Case, at: Collapsed) -> float:
    """β at which the collapsed point of a linear VAE turns into a minimum: the Hessian, by automatic differentiation.

    One latent; parameters u (d), w (d, on the Pearson residuals), the log width and the decoder's bias (d). Its loss is
    affine in β, so two Hessians give all of them; z is integrated by Gauss-Hermite quadrature.
    """
    y, extra, inputs = case.y.double(), case.extra.double(), torch.tensor(at.pearson)
    d = y.shape[1]

    def loss(parameters: Tensor, beta: float) -> Tensor:
        u, w, log_width, bias = parameters[:d], parameters[d : 2 * d], parameters[2 * d], parameters[2 * d + 1 :]
        mean = inputs @ w
        z = mean + torch.exp(log_width) * NODES[:, None]  # (nodes, n)
        f = bias + z[..., None] * u
        nll = case.nll(f, y.expand(f.shape), extra.expand(*f.shape[:2], -1)).mean(1) @ NODE_WEIGHTS
        return nll + beta * 0.5 * ((mean**2).mean() + torch.exp(2 * log_width) - 1 - 2 * log_width)

    point = torch.cat([torch.zeros(2 * d + 1, dtype=torch.float64), torch.tensor(at.base)])
    free, whole = (torch.autograd.functional.hessian(lambda q, b=b: loss(q, b), point).numpy() for b in (0.0, 1.0))
    low, high = 1e-3, 1e3
    while high / low > 1 + 1e-9:
        middle = np.sqrt(low * high)
        stable = np.linalg.eigvalsh(free + middle * (whole - free))[0] > -1e-9
        low, high = (low, middle) if stable else (middle, high)
    return float(high)


def likelihood_runs(name: str, hidden: int, seeds: range, steps: int) -> list[Run]:
    """Models just above and below β_c, and between the first three strengths, from both starts."""
    asked = []
    for seed in seeds:
        case = make_case(name, np.random.default_rng(seed))
        at = collapsed(case)
        first, second, third = at.strengths[:3]
        betas = ((1.1, 1.1 * first, 0), (0.9, 0.9 * first, 1))
        betas += (("λ1–λ2", np.sqrt(first * second), 1), ("λ2–λ3", np.sqrt(second * third), 2))
        asked += [(case, at, str(f), beta, n, warm) for f, beta, n in betas for warm in (False, True)]
    batch = Batch(
        asked[0][0].nll,
        torch.stack([torch.tensor(at.pearson) for _, at, *_ in asked]).float(),
        torch.stack([case.y for case, *_ in asked]).float(),
        torch.stack([case.extra for case, *_ in asked]).float(),
        torch.stack([torch.tensor(at.base) for _, at, *_ in asked]).float(),
        torch.tensor([beta for *_, beta, _, _ in asked]).float(),
        torch.tensor([warm for *_, warm in asked]),
    )
    fit = train(batch, hidden=hidden, steps=steps)
    return [
        Run(
            "MLP" if hidden else "linear",
            "warm" if warm else "quiet",
            factor,
            n,
            int(fit.n_alive[i]),
            float(fit.kl[i].sum()),
            at.loss - float(fit.loss[i]),
            float(fit.error[i]),
        )
        for i, (_, at, factor, _, n, warm) in enumerate(asked)
    ]


@dataclass(frozen=True)
class SecondOrder:
    """Per data set: β_c by closed form, with the sample's own D, by Hessian; where collapse is globally optimal."""

    beta: float
    sampled: float
    hessian: float
    overall: float


def second_order(name: str, seeds: range) -> list[SecondOrder]:
    """The threshold without training noise."""
    rows = []
    for seed in seeds:
        case = make_case(name, np.random.default_rng(seed))
        at = collapsed(case)
        closed, sampled = float(closed_form(case)[0]), float(at.strengths[0])
        rows.append(SecondOrder(closed, sampled, hessian_threshold(case, at), global_beta(case, at)))
    return rows


def bent_regression(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """x of shape (n, 2) and f(x) of shape (n, 3): |x1|, x1·x2 and x2, with variances about 2, 1 and 0.4."""
    x = rng.uniform(-1, 1, (n, 2))
    f = np.column_stack([np.abs(x[:, 0]) * np.sqrt(24), x[:, 0] * x[:, 1] * 3, x[:, 1] * np.sqrt(1.2)])
    return x, f - f.mean(0)


def regression_runs(seeds: range, steps: int) -> list[Run]:
    """y = f(x) + noise drawn afresh at every step, against the strengths of f and the linear ones; η = 1."""
    asked = []
    for seed in seeds:
        x, f = bent_regression(np.random.default_rng(seed))
        linear = x - x.mean(0)
        linear = linear @ np.linalg.lstsq(linear, f, rcond=None)[0]
        true, straight = (np.linalg.eigvalsh(part.T @ part / len(part))[-1] for part in (f, linear))
        for label, beta in (
            ("1.1 × nonlinear", 1.1 * true),
            ("0.9 × nonlinear", 0.9 * true),
            ("1.1 × linear", 1.1 * straight),
            ("0.9 × linear", 0.9 * straight),
        ):
            asked += [(x, f, label, beta, warm) for warm in (False, True)]
    rows = []
    for network, hidden in (("linear", 0), ("MLP", 24)):
        batch = _gaussian_batch([x for x, *_ in asked], [f for _, f, *_ in asked], asked, noise=0.5)
        fit = train(batch, hidden=hidden, steps=steps)
        for i, (_, f, label, _, warm) in enumerate(asked):
            expected = int("0.9 × linear" in label or (hidden > 0 and "1.1 × non" not in label))
            collapse = 0.5 * float((f**2).sum(1).mean())
            rows.append(_run(network, warm, label, expected, fit, i, collapse))
    return rows


NETWORKS = (("linear", 0), ("MLP", 16))


def conditional_runs(share: float, seeds: range, steps: int, networks=NETWORKS) -> list[Run]:
    """Decoder sees x ∈ {0, 1}; Var(y1|x) is 0.5 or 4, P(x = 1) = share; Var(y2|x) = 0.3; η = 1."""
    mean = 0.5 * (1 - share) + 4 * share
    asked = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        sizes = [400 - round(400 * share), round(400 * share)]
        x = np.repeat([0.0, 1.0], sizes)[:, None]
        groups = []
        for size, variance in zip(sizes, (0.5, 4.0), strict=True):
            y = rng.standard_normal((size, 2))
            y = np.linalg.qr(y - y.mean(0))[0] * np.sqrt(size)  # exactly these variances in the sample
            groups.append(y * np.sqrt([variance, 0.3]))
        y = np.concatenate(groups)
        for label, beta in (
            ("1.1 × largest", 4.4),
            ("0.8 × largest", 3.2),
            ("1.1 × mean", 1.1 * mean),
            ("0.8 × mean", 0.8 * mean),
        ):
            asked += [(x, y, label, beta, warm) for warm in (False, True)]
    rows = []
    for network, hidden in networks:
        inputs = [np.hstack([x - 0.5, y]) for x, y, *_ in asked]
        batch = _gaussian_batch(inputs, [y for _, y, *_ in asked], asked, condition=[x - 0.5 for x, *_ in asked])
        fit = train(batch, hidden=hidden, steps=steps)
        for i, (_, y, label, _, warm) in enumerate(asked):
            expected = int("0.8 × mean" in label or (hidden > 0 and "1.1 × l" not in label))
            rows.append(_run(network, warm, label, expected, fit, i, 0.5 * float((y**2).sum(1).mean())))
    return rows


def _run(network: str, warm: bool, label: str, expected: int, fit, i: int, collapse: float) -> Run:
    n_alive, kl = int(fit.n_alive[i]), float(fit.kl[i].sum())
    below, start = collapse - float(fit.loss[i]), "warm" if warm else "quiet"
    return Run(network, start, label, expected, n_alive, kl, below, float(fit.error[i]))


def _gaussian_batch(inputs, targets, asked, condition=None, noise: float = 0.0) -> Batch:
    def stacked(tables: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.stack(tables)).float()

    y = stacked(targets)
    return Batch(
        gaussian,
        stacked(inputs),
        y,
        torch.zeros(*y.shape[:2], 1),
        y.mean(1),
        torch.tensor([beta for *_, beta, _ in asked]).float(),
        torch.tensor([warm for *_, warm in asked]),
        None if condition is None else stacked(condition),
        noise,
    )
