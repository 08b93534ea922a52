"""Arrays under names, with the names of their axes → an xarray Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.errors import UncollapseError

__all__ = ["Labelled", "dataset", "from_one"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """An array and what its axes and numbers are.

    Attributes
    ----------
    dims : tuple of str
    values : ndarray
    about : str
    units : str
        Left out when empty.
    """

    dims: tuple[str, ...]
    values: np.ndarray
    about: str
    units: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """As xarray and its plots read them."""
        return {"long_name": self.about} | ({"units": self.units} if self.units else {})


def from_one(n: int, dim: str, about: str) -> Labelled:
    """The numbers 1, 2, …, as texts and figures of ours count."""
    return Labelled((dim,), np.arange(1, n + 1), about)


def dataset(arrays: Mapping[str, Labelled], places: Mapping[str, Labelled], facts: Mapping[str, Any]) -> Any:
    """An `xarray.Dataset` that can be written to a file.

    Parameters
    ----------
    arrays : dict of Labelled
        The variables.
    places : dict of Labelled
        The coordinates.
    facts : dict
        The attributes: numbers, and text; True and False become 1 and 0, and what is None or empty is left out, as
        files of netCDF know neither.

    Raises
    ------
    UncollapseError
        xarray is not installed.
    """
    try:
        import xarray
    except ImportError:
        raise UncollapseError("to_xarray needs xarray; pip install 'uncollapse[xarray]'") from None
    variables, coordinates = (
        {name: (one.dims, one.values, one.attributes) for name, one in group.items()} for group in (arrays, places)
    )
    return xarray.Dataset(variables, coordinates, {name: _plain(value) for name, value in facts.items() if _is(value)})


def _is(value: Any) -> bool:
    return value is not None and value != ""


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool | np.bool_) else value
