"""Data of every likelihood with three factors of falling strength, and the strengths in closed form."""

from __future__ import annotations

import numpy as np
import torch

from thresholds.laboratory import Case, bernoulli, gaussian, multinomial, negative_binomial, poisson

NAMES = (
    "Gaussian",
    "Bernoulli, binary",
    "Bernoulli, grey values",
    "Poisson",
    "Poisson, size factors",
    "negative binomial, r given",
    "negative binomial, r by moments",
    "negative binomial, size factors",
    "multinomial, N varies",
)


def make_case(name: str, rng: np.random.Generator, n: int = 300, d: int = 6) -> Case:
    """n rows of d columns of the likelihood `name`."""
    factors = rng.standard_normal((n, 3)) * [1.0, 0.75, 0.55]
    directions = np.linalg.qr(rng.standard_normal((d, 3)))[0].T
    bends = factors @ directions
    sizes = rng.uniform(0.5, 1.5, (n, 1)) if "size" in name else np.ones((n, 1))
    if name == "Gaussian":
        return _case(gaussian, 1.5 * bends + rng.standard_normal((n, d)) * 0.5)
    if name.startswith("Bernoulli"):
        chances = 1 / (1 + np.exp(-(4 * bends + rng.uniform(-1, 1, d))))
        return _case(bernoulli, (rng.random((n, d)) < chances).astype(float) if "binary" in name else chances)
    means = sizes * np.exp(bends + np.log(rng.uniform(2, 6, d)))
    if name.startswith("Poisson"):
        return _case(poisson, rng.poisson(means), np.log(sizes))
    if name.startswith("negative"):
        r = np.full(d, 4.0)
        y = rng.poisson(means * rng.gamma(r, 1 / r, (n, d)))
        if "moments" in name:
            r = y.mean(0) ** 2 / (y.var(0) - y.mean(0))
        return _case(negative_binomial, y, np.hstack([np.log(sizes), np.tile(r, (n, 1))]))
    tokens = rng.integers(10, 50, n)
    chances = np.exp(bends)
    return _case(multinomial, rng.multinomial(tokens, chances / chances.sum(1, keepdims=True)))


def _case(nll, y: np.ndarray, extra: np.ndarray | None = None) -> Case:
    extra = np.zeros((len(y), 1)) if extra is None else extra
    return Case(nll, torch.tensor(np.asarray(y, float)), torch.tensor(extra))


def closed_form(case: Case) -> np.ndarray:
    """Strengths in units of β as docs/theory.md section 5 writes them; descending, shape (d,)."""
    y, extra = case.y.numpy(), case.extra.numpy()
    sizes = np.exp(extra[:, :1])
    mean = y.sum(0) / sizes.sum()
    if case.nll is gaussian:
        g, d = y - mean, np.ones(len(mean))
    elif case.nll is bernoulli:
        g, d = y - mean, mean * (1 - mean)
    elif case.nll is poisson:
        g, d = y - sizes * mean, sizes.mean() * mean
    elif case.nll is negative_binomial:
        r = extra[0, 1:]
        for _ in range(500):  # with size factors the fitted mean is not the ratio of sums
            weights = 1 / (1 + sizes * mean / r)
            mean = (weights * y).sum(0) / (weights * sizes).sum(0)
        weights = 1 / (1 + sizes * mean / r)
        g, d = (y - sizes * mean) * weights, (sizes * mean * weights).mean(0)
    else:
        p = mean / mean.sum()
        tokens = y.sum(1, keepdims=True)
        g, d = y - tokens * p, tokens.mean() * (np.diag(p) - np.outer(p, p))
        values, vectors = np.linalg.eigh(d)
        root = (vectors[:, 1:] / np.sqrt(values[1:])) @ vectors[:, 1:].T
        return np.linalg.eigvalsh(root @ (g.T @ g / len(g)) @ root)[::-1]
    g = g / np.sqrt(d)
    return np.linalg.eigvalsh(g.T @ g / len(g))[::-1]


def row_wise(case: Case) -> np.ndarray:
    """Eigenvalues of the covariance of Pearson residuals scaled row by row, which size factors make a wrong guess."""
    y, sizes = case.y.numpy(), np.exp(case.extra.numpy()[:, :1])
    fitted = sizes * y.sum(0) / sizes.sum()
    variance = fitted + (fitted**2 / case.extra.numpy()[:, 1:] if case.nll is negative_binomial else 0.0)
    residuals = (y - fitted) / np.sqrt(variance)
    return np.linalg.eigvalsh(residuals.T @ residuals / len(y))[::-1]
