"""The residual water-level test: whether a dead latent of a trained model should live.

Source: docs/theory.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["residual_strengths"]


def residual_strengths(target: np.ndarray, reconstructions: Iterable[np.ndarray]) -> np.ndarray:
    """Eigenvalues of M = Cov(r̄), r̄(x) = E[y − f(z) | x] with z ~ q(z|x), descending.

    A latent is dead and the largest of them stands above the water level τ = βη²: giving that latent a small linear
    path along the top eigenvector lowers the loss, so the model is not at a local optimum. None does: no such path
    helps, and dead latents are rightly dead. With every latent dead the eigenvalues are the strengths ζ².

    Parameters
    ----------
    target : ndarray of shape (n, d)
        What the decoder predicts.
    reconstructions : iterable of K ≥ 2 ndarrays of shape (n, d)
        Decoder means f(z), each from fresh draws of z for every row.

    Returns
    -------
    ndarray of shape (d,)
        In the target's units squared. The mean over K draws strays from its expectation by Cov(f | x)/K, which is
        estimated within the rows and taken off, so weak eigenvalues may come out negative.

    Notes
    -----
    Source: docs/theory.md, section 5 (Residual water-level test); the correction is the one-way analysis of variance.

    Examples
    --------
    >>> y = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> residual_strengths(y, [np.zeros((4, 2))] * 2)  # a decoder that ignores z: the strengths of the data
    array([2. , 0.5])
    """
    y = np.asarray(target, dtype=np.float64)
    total, squares, n_draws = np.zeros_like(y), np.zeros((y.shape[1], y.shape[1])), 0
    for drawn in reconstructions:
        f = np.asarray(drawn, dtype=np.float64)
        total += f
        squares += f.T @ f
        n_draws += 1
    if n_draws < 2:
        raise ValueError(f"the noise of the draws needs two of them or more, got {n_draws}")
    within = (squares - total.T @ total / n_draws) / (len(y) * (n_draws - 1))
    residual = y - total / n_draws
    residual -= residual.mean(axis=0)
    return np.linalg.eigvalsh(residual.T @ residual / len(y) - within / n_draws)[::-1]
