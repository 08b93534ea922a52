"""Offsets and slopes of a decoder's output, column by column, by Newton's method on the likelihood."""

from __future__ import annotations

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.sample import Sample
from uncollapse.bill.wrapped import features_of, paths_of
from uncollapse.theory.link import mean_of_natural, natural_of_mean
from uncollapse.theory.loglikelihood import entry_information, score

__all__ = ["fitted_offset", "fitted_path"]

N_STEPS, MOST_DRAWS = 4, 2

MOST_STEP = 1.0
"""A step in natural parameters: a likelihood is steep far from its optimum."""

PRIOR = 10.0
"""Precision of offset and slope, in rows' worth of the mean information of a column: a column that says next to nothing
moves next to nothing."""


def fitted_offset(find: Sample, base: Additions) -> np.ndarray:
    """What the decoder's output is off by in natural parameters, shape (d,)."""
    none = [np.zeros((len(find), 1))] * MOST_DRAWS
    return _fitted(find, _natural(find, base), none)[0]


def fitted_path(find: Sample, base: Additions, added: Additions) -> tuple[np.ndarray, np.ndarray]:
    """Offset and slope of every column on the one path of `added`, each of shape (d,)."""
    u = features_of(added, find.read(base))
    z = [u * added.amplitude + np.sqrt(added.variance) * find.more_noise[k][:, -1:] for k in range(MOST_DRAWS)]
    return _fitted(find, _natural(find, base), z)


def _natural(find: Sample, base: Additions) -> list[np.ndarray]:
    """The decoder's output with what is added already, in natural parameters, a draw each."""
    likelihood = find.objective.likelihood
    if base.empty:
        return [natural_of_mean(likelihood, mean) for mean in find.draws[:MOST_DRAWS]]
    q, result = find.posterior(base), []
    for k, mean in enumerate(find.draws[:MOST_DRAWS]):
        z = find.drawn(q, k)
        own = find.decoded_with(base, z, mean)
        result.append(natural_of_mean(likelihood, own) + base.offset + paths_of(base, z) @ base.directions)
    return result


def _fitted(find: Sample, natural: list[np.ndarray], z: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Newton's steps with the Fisher information for the curvature, two unknowns a column, bounded."""
    likelihood, r, n_draws = find.objective.likelihood, find.dispersion, len(natural)
    d, totals = find.y.shape[1], find.y.sum(axis=1)
    offset, slope = np.zeros(d), np.zeros(d)
    moves = np.ptp(z[0]) > 0
    prior = None
    for _ in range(N_STEPS):
        gradient, curvature = np.zeros((2, d)), np.zeros((3, d))
        for k in range(n_draws):
            mean = mean_of_natural(likelihood, natural[k] + offset + z[k] * slope, totals)
            g, w = score(likelihood, find.y, mean, r), entry_information(likelihood, mean, r)
            gradient += [g.sum(axis=0), z[k][:, 0] @ g]
            curvature += [w.sum(axis=0), z[k][:, 0] @ w, z[k][:, 0] ** 2 @ w]
        gradient, curvature = gradient / n_draws, curvature / n_draws
        if prior is None:
            prior = PRIOR * curvature[0].mean() / len(find)
        gradient -= prior * np.array([offset, slope])
        a, b, c = curvature[0] + prior, curvature[1], curvature[2] + prior
        if moves:
            determinant = np.maximum(a * c - b * b, np.finfo(float).tiny)
            steps = np.array([c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / determinant
        else:
            steps = np.array([gradient[0] / a, np.zeros(d)])
        steps = np.clip(steps, -MOST_STEP, MOST_STEP)
        offset, slope = offset + steps[0], slope + steps[1]
    return offset, slope
