"""Dask arrays in step: one task for each chunk of rows, where its worker is, and their results merged as a tree."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import numpy as np

from uncollapse.data.blocks import is_dask
from uncollapse.errors import DataError, UncollapseError, kind_and_line

__all__ = ["FAN_IN", "checked_tables", "over_chunks"]

ROWS = "uncollapse-rows-"
"""Begins the name of each task, so that an error can say which rows it met."""

FAN_IN = 8
"""Results that one task of the tree merges: what a worker holds of them at once."""


def checked_tables(arrays: Sequence[Any], other: str = "target") -> list[Any]:
    """Dask arrays as tables of equal length, cut into the same chunks of rows, each with all its columns.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
    other : str
        What messages call those after the first.

    Raises
    ------
    DataError
        Arrays of other kinds among them, of unknown or different length, without rows or columns.
    """
    if not all(map(is_dask, arrays)):
        raise DataError(f"a Dask array needs a Dask {other} too; wrap it with dask.array.from_array")
    for array in arrays:
        if array.ndim < 2 or 0 in array.shape:
            raise DataError(f"the Dask array: expected rows and columns, got shape {array.shape}")
        if any(size != size for size in array.shape):  # NaN: a filtered array does not know its length
            raise DataError("the Dask array does not know its own length; call compute_chunk_sizes() on it first")
    if len({len(array) for array in arrays}) > 1:
        lengths = " and ".join(str(len(array)) for array in arrays)
        raise DataError(f"the Dask arrays have {lengths} rows; both need one row per sample")
    tables = [array.reshape(len(array), -1).rechunk({1: -1}) for array in arrays]
    return [tables[0], *(table.rechunk({0: tables[0].chunks[0]}) for table in tables[1:])]


def over_chunks(
    tables: Sequence[Any], part: Callable[..., Any], merge: Callable[[list[Any]], Any], shared: Sequence[Any] = ()
) -> Any:
    """The results of all chunks, merged.

    Parameters
    ----------
    tables : sequence of dask.array.Array
        As `checked_tables` gives them.
    part : callable
        Of the arrays of one chunk, the number of its first row, and `shared`; runs on a worker.
    merge : callable
        Of a list of up to `FAN_IN` results, those of earlier rows first.
    shared : sequence
        What every task needs; sent to each worker once.

    Raises
    ------
    DataError
        What went wrong and in which rows. A worker that is lost is none of this: its chunks are computed again.
    """
    from dask.delayed import delayed

    columns = [table.to_delayed().ravel() for table in tables]
    sizes = tables[0].chunks[0]
    starts = np.cumsum([0, *sizes[:-1]])
    mark = uuid4().hex  # of this call: tasks of one name are taken for the same task
    once = [
        delayed(value, name=f"uncollapse-shared-{i}-{mark}", traverse=False, pure=False)
        for i, value in enumerate(shared)
    ]
    parts = [
        delayed(part)(list(chunk), int(start), *once, dask_key_name=f"{ROWS}{start}-{start + n - 1}-{mark}")
        for start, n, chunk in zip(starts, sizes, zip(*columns, strict=True), strict=True)
    ]
    while len(parts) > 1:
        parts = [delayed(merge)(parts[i : i + FAN_IN]) for i in range(0, len(parts), FAN_IN)]
    return _computed(parts[0])


def _computed(task: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # a model is as large as it is
            return task.compute(optimize_graph=False)  # fused tasks would lose the names that say which rows
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
