"""Posteriors that come as arrays, or as one `Posterior` a batch → Measurement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uncollapse.errors import DataError
from uncollapse.measure.posterior import posterior
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import PosteriorSums, posterior_sums

__all__ = ["measure_posterior"]


def measure_posterior(
    mean: Any, *, log_variance: Any = None, variance: Any = None, std: Any = None, **prior: Any
) -> Measurement:
    """Measure posteriors that come as arrays, from any framework; nothing but NumPy is needed.

    Parameters
    ----------
    mean, log_variance, variance, std, **prior
        As in `posterior`; or `mean` is an iterable of `Posterior`, one per batch.

    Returns
    -------
    Measurement

    Raises
    ------
    DataError
        No posterior, or no rows.

    Examples
    --------
    >>> import numpy as np
    >>> dead = measure_posterior(np.zeros((10, 3)), log_variance=np.zeros((10, 3)))
    >>> dead.n_alive, dead.rate
    (0, 0.0)
    """
    if isinstance(mean, Iterable) and not hasattr(mean, "__array__") and not isinstance(mean, list | tuple):
        total: PosteriorSums | None = None
        for part in mean:
            total = posterior_sums(part) if total is None else total + posterior_sums(part)
        if total is None:
            raise DataError("nothing to measure: no batches came")
        return Measurement(total)
    checked = posterior(mean, log_variance=log_variance, variance=variance, std=std, **prior)
    return Measurement(posterior_sums(checked))
