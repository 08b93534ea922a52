"""Parquet tables, one file or a folder of parts, read by their row groups."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.blocks import Rows, Spans, joined, rows_per_block
from uncollapse.data.tables import listed
from uncollapse.errors import SourceError, first_line

__all__ = ["read_parquet", "read_parquet_folder"]


def read_parquet(path: Path) -> Rows:
    """A Parquet table whose columns are all numbers; nulls become NaN."""
    path = checks.as_path(path, "the Parquet file", error=SourceError)
    return _rows(str(path), [path])


def read_parquet_folder(folder: Path, parts: list[Path]) -> Rows:
    """The rows of all parts, in the order given; a part may have its columns in another order."""
    folder = checks.as_path(folder, "the folder of Parquet files", error=SourceError)
    rows = _rows(str(folder), parts)
    keys = {name.partition("=")[0]: None for part in parts for name in part.relative_to(folder).parts if "=" in name}
    if not keys:
        return rows
    return replace(rows, note=f"{folder}: what the folders' names say ({listed(list(keys))}) is not read as columns")


def _rows(name: str, parts: list[Path]) -> Rows:
    names: list[str] | None = None
    counts, groups = [], []
    for part in parts:
        found, in_groups = _columns(part)
        n_rows = sum(in_groups)
        if names is not None and sorted(found) != sorted(names):
            missing = sorted(set(names) ^ set(found)) or found
            raise SourceError(f"{part}: its columns are not those of {parts[0].name}: {listed(missing)}")
        names = found if names is None else names
        counts.append(n_rows)
        groups += [(part, i, n) for i, n in enumerate(in_groups)]
    if not names or not sum(counts):
        raise SourceError(f"{name}: empty")

    def blocks() -> Iterator[np.ndarray]:
        for part, n_rows in zip(parts, counts, strict=True):
            yield from _blocks(part, names, n_rows)

    edges = [0, *accumulate(n for *_, n in groups)]

    def read(start: int, stop: int) -> np.ndarray:
        first, last = bisect_right(edges, start) - 1, bisect_left(edges, stop)
        whole = np.concatenate([_group(part, names, i) for part, i, _ in groups[first:last]])
        return whole[start - edges[first] : stop - edges[first]]

    return Rows(name, len(names), sum(counts), Spans(joined(edges, rows_per_block(len(names))), read, blocks))


def _columns(path: Path) -> tuple[list[str], list[int]]:
    """Names of a file's columns, all of numbers, and how many rows each of its groups has."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise SourceError(f"{path}: Parquet needs pyarrow; pip install 'uncollapse[io]'") from None
    try:
        schema = parquet.read_schema(path)
        metadata = parquet.read_metadata(path)
        n_rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    except Exception as error:  # pyarrow raises what it likes on a damaged file
        raise SourceError(f"{path}: cannot be read as Parquet: {first_line(error)}") from error
    types = pa.types
    text = [
        item.name
        for item in schema
        if not (types.is_integer(item.type) or types.is_floating(item.type) or types.is_boolean(item.type))
    ]
    if text:
        raise SourceError(f"{path}: column {listed(text)} holds no numbers; leave such columns out or encode them")
    return list(schema.names), n_rows


def _blocks(path: Path, names: list[str], n_rows: int) -> Iterator[np.ndarray]:
    from pyarrow import parquet

    n_read = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows_per_block(len(names))):
            n_read += batch.num_rows
            yield _table(batch, names)
    if n_read != n_rows:  # a damaged footer contradicts itself
        raise SourceError(f"{path}: cannot be read as Parquet: holds {n_read} rows where {n_rows} are expected")


def _group(path: Path, names: list[str], group: int) -> np.ndarray:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return _table(file.read_row_group(group), names)


def _table(batch: Any, names: list[str]) -> np.ndarray:
    same = batch.schema.names == names  # then by place: two columns may have one name
    columns = batch.columns if same else [batch.column(name) for name in names]
    return np.column_stack([_numbers(column) for column in columns])


def _numbers(column: Any) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values.astype(np.float64) if values.dtype.kind in "Ob" else values
