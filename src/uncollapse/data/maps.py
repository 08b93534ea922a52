"""Memory maps that are read in windows, so that resident memory stays at one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["windows_of"]


def windows_of(array: np.ndarray) -> Callable[[int, int], np.ndarray] | None:
    """Read-only windows on a mapped file, each unmapped after use, so that resident memory stays at one block.

    A page of a long-lived map counts as resident once touched; reading 4 GB through one would show as 4 GB.
    """
    root: Any = array
    while not isinstance(root, np.memmap) and root is not None:
        root = getattr(root, "base", None)
    while root is not None and isinstance(root.base, np.memmap):
        root = root.base
    if root is None or root.filename is None or root.mode == "c" or not array.flags.c_contiguous:
        return None
    offset = root.offset + array.ctypes.data - root.ctypes.data
    row_bytes = array.shape[1] * array.itemsize
    filename, dtype, d = root.filename, array.dtype, array.shape[1]

    def window(start: int, stop: int) -> np.ndarray:
        """From the file itself while it is the one that was mapped; else through the old map, which still holds it."""
        try:
            rows = np.memmap(filename, dtype, "r", offset=offset + start * row_bytes, shape=(stop - start, d))
            ends = [0, stop - start - 1]
            if rows[ends].tobytes() == array[start:stop][ends].tobytes():
                return rows
        except (OSError, ValueError):  # gone, or shorter than it was
            pass
        return array[start:stop]

    return window
