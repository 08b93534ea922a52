"""Rows of a table in blocks: the one form in which everything above reads data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from uncollapse.errors import DataError, UncollapseError, first_line

__all__ = [
    "Block",
    "Rows",
    "Spans",
    "checked_array",
    "dense",
    "guarded",
    "is_dask",
    "is_sparse",
    "joined",
    "paired_blocks",
    "row_edges",
    "rows_per_block",
    "sparse_table",
]

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
    note : str
        How its numbers were made, where a user has to know: a sentence without its full stop, or "".
    sample_shape : tuple of int
        Of a sample, where the data have it and it is no row of numbers; else ().
    """

    name: str
    n_columns: int | None
    n_rows: int | None
    blocks: Callable[[], Iterator[Block]]
    repeatable: bool = True
    paired: bool = False
    note: str = ""
    sample_shape: tuple[int, ...] = ()

    def shaped(self, some: np.ndarray) -> np.ndarray:
        """Some of its rows in the shape that a sample has."""
        return some.reshape(len(some), *self.sample_shape) if self.sample_shape else some

    def check_repeatable(self) -> None:
        """For what walks them more than once.

        Raises
        ------
        DataError
            They can be walked only once.
        """
        if not self.repeatable:
            raise DataError(f"{self.name}: is walked more than once here; pass an array, a file or a DataLoader")

    def first(self, n: int) -> np.ndarray:
        """At most its first n rows, as many of them as its first block has.

        Raises
        ------
        DataError
            They can be walked only once, or there are none.
        """
        self.check_repeatable()
        for block in self.blocks():
            return np.asarray(dense(block)[:n])
        raise DataError(f"{self.name}: empty, no rows came")

    def watched(self, on_step: Callable[[int], None]) -> Rows:
        """The same rows; `on_step` is called with the number of rows of each block as it is handed over."""

        def blocks() -> Iterator[Block]:
            for block in self.blocks():
                yield block
                on_step(len(block[0]) if self.paired else block.shape[0])

        return replace(self, blocks=blocks)


@dataclass(frozen=True)
class Spans:
    """Blocks of which each can be read without those before it: a `Rows.blocks` whose work can be shared out.

    Attributes
    ----------
    edges : sequence of int
        Where blocks begin and end: 0, …, the number of rows.
    read : callable
        Rows from one number to another.
    walk : callable, optional
        A faster way through all blocks in turn.
    """

    edges: Sequence[int]
    read: Callable[[int, int], Block]
    walk: Callable[[], Iterator[Block]] | None = None

    def __call__(self) -> Iterator[Block]:
        """All blocks in turn."""
        return self.walk() if self.walk is not None else (self.read(*span) for span in pairwise(self.edges))


def sample_shape_of(shape: Any) -> tuple[int, ...]:
    """Of an array's shape that of a sample; () of rows of numbers.

    Examples
    --------
    >>> sample_shape_of((100, 28, 28)), sample_shape_of((100, 784))
    ((28, 28), ())
    """
    return tuple(map(int, shape[1:])) if isinstance(shape, tuple) and len(shape) > 2 else ()


def guarded(rows: Rows, kind: type[UncollapseError]) -> Rows:
    """The same rows; damage met while reading, which each library reports in its own way, becomes our error."""

    @contextmanager
    def watch() -> Iterator[None]:
        try:
            yield
        except (UncollapseError, MemoryError):
            raise
        except Exception as error:
            raise kind(f"{rows.name}: cannot be read to its end: {first_line(error)}") from error

    def blocks() -> Iterator[Block]:
        inner = rows.blocks()
        while True:
            with watch():
                block = next(inner, None)
            if block is None:
                return
            yield block
            del block  # or the next one would be made while this one is held

    if not isinstance(rows.blocks, Spans):
        return replace(rows, blocks=blocks)
    apart = rows.blocks.read

    def read(start: int, stop: int) -> Block:
        with watch():
            return apart(start, stop)

    return replace(rows, blocks=Spans(rows.blocks.edges, read, blocks))


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


def row_edges(n_rows: int, n_columns: int, together: int = 1) -> list[int]:
    """Where blocks of a table begin and end; `together` rows lie in one piece on disk, which no edge should cut."""
    step = rows_per_block(n_columns)
    step = step // together * together or step
    return [*range(0, n_rows, step), n_rows]


def joined(edges: Sequence[int], most: int) -> list[int]:
    """Fewer edges: neighbouring blocks that together have no more than so many rows make one.

    Examples
    --------
    >>> joined([0, 2, 4, 9, 10], 4)
    [0, 4, 9, 10]
    """
    kept = [0]
    for before, edge in pairwise(edges):
        if edge - kept[-1] > most and before > kept[-1]:
            kept.append(before)
    return [*kept, edges[-1]]


def checked_array(data: Any, name: str, *, may_be_empty: bool = False) -> np.ndarray:
    """An array of real numbers with rows and columns, trailing dimensions flattened; a view where possible."""
    if isinstance(data, np.ma.MaskedArray) and data.dtype.kind in "fiub":
        whole = data.dtype.kind == "f" or not np.ma.getmaskarray(data).any()
        data = np.ma.filled(data if whole else data.astype(float), np.nan)  # a masked value is a missing one
    try:
        array = np.asarray(data)
    except Exception as error:  # theirs: a ragged list, a tensor without numbers, an object's own conversion
        raise DataError(f"{name}: not a table of numbers ({first_line(error)})") from error
    if array.dtype.kind == "c":
        raise DataError(f"{name}: complex numbers have no mode strength; pass real and imaginary parts as columns")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected numbers, got {array.dtype}; encode text as numbers first")
    if array.ndim < 2:
        raise DataError(f"{name}: expected rows and columns, got shape {array.shape}; reshape to (samples, features)")
    if 0 in array.shape[1:] or (len(array) == 0 and not may_be_empty):
        raise DataError(f"{name}: empty, shape {array.shape}")
    return array.reshape(len(array), math.prod(array.shape[1:]))


def sparse_table(data: Any, name: str) -> Any:
    """A SciPy sparse table of real numbers as CSR, which is read by rows."""
    if len(data.shape) != 2:
        raise DataError(f"{name}: a sparse array needs rows and columns, got shape {data.shape}")
    if data.dtype.kind not in "fiub":
        raise DataError(f"{name}: expected real numbers, got {data.dtype}")
    return data.tocsr()


def is_sparse(data: Any) -> bool:
    """Whether this is a SciPy sparse matrix or array."""
    # asking SciPy would import it, which costs more than everything else here
    return _has(data, "tocsr", "nnz")


def is_dask(data: Any) -> bool:
    """Whether this is a Dask array."""
    return _has(data, "dask", "chunks")


def _has(data: Any, *names: str) -> bool:
    try:
        return all(hasattr(data, name) for name in names)
    except Exception:  # an attribute may be anyone's code
        return False
