"""Results in an AnnData: `adata.uns["uncollapse"]`, as values that .h5ad files hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.opened import is_annotated
from uncollapse.errors import DataError

__all__ = ["to_anndata"]

KEY = "uncollapse"


def to_anndata(result: Any, adata: Any, *, key: str = KEY) -> None:
    """Write a result into `adata.uns[key]`; nothing else of the AnnData is touched.

    Parameters
    ----------
    result : Forecast, Measurement, Diagnosis or anything else with `to_dict`
    adata : AnnData
    key : str

    Raises
    ------
    DataError
        No AnnData, or nothing that has values.

    Notes
    -----
    Numbers, texts and arrays stay what they are; what is not known is left out; a table is a dictionary of its columns.

    Examples
    --------
    >>> import anndata  # doctest: +SKIP
    >>> to_anndata(forecast(adata, layer="counts", likelihood="poisson"), adata)  # doctest: +SKIP
    >>> adata.uns["uncollapse"]["n_alive"]  # doctest: +SKIP
    """
    if not is_annotated(adata):
        raise DataError(f"adata must be an AnnData, got {checks.shown(adata)}")
    if not callable(getattr(result, "to_dict", None)):
        raise DataError(
            f"result must have values (to_dict), as a forecast or a diagnosis has; got {checks.shown(result)}"
        )
    if not isinstance(key, str) or not key:
        raise DataError(f"key must be a text, got {checks.shown(key)}")
    adata.uns[key] = _stored(result.to_dict())


def _stored(value: Any) -> Any:
    """The same as dictionaries, arrays, numbers and texts."""
    if isinstance(value, dict):
        return {str(name).replace("/", " per "): _stored(part) for name, part in value.items() if part is not None}
    if not isinstance(value, list | tuple):
        return value
    if all(isinstance(part, dict) for part in value) and value:
        names = dict.fromkeys(name for part in value for name in part)
        return {str(name): _stored([part.get(name) for part in value]) for name in names}
    if all(isinstance(part, bool | int | float) or part is None for part in value):
        return np.array([np.nan if part is None else part for part in value])
    return np.array([part if isinstance(part, str) else json.dumps(part) for part in value], dtype=object)
