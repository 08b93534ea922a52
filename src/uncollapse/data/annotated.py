"""AnnData in memory: cells by genes, with layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import SourceError

__all__ = ["are_counts", "cells_of", "is_anndata"]

LOOKED_AT = 4096
"""Values that tell counts from others."""


def is_anndata(data: Any) -> bool:
    """Whether it is an AnnData, told by its class, so that nothing is imported."""
    return any(kind.__module__.startswith("anndata.") and kind.__name__ == "AnnData" for kind in type(data).__mro__)


def cells_of(adata: Any, layer: Any = None) -> Any:
    """X of an AnnData, or a layer of it, as it is held: an array or a sparse matrix.

    Raises
    ------
    SourceError
        No such layer, or no X.
    """
    if not is_anndata(adata):
        raise SourceError(f"layer names a layer of an AnnData; the data are {checks.shown(adata)}")
    known = sorted(map(str, adata.layers))
    if layer is None:
        if adata.X is None:
            raise SourceError(f"the AnnData has no X; name a layer of {', '.join(known) or 'none'}")
        return adata.X
    if layer not in adata.layers:
        raise SourceError(
            f"the AnnData has no layer {checks.shown(layer)}; its layers are {', '.join(known) or 'none'}"
        )
    return adata.layers[layer]


def are_counts(matrix: Any) -> bool:
    """Whether the first values of a matrix are whole numbers from 0, and some are above 1."""
    values = np.asarray(getattr(matrix, "data", matrix) if hasattr(matrix, "indptr") else matrix[:LOOKED_AT])
    some = values.reshape(-1)[:LOOKED_AT]
    if some.dtype.kind not in "fiu" or not len(some):
        return False
    with np.errstate(invalid="ignore"):
        whole = (some >= 0) & (np.rint(some) == some)
    return bool(whole.all() and some.max() > 1)
