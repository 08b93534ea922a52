"""Data sets of Hugging Face's library `datasets`, whole or streamed, read by their batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from uncollapse.data.blocks import Block, Rows, rows_per_block
from uncollapse.data.images import is_image
from uncollapse.data.items import array_columns, column_block, sample_of, shape_of
from uncollapse.errors import DataError, UncollapseError, first_line

__all__ = ["hugging_face_rows", "is_hugging_face"]


def is_hugging_face(data: Any) -> bool:
    """Whether this is a data set of the library, or a dict of its splits."""
    return any(kind.__module__.partition(".")[0] == "datasets" for kind in type(data).__mro__)


def hugging_face_rows(data: Any, name: str) -> Rows:
    """The column of images or arrays; where there is none, all columns, if all are numbers.

    A streamed data set is walked again for a second pass. A format of the user's own (``with_format("torch")``,
    ``with_transform``) is kept.

    Raises
    ------
    DataError
        A dict of splits, no samples, text, several columns of arrays, samples of different shapes.
    """
    if isinstance(data, Mapping):
        raise DataError(f"{name}: holds splits; give one of them: data[{str(next(iter(data), 'train'))!r}]")
    first = next(_batches(data, 1, name), None)
    if first is None or not first:
        raise DataError(f"{name}: empty, no samples")
    sample = {column: values[0] for column, values in first.items()}
    columns = array_columns(sample, f"{name}, sample 0")
    many = shape_of(sample[columns[0]])
    n_columns = sample_of(sample, f"{name}, sample 0").size
    chosen = _narrowed(data, columns, as_arrays=not is_image(sample[columns[0]]), name=name)

    def blocks() -> Iterator[Block]:
        for batch in _batches(chosen, rows_per_block(n_columns), name):
            block = _block(batch, columns, f"{name}, column {columns[0]}" if many else name, one=bool(many))
            if block.shape[1] != n_columns:
                raise DataError(f"{name}: samples of {n_columns} and {block.shape[1]} numbers; all need one shape")
            yield block

    return Rows(name, n_columns, len(data) if hasattr(data, "__len__") else None, blocks)


def _block(batch: Any, columns: list[Any], where: str, *, one: bool) -> Block:
    if one:
        return column_block(batch[columns[0]], where)
    return np.column_stack([np.asarray(batch[column], float) for column in columns])


def _narrowed(data: Any, columns: list[Any], *, as_arrays: bool, name: str) -> Any:
    """Without the other columns, which cost time to decode; as arrays unless the user chose a format."""
    streamed = getattr(data, "_formatting", None)
    own = getattr(streamed, "format_type", None) if not hasattr(data, "format") else data.format["type"]
    try:
        if own is not None:
            return data
        narrow = data.select_columns(columns)
        if not as_arrays or not hasattr(data, "format"):
            return narrow
        # its own NumPy format would round to float32
        kinds = {_number_of(data.features[column]) for column in columns}
        return narrow.with_format("numpy", **({"dtype": np.float64} if "float64" in kinds else {}))
    except Exception as error:
        raise DataError(f"{name}: its column {columns[0]} cannot be chosen: {first_line(error)}") from error


def _number_of(feature: Any) -> str:
    while hasattr(feature, "feature"):  # of lists in lists
        feature = feature.feature
    return str(getattr(feature, "dtype", ""))


def _batches(data: Any, size: int, name: str) -> Iterator[Any]:
    try:
        batches = iter(data.iter(batch_size=size))
    except Exception as error:
        raise DataError(f"{name}: cannot be iterated over: {first_line(error)}") from error
    n_read = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except UncollapseError:
            raise
        except Exception as error:  # a broken image, a connection that is lost
            raise DataError(f"{name}: the data set fails after {n_read} samples: {first_line(error)}") from error
        yield batch
        n_read += size
