"""One number per row or per column: size factors, dispersions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.data.blocks import dense
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError

__all__ = ["flat_npy", "read_vector"]


def read_vector(source: str) -> np.ndarray:
    """All the numbers of a source that has a single row or column, shape (n,).

    Parameters
    ----------
    source : str
        As in `open_source`; a .npy file may also hold a one-dimensional array.

    Raises
    ------
    SourceError
        Several rows and columns, or whatever `open_source` says.

    Examples
    --------
    >>> read_vector("iris")
    Traceback (most recent call last):
    uncollapse.errors.SourceError: iris: holds 150 rows of 4 columns where a single row or column is wanted
    """
    flat = flat_npy(source)
    if flat is not None:
        return flat
    rows = open_source(source)
    blocks, n_rows = [], 0
    for block in rows.blocks():
        blocks.append(dense(block))
        n_rows += len(blocks[-1])
        if n_rows > 1 and blocks[-1].shape[1] > 1:  # known after two rows, however many there are
            n_all = "several" if rows.n_rows is None else rows.n_rows
            raise SourceError(
                f"{rows.name}: holds {n_all} rows of {blocks[-1].shape[1]} columns where a single row or column is "
                f"wanted"
            )
    if not blocks:
        raise SourceError(f"{rows.name}: empty, no rows came")
    return np.concatenate(blocks).ravel()


def flat_npy(source: Any) -> np.ndarray | None:
    """The numbers of a .npy file of one dimension; None for anything else, on which `open_source` has its say."""
    try:
        path = Path(source).expanduser()
        array = np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix.lower() == ".npy" else None
    except Exception:
        return None
    if array is None or array.ndim != 1 or array.dtype.kind not in "fiub":
        return None
    return np.array(array) if array.shape[0] >= 0 else None
