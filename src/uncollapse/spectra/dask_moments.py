"""Moments of Dask arrays, and a sample of their rows beside them: one pass, on whatever cluster Dask is set to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.data.blocks import dense, paired_blocks
from uncollapse.data.kinds import less, offset_of
from uncollapse.data.on_dask import checked_tables, over_chunks
from uncollapse.data.rows import as_rows
from uncollapse.spectra.one_pass import Moments, Walk, each_block, merged, shifted_back

__all__ = ["dask_moments"]


@dataclass(frozen=True, eq=False)
class _Part:
    """Of some chunks: their moments, and the rows of the sample that lie in them."""

    moments: Moments
    sample: np.ndarray | None


def dask_moments(
    data: Any, target: Any, drop_nonfinite: bool, places: np.ndarray | None = None
) -> tuple[Moments, np.ndarray | None]:
    """See `moments`; the chunks are read where the workers are.

    Parameters
    ----------
    data, target, drop_nonfinite
        As in `moments`.
    places : ndarray of int, optional
        Ascending numbers of rows of `data` to bring back, shape (m,).

    Returns
    -------
    Moments, and ndarray of shape (m, d) or None
    """
    tables = checked_tables([data] if target is None else [data, target])
    offsets = tuple(map(_offset, tables))
    whole: _Part = over_chunks(tables, _of_chunk, _merged, (drop_nonfinite, offsets, places))
    return shifted_back(whole.moments, offsets), whole.sample


def _offset(table: Any) -> np.ndarray | None:
    """The first row, where numbers may not fit a float64; only then is a row computed ahead."""
    wide = (
        table.dtype.itemsize > 8 if table.dtype.kind == "f" else table.dtype.kind in "iu" and table.dtype.itemsize == 8
    )
    return offset_of(np.asarray(table[:1].compute())) if wide else None


def _merged(group: list[_Part]) -> _Part:
    samples = [part.sample for part in group if part.sample is not None]
    return _Part(merged(part.moments for part in group), np.concatenate(samples) if samples else None)


def _of_chunk(
    chunk: list[np.ndarray],
    start: int,
    drop_nonfinite: bool,
    offsets: tuple[np.ndarray | None, ...],
    places: np.ndarray | None,
) -> _Part:
    name = "the Dask array"
    rows = [as_rows(less(part, offset), name) for part, offset in zip(chunk, offsets, strict=True)]
    blocks = paired_blocks(*rows) if len(rows) > 1 else ((block,) for block in rows[0].blocks())
    moments = merged(each_block(Walk(name, blocks), drop_nonfinite, start), name)
    if places is None:
        return _Part(moments, None)
    first, last = np.searchsorted(places, [start, start + len(chunk[0])])
    return _Part(moments, dense(chunk[0][places[first:last] - start]))
