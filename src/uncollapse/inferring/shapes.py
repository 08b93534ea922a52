"""Which shape of a sample a module takes, and in which form a condition."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["Layout", "given_forms", "in_words", "layouts"]

MOST_CHANNELS = 4


@dataclass(frozen=True)
class Layout:
    """How rows of numbers become samples.

    Attributes
    ----------
    shape : tuple of int
        Of a sample of the data.
    why : str
        It is tried.
    channels_last : bool
        Whether the module takes channels first where the data have them last.
    """

    shape: tuple[int, ...]
    why: str
    channels_last: bool = False


def layouts(
    module: nn.Module, n_features: int, of_data: tuple[int, ...] | None = None, said: tuple[int, ...] | None = None
) -> list[Layout]:
    """Layouts of a sample of so many numbers to try, the likelier first.

    Parameters
    ----------
    module : Module
        Its first layer with weights says most.
    n_features : int
    of_data : tuple of int, optional
        Shape of a sample of the data, where they are no rows; the module may want it flat, or with its channels first.
    said : tuple of int, optional
        By the user; then no other is tried.

    Examples
    --------
    >>> layouts(nn.Sequential(nn.Conv2d(1, 4, 3)), 64)[0]
    Layout(shape=(1, 8, 8), why='the first layer is Conv2d of 1 channel(s)', channels_last=False)
    >>> layouts(nn.Sequential(nn.Conv2d(3, 4, 3)), 192, (8, 8, 3))[0].channels_last
    True
    """
    if said is not None:
        return [Layout(said, "as it is said")]
    first = next((part for part in module.modules() if _is_first(part)), None)
    of_layer = [] if first is None else [Layout(shape, why) for shape, why in _of_layer(first, n_features)]
    reason = "no other fits"
    if of_data is not None:
        options = sorted(_of_data(of_data, n_features), key=lambda one: not _suits(first, one))
        return [*options, *(one for one in of_layer if one.shape not in {o.shape for o in options})]
    others = [Layout((n_features,), reason), *(Layout(shape, reason) for shape in _images(n_features))]
    return [*of_layer, *(one for one in others if one.shape not in {o.shape for o in of_layer})]


def _of_data(shape: tuple[int, ...], n: int) -> Iterator[Layout]:
    """A sample as it lies in the data, and as a module may want it instead."""
    yield Layout(shape, "as the data are")
    if len(shape) == 2:
        yield Layout((1, *shape), "as the data are, with one channel before")
    if len(shape) == 3 and shape[-1] <= MOST_CHANNELS:
        yield Layout(shape, "the data have the channels last, and the model first", channels_last=True)
    if len(shape) == 3 and shape[0] == 1:
        yield Layout(shape[1:], "as the data are, without their one channel")
    yield Layout((n,), "the data flat, as the model takes them")


def _suits(first: nn.Module | None, one: Layout) -> bool:
    """Whether the first layer takes a sample so."""
    channels = one.shape[-1] if one.channels_last else one.shape[0]
    if isinstance(first, nn.Linear):
        return one.shape[-1] == first.in_features
    if isinstance(first, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return len(one.shape) == len(first.kernel_size) + 1 and channels == first.in_channels
    return isinstance(first, nn.RNNBase) and one.shape[-1] == first.input_size


def _is_first(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.RNNBase)


def _of_layer(layer: nn.Module, n: int) -> Iterator[tuple[tuple[int, ...], str]]:
    kind = type(layer).__name__
    if isinstance(layer, nn.Linear) and layer.in_features == n:
        yield (n,), f"the first layer is Linear of {n}"
    elif isinstance(layer, nn.RNNBase) and n % layer.input_size == 0:
        yield (
            (n // layer.input_size, layer.input_size),
            f"the first layer is {kind} of {layer.input_size} numbers a step",
        )
    elif isinstance(layer, nn.Conv1d | nn.Conv2d) and n % layer.in_channels == 0:
        channels, rest = layer.in_channels, n // layer.in_channels
        reason = f"the first layer is {kind} of {channels} channel(s)"
        if isinstance(layer, nn.Conv1d):
            yield (channels, rest), reason
        elif math.isqrt(rest) ** 2 == rest:
            yield (channels, math.isqrt(rest), math.isqrt(rest)), reason
        else:
            yield from (((channels, h, rest // h), reason) for h in range(math.isqrt(rest), 1, -1) if rest % h == 0)


def _images(n: int) -> Iterator[tuple[int, ...]]:
    for channels in (1, 3, 4):
        side = math.isqrt(n // channels)
        if side > 1 and channels * side * side == n:
            yield channels, side, side
            if channels > 1:
                yield side, side, channels
            else:
                yield side, side


def given_forms(given: Tensor | None) -> list[str]:
    """Forms in which a condition is tried; a one-hot one may be taken as labels.

    Examples
    --------
    >>> import torch
    >>> given_forms(None), given_forms(torch.eye(3)), given_forms(torch.ones(4, 2))
    ([''], ['rows', 'labels', ''], ['rows', ''])
    """
    if given is None:
        return [""]
    one_hot = bool(((given == 0) | (given == 1)).all() and (given.sum(dim=1) == 1).all())
    return ["rows", "labels", ""] if one_hot else ["rows", ""]


def in_words(shape: tuple[int, ...]) -> str:
    """A shape as text: rows of 784, or 1 × 28 × 28."""
    return f"rows of {shape[0]}" if len(shape) == 1 else " × ".join(map(str, shape))
