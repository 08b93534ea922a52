"""Stores for arrays larger than memory: AnnData's .h5ad and .zarr."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uncollapse import checks
from uncollapse.data.blocks import Block, Rows, rows_per_block
from uncollapse.errors import SourceError, first_line

__all__ = ["read_h5ad", "read_zarr"]

MOST_SECONDS = 10.0
"""For reading what an HDF5 file says of its X; whole files take milliseconds."""

LOOK = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    x = file.get("X")
    for node in [] if x is None else [x, *(x.values() if isinstance(x, h5py.Group) else [])]:
        dict(node.attrs)
"""


def read_h5ad(path: Path) -> Rows:
    """The matrix X of an AnnData file, read from disk block by block, dense or sparse."""
    path = checks.as_path(path, "the .h5ad file", error=SourceError)
    try:
        import anndata
        import h5py
    except ImportError:
        raise SourceError(f"{path}: .h5ad needs anndata; pip install 'uncollapse[io]'") from None
    _look_first(path)
    try:
        x = h5py.File(path, "r").get("X")
        matrix = anndata.io.sparse_dataset(x) if isinstance(x, h5py.Group) else x
    except Exception as error:  # anndata and h5py raise what they like on a damaged file
        raise SourceError(f"{path}: cannot be read as .h5ad: {first_line(error)}") from error
    if matrix is None or matrix.shape is None:
        raise SourceError(f"{path}: its X is empty; move the layer you train on to X")
    return _sliced(str(path), matrix)


def _look_first(path: Path) -> None:
    # on a damaged file the HDF5 library can loop for ever, and no signal reaches Python: so a child looks first
    try:
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, str(path.absolute())], timeout=MOST_SECONDS, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{path}: damaged: reading what it holds does not end; write the file again") from None
    if looked.returncode:
        why = looked.stderr.strip().rpartition("\n")[2] or f"HDF5 ended with code {looked.returncode}"
        raise SourceError(f"{path}: cannot be read as .h5ad: {why.partition(': ')[2] or why}; is it damaged?")


def read_zarr(path: Path, key: str) -> Rows:
    """A zarr array, or one array of a zarr group: the one named, X, or the only one with rows and columns."""
    path = checks.as_path(path, "the .zarr store", error=SourceError)
    try:
        import zarr
    except ImportError:
        raise SourceError(f"{path}: .zarr needs zarr; pip install 'uncollapse[io]'") from None
    try:
        node: Any = zarr.open(path, mode="r")
        arrays = {} if hasattr(node, "shape") else dict(node.arrays())
        groups = {} if hasattr(node, "shape") else dict(node.groups())
    except Exception as error:  # zarr and its codecs raise what they like on a damaged store
        raise SourceError(f"{path}: cannot be read as .zarr: {first_line(error)}") from error
    if hasattr(node, "shape"):
        return _sliced(str(path), node)
    tables = [name for name, array in arrays.items() if array.ndim >= 2]
    chosen = key or ("X" if "X" in arrays or "X" in groups else tables[0] if len(tables) == 1 else "")
    if chosen in arrays:
        return _sliced(f"{path}::{chosen}", arrays[chosen])
    if chosen in groups and "encoding-type" in groups[chosen].attrs:
        import anndata

        return _sliced(f"{path}::{chosen}", anndata.io.sparse_dataset(groups[chosen]))
    what = f"no array '{chosen}'" if chosen else f"{len(tables)} arrays"
    raise SourceError(f"{path}: holds {what}; name one of {', '.join([*arrays, *groups]) or 'none'} as {path}::NAME")


def _sliced(name: str, matrix: Any) -> Rows:
    if len(matrix.shape) < 2:
        raise SourceError(f"{name}: expected rows and columns, got shape {tuple(matrix.shape)}")
    if 0 in matrix.shape:
        raise SourceError(f"{name}: empty, shape {tuple(matrix.shape)}")
    if matrix.dtype.kind not in "fiub":
        raise SourceError(f"{name}: expected real numbers, got {matrix.dtype}")
    n, d = matrix.shape[0], 1
    for size in matrix.shape[1:]:
        d *= size
    step = rows_per_block(d)

    def blocks() -> Iterator[Block]:
        for start in range(0, n, step):
            block = matrix[start : min(start + step, n)]
            yield block.reshape(len(block), -1) if getattr(block, "ndim", 2) > 2 else block

    return Rows(name, d, n, blocks)
