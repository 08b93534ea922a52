"""Anything that holds rows → `Rows`: arrays in memory or on disk, sparse, Dask arrays, data sets, iterables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from numbers import Number
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.blocks import (
    Block,
    Rows,
    Spans,
    checked_array,
    dense,
    guarded,
    is_dask,
    is_sparse,
    paired_blocks,
    row_edges,
    sample_shape_of,
    sparse_table,
)
from uncollapse.data.hugging_face import hugging_face_rows, is_hugging_face
from uncollapse.data.indexed import indexed_rows, is_indexed
from uncollapse.data.iterables import as_block, iterable_rows
from uncollapse.data.maps import windows_of
from uncollapse.data.opened import is_annotated, is_on_disk, matrix_of
from uncollapse.data.stores import sliced
from uncollapse.errors import DataError

__all__ = ["Block", "Rows", "as_rows", "dense", "is_dask", "is_sparse", "paired_blocks"]


def as_rows(data: Any, name: str = "the data", *, paired: bool = False) -> Rows:
    """Take an array, memory map, SciPy sparse matrix, data set, DataLoader or iterable of blocks as `Rows`.

    Parameters
    ----------
    data : array of shape (n, ...), sparse matrix, data set, Rows, or iterable of blocks of rows
        Trailing dimensions are flattened, so images may come as (n, height, width). A list of lists of numbers is an
        array, and so is a list of vectors.
        An iterable may give arrays, tensors, or tuples of them; of a tuple the first entry is the rows (that is
        what a DataLoader over ``(x, label)`` gives), unless `paired`; of a dict, the only entry with rows and columns.
        Arrays that h5py or zarr have open, and AnnData objects (their X), are read from disk by slices. A data set of
        samples, PyTorch's, torchvision's or Hugging Face's, is read sample by sample: of ``(x, label)`` the x, of a
        dict its only array or image. Images of Pillow become (channels, height, width) from 0 to 1.
    name : str
        What messages call it.
    paired : bool
        The items of the iterable are pairs ``(x, y)`` of inputs and targets.

    Raises
    ------
    DataError
        One-dimensional, empty, complex, text or object data, or nothing that gives rows at all.

    Examples
    --------
    >>> import numpy as np
    >>> as_rows(np.zeros((5, 2, 3))).n_columns
    6
    """
    paired = checks.flag(paired, "paired", error=DataError)
    if isinstance(data, Rows):
        return data
    data = matrix_of(data, name) if is_annotated(data) else data
    if is_sparse(data):
        return _sparse_rows(sparse_table(data, name), name)
    if is_on_disk(data):
        return guarded(sliced(name, data, error=DataError), DataError)
    if is_dask(data):
        return _dask_rows(data, name)
    if hasattr(data, "detach"):
        return replace(_array_rows(as_block(data, name), name), sample_shape=sample_shape_of(_shape(data)))
    if hasattr(data, "__array__") or isinstance(data, memoryview):
        return _array_rows(data, name)
    if isinstance(data, list | tuple) and not paired:
        return _listed_rows(data, name)
    if is_hugging_face(data) and not paired:
        return hugging_face_rows(data, name)
    if is_indexed(data) and not paired:
        return indexed_rows(data, name)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes | bytearray | Mapping | Set | type):
        return iterable_rows(data, name, paired)
    raise DataError(
        f"{name}: cannot read rows from {checks.shown(data)}; pass an array, an iterable of blocks of rows, or what "
        f"open_source(file name) gives"
    )


def _listed_rows(data: list[Any] | tuple[Any, ...], name: str) -> Rows:
    """A list: of numbers in lists, of vectors (an array both), or of blocks."""
    first: Any = data
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(first, Number | str | None) or (isinstance(first, list | tuple) and not first):
        return _array_rows(data, name)
    shapes = [tuple(shape) for item in data if isinstance(shape := _shape(item), tuple)]
    if len(shapes) == len(data) and all(len(shape) == 1 for shape in shapes):
        return _array_rows([as_block(item[None], name)[0] for item in data], name)
    if len(shapes) == len(data) > 1 and len(set(shapes)) == 1 and not any(map(is_sparse, data)):
        size = "×".join(map(str, shapes[0]))
        raise DataError(
            f"{name}: a list of {len(data)} arrays of shape {size} may be that many samples or that many blocks of "
            f"rows; pass np.stack(list) for samples, iter(list) for blocks"
        )
    return iterable_rows(data, name, paired=False)


def _shape(item: Any) -> Any:
    try:
        return getattr(item, "shape", None)
    except Exception:  # an object's own property; reading it as a block says what is wrong
        return None


def _array_rows(data: Any, name: str) -> Rows:
    array = checked_array(data, name)
    windows = windows_of(array)
    n, d = array.shape

    def read(start: int, stop: int) -> np.ndarray:
        rows: np.ndarray = array[start:stop] if windows is None else windows(start, stop)
        return rows

    return Rows(name, d, n, Spans(row_edges(n, d), read), sample_shape=sample_shape_of(_shape(data)))


def _sparse_rows(matrix: Any, name: str) -> Rows:
    n, d = matrix.shape
    if 0 in (n, d):
        raise DataError(f"{name}: empty, shape {matrix.shape}")
    return Rows(name, d, n, Spans(row_edges(n, d), lambda start, stop: matrix[start:stop]))


def _dask_rows(array: Any, name: str) -> Rows:
    if array.ndim < 2 or 0 in array.shape:
        raise DataError(f"{name}: expected rows and columns, got shape {array.shape}; reshape to (samples, features)")
    if any(size != size for size in array.shape):  # NaN: a filtered array does not know its length
        raise DataError(f"{name}: a Dask array of unknown length; call compute_chunk_sizes() on it first")
    table = array.reshape(array.shape[0], -1) if array.ndim > 2 else array

    table = table.rechunk({1: -1})

    def blocks() -> Iterator[np.ndarray]:
        return (checked_array(part.compute(), name) for part in table.partitions)

    return Rows(name, table.shape[1], table.shape[0], blocks, sample_shape=sample_shape_of(array.shape))
