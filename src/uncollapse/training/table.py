"""Columns → a Parquet file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.errors import OutputError
from uncollapse.files import write_bytes

__all__ = ["check_parquet", "write_parquet"]


def check_parquet() -> None:
    """Refuse before any work is done."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise OutputError("tables of results need pyarrow; pip install 'uncollapse[io]'") from None


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns of equal length; a column of numbers and words becomes text."""
    check_parquet()
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({name: pa.array(_plain(values)) for name, values in columns.items()}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def _plain(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if str in kinds and len(kinds) > 1:
        return [None if value is None else str(value) for value in values]
    return [value.item() if isinstance(value, np.generic) else value for value in values]
