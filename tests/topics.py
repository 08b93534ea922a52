"""Sequences with a hidden topic: each draws all its tokens from one of two distributions."""

from __future__ import annotations

import numpy as np

__all__ = ["chain", "closed_form", "topics", "turns"]


def topics(rng: np.random.Generator, n: int = 1000, length: int = 20, n_vocabulary: int = 6) -> np.ndarray:
    """Token numbers, (n, length): tokens of low number are likelier under one topic, of high number under the other."""
    slope = np.linspace(-1, 1, n_vocabulary)
    p = np.exp(np.multiply.outer([-0.7, 0.7], slope))
    p /= p.sum(1, keepdims=True)
    topic = rng.integers(0, 2, n)
    drawn = rng.random((n, length, 1)) < p[topic].cumsum(1)[:, None, :]
    return drawn.argmax(2)


def chain(rng: np.random.Generator, n: int = 1000, length: int = 12, n_vocabulary: int = 5) -> np.ndarray:
    """Token numbers, (n, length), of one Markov chain: the token before tells all that can be told."""
    p = rng.dirichlet(np.full(n_vocabulary, 0.7), size=n_vocabulary)
    x = np.zeros((n, length), dtype=np.int64)
    x[:, 0] = rng.integers(0, n_vocabulary, n)
    for t in range(1, length):
        x[:, t] = (rng.random((n, 1)) < p[x[:, t - 1]].cumsum(1)).argmax(1)
    return x


def turns(rng: np.random.Generator, n: int = 1000, length: int = 16, n_vocabulary: int = 5) -> np.ndarray:
    """Token numbers, (n, length), that tend to go up by one in half of the sequences, down in the others: their counts
    tell nothing of that."""
    way = 2 * rng.integers(0, 2, n) - 1
    steps = np.where(rng.random((n, length)) < 0.6, way[:, None], rng.integers(0, n_vocabulary, (n, length)))
    steps[:, 0] = rng.integers(0, n_vocabulary, n)
    return steps.cumsum(1) % n_vocabulary


def closed_form(x: np.ndarray) -> float:
    """λ of a decoder without context: the covariance of the counts against that of tokens drawn one by one.

    All distributions of tokens are reached, and the sum of the counts does not move.
    """
    counts = np.stack([np.bincount(row, minlength=x.max() + 1) for row in x])
    p = counts.sum(0) / counts.sum()
    root = np.sqrt(x.shape[1] * p)
    return float(np.linalg.eigvalsh(np.cov(counts.T) / np.outer(root, root))[-1])
