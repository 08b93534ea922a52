"""Data that a module does not take → the layer that they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from uncollapse.inferring.halves import FORWARD, as_given, called
from uncollapse.inferring.shapes import Layout, given_forms, in_words
from uncollapse.measure.protocol import RAISED

__all__ = ["unfit_layer"]

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class _Unfit:
    """A layer that is given another size than its own; `is_first` if the samples meet no other before it."""

    name: str
    what: str
    given: int
    takes: int
    is_first: bool
    layout: Layout


def unfit_layer(
    model: nn.Module, encoders: tuple[str, ...], x: Tensor, given: Tensor | None, layouts: list[Layout]
) -> str:
    """What does not fit, in words; empty where a call of the module succeeds, or fails elsewhere.

    Parameters
    ----------
    model : Module
    encoders : tuple of str
        What is called of a module that has no `forward`.
    x : Tensor of shape (B, d)
    given : Tensor, optional
    layouts : list of Layout

    Examples
    --------
    >>> unfit_layer(nn.Sequential(nn.Linear(10, 4)), (), torch.zeros(2, 12), None, [Layout((12,), "")])[:44]
    'the data have 12 columns or numbers a sample'
    """
    whole = type(model).forward is not nn.Module.forward
    names = [name for name in ((FORWARD,) if whole else encoders) if callable(getattr(model, name, None))]
    seen: list[_Unfit] = []
    for name, layout, form in product(names, layouts, given_forms(given)):
        samples = x.reshape(len(x), *layout.shape)
        samples = samples.movedim(-1, 1) if layout.channels_last else samples
        try:
            with _watched(model, layout, seen), torch.no_grad():
                called(model, name, samples, as_given(given, form))
            return ""
        except RAISED:  # a user's module raises anything
            continue
    if not seen:
        return ""
    n = x.shape[1]
    return _in_words(min(seen, key=lambda one: (not one.is_first, one.given != n)), n)


def _in_words(one: _Unfit, n: int) -> str:
    hint = "give data as in training"
    layer, shape = f"{one.name}, {one.what}", in_words(one.layout.shape)
    if one.is_first and (one.given == n or not one.what.startswith("Linear")):
        size = f"{n} columns or numbers a sample" if one.what == "Linear" else f"{one.given} channel(s) ({shape})"
        return f"the data have {size}, and the first layer that they meet ({layer}) takes {one.takes}: {hint}"
    return (
        f"of samples of {shape}, its layer {layer} is given {one.given} numbers and takes {one.takes}: {hint}, or say "
        f"the shape of a sample (--input-shape)"
    )


@contextmanager
def _watched(model: nn.Module, layout: Layout, seen: list[_Unfit]) -> Iterator[None]:
    met: list[str] = []
    handles = []
    for name, part in model.named_modules():
        if not isinstance(part, LAYERS):
            continue

        def look(layer: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            met.append(name)
            if len(inputs) > 0 and torch.is_tensor(inputs[0]) and (sizes := _sizes(layer, inputs[0])) is not None:
                seen.append(_Unfit(name, type(layer).__name__, *sizes, len(met) == 1, layout))

        handles.append(part.register_forward_pre_hook(look))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _sizes(layer: nn.Module, first: Tensor) -> tuple[int, int] | None:
    """What the layer is given and what it takes, where the two differ."""
    if isinstance(layer, nn.Linear):
        given, takes = first.shape[-1], layer.in_features
    elif isinstance(layer, nn.Conv1d | nn.Conv2d) and first.ndim == len(layer.kernel_size) + 2:
        given, takes = first.shape[1], layer.in_channels
    else:
        return None
    return None if given == takes else (given, takes)
