"""A source as a Dask array whose blocks the workers read themselves, from a path that all of them see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.data.blocks import Spans, dense
from uncollapse.data.embedded import EMBEDDED
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError

__all__ = ["shared_array"]


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
    edges, d = rows.blocks.edges, rows.n_columns
    dtype = dense(rows.blocks.read(0, 1)).dtype
    chunks = (tuple(np.diff(edges).tolist()), (d,))
    return da.map_blocks(_read, _everywhere(source), chunks=chunks, dtype=dtype, meta=np.empty((0, 0), dtype))


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

        return f" on worker {get_worker().address}"  # type: ignore[no-untyped-call]
    except (ImportError, ValueError):  # Dask's own threads
        return ""
