"""The loss in a model's own file → what it weighs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from uncollapse.errors import UncollapseError
from uncollapse.inferring.calls import UNKNOWN, calls_of
from uncollapse.inferring.result import Inferred
from uncollapse.inferring.source import Source, is_loss_name
from uncollapse.objective import Objective
from uncollapse.reading.read import read_loss
from uncollapse.reading.result import LossReading
from uncollapse.reading.roles import role_of

__all__ = ["FoundLoss", "loss_in"]

MOST_TRIED = 8

LIBRARIES = ("torch", "lightning", "pytorch_lightning", "builtins")


@dataclass(frozen=True, eq=False)
class FoundLoss:
    """The loss of a file.

    Attributes
    ----------
    objective : Objective or None
        None where there is none that is understood, or several that differ.
    logits : bool
        Whether its reconstruction term takes logits.
    found : Inferred or None
    why : str
        Why there is none.
    """

    objective: Objective | None = None
    logits: bool = False
    found: Inferred | None = None
    why: str = "no function in the file is called loss, elbo or criterion"


def loss_in(source: Source | None, model: nn.Module, shape: tuple[int, ...], n_latents: int) -> FoundLoss:
    """Read every loss of a file by its values; the one that is understood is taken.

    Parameters
    ----------
    source : Source, optional
        The file; without one only the module's own methods are looked at.
    model : Module
    shape : tuple of int
        Of a sample.
    n_latents : int
    """
    readings: list[tuple[str, LossReading]] = []
    failures: list[str] = []
    reasons: dict[str, str] = {}
    for name, function in _losses(source, model)[:MOST_TRIED]:
        settings, open_ = ({}, []) if source is None else _called_with(source, name, function)
        try:
            reading = read_loss(function, shape if len(shape) > 1 else shape[0], n_latents, settings=settings)
        except UncollapseError as error:
            failures.append(str(error))
            continue
        if reading.outside:
            failures.append(f"{name}: {reading.outside}")
        else:
            readings.append((name, reading))
            reasons[name] = _reason(settings, open_)
    if not readings:
        return FoundLoss(why=failures[0]) if failures else FoundLoss()
    name, reading = readings[0]
    weighs = {round(float(r.water_level), 9) if r.likelihood == "gaussian" and not r.learns_variance
              else (r.likelihood, round(float(Objective.from_reading(r).beta), 9)) for _, r in readings}  # fmt: skip
    if len(weighs) > 1:
        names = ", ".join(name for name, _ in readings)
        return FoundLoss(why=f"the file has several losses that weigh differently: {names}")
    found = Inferred("loss", f"{name}: {reading.headline}".removesuffix("."), reasons[name], "--loss, --recon, …")
    return FoundLoss(Objective.from_reading(reading), reading.misfit.kind == "bernoulli of logits", found)


def _called_with(source: Source, name: str, function: Any) -> tuple[dict[str, Any], list[str]]:
    """Arguments that the file gives its loss beside tensors: those that are plain numbers, and names of the others."""
    try:
        names = list(inspect.signature(function).parameters)
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
            elif value is UNKNOWN:
                open_.append(key)
    return settings, [key for key in dict.fromkeys(open_) if key not in settings]


def _reason(settings: dict[str, Any], open_: list[str]) -> str:
    reason = "read by its values"
    if settings:
        reason += f", with {', '.join(f'{k}={v:g}' for k, v in settings.items())} as the file calls it"
    if open_:
        reason += (
            f"; the file gives {', '.join(open_)} a value that is not plain, so the default was taken: is it right?"
        )
    return reason


def _losses(source: Source | None, model: nn.Module) -> list[tuple[str, Callable[..., Any]]]:
    """Methods of the module first, then functions of its file; a training step where it is Lightning's."""
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
    if callable(getattr(model, "training_step", None)) and callable(getattr(model, "encode", None)):
        found.append((f"{kind.__name__}.training_step", model))
    return found
