"""What a loss learns beside the networks: small parameters of its module, and arguments that stand for such.

They are set for one call of the loss at a time, and the module is after it as it was before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from uncollapse.reading.roles import LEARNED

__all__ = ["FORMS", "Form", "Parameters", "Small"]

Form = Literal["one", "columns", "entries"]
FORMS: tuple[Form, ...] = ("one", "columns", "entries")

LOG_R = 0.5
"""log of the dispersion that is handed over, and of the variance: 0."""


@dataclass(frozen=True)
class Small:
    """A small parameter.

    Attributes
    ----------
    name : str
    count : int
        Of its numbers.
    tensor : Tensor or None
        None of an argument.
    """

    name: str
    count: int
    tensor: Any = None


class Parameters:
    """The small parameters of a loss.

    Parameters
    ----------
    owner : object
        The module whose method it is, or anything else.
    roles : dict
        Of the loss's arguments, by name.

    Attributes
    ----------
    shape : tuple of int
        Of a sample, as the module has it.
    form : {"one", "columns", "entries"}
        What an argument is given as: one number, one for each column, or one for each number of the batch.
    levelled : bool
        Whether each parameter has its mean in all its places.
    """

    def __init__(self, owner: Any, roles: dict[str, str]):
        self.owner, self.roles = owner, roles
        self.shape: tuple[int, ...] = ()
        self.form: Form = "one"
        self.levelled = False
        self._moves: dict[str, tuple[float, bool]] = {}

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments that stand for one."""
        return [name for name, role in self.roles.items() if role in LEARNED]

    @property
    def all(self) -> list[Small]:
        """Of the module, as many numbers as a sample or fewer in each; and the arguments."""
        torch = sys.modules.get("torch")
        n = int(np.prod(self.shape))
        counts = {"one": 1, "columns": n, "entries": n}
        found = [Small(name, counts[self.form]) for name in self.arguments]
        if torch is not None and isinstance(self.owner, torch.nn.Module):
            named = self.owner.named_parameters()
            found += [Small(name, p.numel(), p) for name, p in named if _can_move(p) and 0 < p.numel() <= n]
        return found

    @contextmanager
    def moved(self, one: Small, by: float, *, first: bool = False) -> Iterator[None]:
        """A parameter, or the first of its numbers alone, moved by so many times its size, or 1, inside."""
        self._moves[one.name] = (by, first)
        try:
            yield
        finally:
            del self._moves[one.name]

    def given(self, whole: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Values of the arguments for rows of this shape."""
        shapes = {"one": (), "columns": whole[1:], "entries": whole}
        result = {}
        for name in self.arguments:
            log = np.full(shapes[self.form], LOG_R if self.roles[name] == "dispersion" else 0.0)
            by, first = self._moves.get(name, (0.0, False))
            moving: Any = (..., *[0] * len(whole[1:])) if first and log.ndim else ...
            log[moving] += by
            result[name] = np.asarray(LEARNED[self.roles[name]](log))  # a function of one number gives no array
        return result

    @contextmanager
    def in_place(self, shape: tuple[int, ...]) -> Iterator[None]:
        """The module with its parameters as they are wanted, for samples of this shape."""
        before = []
        try:
            for one in self.all:
                wanted = one.name in self._moves or (one.count > 1 and (self.levelled or shape != self.shape))
                if one.tensor is not None and wanted:
                    before.append((one.tensor, one.tensor.data))
                    one.tensor.data = self._wanted(one, shape)
            yield
        finally:
            for tensor, data in before:
                tensor.data = data

    def _wanted(self, one: Small, shape: tuple[int, ...]) -> Any:
        data = one.tensor.data.double()
        size = max(1.0, float(data.abs().mean()))
        data = data * 0 + data.mean() if self.levelled else data.clone()
        by, first = self._moves.get(one.name, (0.0, False))
        (data.view(-1)[:1] if first else data).add_(by * size)
        return data.repeat(self._times(tuple(data.shape), shape)) if data.ndim else data

    def _times(self, own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
        """How often each axis is repeated, where it is that of a sample that has grown."""
        if len(own) == 1 and own[0] == np.prod(self.shape):
            return (int(np.prod(shape) / own[0]),)
        times = [1] * len(own)
        for back in range(1, min(len(own), len(shape)) + 1):
            if own[-back] == self.shape[-back]:
                times[-back] = shape[-back] // self.shape[-back]
        return tuple(times)


def _can_move(p: Any) -> bool:
    """Whether it is learned, has numbers, and they can be made double."""
    is_lazy = "Uninitialized" in type(p).__name__
    return not is_lazy and p.requires_grad and p.is_floating_point() and p.device.type not in ("meta", "mps")
