"""A random sample of rows from a stream of blocks, of bounded size."""

from __future__ import annotations

import numpy as np

from uncollapse.errors import DataError

__all__ = ["RowSample"]


class RowSample:
    """Rows with the smallest of random keys: a uniform sample without replacement, the same rows of every part.

    Parameters
    ----------
    n_rows : int
        Most to keep.
    seed : int

    Examples
    --------
    >>> kept = RowSample(3, seed=0)
    >>> for start in (0, 4):
    ...     kept.add(np.arange(start, start + 4)[:, None], np.zeros((4, 2)))
    >>> [part.shape for part in kept.parts]
    [(3, 1), (3, 2)]
    """

    def __init__(self, n_rows: int, seed: int) -> None:
        if n_rows < 2:
            raise DataError(f"a sample needs 2 rows or more, got {n_rows}")
        self._n_rows, self._rng = n_rows, np.random.default_rng(seed)
        self._keys = np.empty(0)
        self.parts: list[np.ndarray] = []

    def add(self, *parts: np.ndarray) -> None:
        """Rows of one block, each part with as many."""
        keys = np.concatenate([self._keys, self._rng.random(len(parts[0]))])
        n_old = len(self._keys)
        chosen = np.arange(len(keys))
        if len(keys) > self._n_rows:
            chosen = np.sort(np.argpartition(keys, self._n_rows)[: self._n_rows])
        old, new = chosen[chosen < n_old], chosen[chosen >= n_old] - n_old
        self._keys = keys[chosen]
        if not self.parts:
            self.parts = [part[new] for part in parts]
        elif len(new):  # most blocks of a long stream bring few rows or none
            self.parts = [np.concatenate([kept[old], part[new]]) for kept, part in zip(self.parts, parts, strict=True)]
