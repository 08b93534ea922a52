"""A module of any make, seen as encode(x) → (mean, log-variance) and decode(z) → mean of x."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from uncollapse.errors import DataError
from uncollapse.inferring.trees import Path, at
from uncollapse.probes.examples import known_pair

__all__ = ["LINKS", "SPREADS", "Halves", "Reading", "as_given", "leaf", "sampling"]

SPREADS: dict[str, Callable[[Tensor], Tensor]] = {
    "log_variance": lambda s: s,
    "variance": lambda s: s.clamp_min(torch.finfo(s.dtype).tiny).log(),
    "std": lambda s: 2 * s.clamp_min(torch.finfo(s.dtype).tiny).log(),
    "log_std": lambda s: 2 * s,
    "std before softplus": lambda s: 2 * softplus(s).log(),
}
"""log σ² of what an encoder gives beside the mean."""

LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda out: out,
    "sigmoid": torch.sigmoid,
    "softmax": lambda out: out.softmax(dim=-1),
    "exp": torch.exp,
}

FORWARD = "forward"


@dataclass(frozen=True)
class Reading:
    """How a module is read; names only, so that a copy of the module is read in the same way.

    Attributes
    ----------
    encoder : str
        What is called: "encode", "encoder", or "forward".
    heads : tuple of two str, optional
        Layers that turn what the encoder gives into mean and spread.
    parts : tuple of two paths, optional
        Where mean and spread are in what comes out; the two halves of one tensor where left out.
    paired : bool
        Whether in that one tensor each mean is followed by its spread.
    spread_first : bool
        Whether in that one tensor the spread comes before the mean.
    spread : str
        One of `SPREADS`; "known" where a distribution says it.
    decoder : str
        What is called: "decode", "decoder", or "forward".
    door : str
        With "forward": the layer whose input is z.
    columns : tuple of int, optional
        Those of the door's input that are z.
    out : path
        Where the mean of x is in what the decoder gives.
    link : str
        One of `LINKS`, that makes a mean of x of what the decoder gives; none where it is one.
    encoder_given, decoder_given : str
        How each takes a condition: "" (not at all), "rows", "labels".
    input_shape : tuple of int
        Of one sample of the data.
    channels_last : bool
        Whether the data have the channels last, and the module takes them first.
    """

    encoder: str = "encode"
    heads: tuple[str, str] | None = None
    parts: tuple[Path, Path] | None = ((0,), (1,))
    paired: bool = False
    spread_first: bool = False
    spread: str = "log_variance"
    decoder: str = "decode"
    door: str = ""
    columns: tuple[int, ...] | None = None
    out: Path = ()
    link: str = ""
    encoder_given: str = ""
    decoder_given: str = ""
    input_shape: tuple[int, ...] = ()
    channels_last: bool = False

    @property
    def own_shape(self) -> tuple[int, ...]:
        """Of one sample as the module takes it."""
        *sides, channels = self.input_shape
        return (channels, *sides) if self.channels_last else self.input_shape

    def presented(self, x: Tensor) -> Tensor:
        """Samples of the data as the module takes them."""
        return x.movedim(-1, 1) if self.channels_last else x


class Halves(nn.Module):
    """A module with its `Reading`.

    Parameters
    ----------
    model : Module
    reading : Reading
    """

    def __init__(self, model: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.model, self.reading = model, reading

    def encode(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of samples in the shape that they have in the data."""
        mean, spread = self.mean_and_spread(x, given)
        if self.reading.spread == "known":
            return mean, spread
        return mean, SPREADS[self.reading.spread](spread)

    def mean_and_spread(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the encoder gives, as it is."""
        r = self.reading
        out: Any = called(self.model, r.encoder, r.presented(x), as_given(given, r.encoder_given))
        if (known := known_pair(out, type(self.model).__name__)) is not None and r.spread == "known":
            return known
        if r.heads is not None:
            mean, spread = (attrgetter(head)(self.model)(out) for head in r.heads)
        elif r.parts is None:
            mean, spread = out.unflatten(1, (-1, 2)).unbind(2) if r.paired else out.chunk(2, dim=1)
            mean, spread = (spread, mean) if r.spread_first else (mean, spread)
        else:
            mean, spread = (at(out, part) for part in r.parts)
        return mean, spread

    def decode(self, z: Tensor, given: Tensor | None = None, x: Tensor | None = None) -> Tensor:
        """The mean of x, in whatever shape the module gives it; a module called as a whole is given x beside z."""
        r = self.reading
        if r.decoder != FORWARD:
            out: Any = called(self.model, r.decoder, z, as_given(given, r.decoder_given))
        else:
            x = z.new_zeros(len(z), *r.input_shape) if x is None else x
            with _instead(attrgetter(r.door)(self.model), z, r.columns):
                out = called(self.model, FORWARD, r.presented(x), as_given(given, r.decoder_given))
        mean = leaf(out, r.out)
        if r.link == "softmax" and mean.ndim == 2:  # its own last axis is that of the classes, but where it is flat
            mean = mean.reshape(len(mean), *r.own_shape)
        if r.channels_last:
            mean = mean.reshape(len(mean), *r.own_shape).movedim(1, -1)
        return LINKS[r.link](mean)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction from one draw of z, mean and log-variance."""
        mean, log_variance = self.encode(x, given)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decode(z, given), mean, log_variance


def called(model: nn.Module, name: str, x: Tensor, given: Tensor | None) -> Any:
    """A method or a part of a module, called with a condition where there is one."""
    function = model if name == FORWARD else attrgetter(name)(model)
    return function(x.clone()) if given is None else function(x.clone(), given)


def as_given(given: Tensor | None, form: str) -> Tensor | None:
    """A condition as the module takes it."""
    if not form or given is None:
        return None
    return given.argmax(dim=1) if form == "labels" else given.clone()


def leaf(out: Any, path: Path) -> Tensor:
    """The mean of x in what a decoder gives."""
    part = at(out, path)
    if isinstance(part, torch.distributions.Distribution):
        return part.mean
    if not torch.is_tensor(part):
        raise DataError(f"the decoder gave {type(part).__name__}; a tensor is due")
    return part


@contextmanager
def _instead(door: nn.Module, z: Tensor, columns: tuple[int, ...] | None) -> Iterator[None]:
    """The door's first input replaced by z, or some of its columns; only at its first call."""
    seen: list[bool] = []

    def hook(_: Any, inputs: tuple[Any, ...]) -> Any:
        if seen:
            return None
        seen.append(True)
        first = inputs[0]
        if columns is None or len(columns) == math.prod(first.shape[1:]):
            return (z.reshape(first.shape), *inputs[1:])
        mixed = first.clone()
        mixed[:, list(columns)] = z.reshape(len(z), -1)
        return (mixed, *inputs[1:])

    handle = door.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def sampling(model: nn.Module) -> Iterator[None]:
    """Inside, the module draws z as while training, and dropout and batch norm are as they are afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        model.train()
        for part in model.modules():
            if isinstance(part, nn.modules.dropout._DropoutNd | nn.modules.batchnorm._BatchNorm):
                part.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode
