"""The boundary: what a caller passes in is checked here first, and comes back as a plain Python value.

Each check takes the value, the name that the caller knows it by, and the kind of error to raise; it returns the value
converted, or raises one line that says what was given, where, and what is wanted. What has an obvious meaning is taken
(`Fraction`, `Decimal`, NumPy scalars, arrays and tensors of one element); what could be meant in two ways is refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from uncollapse.errors import ObjectiveError, UncollapseError, shape_of, shown

__all__ = [
    "array",
    "as_path",
    "count",
    "counts",
    "flag",
    "function",
    "instance",
    "non_negative",
    "number",
    "one_of",
    "pair",
    "positive",
    "shown",
    "size",
]

Error = type[UncollapseError]
T = TypeVar("T")

MOST_COUNTED = 2**63 - 1
"""The largest number of things that NumPy can count."""


def number(value: Any, name: str, *, error: Error = ObjectiveError, wanted: str = "a finite number") -> float:
    """One finite real number, as a float; bools, strings, complex numbers, dates, NaN and None are refused.

    Parameters
    ----------
    value : object
        What the caller gave.
    name : str
        What the caller calls it.
    error : type
        Of our errors, which to raise.
    wanted : str
        How the message names a right value.

    Raises
    ------
    UncollapseError
        Of the kind asked for, in one line.

    Examples
    --------
    >>> from fractions import Fraction
    >>> number(Fraction(1, 4), "beta")
    0.25
    >>> number("0.25", "beta")
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: beta must be a finite number, got '0.25'
    """
    if type(value) is float and math.isfinite(value):
        return value
    plain = _one_element(value)
    refused = error(f"{name} must be {wanted}, got {shown(value)}")
    if isinstance(plain, bool | np.bool_) or not isinstance(plain, Real | Decimal):
        raise refused
    try:
        result = float(plain)
    except OverflowError:
        raise error(f"{name} must be {wanted}, got a number too large for a float") from None
    except Exception:
        raise refused from None
    if not math.isfinite(result):
        raise refused
    return result


def positive(value: Any, name: str, *, error: Error = ObjectiveError, wanted: str = "a positive number") -> float:
    """A finite number above 0; see `number`."""
    result = number(value, name, error=error, wanted=wanted)
    if not result > 0:
        raise error(f"{name} must be {wanted}, got {shown(value)}")
    return result


def non_negative(value: Any, name: str, *, error: Error = ObjectiveError, wanted: str = "0 or more") -> float:
    """A finite number from 0 on; see `number`."""
    result = number(value, name, error=error, wanted=wanted)
    if not result >= 0:
        raise error(f"{name} must be {wanted}, got {shown(value)}")
    return result


def count(
    value: Any, name: str, *, least: int = 0, most: int | None = None, error: Error = ObjectiveError, why: str = ""
) -> int:
    """A whole number from `least` to `most`, as an int; 2.0 is taken, 2.5 and True are not.

    Examples
    --------
    >>> count(3.0, "n_latents", least=1)
    3
    >>> count(0, "n_latents", least=1)
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: n_latents must be a whole number from 1 on, got 0
    """
    ends = f"from {least} on" if most is None else f"from {least} to {most}"
    wanted = f"a whole number {ends}{f' ({why})' if why else ''}"
    plain = _one_element(value)
    if isinstance(plain, Integral) and not isinstance(plain, bool):
        result = int(plain)  # not through a float, which ends at 2^53
    else:
        as_float = number(value, name, error=error, wanted=wanted)
        if as_float != math.floor(as_float):
            raise error(f"{name} must be {wanted}, got {shown(value)}")
        result = int(as_float)
    if result < least or (most is not None and result > most):
        raise error(f"{name} must be {wanted}, got {shown(value)}")
    return result


def size(value: Any, name: str, *, least: int = 1, error: Error = ObjectiveError) -> int:
    """How many of something there are: a whole number from `least` on that NumPy can still count.

    Examples
    --------
    >>> size(2**63, "n_latents")
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: n_latents must be a whole number below 2^63, got 9223372036854775808
    """
    result = count(value, name, least=least, error=error)
    if result > MOST_COUNTED:
        raise error(f"{name} must be a whole number below 2^63, got {shown(value)}")
    return result


def counts(values: Any, name: str, *, least: int = 0, error: Error = ObjectiveError) -> tuple[int, ...]:
    """Whole numbers from `least` on, as a tuple; one alone is taken as a tuple of one."""
    return tuple(size(value, f"each of {name}", least=least, error=error) for value in _several(values, name, error))


def pair(
    values: Any, name: str, *, error: Error = ObjectiveError, wanted: str = "two positive numbers"
) -> tuple[float, float]:
    """Two finite numbers above 0, one for each of two things.

    Examples
    --------
    >>> pair([1, 0.5], "reach")
    (1.0, 0.5)
    """
    given = _several(values, name, error)
    if len(given) != 2:
        raise error(f"{name} must be {wanted}, got {shown(values)}")
    first, second = (positive(value, name, error=error, wanted=wanted) for value in given)
    return first, second


def flag(value: Any, name: str, *, error: Error = ObjectiveError) -> bool:
    """True or False, and nothing that Python merely takes for true: ``"False"`` would be."""
    plain = _one_element(value)
    if not isinstance(plain, bool | np.bool_):
        raise error(f"{name} must be True or False, got {shown(value)}")
    return bool(plain)


def one_of(value: Any, name: str, words: Iterable[str], *, error: Error = ObjectiveError) -> str:
    """One of the words allowed."""
    allowed = tuple(words)
    if not isinstance(value, str) or value not in allowed:
        raise error(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")
    return str(value)


def instance(value: Any, name: str, kinds: type[T] | tuple[type[T], ...], *, error: Error = ObjectiveError) -> T:
    """An object of one of our kinds, such as an `Objective`."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise error(f"{name} must be {_article(wanted)} {wanted}, got {shown(value)}")
    return value


def function(value: Any, name: str, *, error: Error = ObjectiveError) -> Callable[..., Any]:
    """Something that can be called."""
    if not callable(value):
        raise error(f"{name} must be a function, got {shown(value)}")
    result: Callable[..., Any] = value
    return result


def as_path(value: Any, name: str, *, error: Error = ObjectiveError) -> Path:
    """A path of a file or a folder, as text or as a path.

    Examples
    --------
    >>> as_path(b"model", "path")
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: path must be a path as text, got b'model'
    """
    plain = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(plain, str) or not plain or "\0" in plain:
        raise error(f"{name} must be a path as text, got {shown(value)}")
    return Path(plain)


def array(
    values: Any,
    name: str,
    *,
    shape: Sequence[int | None] | None = None,
    error: Error = ObjectiveError,
    least: float | None = None,
    infinite: bool = False,
) -> np.ndarray:
    """Finite real numbers as a float64 array of the shape asked for (None: any length).

    `infinite` takes infinite ones too, of arrays that hold floats.

    Examples
    --------
    >>> array([0.5, 2], "betas", shape=(None,))
    array([0.5, 2. ])
    >>> array([[0.5]], "betas", shape=(None,))
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: betas must be an array of shape (any,), got list
    """
    wanted = "finite numbers" if shape is None else f"an array of shape ({_shape(shape)})"
    refused = error(f"{name} must be {wanted}, got {shown(values)}")
    try:
        given = np.asarray(_on_cpu(values))
    except Exception:
        raise refused from None
    if given.dtype.kind == "O":
        try:
            given = np.array([number(v, name, error=error) for v in given.ravel()]).reshape(given.shape)
        except UncollapseError:
            raise refused from None
    if given.dtype.kind not in "iuf" or _holds_flags(values):
        raise refused
    if shape is not None and (
        given.ndim != len(shape) or any(k is not None and k != n for k, n in zip(shape, given.shape, strict=True))
    ):
        raise refused
    with np.errstate(all="ignore"):
        result = given.astype(np.float64)
    if np.isnan(result).any() or not (infinite or np.isfinite(result).all()):
        raise error(f"{name} must be finite numbers, got one that is not")
    if least is not None and (result < least).any():
        raise error(f"{name} must not be below {least:g}, got {result.min():g}")
    return result


def _holds_flags(values: Any) -> bool:
    if not isinstance(values, list | tuple):
        return False
    return any(isinstance(value, bool | np.bool_) or _holds_flags(value) for value in values)


def _shape(shape: Sequence[int | None]) -> str:
    words = ", ".join("any" if n is None else str(n) for n in shape)
    return words + ("," if len(shape) == 1 else "")


def _article(noun: str) -> str:
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _several(values: Any, name: str, error: Error) -> list[Any]:
    if isinstance(values, list | tuple | range):
        return list(values)
    if shape_of(values) is not None:
        try:
            return list(np.asarray(_on_cpu(values)).ravel())
        except Exception:  # theirs: a sparse or a meta tensor lists no numbers
            raise error(f"{name} must be whole numbers, got {shown(values)}") from None
    return [values]


def _on_cpu(value: Any) -> Any:
    """A tensor's numbers where NumPy can see them; anything else as it is."""
    return value.detach().cpu() if hasattr(value, "detach") and hasattr(value, "cpu") else value


def _one_element(value: Any) -> Any:
    """The number inside a NumPy scalar, an array or a tensor of one element; anything else as it is."""
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # a span of time is no number
        return float(value) if isinstance(value, np.longdouble) else value.item()
    if shape_of(value) is not None and hasattr(value, "item"):
        try:
            return value.item() if math.prod(value.shape) == 1 else value
        except Exception:  # theirs: a meta tensor holds no number
            return value
    return value
