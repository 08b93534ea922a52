"""AnnData in memory: cells by genes, with layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.opened import is_annotated, matrix_of
from uncollapse.errors import SourceError

__all__ = ["are_counts", "cells_of"]

LOOKED_AT, FEW_ROWS = 4096, 32
"""Values that tell counts from others, and rows that they are taken from."""


def cells_of(adata: Any, layer: Any = None) -> Any:
    """X of an AnnData, or a layer of it, as it is held: an array or a sparse matrix.

    Raises
    ------
    SourceError
        No such layer, or no X.
    """
    if not is_annotated(adata):
        raise SourceError(f"layer names a layer of an AnnData; the data are {checks.shown(adata)}")
    if layer is None:
        return matrix_of(adata, "the data")
    known = sorted(map(str, adata.layers))
    if layer not in adata.layers:
        raise SourceError(
            f"the AnnData has no layer {checks.shown(layer)}; its layers are {', '.join(known) or 'none'}"
        )
    return adata.layers[layer]


def are_counts(matrix: Any) -> bool:
    """Whether the first values of a matrix are whole numbers from 0, and some are above 1."""
    values = np.asarray(getattr(matrix, "data", matrix) if hasattr(matrix, "indptr") else matrix[:FEW_ROWS])
    some = values.reshape(-1)[:LOOKED_AT]
    if some.dtype.kind not in "fiu" or not len(some):
        return False
    with np.errstate(invalid="ignore"):
        whole = (some >= 0) & (np.rint(some) == some)
    return bool(whole.all() and some.max() > 1)
