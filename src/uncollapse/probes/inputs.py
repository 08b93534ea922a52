"""What goes into a model's encoder and decoder, checked: rows of numbers, and a condition where it takes one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError

__all__ = ["check_condition", "check_rows", "in_shape", "own_shape"]


def check_rows(values: Any, what: str, where: str) -> np.ndarray:
    """An array of real numbers with a row a sample, as it is; what can only be an array of them is made one.

    Raises
    ------
    DataError
        Anything else.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.ndim > 1:
        common = values.dtype.isnative and values.dtype.itemsize <= 8 and values.dtype.kind + str(
            values.dtype.itemsize) not in ("u2", "u4", "u8")  # fmt: skip
        return values if common else values.astype(np.float64)  # frameworks know no other types
    rows = checks.array(values, f"{where}: the {what}", error=DataError)
    if rows.ndim < 2:
        raise DataError(f"{where}: the {what} must have a row a sample, got an array of shape {rows.shape}")
    return rows


def in_shape(rows: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Rows of numbers as samples of the shape that the model takes."""
    if math.prod(shape) != math.prod(rows.shape[1:]):
        raise DataError(f"{where}: samples of shape {shape} are due, and the rows have {math.prod(rows.shape[1:])} "
                        f"numbers")  # fmt: skip
    return rows.reshape(len(rows), *shape)


def own_shape(own: tuple[int | None, ...] | None, said: tuple[int, ...] | None, where: str) -> tuple[int, ...] | None:
    """Shape of a sample: the model's own, where it is known whole; else the one that the user or the data say.

    Raises
    ------
    DataError
        Both are there, and the same numbers lie in another order: channels first and channels last.

    Examples
    --------
    >>> own_shape((28, 28, 1), (28, 28), "the model"), own_shape((None, 3), (5, 3), "the model")
    ((28, 28, 1), (5, 3))
    """
    if own is None or any(side is None for side in own):
        return said
    known = tuple(int(side or 0) for side in own)
    if said is not None and math.prod(said) == math.prod(known):
        one, other = (tuple(side for side in shape if side != 1) for shape in (known, said))
        if one != other and min(len(one), len(other)) > 1:
            raise DataError(f"{where}: samples of shape {known} are due, and the data's have shape {said}: bring their "
                            f"axes into that order")  # fmt: skip
    return known


def check_condition(function: Callable[..., Any], has_condition: bool, where: str) -> None:
    """Refuse a condition that the encoder or decoder does not take, and the lack of one that it needs.

    It is read from the function's signature. A second parameter that is True or False by default is no condition; where
    the signature cannot be read, the call itself tells.
    """
    try:
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        return
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    any_number = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if has_condition and not any_number and (len(places) < 2 or isinstance(places[1].default, bool)):
        raise DataError(f"{where} takes no condition; leave it out (given, --given)")
    if not has_condition and len(places) == 2 and places[1].default is inspect.Parameter.empty:
        raise DataError(f"{where} needs a condition ({places[1].name}); give it (given, --given)")
