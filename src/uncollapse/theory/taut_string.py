"""The taut string of a chain: points that its levels must not fall below, and the smallest concave path above them.

Source: derived in docs/hierarchy.md; the notation is that of `theory.hierarchy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.theory.chain import Chain

__all__ = ["TautString", "concave_majorant", "obstacles", "taut_string"]


def concave_majorant(points: np.ndarray) -> np.ndarray:
    """The smallest concave sequence that is nowhere below `points`, shape (..., K + 1); its ends are theirs.

    Gift wrapping from the left: from each corner go to the point seen under the steepest slope, the nearest if several.

    Examples
    --------
    >>> concave_majorant(np.array([0.0, -5.0, 4.0, 3.0]))
    array([0., 2., 4., 3.])
    """
    flat = points.reshape(-1, points.shape[-1])
    hull, corner, last = flat.copy(), np.zeros(len(flat), dtype=int), points.shape[-1] - 1
    for a in range(last):
        at = np.flatnonzero(corner == a)
        steps = np.arange(1, last - a + 1)
        slopes = (flat[at, a + 1 :] - flat[at, a, None]) / steps
        best = slopes.argmax(axis=1)
        steepest = slopes[np.arange(len(at)), best]
        between = steps[None, :] <= best[:, None]  # strictly before the next corner
        line = flat[at, a, None] + steepest[:, None] * steps
        hull[at, a + 1 :] = np.where(between, line, hull[at, a + 1 :])
        corner[at] = a + 1 + best
    return hull.reshape(points.shape)


@dataclass(frozen=True, eq=False)
class TautString:
    """Points, the taut string above them and the offsets C_j between heights and logarithms; arrays (..., K + 1)."""

    points: np.ndarray
    hull: np.ndarray
    offsets: np.ndarray


def taut_string(
    log_beta: np.ndarray,
    log_source: np.ndarray,
    chain: Chain,
    below: int,
    above: int,
    ends: tuple[int, int],
    shape: tuple[int, ...],
) -> TautString:
    """The string from the source at level `below` (data, or a learned level) to the sink at level `above`."""
    first, last = ends
    k = above - below
    points, offsets = np.empty((*shape, k + 1)), np.zeros((*shape, k + 1))
    for position, (point, offset) in enumerate(zip(*obstacles(log_beta, chain, below, above, last), strict=True), 1):
        points[..., position], offsets[..., position] = point, offset
    back = np.arange(k, 0, -1)
    from_data = below < first
    points[..., 0] = log_source if from_data else -np.inf
    if above <= last:  # a learned level: the end may rise along its slope
        slope = -(log_beta + np.log(chain.betas[above] / 2))
        reach = points[..., :-1] + slope[..., None] * back
        points[..., -1] = np.maximum(points[..., -1], reach.max(axis=-1))
    if not from_data:  # a learned level: the start may rise, and falls off at its slope
        slope = -(log_beta + np.log(chain.betas[below] / 2))
        points[..., 0] = (points[..., 1:] - slope[..., None] * back[::-1]).max(axis=-1)
    return TautString(points, concave_majorant(points), offsets)


def obstacles(
    log_beta: np.ndarray, chain: Chain, below: int, above: int, last: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points log s_j − C_j and offsets C_j for the levels after `below` up to `above`, each of log β's shape."""
    points, offsets, offset = [], [], np.zeros_like(log_beta)
    for level in range(below + 1, above + 1):
        offset = offset + _log_edge(log_beta, chain, level, last)
        variance = chain.variances[level] if level < above else None
        points.append((0.0 if variance is None else np.log(variance)) - offset)
        offsets.append(offset)
    return points, offsets


def _log_edge(log_beta: np.ndarray, chain: Chain, level: int, last: int) -> np.ndarray | float:
    """log of what multiplies t_{level−1}/t_level in the cost; at the end of the chain, of what multiplies t itself."""
    weight = np.log(chain.betas[level - 1]) + log_beta if level > 0 else 0.0
    if level > last:
        is_top = last == chain.n_levels - 1
        return weight - np.log(2 * (chain.prior_variance if is_top else chain.decoder_variance))
    variance = chain.variances[level]
    return weight + (0.0 if variance is None else np.log(variance)) - np.log(2 * chain.decoder_variance)
