"""Where a vector is added inside a decoder: at a submodule's output, in a recurrent state, or as a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.errors import DataError

__all__ = ["MOST_NAMED", "PREFIX", "STATE", "Place", "find_place", "injected"]

PREFIX, STATE = "prefix", "@state"
"""`prefix`: a token of its own before the first; `NAME@state`: the first state of a GRU, an LSTM or an RNN."""

CHANNELS_SECOND = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)

MOST_NAMED = 12
"""Submodules that a message lists."""


@dataclass(frozen=True)
class Place:
    """Where the vector enters.

    Attributes
    ----------
    name : str
        Of the submodule, with `@state` for its first state; or ``prefix``.
    width : int
        Numbers of the vector.
    batch, channel : int
        Axes of the submodule's output.
    """

    name: str
    width: int
    batch: int = 0
    channel: int = -1

    @property
    def submodule(self) -> str:
        """Its name alone."""
        return self.name.removesuffix(STATE)


def find_place(module: nn.Module, name: str | None, n_rows: int, run: Callable[[], Any]) -> Place:
    """The place of a name, its shape seen in one forward pass.

    Parameters
    ----------
    module : Module
    name : str, optional
        When left out: a submodule called ``inject``; else the token embedding, so that the vector is added to every
        token's; else the first layer with weights.
    n_rows : int
        Of what `run` decodes.
    run : callable
        One forward pass.

    Raises
    ------
    DataError
        No such submodule, one that the decoder does not call, or whose output does not keep rows apart.
    """
    parts = dict(module.named_modules())
    if name == PREFIX:
        return Place(PREFIX, _embedding_width(module))
    chosen = name or _default(module, parts)
    inner = chosen.removesuffix(STATE)
    if not inner:
        raise DataError(f"{type(module).__name__}: has no submodule with weights, so a place must be named (--inject)")
    if inner not in parts:
        listed = ", ".join([part for part in parts if part][:MOST_NAMED])
        raise DataError(f"the decoder has no submodule {chosen!r}; it has {listed or 'none'}")
    part = parts[inner]
    if chosen.endswith(STATE):
        if not isinstance(part, nn.RNNBase):
            raise DataError(f"{chosen}: {inner} is a {type(part).__name__}; a first state have GRU, LSTM and RNN")
        return Place(chosen, part.num_layers * (1 + part.bidirectional) * part.hidden_size)
    shapes: list[tuple[int, ...]] = []
    handle = part.register_forward_hook(lambda _m, _a, out: shapes.append(tuple(_first(out).shape)))
    try:
        run()
    finally:
        handle.remove()
    if not shapes:
        raise DataError(f"{chosen}: the decoder does not call it, so nothing that is added there changes anything")
    shape = shapes[0]
    batch = next((axis for axis in (0, 1) if axis < len(shape) - 1 and shape[axis] == n_rows), None)
    if batch is None:
        raise DataError(
            f"{chosen}: gives {shape} for {n_rows} sequences, so no vector of one's own can be added to each"
        )
    channel = 1 if isinstance(part, CHANNELS_SECOND) or len(shape) == 4 else len(shape) - 1
    return Place(chosen, shape[channel], batch, channel)


@contextmanager
def injected(module: nn.Module, place: Place, v: Tensor) -> Iterator[None]:
    """Inside, each row's own vector v (n, k) is added at the place; `prefix` is the business of whoever calls."""
    if place.name == PREFIX:
        yield
        return
    part = module.get_submodule(place.submodule)
    if place.name.endswith(STATE):
        handle = part.register_forward_pre_hook(_with_state(v), with_kwargs=True)
    else:
        handle = part.register_forward_hook(lambda _m, _a, out: _added(out, v, place))
    try:
        yield
    finally:
        handle.remove()


def _default(module: Any, parts: dict[str, nn.Module]) -> str:
    if "inject" in parts:
        return "inject"
    embedding = module.get_input_embeddings() if hasattr(module, "get_input_embeddings") else None
    layers = [(name, part) for name, part in parts.items() if not list(part.children()) and list(part.parameters())]
    for name, part in layers:
        if part is embedding or (embedding is None and isinstance(part, nn.Embedding)):
            return name
    return layers[0][0] if layers else ""


def _embedding_width(module: Any) -> int:
    if not hasattr(module, "get_input_embeddings"):
        raise DataError(
            f"{type(module).__name__}: a prefix needs get_input_embeddings() and forward(inputs_embeds=…), as Hugging "
            f"Face's models have"
        )
    return int(module.get_input_embeddings().embedding_dim)


def _first(out: Any) -> Tensor:
    found = out[0] if isinstance(out, tuple | list) and out else out
    if not torch.is_tensor(found):
        raise DataError(f"a submodule that gives {type(found).__name__} takes no added vector; name another")
    return found


def _added(out: Any, v: Tensor, place: Place) -> Any:
    first = _first(out)
    shape = [1] * first.ndim
    shape[place.batch], shape[place.channel] = v.shape
    moved = first + v.reshape(shape).to(first.dtype)
    if isinstance(out, tuple | list):
        return type(out)([moved, *out[1:]]) if not hasattr(out, "_fields") else type(out)(moved, *out[1:])
    return moved


def _with_state(v: Tensor) -> Any:
    def hook(part: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        state = v.reshape(len(v), -1, part.hidden_size).transpose(0, 1).contiguous()
        given = args[1] if len(args) > 1 else kwargs.get("hx")
        if isinstance(part, nn.LSTM):
            own = given or (torch.zeros_like(state), torch.zeros_like(state))
            return (args[0],), {"hx": (own[0] + state, own[1])}
        return (args[0],), {"hx": state if given is None else given + state}

    return hook
