"""Posteriors that come as arrays, or as one `Posterior` a batch → Measurement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from uncollapse import checks
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.posterior import Posterior, posterior
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import PosteriorSums, posterior_sums

__all__ = ["measure_posterior"]


def measure_posterior(
    mean: Any,
    *,
    log_variance: Any = None,
    variance: Any = None,
    std: Any = None,
    prior_mean: Any = 0.0,
    prior_variance: Any = 1.0,
    kl: Any = None,
    level_sizes: tuple[int, ...] = (),
    where: str = "the posterior",
) -> Measurement:
    """Measure posteriors that come as arrays, from any framework; nothing but NumPy is needed.

    Parameters
    ----------
    mean : array_like of shape (n, l), or iterable of `Posterior`, one a batch
    log_variance, variance, std, prior_mean, prior_variance, kl, level_sizes, where
        As in `posterior`, beside an array; none of them beside an iterable.

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
    spreads = {"log_variance": log_variance, "variance": variance, "std": std}
    if not _is_of_batches(mean):
        q = posterior(
            mean, **spreads, prior_mean=prior_mean, prior_variance=prior_variance, kl=kl, level_sizes=level_sizes,
            where=where,
        )  # fmt: skip
        return Measurement(posterior_sums(q))
    beside = [name for name, value in {**spreads, "kl": kl}.items() if value is not None]
    if beside:
        raise DataError(f"a {type(mean).__name__} of batches brings its own {beside[0]}; give the batches alone")
    total: PosteriorSums | None = None
    for number, part in enumerate(_batches(mean), start=1):
        if not isinstance(part, Posterior):
            raise DataError(
                f"batch {number} is {checks.shown(part)}, not a posterior; make one with "
                f"measure.posterior.posterior(mean, log_variance=...)"
            )
        total = posterior_sums(part) if total is None else total + posterior_sums(part)
    if total is None:
        raise DataError("nothing to measure: no batches came")
    return Measurement(total)


def _is_of_batches(mean: Any) -> bool:
    if isinstance(mean, list | tuple):
        return bool(mean) and isinstance(mean[0], Posterior)
    if isinstance(mean, str | bytes | dict | memoryview | bytearray):
        return False
    try:
        return isinstance(mean, Iterable) and not hasattr(mean, "__array__") and not hasattr(mean, "shape")
    except Exception:  # an object's own __getattr__ raises anything
        return False


def _batches(parts: Any) -> Iterator[Any]:
    """The batches; what a user's own iterator raises is kept as the cause."""
    number = 0
    try:
        for number, part in enumerate(parts, start=1):  # noqa: B007  # the last that came, for the message
            yield part
    except UncollapseError:
        raise
    except Exception as error:
        raise DataError(f"reading batch {number + 1} fails: {kind_and_line(error)}") from error
