"""Plain values, ready for JSON, and back."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Self

import numpy as np

from uncollapse.errors import DataError

__all__ = ["Record", "finite", "plain", "stamp"]


def finite(value: Any) -> Any:
    """The same values, those that are not finite as None: JSON knows none of them."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> Any:
    """Arrays as lists, nouns as what their `to_dict` gives, and `finite`.

    Examples
    --------
    >>> plain({"kl": np.array([1.0, np.inf]), "n": np.int64(2)})
    {'kl': [1.0, None], 'n': 2}
    """
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else finite(value)


class Record:
    """A dataclass of plain values and arrays that goes to JSON and comes back."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: arrays as lists, numbers that are not finite as None."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `to_dict` gave, or JSON made of it; None in an array comes back as NaN.

        Raises
        ------
        DataError
            Not a dict of these names.
        """
        known = {item.name: str(item.type) for item in fields(cls)}  # type: ignore[arg-type]
        if not isinstance(values, dict):
            raise DataError(f"{cls.__name__}.from_dict needs the dict that to_dict gave, got {type(values).__name__}")
        odd = sorted(str(name) for name in values.keys() ^ known.keys())
        if odd:
            raise DataError(f"{cls.__name__}.from_dict needs {', '.join(known)}; missing or unknown: {', '.join(odd)}")
        return cls(**{name: _typed(values[name], kind) for name, kind in known.items()})


def _typed(value: Any, kind: str) -> Any:
    if isinstance(value, list) and "ndarray" in kind:
        array = np.array(value)
        return array.astype(float) if array.dtype == object else array
    if value is None and kind == "float":
        return math.nan
    return tuple(value) if isinstance(value, list) else value


def stamp(kind: str) -> dict[str, Any]:
    """What JSON of ours begins with: which schema it follows, and which version wrote it.

    The number of a schema rises when a key goes or changes its meaning, not when one is added. The schemas themselves
    are JSON Schema files, beside this one in ``schemas/``.

    Examples
    --------
    >>> stamp("forecast")["schema"]
    'uncollapse.forecast/1'
    """
    from uncollapse import __version__

    return {"schema": f"uncollapse.{kind}/1", "uncollapse_version": __version__}
