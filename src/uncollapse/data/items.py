"""What a data set of samples gives for one of them, or for a batch: its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np

from uncollapse.data.blocks import Block, is_sparse
from uncollapse.data.images import is_image, pixels
from uncollapse.data.iterables import as_block
from uncollapse.errors import DataError, first_line

__all__ = ["array_columns", "column_block", "sample_of", "shape_of"]

MOST_NAMED = 6


def sample_of(item: Any, where: str) -> np.ndarray:
    """The numbers of one sample: of a tuple its first entry, of a dict its only array or image, or all its numbers.

    Raises
    ------
    DataError
        Text, several arrays, no numbers.
    """
    if isinstance(item, Mapping):
        names = array_columns(item, where)
        item = item[names[0]] if shape_of(item[names[0]]) else [item[name] for name in names]
    elif isinstance(item, tuple) or (isinstance(item, list) and item and not isinstance(item[0], Number | list)):
        if not item:
            raise DataError(f"{where}: an empty {type(item).__name__}; give (x, label) or x")
        item = item[0]
    if is_image(item):
        try:
            return pixels(item)
        except Exception as error:  # Pillow's own, of a file it reads only now
            raise DataError(f"{where}: an image that cannot be read: {first_line(error)}") from error
    if not shape_of(item):
        raise DataError(f"{where}: expected an image, an array or a tensor, got {type(item).__name__}")
    block = as_block([item] if isinstance(item, list) else item[None], where)
    sample: np.ndarray = block[0].reshape(shape_of(item))
    return sample


def array_columns(item: Mapping[Any, Any], where: str) -> list[Any]:
    """The one entry of a sample that is an image or an array; where none is, all of them, if all are numbers.

    Raises
    ------
    DataError
        Several arrays, or text and no array.
    """
    arrays = [name for name, value in item.items() if shape_of(value)]
    if len(arrays) == 1:
        return arrays
    if arrays:
        raise DataError(f"{where}: a sample has several arrays ({_listed(arrays)}); pass a data set with one of them")
    others = [name for name, value in item.items() if shape_of(value) is None]
    if others or not item:
        raise DataError(f"{where}: {_listed(others) or 'the empty sample'} holds no numbers; pass a data set without")
    return list(item)


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of an image, an array or a list of numbers, () of a number, None of anything else."""
    if is_image(value):
        return (len(value.getbands()), value.height, value.width)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return tuple(shape)
    if isinstance(value, Number):
        return ()
    if isinstance(value, list) and value:
        inner = shape_of(value[0])
        return None if inner is None or is_image(value[0]) else (len(value), *inner)
    return None


def column_block(values: Any, where: str) -> Block:
    """A block of rows of the samples of a batch: an array of them all, or a list of one each."""
    if not isinstance(values, Sequence) or is_sparse(values):
        return as_block(values, where)
    samples = [sample_of(value, where) for value in values]
    shapes = {sample.shape for sample in samples}
    if len(shapes) > 1:
        one, other = ("x".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise DataError(f"{where}: samples of shapes {one} and {other}; all need one shape: resize them first")
    return np.stack([sample.ravel() for sample in samples])


def _listed(names: list[Any]) -> str:
    return ", ".join(str(name)[:40] for name in names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
