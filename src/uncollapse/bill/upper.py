"""Upper levels of a hierarchy that do not earn: the model without them, the lowest level's prior a fixed Gaussian."""

from __future__ import annotations

import numpy as np

from uncollapse.bill.sample import Gain, Sample, mean_and_error
from uncollapse.measure.decoder import kl_weights
from uncollapse.theory.posterior import aggregate_gaussian, gaussian_kl

__all__ = ["without_upper_levels"]


def without_upper_levels(find: Sample, choose: Sample, judge: Sample) -> Gain | None:
    """What that gains on the rows that judge; None without upper levels, or where it gains nothing.

    The decoder of the data sees the lowest level alone, so nothing is decoded again: the KL of the upper levels is
    saved, and that of the lowest is paid to the Gaussian that fits its posteriors best.

    Source: docs/theory.md, section 9 (Upper levels).
    """
    if len(find.q.level_sizes) == 1 or not mean_and_error(_saved(find, choose)).above():
        return None
    return mean_and_error(_saved(find, judge))


def _saved(find: Sample, rows: Sample) -> np.ndarray:
    q, lowest = rows.q, find.q.lowest
    mean, variance = aggregate_gaussian(find.q.mean[:, lowest], find.q.variance[:, lowest])
    weights = kl_weights(rows.objective, q.level_sizes)
    instead = gaussian_kl(q.mean[:, lowest], q.variance[:, lowest], variance, mean)
    saved: np.ndarray = q.kl @ weights - instead @ weights[lowest]
    return saved
