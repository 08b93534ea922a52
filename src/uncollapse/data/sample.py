"""A random sample of rows from a stream of blocks, of bounded size."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.errors import DataError

__all__ = ["STREAM", "RowSample", "sample_rows"]

STREAM = 6174
"""Beside a seed, so that no sample is drawn by the numbers that made the data."""


class RowSample:
    """Rows with the smallest of random keys: a uniform sample without replacement, the same rows of every part.

    Parameters
    ----------
    n_rows : int
        Most to keep.
    seed : int
    start : int
        Rows of the same table that others have seen before: parts that are sampled apart are joined by ``+``, and give
        the sample that one walk over all rows would.

    Examples
    --------
    >>> kept = RowSample(3, seed=0)
    >>> for start in (0, 4):
    ...     kept.add(np.arange(start, start + 4)[:, None], np.zeros((4, 2)))
    >>> [part.shape for part in kept.parts]
    [(3, 1), (3, 2)]
    """

    def __init__(self, n_rows: int, seed: int, start: int = 0) -> None:
        if n_rows < 2:
            raise DataError(f"a sample needs 2 rows or more, got {n_rows}")
        # a stream of its own: of data made from the same seed, keys would be the very numbers that made them
        bits = np.random.PCG64([seed, STREAM])
        bits.advance(start)  # a row's key is the number at its own place in the stream
        self._n_rows, self._rng = n_rows, np.random.Generator(bits)
        self._keys = np.empty(0)
        self._old = self._new = np.empty(0, dtype=int)
        self.parts: list[np.ndarray] = []

    def __add__(self, other: RowSample) -> RowSample:
        """The sample of both parts; those of `other` come after."""
        result = copy(self)
        keys = np.concatenate([self._keys, other._keys])
        chosen = np.sort(np.argsort(keys, kind="stable")[: self._n_rows])
        result._keys, result._rng = keys[chosen], other._rng
        result.parts = [np.concatenate([one, two])[chosen] for one, two in zip(self.parts, other.parts, strict=True)]
        return result

    def add(self, *parts: np.ndarray) -> None:
        """Rows of one block, each part with as many."""
        self.choose(len(parts[0]))
        self.keep(*(part[self._new] for part in parts))

    def choose(self, n: int) -> np.ndarray:
        """Which of the n rows of a block are kept; `keep` takes these rows of it."""
        keys = np.concatenate([self._keys, self._rng.random(n)])
        n_old = len(self._keys)
        chosen = np.arange(len(keys))
        if len(keys) > self._n_rows:
            chosen = np.sort(np.argpartition(keys, self._n_rows)[: self._n_rows])
        self._old, self._new = chosen[chosen < n_old], chosen[chosen >= n_old] - n_old
        self._keys = keys[chosen]
        return self._new

    def keep(self, *parts: np.ndarray) -> None:
        """The rows that `choose` chose, each part with as many."""
        if not self.parts:
            self.parts = list(parts)
        elif len(parts[0]):  # most blocks of a long stream bring few rows or none
            both = zip(self.parts, parts, strict=True)
            self.parts = [np.concatenate([kept[self._old], part]) for kept, part in both]


def sample_rows(
    data: Any, target: Any, given: Any, n_rows: int, seed: int, *, drop_nonfinite: bool = False
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """A random sample of the rows, the same of each table, in one pass.

    Examples
    --------
    >>> x, _, _ = sample_rows(np.arange(12.0).reshape(6, 2), None, None, 3, 0)
    >>> x.shape
    (3, 2)
    """
    rows, kept = as_rows(data), RowSample(n_rows, seed)
    named = ((target, "the target"), (given, "the condition"))
    others = [None if part is None else as_rows(part, name) for part, name in named]
    for parts in _together(rows, [part for part in others if part is not None]):
        whole = [dense(part) for part in parts]
        if drop_nonfinite:
            finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in whole])
            whole = [part[finite] for part in whole]
        kept.add(*whole)
    if not kept.parts:
        raise DataError(f"{rows.name}: empty, no rows came")
    tables = iter(kept.parts)
    x = next(tables)
    y, condition = (None if part is None else next(tables) for part in others)
    return x, y, condition


def _together(rows: Rows, others: list[Rows]) -> Any:
    if not others:
        return ((block,) for block in rows.blocks())
    if len(others) > 1:
        raise DataError("give a target or a condition, not both")
    return paired_blocks(rows, others[0])
