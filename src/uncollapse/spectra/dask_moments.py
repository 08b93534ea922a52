"""Moments of Dask arrays: one task for each chunk of rows, merged as a tree, on whatever cluster Dask is set to."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import numpy as np

from uncollapse.data.blocks import is_dask, paired_blocks
from uncollapse.data.kinds import less, offset_of
from uncollapse.data.rows import as_rows
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.spectra.one_pass import Moments, Walk, each_block, merged, shifted_back

__all__ = ["dask_moments"]

ROWS = "uncollapse-rows-"
"""Begins the name of each task, so that an error can say which rows it met."""


def dask_moments(data: Any, target: Any, drop_nonfinite: bool) -> Moments:
    """See `moments`; the chunks are read where the workers are."""
    from dask.delayed import delayed

    arrays = [data] if target is None else [data, target]
    if not all(map(is_dask, arrays)):
        raise DataError("a Dask array needs a Dask target too; wrap it with dask.array.from_array")
    for array in arrays:
        if array.ndim < 2 or 0 in array.shape:
            raise DataError(f"the Dask array: expected rows and columns, got shape {array.shape}")
        if any(size != size for size in array.shape):  # NaN: a filtered array does not know its length
            raise DataError("the Dask array does not know its own length; call compute_chunk_sizes() on it first")
    if len({len(array) for array in arrays}) > 1:
        lengths = " and ".join(str(len(array)) for array in arrays)
        raise DataError(f"the Dask arrays have {lengths} rows; both need one row per sample")
    tables = [array.reshape(len(array), -1).rechunk({1: -1}) for array in arrays]
    tables[1:] = [table.rechunk({0: tables[0].chunks[0]}) for table in tables[1:]]
    columns = [table.to_delayed().ravel() for table in tables]
    starts = np.cumsum([0, *tables[0].chunks[0][:-1]])
    offsets = tuple(map(_offset, tables))
    mark = uuid4().hex  # of this call: tasks of one name are taken for the same task
    parts = [
        delayed(_chunk_moments)(
            list(chunk), int(start), drop_nonfinite, offsets,
            dask_key_name=f"{ROWS}{start}-{start + n - 1}-{mark}",
        )
        for start, n, chunk in zip(starts, tables[0].chunks[0], zip(*columns, strict=True), strict=True)
    ]  # fmt: skip
    while len(parts) > 1:
        parts = [_merge_later(parts[i : i + 8]) for i in range(0, len(parts), 8)]
    return shifted_back(_computed(parts[0]), offsets)


def _computed(task: Any) -> Moments:
    try:
        total: Moments = task.compute(optimize_graph=False)  # fused tasks would lose the names that say which rows
    except UncollapseError:
        raise
    except Exception as error:
        rows = re.search(rf"{ROWS}(\d+)-(\d+)-", f"{getattr(error, 'task', '')} {error}")
        where = f"the Dask array, rows {rows[1]} to {rows[2]}" if rows else "the Dask array"
        if type(error).__name__ == "KilledWorker":
            raise DataError(
                f"{where}: the chunk kills every worker that tries it (out of memory?); make chunks smaller"
            ) from error
        raise DataError(f"{where}: computing a chunk fails: {kind_and_line(error)}") from error
    return total


def _offset(table: Any) -> np.ndarray | None:
    """The first row, where numbers may not fit a float64; only then is a row computed ahead."""
    wide = (
        table.dtype.itemsize > 8 if table.dtype.kind == "f" else table.dtype.kind in "iu" and table.dtype.itemsize == 8
    )
    return offset_of(np.asarray(table[:1].compute())) if wide else None


def _merge_later(group: list[Any]) -> Any:
    from dask.delayed import delayed

    return delayed(_sum)(group)


def _sum(group: list[Moments]) -> Moments:
    return merged(iter(group))


def _chunk_moments(
    chunk: list[np.ndarray], start: int, drop_nonfinite: bool, offsets: tuple[np.ndarray | None, ...]
) -> Moments:
    name = "the Dask array"
    rows = [as_rows(less(part, offset), name) for part, offset in zip(chunk, offsets, strict=True)]
    blocks = paired_blocks(*rows) if len(rows) > 1 else ((block,) for block in rows[0].blocks())
    return merged(each_block(Walk(name, blocks), drop_nonfinite, start))
