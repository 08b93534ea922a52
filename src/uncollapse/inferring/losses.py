"""What in a file may be its loss: functions, methods, a training step, a `forward` that gives a number."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.inferring.calls import UNKNOWN, calls_of
from uncollapse.inferring.halves import Halves
from uncollapse.inferring.source import Source, is_loss_name
from uncollapse.inferring.trees import tensors_in
from uncollapse.reading.roles import role_of

__all__ = ["called_with", "losses_of"]

LIBRARIES = ("torch", "lightning", "pytorch_lightning", "builtins")


def losses_of(source: Source | None, halves: Halves, x: Tensor) -> list[tuple[str, Callable[..., Any]]]:
    """Methods of the module first, then functions of its file; a training step; a `forward` that gives a number.

    Parameters
    ----------
    source : Source, optional
    halves : Halves
    x : Tensor of shape (B, …)
        A few samples.
    """
    model = halves.model
    kind = type(model)
    own = [part for part in kind.__mro__ if part.__module__.partition(".")[0] not in LIBRARIES]
    names = [name for part in own for name in vars(part) if is_loss_name(name)]
    methods = [name for name in names if callable(getattr(model, name, None))]
    found: list[tuple[str, Any]] = [
        (f"{kind.__name__}.{name}", getattr(model, name)) for name in dict.fromkeys(methods)
    ]
    if source is not None:
        found += [(name, value) for name, value in vars(source.module).items()
                  if is_loss_name(name) and callable(value) and not isinstance(value, type | nn.Module)
                  and getattr(value, "__module__", None) == source.module.__name__]  # fmt: skip
    step = getattr(model, "training_step", None)
    if callable(step) and any("training_step" in vars(part) for part in own):
        found.append((f"{kind.__name__}.training_step", step))
    if _gives_a_number(halves, x):
        found.append((f"{kind.__name__}.forward", model.forward))
    return found


def _gives_a_number(halves: Halves, x: Tensor) -> bool:
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            out = halves.model(halves.reading.presented(x).clone())
    except Exception:  # it takes more
        return False
    return any(part.ndim == 0 for _, part in tensors_in(out))


def called_with(source: Source, name: str, function: Any) -> tuple[dict[str, Any], list[str]]:
    """Arguments that the file gives its loss beside tensors: those that are plain numbers, and names of the others.

    Parameters
    ----------
    source : Source
    name : str
        Of the loss, with its class before it.
    function : callable
    """
    try:
        parameters = inspect.signature(function).parameters
        names = list(parameters)
    except (TypeError, ValueError):
        return {}, []
    settings: dict[str, Any] = {}
    open_: list[str] = []
    for given, named in calls_of(source.tree, name.rpartition(".")[2]):
        for key, value in (dict(zip(names, given, strict=False)) | named).items():
            if key not in names or role_of(key) is not None:
                continue
            if isinstance(value, int | float):
                settings[key] = value
            elif value is UNKNOWN and parameters[key].default is not inspect.Parameter.empty:
                open_.append(key)
    return settings, [key for key in dict.fromkeys(open_) if key not in settings]
