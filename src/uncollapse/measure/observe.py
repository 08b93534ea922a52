"""A model and data → its posteriors measured in one pass, and a sample of rows on which to ask more.

One call of the encoder a batch; memory does not grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.data.sample import RowSample
from uncollapse.errors import DataError, UncollapseError
from uncollapse.measure.posterior import Posterior, RowError, posterior
from uncollapse.measure.protocol import first_line
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import PosteriorSums, posterior_sums

if TYPE_CHECKING:
    from uncollapse.measure.protocol import Probe

__all__ = ["Observation", "observe"]

SAMPLE_ROWS = 2048
"""Rows that pairs, the decoder and the residual test are asked on: the standard error of a residual strength is then
about √(2/2048) = 3 % of it, and the mutual information is capped at log 2048 = 7.6 nats."""

SAMPLE_ENTRIES = 2**23
"""Numbers in the sample: with several draws of the decoder's output beside it, about half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What one pass over the data keeps.

    Attributes
    ----------
    measurement : Measurement
        Of every row.
    x, y : ndarrays of shape (n, d0), (n, d2)
        A random sample of the rows, and their targets (x itself without a target).
    given : ndarray of shape (n, c) or None
    posterior : Posterior
        Of the sample.
    """

    measurement: Measurement
    x: np.ndarray
    y: np.ndarray
    given: np.ndarray | None
    posterior: Posterior


def observe(
    probe: Probe,
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    n_rows: int | None = None,
    seed: int = 0,
) -> Observation:
    """Measure a trained model on data.

    Parameters
    ----------
    probe : Probe
        See `uncollapse.probes`.
    data, target, given : array, Rows, DataLoader or anything else that `uncollapse.forecast` takes
        What the encoder sees, what the decoder predicts if it is something else, and the condition.
    scale : float
        Multiplies data and target, as the loader of the training did.
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values.
    n_rows : int, optional
        Size of the sample; 2,048 rows when left out, fewer of more than 4,096 columns.
    seed : int
        Of the sample.

    Raises
    ------
    DataError
        No rows, rows that do not fit the model, or posteriors that are not finite.
    """
    rows = as_rows(data)
    total: PosteriorSums | None = None
    kept: RowSample | None = None
    for x, y, c, numbers in _blocks(rows, target, given, scale, drop_nonfinite):
        if not len(x):
            continue
        if kept is None:
            kept = RowSample(n_rows or min(SAMPLE_ROWS, max(SAMPLE_ENTRIES // x.shape[1], 2)), seed)
        q = _encoded(probe, x, c, numbers, rows.name)
        part = posterior_sums(q)
        total = part if total is None else total + part
        parts = [x, *([] if y is None else [y]), *([] if c is None else [c])]
        kept.add(*parts, q.mean, q.variance, q.kl)
    if total is None or kept is None:
        raise DataError(f"{rows.name}: nothing to measure: no rows came")
    x, *others, mean, variance, kl = kept.parts
    condition = others.pop() if given is not None else None
    # a prior of each row's own is not kept: nan says that it is unknown to whoever needs its density
    m0, v0 = (float(p) if np.ndim(p) == 0 else np.nan for p in (q.prior_mean, q.prior_variance))
    of_sample = posterior(mean, variance=variance, kl=kl, level_sizes=total.level_sizes, where=probe.name)
    of_sample = replace(of_sample, prior_mean=m0, prior_variance=v0, latent_shape=total.latent_shape)
    return Observation(Measurement(total), x, others[0] if others else x, condition, of_sample)


def _encoded(probe: Probe, x: np.ndarray, given: np.ndarray | None, numbers: np.ndarray, name: str) -> Posterior:
    try:
        return probe.encode(x, given)
    except RowError as error:
        raise error.at(int(numbers[error.row])) from None
    except UncollapseError:
        raise
    except Exception as error:  # a user's model raises anything
        wanted = "" if given is None else f" and conditions of {given.shape[1]}"
        raise DataError(
            f"{name}: rows of {x.shape[1]} numbers{wanted} do not go through the encoder of {probe.name} "
            f"(rows {numbers[0] + 1} on): {first_line(error)}"
        ) from error


def _blocks(
    rows: Rows, target: Any, given: Any, scale: float, drop_nonfinite: bool
) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray]]:
    """Blocks of data, target and condition, and the rows' numbers from 0; at most one of the two others is there."""
    if target is not None and given is not None:
        raise DataError("a conditional VAE predicts the data themselves: give the condition as given, and no target")
    other = target if target is not None else given
    name = "the target" if target is not None else "the condition"
    pairs = ((block,) for block in rows.blocks()) if other is None else paired_blocks(rows, as_rows(other, name))
    n_seen = 0
    for pair in pairs:
        parts = [dense(part) for part in pair]
        finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
        if not finite.all():
            if not drop_nonfinite:
                row = n_seen + int(finite.argmin()) + 1
                raise DataError(
                    f"{rows.name}: values that are not finite, the first in row {row}; fix them, or leave such rows "
                    f"out (drop_nonfinite, --drop-nonfinite)"
                )
            parts = [part[finite] for part in parts]
        numbers = n_seen + np.flatnonzero(finite)
        n_seen += len(finite)
        x = parts[0] if scale == 1 else parts[0] * scale
        if target is not None:
            yield x, parts[1] if scale == 1 else parts[1] * scale, None, numbers
        else:
            yield x, None, (parts[1] if given is not None else None), numbers
