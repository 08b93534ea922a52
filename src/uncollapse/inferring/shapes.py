"""Which shape of a sample a module takes, and in which form a condition."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor, nn

__all__ = ["given_forms", "in_words", "sample_shapes"]

MOST_CLASSES = 1000


def sample_shapes(
    module: nn.Module, n_features: int, said: tuple[int, ...] | None
) -> list[tuple[tuple[int, ...], str]]:
    """Shapes of a sample of so many numbers to try, the likelier first, and why each.

    Parameters
    ----------
    module : Module
        Its first layer with weights says most.
    n_features : int
    said : tuple of int, optional
        By the user, or by the data; then no other is tried.

    Examples
    --------
    >>> sample_shapes(nn.Sequential(nn.Conv2d(1, 4, 3)), 64, None)[0]
    ((1, 8, 8), 'the first layer is Conv2d of 1 channel(s)')
    """
    if said is not None:
        return [(said, "as the data are")]
    first = next((part for part in module.modules() if _is_first(part)), None)
    options = [*_of_layer(first, n_features)] if first is not None else []
    reason = "no other fits"
    others = [((n_features,), reason), *((shape, reason) for shape in _images(n_features))]
    return [*options, *(one for one in others if one[0] not in dict(options))]


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
