"""The rows of a model that holds its data itself: of scvi-tools, its AnnData."""

from __future__ import annotations

from typing import Any

from uncollapse.data.opened import is_annotated
from uncollapse.errors import DataError

__all__ = ["holds_cells", "with_own_rows"]


def holds_cells(model: Any) -> bool:
    """Whether it is a model of scvi-tools, told by its class, so that nothing is imported."""
    return any(kind.__module__.startswith("scvi.") for kind in type(model).__mro__) and hasattr(model, "module")


def with_own_rows(model: Any, data: Any, given: Any) -> tuple[Any, Any]:
    """Data and condition as the user gave them; of a model of scvi-tools, those of its own cells or of an AnnData.

    Parameters
    ----------
    model : object
    data : object or None
        None for the model's own.
    given : object or None

    Raises
    ------
    DataError
        No data, and a model that holds none.
    """
    if holds_cells(model) and (data is None or is_annotated(data)):
        if given is not None:
            raise DataError("the condition comes with the cells; give both as arrays, or neither")
        from uncollapse.probes.scvi import check_known, scvi_rows

        check_known(model)
        return scvi_rows(model, data)
    if data is None:
        raise DataError("give the data that the model was trained on; only a model of scvi-tools holds its own")
    return data, given
