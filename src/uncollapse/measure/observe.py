"""A model and data → its posteriors measured in one pass, and a sample of rows on which to ask more.

One call of the encoder a batch; memory does not grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Rows, as_rows, dense, is_dask, paired_blocks
from uncollapse.data.sample import RowSample
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.measure.posterior import Posterior, RowError, posterior
from uncollapse.measure.protocol import RAISED, check_probe
from uncollapse.measure.result import ACTIVE_VARIANCE, Measurement
from uncollapse.measure.sums import PosteriorSums, posterior_sums
from uncollapse.spectra.one_pass import nonfinite_error

if TYPE_CHECKING:
    from uncollapse.measure.protocol import Probe

__all__ = ["Observation", "Seen", "Walk", "observe", "walked"]

SAMPLE_ROWS = 2048
"""Rows that pairs, the decoder and the residual test are asked on: the standard error of a residual strength is then
about √(2/2048) = 3 % of it, and the mutual information is capped at log 2048 = 7.6 nats."""

SAMPLE_ENTRIES = 2**23
"""Numbers in the sample: with several draws of the decoder's output beside it, about half a gigabyte."""


STEADY_ROWS = 256
"""Rows that are encoded twice, to see whether the encoder gives the same answer."""

STEADY = 1e-8
"""Noise of an encoder, as a share of the means' variance, up to which it is rounding: a float32 sum in another order
differs by some 1e-7 of itself, 1e-14 in variance."""


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
    notes : tuple of str
        What is odd about the encoder.
    """

    measurement: Measurement
    x: np.ndarray
    y: np.ndarray
    given: np.ndarray | None
    posterior: Posterior
    notes: tuple[str, ...] = ()


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
        What the encoder sees, what the decoder predicts if it is something else, and the condition. Dask arrays are
        measured where their chunks are, by a copy of the model on every worker.
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
    check_probe(probe)
    scale = _scale(scale)
    drop_nonfinite = checks.flag(drop_nonfinite, "drop_nonfinite", error=DataError)
    n_rows = None if n_rows is None else checks.count(n_rows, "n_rows", least=2, error=DataError)
    seed = checks.count(seed, "seed", error=DataError)
    walk = Walk(probe, scale, drop_nonfinite, n_rows, seed, target is not None, given is not None)
    if is_dask(data):
        from uncollapse.measure.on_dask import walked_on_dask

        seen, name = walked_on_dask(walk, data, target, given), "the Dask array"
    else:
        rows = as_rows(data)
        seen, name = walked(walk, rows, target, given), rows.name
    if seen is None:
        raise DataError(f"{name}: nothing to measure: no rows came")
    total = seen.sums
    parts = seen.kept.parts
    beyond = None if total.beyond is None else parts[-1]
    x, *others, mean, variance, kl = parts if beyond is None else parts[:-1]
    condition = others.pop() if given is not None else None
    m0, v0 = seen.prior
    of_sample = posterior(mean, variance=variance, kl=kl, level_sizes=total.level_sizes, where=probe.name)
    of_sample = replace(of_sample, prior_mean=m0, prior_variance=v0, latent_shape=total.latent_shape, beyond=beyond)
    return Observation(Measurement(total), x, others[0] if others else x, condition, of_sample, seen.notes)


@dataclass(frozen=True, eq=False)
class Walk:
    """How rows are measured; see `observe`."""

    probe: Probe
    scale: float
    drop_nonfinite: bool
    n_rows: int | None
    seed: int
    has_target: bool
    has_condition: bool


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of some rows; of neighbouring parts it adds up to what is kept of both.

    Attributes
    ----------
    sums : PosteriorSums
    kept : RowSample
        x, target or condition, means, variances and KL.
    prior : tuple of two floats
        Mean and variance; nan for a prior of each row's own, which is not kept.
    notes : tuple of str
    """

    sums: PosteriorSums
    kept: RowSample
    prior: tuple[float, float]
    notes: tuple[str, ...]

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.sums + other.sums, self.kept + other.kept, other.prior, self.notes + other.notes)


def walked(walk: Walk, rows: Rows, target: Any, given: Any, start: int = 0) -> Seen | None:
    """What is kept of all rows, before which `start` came; None where there are none.

    Notes are of the first rows of all.
    """
    notes: tuple[str, ...] = ()
    total: PosteriorSums | None = None
    kept: RowSample | None = None
    probe = walk.probe
    for x, y, c, numbers in _blocks(rows, target, given, walk.scale, walk.drop_nonfinite, start):
        if not len(x):
            continue
        if kept is None:
            n_kept = walk.n_rows or min(SAMPLE_ROWS, max(SAMPLE_ENTRIES // x.shape[1], 2))
            kept = RowSample(n_kept, walk.seed, start)
        q = _encoded(probe, x, c, numbers, rows.name)
        if total is None and start == 0:
            notes = _steadiness(probe, x, c, numbers, rows.name)
        part = posterior_sums(q)
        total = part if total is None else total + part
        parts = [x, *([] if y is None else [y]), *([] if c is None else [c])]
        kept.add(*parts, q.mean, q.variance, q.kl, *([] if q.beyond is None else [q.beyond]))
    if total is None or kept is None:
        return None
    m0, v0 = (float(p) if np.ndim(p) == 0 else np.nan for p in (q.prior_mean, q.prior_variance))
    return Seen(total, kept, (m0, v0), notes)


def _scale(scale: Any) -> float:
    result = checks.number(scale, "scale", error=DataError, wanted="a finite number other than 0")
    if result == 0:
        raise DataError("scale must be a finite number other than 0, got 0")
    return result


def _steadiness(
    probe: Probe, x: np.ndarray, given: np.ndarray | None, numbers: np.ndarray, name: str
) -> tuple[str, ...]:
    """What to say of an encoder that gives another posterior for the same rows each time; refused if it is all noise.

    Half of the mean squared difference of two encodings is the variance that is noise in either.
    """
    some = slice(0, STEADY_ROWS)
    c = None if given is None else given[some]
    one, other = (_encoded(probe, x[some], c, numbers[some], name) for _ in range(2))
    with np.errstate(under="ignore"):
        noise, spread = ((one.mean - other.mean) ** 2).mean(axis=0) / 2, one.mean.var(axis=0)
        if not (noise > STEADY * (1 + spread)).any():
            return ()
        share = min(float(noise.sum() / spread.sum()), 1.0) if spread.any() else 1.0
    if share > 0.5 and float(noise.max()) > ACTIVE_VARIANCE:
        raise DataError(
            f"{name}: the encoder of {probe.name} gives other means each time that it is called: {share:.0%} of what "
            f"they vary by is noise, so nothing can be measured; let it return the mean, not a draw of z, and turn "
            f"dropout off"
        )
    return (
        f"the encoder gives other means for the same rows each time (dropout, or a draw): {share:.1%} of what they "
        f"vary by is noise, which is measured as if it were information; turn it off to trust these numbers",
    )


def _encoded(probe: Probe, x: np.ndarray, given: np.ndarray | None, numbers: np.ndarray, name: str) -> Posterior:
    try:
        # a copy: some models normalise their input in place, and the data are the user's
        if not getattr(probe, "guards_rows", False):  # a user's own probe may change in place what it is given
            x, given = x.copy(), None if given is None else given.copy()
        q = probe.encode(x, given)
    except RowError as error:
        raise error.at(int(numbers[error.row])) from None
    except UncollapseError:
        raise
    except RAISED as error:  # a user's model raises anything
        wanted = "" if given is None else f" and conditions of {given.shape[1]}"
        raise DataError(
            f"{name}: rows of {x.shape[1]} numbers{wanted} do not go through the encoder of {probe.name} "
            f"(from row {numbers[0]} on, counted from 0): {kind_and_line(error)}"
        ) from error
    if not isinstance(q, Posterior):
        raise DataError(f"{probe.name}: encode must return a Posterior, got {checks.shown(q)}; "
                        f"measure.posterior.posterior(mean, log_variance=...) makes one")  # fmt: skip
    if len(q.mean) != len(x):
        raise DataError(f"{probe.name}: encode gave posteriors of {len(q.mean)} rows for {len(x)} rows")
    return q


def _blocks(
    rows: Rows, target: Any, given: Any, scale: float, drop_nonfinite: bool, n_seen: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray]]:
    """Blocks of data, target and condition, and the rows' numbers from 0; at most one of the two others is there."""
    if target is not None and given is not None:
        raise DataError("a conditional VAE predicts the data themselves: give the condition as given, and no target")
    other = target if target is not None else given
    name = "the target" if target is not None else "the condition"
    others = None if other is None else as_rows(other, name)
    pairs = ((block,) for block in rows.blocks()) if others is None else paired_blocks(rows, others)
    for pair in pairs:
        parts = [dense(part) for part in pair]
        finite = _finite_rows(parts)
        if not finite.all():
            if not drop_nonfinite:
                bad = next(i for i, part in enumerate(parts) if not np.isfinite(part).all())
                of = (rows, others)[bad] or rows
                raise nonfinite_error(of.name, parts[bad], n_seen, (pair[bad] for pair in pairs))
            parts = [part[finite] for part in parts]
        numbers = n_seen + np.flatnonzero(finite)
        n_seen += len(finite)
        x = _scaled(parts[0], scale, rows.name)
        if target is not None:
            yield x, _scaled(parts[1], scale, name), None, numbers
        else:
            yield x, None, (parts[1] if given is not None else None), numbers


@np.errstate(invalid="ignore", over="ignore")
def _finite_rows(parts: list[np.ndarray]) -> np.ndarray:
    """Which rows hold finite numbers only, shape (n,). A sum that is finite says so of all, in half the time."""
    if np.isfinite([part.sum() for part in parts]).all():
        return np.ones(len(parts[0]), dtype=bool)
    rows: np.ndarray = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
    return rows


def _scaled(block: np.ndarray, scale: float, name: str) -> np.ndarray:
    if scale == 1:
        return block
    with np.errstate(all="ignore"):
        scaled: np.ndarray = block * scale
    if not np.isfinite(scaled).all():
        raise DataError(f"{name}: a scale of {scale:g} takes the values beyond what a float holds")
    return scaled
