"""Sequences with a hidden topic: each draws all its tokens from one of two distributions."""

from __future__ import annotations

import numpy as np

__all__ = ["topics"]


def topics(rng: np.random.Generator, n: int = 1000, length: int = 20, n_vocabulary: int = 6) -> np.ndarray:
    """Token numbers, (n, length): tokens of low number are likelier under one topic, of high number under the other."""
    slope = np.linspace(-1, 1, n_vocabulary)
    p = np.exp(np.multiply.outer([-0.7, 0.7], slope))
    p /= p.sum(1, keepdims=True)
    topic = rng.integers(0, 2, n)
    drawn = rng.random((n, length, 1)) < p[topic].cumsum(1)[:, None, :]
    return drawn.argmax(2)
