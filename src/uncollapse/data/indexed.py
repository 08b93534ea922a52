"""Data sets that give a sample for its number, as PyTorch's and torchvision's do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from uncollapse.data.blocks import Rows, rows_per_block, sample_shape_of
from uncollapse.data.items import column_block, sample_of
from uncollapse.errors import DataError, UncollapseError, first_line

__all__ = ["indexed_rows", "is_indexed"]


def is_indexed(data: Any) -> bool:
    """Whether samples are had by number only; what can be iterated over as well may give blocks, and is no such."""
    kind = type(data)
    if isinstance(data, Mapping | Sequence | type) or hasattr(kind, "__iter__"):
        return False
    return hasattr(kind, "__getitem__") and hasattr(kind, "__len__")


def indexed_rows(data: Any, name: str) -> Rows:
    """The samples in the order of their numbers, read as they are asked for.

    Raises
    ------
    DataError
        No samples, what is no sample of numbers, samples of different shapes.
    """
    try:
        n = len(data)
    except Exception as error:
        raise DataError(f"{name}: its length is not known: {first_line(error)}") from error
    if n == 0:
        raise DataError(f"{name}: empty, no samples")
    first = _sample(data, 0, name)
    if first.size == 0:
        raise DataError(f"{name}: sample 0 is empty, shape {first.shape}")
    step = rows_per_block(first.size)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, n, step):
            samples = [_sample(data, i, name) for i in range(start, min(start + step, n))]
            for i, sample in enumerate(samples, start):
                if sample.shape != first.shape:
                    one, other = ("x".join(map(str, shape)) for shape in (first.shape, sample.shape))
                    raise DataError(f"{name}: sample 0 is {one} and sample {i} is {other}; all need one shape")
            yield column_block(samples, name)

    return Rows(name, first.size, n, blocks, sample_shape=sample_shape_of((1, *first.shape)))


def _sample(data: Any, i: int, name: str) -> np.ndarray:
    try:
        item = data[i]
    except UncollapseError:
        raise
    except Exception as error:  # its maker's code
        raise DataError(f"{name}: the data set fails at sample {i}: {first_line(error)}") from error
    return sample_of(item, f"{name}, sample {i}")
