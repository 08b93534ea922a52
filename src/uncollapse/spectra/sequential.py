"""Strengths of what is left once the scores before are known: an estimate for nonlinear networks that trains none.

On Gaussian data they are the ordinary strengths. On bent data they are fewer, because a score then foretells more of
the rows than its own direction. How near the count comes to networks trained to their end: docs/training.md.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MOST_DIRECTIONS", "held_out_predictions", "leading_scores", "sequential_strengths"]

MOST_DIRECTIONS = 60
"""Principal components looked at, and so the most strengths that can be found."""

WEAKEST = 0.25
"""Components below this share of the water level are left out: together they add little, and they cost time."""

PENALTIES = tuple(10.0**power for power in range(-3, 3))
"""Of kernel ridge, on a kernel of unit size: from none to speak of to one that leaves next to nothing of the fit."""


def sequential_strengths(rows: np.ndarray, water_level: float, n_latents: int = MOST_DIRECTIONS) -> np.ndarray:
    """The strongest direction of what is left, again and again, each time less what the scores so far foretell.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        A sample; a few thousand rows at most, since time grows with the cube of n.
    water_level : float
        τ = βη², in the rows' units squared. The search ends at the first strength that does not stand above it.
    n_latents : int
        It ends as well when so many are found.

    Returns
    -------
    ndarray of shape (k,)
        Descending, in the rows' units squared; the last one is under the level unless `n_latents` ended the search.

    Notes
    -----
    Source: docs/theory.md, section 7 (What is left). The scores are linear in the rows; only the decoder bends. What
    they foretell is estimated by `held_out_predictions`, so noise is not foretold.

    Examples
    --------
    >>> turn = np.linspace(0, np.pi, 400)[:, None]
    >>> rows = np.hstack([3 * np.cos(turn), 3 * np.sin(turn)])  # half a circle: two modes, but one of them says all
    >>> np.cov(rows.T).diagonal().round(1), sequential_strengths(rows, 0.1).round(1)
    (array([4.5, 0.9]), array([4.5, 0. ]))
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(
        1, user_api="blas"
    ):  # on a busy machine threads wait for each other, a hundred times as long
        return _strengths(leading_scores(rows, water_level), water_level, n_latents)


def _strengths(y: np.ndarray, water_level: float, n_latents: int) -> np.ndarray:
    left, scores = y, np.zeros((len(y), 0))
    found: list[float] = []
    while len(found) < min(n_latents, y.shape[1]):
        values, vectors = np.linalg.eigh(left.T @ left / len(y))
        found.append(float(values[-1]))
        if found[-1] <= water_level:
            break
        scores = np.column_stack([scores, y @ vectors[:, -1]])
        left = y - held_out_predictions(scores, y)
    return np.sort(np.maximum(found, 0))[::-1]


def leading_scores(rows: np.ndarray, water_level: float, most: int = MOST_DIRECTIONS) -> np.ndarray:
    """Scores on the principal components above a quarter of the level, the strongest first.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    water_level : float
    most : int
        Components kept.

    Returns
    -------
    ndarray of shape (n, k)
        One component where none is that strong.

    Examples
    --------
    >>> leading_scores(np.array([[3.0, 0.1], [-3.0, 0.1], [0.0, -0.2]]), 1.0).shape
    (3, 1)
    """
    centred = rows - rows.mean(axis=0)
    n, d = centred.shape
    wide = d > n
    values, vectors = np.linalg.eigh((centred @ centred.T if wide else centred.T @ centred) / n)
    kept = int(np.clip((values > WEAKEST * water_level).sum(), 1, most))
    values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    scores: np.ndarray = vectors * np.sqrt(n * np.maximum(values, 0)) if wide else centred @ vectors
    return scores


def held_out_predictions(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What the scores foretell of the rows: kernel ridge, each half of the rows by the other; shape (n, d).

    Parameters
    ----------
    scores : ndarray of shape (n, k)
    rows : ndarray of shape (n, d)

    Notes
    -----
    The kernel is a Gaussian of the width of all scores together, and a linear one beside it. The penalty is the one of
    six with the least error on the rows held out. Cholesky by itself takes three quarters of the time of scikit-learn's
    `KernelRidge`, which solves with the same kernel.

    Examples
    --------
    >>> z = np.linspace(-2, 2, 200)[:, None]
    >>> bool(np.abs(held_out_predictions(z, z**2) - z**2).mean() < 0.01)
    True
    """
    from scipy.linalg import cho_factor, cho_solve

    order = np.random.default_rng(0).permutation(len(rows))
    halves = order[: len(rows) // 2], order[len(rows) // 2 :]
    out = np.zeros((len(PENALTIES), *rows.shape))
    for fit, rest in (halves, halves[::-1]):
        mean, middle = rows[fit].mean(axis=0), scores[fit].mean(axis=0)
        codes = scores - middle  # about the rows of the fit, so that a row far from them leaves the kernel well scaled
        width = float((codes[fit] ** 2).sum(axis=1).mean()) or 1.0
        within, across = (_kernel(codes[part], codes[fit], width) for part in (fit, rest))
        for i, penalty in enumerate(PENALTIES):
            factor = cho_factor(within + penalty * np.eye(len(fit)), overwrite_a=True, check_finite=False)
            out[i, rest] = mean + across @ cho_solve(factor, rows[fit] - mean, check_finite=False)
    return out[int(np.argmin([((rows - one) ** 2).sum() for one in out]))]


def _kernel(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Gaussian of variance `width`, and linear beside it."""
    products = a @ b.T
    far = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * products, 0)
    return np.exp(-far / (2 * width)) + products / width
