"""Arrays on disk that are read by slices, and zarr stores of them."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from uncollapse import checks
from uncollapse.data.blocks import Block, Rows, Spans, row_edges, sample_shape_of
from uncollapse.errors import SourceError, UncollapseError, first_line, warn

__all__ = ["encoded", "only_table", "read_zarr", "sliced"]

MOST_NAMED = 8
"""Arrays that a message names."""


def read_zarr(path: Path, key: str) -> Rows:
    """A zarr array, or one array of a zarr group: the one named, X, or the only one with rows and columns.

    Formats 2 and 3, sharded or not; arrays in groups are named with slashes.
    """
    path = checks.as_path(path, "the .zarr store", error=SourceError)
    try:
        import zarr
    except ImportError:
        raise SourceError(f"{path}: .zarr needs zarr; pip install 'uncollapse[io]'") from None
    try:
        with warnings.catch_warnings():  # zarr's own, of text beside the numbers
            warnings.simplefilter("ignore")
            node: Any = zarr.open(path, mode="r")
            members = {} if hasattr(node, "shape") else dict(node.members(max_depth=None))
    except Exception as error:  # zarr and its codecs raise what they like on a damaged store
        raise SourceError(f"{path}: cannot be read as .zarr: {first_line(error)}") from error
    if hasattr(node, "shape"):
        if key:
            raise SourceError(f"{path}: is one array and has no names; drop '::{key[:40]}'")
        return sliced(str(path), node)
    tables = [name for name, member in members.items() if len(getattr(member, "shape", ())) >= 2]
    chosen = key.strip("/") or ("X" if "X" in members else "")
    chosen = chosen if chosen in members else only_table(str(path), tables, chosen)
    return sliced(f"{path}::{chosen}", encoded(f"{path}::{chosen}", members[chosen]))


def only_table(name: str, tables: list[str], key: str) -> str:
    """The only array with rows and columns of several, where none is named `key`."""
    if not key and len(tables) == 1:
        return tables[0]
    what = f"no array '{key[:80]}'" if key else f"{len(tables)} arrays with rows and columns"
    if not tables:
        raise SourceError(f"{name}: holds {what}{', nor any other of numbers with rows and columns' if key else ''}")
    listed = ", ".join(sorted(tables)[:MOST_NAMED]) + (", …" if len(tables) > MOST_NAMED else "")
    raise SourceError(f"{name}: holds {what}; name one of {listed} as {name}::NAME")


def encoded(name: str, node: Any) -> Any:
    """An array as it is; a group in which AnnData keeps a sparse matrix as that matrix."""
    if hasattr(node, "shape"):
        return node
    kind = str(dict(node.attrs).get("encoding-type", "")) if hasattr(node, "attrs") else ""
    if kind not in ("csr_matrix", "csc_matrix"):
        inside = ", ".join(list(node)[:MOST_NAMED]) if hasattr(node, "__iter__") else ""
        raise SourceError(f"{name}: is a {kind or 'group'}, not an array; it holds {inside or 'nothing'}")
    try:
        import anndata

        return anndata.io.sparse_dataset(node)
    except ImportError:
        raise SourceError(f"{name}: a sparse matrix needs anndata; pip install 'uncollapse[io]'") from None
    except Exception as error:
        raise SourceError(f"{name}: cannot be read as a sparse matrix: {first_line(error)}") from error


def sliced(name: str, matrix: Any, *, error: type[UncollapseError] = SourceError) -> Rows:
    """What has a shape and a kind of number and gives rows when sliced."""
    shape = tuple(matrix.shape or ())
    if len(shape) < 2:
        raise error(f"{name}: expected rows and columns, got shape {shape}")
    if 0 in shape:
        raise error(f"{name}: empty, shape {shape}")
    if matrix.dtype.kind not in "fiub":
        raise error(f"{name}: expected real numbers, got {matrix.dtype}")
    if getattr(matrix, "format", "csr") == "csc":
        matrix = _by_rows(name, matrix)
    n, d = shape[0], math.prod(shape[1:])
    pieces = getattr(matrix, "shards", None) or getattr(matrix, "chunks", None) or (1,)

    def read(start: int, stop: int) -> Block:
        block = matrix[start:stop]
        return block.reshape(len(block), -1) if getattr(block, "ndim", 2) > 2 else block

    spans = Spans(row_edges(n, d, int(pieces[0])), read)
    return Rows(name, d, n, spans, sample_shape=sample_shape_of(tuple(shape)))


def _by_rows(name: str, matrix: Any) -> Any:
    """A sparse matrix kept by columns in memory, by rows: each block would read all of it from disk."""
    warn(f"{name}: is stored by columns (CSC), so all of it is read into memory; store it by rows (CSR)")
    try:
        return matrix.to_memory().tocsr()
    except Exception as error:
        raise SourceError(f"{name}: cannot be read as a sparse matrix: {first_line(error)}") from error
