"""Rows a block at a time, in smaller blocks where a device's memory does not hold one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from uncollapse.errors import DataError, warn

__all__ = ["halving"]

T = TypeVar("T")


def halving(run: Callable[[slice], T], n: int, n_at_once: int, name: str) -> list[T]:
    """What `run` gives for each block of rows, at least one.

    Parameters
    ----------
    run : callable
        Of the rows from one number to another.
    n : int
        Rows in all.
    n_at_once : int
        Of a block; half of it from where memory ran out on, which is said.
    name : str
        Of the model.

    Raises
    ------
    DataError
        Not even one row fits.

    Examples
    --------
    >>> halving(lambda rows: (rows.start, rows.stop), 5, 2, "the model")
    [(0, 2), (2, 4), (4, 6)]
    """
    results: list[T] = []
    start, size = 0, n_at_once
    while start < max(n, 1):
        try:
            results.append(run(slice(start, start + size)))
            start += size
        except torch.OutOfMemoryError:
            size = min(size, n)
            if size <= 1:
                raise DataError(f"{name}: the device's memory does not hold one row; measure on cpu") from None
            size = -(-size // 2)
    if size < min(n_at_once, n):
        warn(f"{name}: the device's memory did not hold {min(n_at_once, n)} rows at once; they went by {size}")
    return results
