"""One number per row or per column: size factors, dispersions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncollapse.data.blocks import dense
from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError

__all__ = ["read_vector"]


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
    if source.endswith(".npy") and Path(source).is_file():
        try:
            array = np.load(source, allow_pickle=False)
        except (ValueError, OSError, EOFError):
            array = np.empty((0, 0))  # open_source says what is wrong with it
        if array.ndim == 1 and array.dtype.kind in "fiub":
            return array
    table = np.vstack([dense(block) for block in open_source(source).blocks()])
    if 1 not in table.shape:
        raise SourceError(
            f"{source}: holds {table.shape[0]} rows of {table.shape[1]} columns where a single row or column is wanted"
        )
    return table.ravel()
