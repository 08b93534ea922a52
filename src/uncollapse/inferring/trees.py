"""What a module returns, tensor by tensor: tuples, dictionaries and objects with fields, one inside another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["Path", "at", "mapped", "tensors_in"]

Path = tuple[Any, ...]
"""Keys and places that lead to a tensor, from the outside; () is the thing itself."""

DEEPEST = 4


def tensors_in(out: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Tensors among several outputs, with their paths; of a distribution its mean.

    Examples
    --------
    >>> [path for path, _ in tensors_in((torch.zeros(2), {"q": (torch.zeros(1), torch.ones(1))}))]
    [(0,), (1, 'q', 0), (1, 'q', 1)]
    """
    if torch.is_tensor(out):
        yield path, out
    elif isinstance(out, Distribution):
        yield path, out.mean
    elif len(path) < DEEPEST:
        for key, part in _parts(out):
            yield from tensors_in(part, (*path, key))


def at(out: Any, path: Path) -> Any:
    """What lies at a path."""
    for key in path:
        out = out[key] if isinstance(out, Mapping | tuple | list) else getattr(out, key)
    return out


def mapped(out: Any, change: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The same with every tensor and every distribution changed.

    Parameters
    ----------
    out : object
    change : callable
        Of a path and the tensor there.

    Examples
    --------
    >>> mapped({"a": torch.ones(1), "b": (torch.ones(2), 3)}, lambda path, t: len(t))
    {'a': 1, 'b': (2, 3)}
    """
    if torch.is_tensor(out) or isinstance(out, Distribution):
        return change(path, out)
    inner = {key: mapped(part, change, (*path, key)) for key, part in _parts(out)} if len(path) < DEEPEST else {}
    if not inner:
        return out
    if isinstance(out, tuple | list):
        values = list(inner.values())
        return type(out)(*values) if hasattr(out, "_fields") else type(out)(values)
    if is_dataclass(out) and not isinstance(out, type):
        return replace(out, **inner)
    if type(out) is dict:
        return inner
    return {**out, **inner} if isinstance(out, Mapping) else out


def _parts(out: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(out, Mapping):
        yield from out.items()
    elif isinstance(out, tuple | list):
        yield from enumerate(out)
    elif is_dataclass(out) and not isinstance(out, type):
        yield from ((f.name, getattr(out, f.name)) for f in fields(out))
