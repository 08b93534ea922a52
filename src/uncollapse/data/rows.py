"""A table that is read block by block, whatever holds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.errors import DataError

__all__ = ["Block", "Rows", "as_rows", "dense", "is_dask", "is_sparse", "paired_blocks"]

Block = Any
"""A (b, d) NumPy array or SciPy sparse array: b rows of the table."""

BLOCK_ENTRIES = 2**24
"""Entries a block aims at: 128 MB in float64. Each block costs some passes over a d × d result: on 60,000 × 784, 2^22
entries take 1.15 times as long as 2^24 (benchmarks/bench_spectrum.py)."""

MIN_BLOCK_ROWS, MOST_BLOCK_ROWS = 16, 2**15
"""Bounds on the rows of a block. A float32 product sums a block in float32: 2^15 rows keep its error under 1e-5."""


@dataclass(frozen=True)
class Rows:
    """A table of ``n_columns`` numbers a row, read in blocks.

    Attributes
    ----------
    name : str
        What messages call it: the file, or "the data".
    n_columns : int or None
        None when only reading tells.
    n_rows : int or None
        None when only reading tells.
    blocks : callable
        Returns a fresh iterator over blocks of consecutive rows.
    repeatable : bool
        Whether `blocks` may be called again.
    paired : bool
        Whether each item that `blocks` gives is a pair ``(x, y)``.
    """

    name: str
    n_columns: int | None
    n_rows: int | None
    blocks: Callable[[], Iterator[Block]]
    repeatable: bool = True
    paired: bool = False

    def watched(self, see: Callable[[int], None]) -> Rows:
        """The same rows; `see` is told the number of rows of each block as it is handed over."""

        def blocks() -> Iterator[Block]:
            for block in self.blocks():
                yield block
                see(len(block[0]) if self.paired else block.shape[0])

        return replace(self, blocks=blocks)


def as_rows(data: Any, name: str = "the data", *, paired: bool = False) -> Rows:
    """Take an array, memory map, SciPy sparse matrix, DataLoader or iterable of blocks as `Rows`.

    Parameters
    ----------
    data : array of shape (n, ...), sparse matrix, Rows, or iterable of blocks of rows
        Trailing dimensions are flattened, so images may come as (n, height, width).
        An iterable may give arrays, tensors, or tuples of them; of a tuple the first entry is the rows (that is
        what a DataLoader over ``(x, label)`` gives), unless `paired`.
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
    if isinstance(data, Rows):
        return data
    if is_sparse(data):
        return _sparse_rows(data.tocsr(), name)
    if is_dask(data):
        return _dask_rows(data, name)
    if hasattr(data, "detach"):
        return _array_rows(_block(data, name), name)
    if hasattr(data, "__array__"):
        return _array_rows(data, name)
    if isinstance(data, Iterable):
        return _iterable_rows(data, name, paired)
    raise DataError(f"{name}: cannot read rows from {type(data).__name__}; pass an array, a file name or an iterable")


def dense(block: Block) -> np.ndarray:
    """One block as a dense array."""
    return block.toarray() if is_sparse(block) else np.asarray(block)


def paired_blocks(x: Rows, y: Rows) -> Iterator[tuple[Block, Block]]:
    """Walk two tables in step, cutting their blocks to equal numbers of rows."""
    if x.n_rows is not None and y.n_rows is not None and x.n_rows != y.n_rows:
        raise DataError(f"{x.name} has {x.n_rows} rows and {y.name} has {y.n_rows}; both need one row per sample")
    ends = object()
    xs, ys = x.blocks(), y.blocks()
    rest_x: Any = next(xs, ends)
    rest_y: Any = next(ys, ends)
    n_rows = 0
    while rest_x is not ends and rest_y is not ends:
        n = min(rest_x.shape[0], rest_y.shape[0])
        yield rest_x[:n], rest_y[:n]
        n_rows += n
        rest_x = rest_x[n:] if n < rest_x.shape[0] else next(xs, ends)
        rest_y = rest_y[n:] if n < rest_y.shape[0] else next(ys, ends)
    if rest_x is not ends or rest_y is not ends:
        shorter, longer = (x, y) if rest_x is ends else (y, x)
        raise DataError(f"{shorter.name} ends after {n_rows} rows, before {longer.name}; both need one row per sample")


def rows_per_block(n_columns: int) -> int:
    """Rows in a block of about `BLOCK_ENTRIES` numbers."""
    return min(max(MIN_BLOCK_ROWS, BLOCK_ENTRIES // max(n_columns, 1)), MOST_BLOCK_ROWS)


def checked_array(data: Any, name: str, *, may_be_empty: bool = False) -> np.ndarray:
    """An array of real numbers with rows and columns, trailing dimensions flattened; a view where possible."""
    if isinstance(data, np.ma.MaskedArray) and data.dtype.kind in "fiub":
        data = np.ma.filled(data.astype(float), np.nan)  # a masked value is a missing one
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"{name}: not a table of numbers ({error})") from None
    if array.dtype.kind == "c":
        raise DataError(f"{name}: complex numbers have no mode strength; pass real and imaginary parts as columns")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected numbers, got {array.dtype}; encode text as numbers first")
    if array.ndim < 2:
        raise DataError(f"{name}: expected rows and columns, got shape {array.shape}; reshape to (samples, features)")
    if 0 in array.shape[1:] or (len(array) == 0 and not may_be_empty):
        raise DataError(f"{name}: empty, shape {array.shape}")
    return array.reshape(len(array), math.prod(array.shape[1:]))


def is_sparse(data: Any) -> bool:
    """Whether this is a SciPy sparse matrix or array."""
    # asking SciPy would import it, which costs more than everything else here
    return hasattr(data, "tocsr") and hasattr(data, "nnz")


def is_dask(data: Any) -> bool:
    """Whether this is a Dask array."""
    return hasattr(data, "dask") and hasattr(data, "chunks")


def _array_rows(data: Any, name: str) -> Rows:
    array = checked_array(data, name)
    windows = _memmap_windows(array)
    n, d = array.shape
    step = rows_per_block(d)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, n, step):
            stop = min(start + step, n)
            yield array[start:stop] if windows is None else windows(start, stop)

    return Rows(name, d, n, blocks)


def _memmap_windows(array: np.ndarray) -> Callable[[int, int], np.ndarray] | None:
    """Read-only windows on a mapped file, each unmapped after use, so that resident memory stays at one block.

    A page of a long-lived map counts as resident once touched; reading 4 GB through one would show as 4 GB.
    """
    root: Any = array
    while not isinstance(root, np.memmap) and root is not None:
        root = getattr(root, "base", None)
    while root is not None and isinstance(root.base, np.memmap):
        root = root.base
    if root is None or root.filename is None or root.mode == "c" or not array.flags.c_contiguous:
        return None
    offset = root.offset + array.ctypes.data - root.ctypes.data
    row_bytes = array.shape[1] * array.itemsize
    filename, dtype, d = root.filename, array.dtype, array.shape[1]

    def window(start: int, stop: int) -> np.ndarray:
        return np.memmap(filename, dtype, "r", offset=offset + start * row_bytes, shape=(stop - start, d))

    return window


def _sparse_rows(matrix: Any, name: str) -> Rows:
    n, d = matrix.shape
    if 0 in (n, d):
        raise DataError(f"{name}: empty, shape {matrix.shape}")
    if matrix.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected real numbers, got {matrix.dtype}")
    step = rows_per_block(d)

    def blocks() -> Iterator[Any]:
        return (matrix[start : start + step] for start in range(0, n, step))

    return Rows(name, d, n, blocks)


def _dask_rows(array: Any, name: str) -> Rows:
    if array.ndim < 2 or 0 in array.shape:
        raise DataError(f"{name}: expected rows and columns, got shape {array.shape}; reshape to (samples, features)")
    if any(size != size for size in array.shape):  # NaN: a filtered array does not know its length
        raise DataError(f"{name}: a Dask array of unknown length; call compute_chunk_sizes() on it first")
    table = array.reshape(array.shape[0], -1) if array.ndim > 2 else array

    table = table.rechunk({1: -1})

    def blocks() -> Iterator[np.ndarray]:
        return (checked_array(part.compute(), name) for part in table.partitions)

    return Rows(name, table.shape[1], table.shape[0], blocks)


def _iterable_rows(data: Iterable[Any], name: str, paired: bool) -> Rows:
    def blocks() -> Iterator[Any]:
        for group in _coalesced(data, name, paired):
            yield group if paired else group[0]

    # a DataLoader or a list can be walked again, a generator cannot
    return Rows(name, None, None, blocks, repeatable=iter(data) is not data, paired=paired)


def _coalesced(data: Iterable[Any], name: str, paired: bool) -> Iterator[tuple[Block, ...]]:
    """Cut large items and join small ones (a loader's batches) into blocks of a good size."""
    waiting: list[list[Block]] = []
    n_waiting, widths, step = 0, None, 1
    for index, item in enumerate(data):
        where = f"{name}, block {index}"
        parts = _parts(item, where, paired)
        if parts[0].shape[0] == 0:
            continue
        if widths is not None and [part.shape[1] for part in parts] != widths:
            raise DataError(f"{where}: {parts[0].shape[1]} columns where earlier blocks have {widths[0]}")
        widths = [part.shape[1] for part in parts]
        step = rows_per_block(sum(widths))
        waiting.append(parts)
        n_waiting += parts[0].shape[0]
        if n_waiting >= step:
            joined = tuple(map(_stacked, zip(*waiting, strict=True)))
            whole = n_waiting - n_waiting % step
            for start in range(0, whole, step):
                yield tuple(part[start : start + step] for part in joined)
            waiting, n_waiting = [[part[whole:] for part in joined]], n_waiting - whole
    if n_waiting:
        yield tuple(map(_stacked, zip(*waiting, strict=True)))


def _stacked(blocks: tuple[Block, ...]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    if any(map(is_sparse, blocks)):
        from scipy.sparse import vstack

        return vstack(blocks, format="csr")
    return np.concatenate(blocks)


def _parts(item: Any, where: str, paired: bool) -> list[Block]:
    is_group = isinstance(item, list | tuple)
    if not paired:
        return [_block(item[0] if is_group else item, where)]
    if not is_group or len(item) != 2:
        raise DataError(f"{where}: expected a pair (x, y), got {type(item).__name__}")
    x, y = (_block(part, where) for part in item)
    if x.shape[0] != y.shape[0]:
        raise DataError(f"{where}: {x.shape[0]} rows of x against {y.shape[0]} of y")
    return [x, y]


def _block(item: Any, where: str) -> Block:
    if is_sparse(item):
        return item.tocsr()
    if hasattr(item, "detach"):  # a torch tensor, perhaps on another device, in a graph or in half precision
        item = item.detach().cpu()
        item = item.float() if str(item.dtype) == "torch.bfloat16" else item
    return checked_array(item, where, may_be_empty=True)
