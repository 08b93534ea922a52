"""A source as a Dask array whose blocks the workers read themselves, from a path that all of them see."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from uncollapse.data.blocks import Spans, dense, joined
from uncollapse.data.embedded import EMBEDDED
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError

__all__ = ["chunk_rows", "shared_array"]

ROWS_PER_COLUMN = 8
"""Rows of a chunk for each column at least: its d × d sums are then an eighth of its numbers, or less, and what moves
between workers is less than what they read."""

LEAST_ENTRIES, MOST_ENTRIES = 2**24, 2**28
"""Of a chunk: enough to be worth a task; in float32 at most 1 GiB of a worker's memory."""


def shared_array(source: str) -> Any:
    """Open a source for a cluster.

    Parameters
    ----------
    source : str
        What `open_source` takes and can read by parts: .npy, .npz, .parquet, .zarr, .h5, .h5ad, embedded sets. Only
        its shape and one row are read here; the path must be there on every worker too.

    Returns
    -------
    dask.array.Array
        Of shape (n, d), in chunks of rows.

    Raises
    ------
    SourceError
        As `open_source`; or a file that is read from its beginning on; Dask is not there.

    Examples
    --------
    >>> shared_array("iris").shape
    (150, 4)
    """
    try:
        import dask.array as da
    except ImportError:
        raise SourceError("a cluster needs Dask; pip install 'uncollapse[dask]'") from None
    rows = open_source(source)
    if not isinstance(rows.blocks, Spans) or rows.n_columns is None:
        raise SourceError(
            f"{rows.name}: is read from its beginning on, so workers cannot share it; "
            f"save it as .npy, .parquet, .zarr or .h5"
        )
    d = rows.n_columns
    edges = joined(rows.blocks.edges, chunk_rows(d))
    dtype = dense(rows.blocks.read(0, 1)).dtype
    chunks = (tuple(np.diff(edges).tolist()), (d,))
    mark = uuid4().hex  # a file may have changed since blocks of its name were read
    blank = np.empty((0, 0), dtype)
    return da.map_blocks(  # type: ignore[no-untyped-call]
        _read, _everywhere(source), chunks=chunks, dtype=dtype, meta=blank, token=mark
    )


def chunk_rows(d: int) -> int:
    """Rows that a worker reads at once, of d columns.

    Examples
    --------
    >>> chunk_rows(64), chunk_rows(4096)
    (262144, 32768)
    """
    return max(min(max(ROWS_PER_COLUMN * d, LEAST_ENTRIES // d), MOST_ENTRIES // d), 1)


def _everywhere(source: str) -> str:
    """The same source from any folder."""
    name, colons, key = source.partition("::")
    return source if name in EMBEDDED else f"{Path(name).expanduser().absolute()}{colons}{key}"


def _read(source: str, block_info: Any = None) -> np.ndarray:
    (start, stop), (_, d) = block_info[None]["array-location"]
    try:
        blocks = open_source(source).blocks
        block = np.asarray(dense(blocks.read(start, stop))) if isinstance(blocks, Spans) else np.empty((0, 0))
    except SourceError as error:
        raise SourceError(f"{error}{_here()}; every worker must see the path") from None
    if block.shape != (stop - start, d):
        raise SourceError(f"{source}: is another file{_here()} than where the command was given")
    return block


def _here() -> str:
    try:
        from dask.distributed import get_worker

        return f" on worker {get_worker().address}"
    except (ImportError, ValueError):  # Dask's own threads
        return ""
