"""The loss in a model's own file → what it weighs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.errors import UncollapseError
from uncollapse.inferring.adapted import forms_of
from uncollapse.inferring.calls import UNKNOWN, calls_of
from uncollapse.inferring.halves import Halves
from uncollapse.inferring.result import Inferred
from uncollapse.inferring.source import Source, is_loss_name
from uncollapse.objective import Objective
from uncollapse.reading.read import read_loss
from uncollapse.reading.result import LossReading
from uncollapse.reading.roles import role_of

__all__ = ["FoundLoss", "loss_in"]

MOST_TRIED = 8
MOST_FORMS = 24
FEW = 4

LIBRARIES = ("torch", "lightning", "pytorch_lightning", "builtins")


@dataclass(frozen=True, eq=False)
class FoundLoss:
    """The loss of a file.

    Attributes
    ----------
    objective : Objective or None
        None where there is none that is understood, or several that differ.
    kind : str
        Of its reconstruction term, as in `reading.forms.MISFITS`.
    found : Inferred or None
    why : str
        Why there is none.
    """

    objective: Objective | None = None
    kind: str = ""
    found: Inferred | None = None
    why: str = "no function in the file is called loss, elbo or criterion"


def loss_in(source: Source | None, halves: Halves, x: Tensor, given: Tensor | None) -> FoundLoss:
    """Read every loss of a file by its values; the one that is understood is taken.

    Parameters
    ----------
    source : Source, optional
        The file; without one only the module's own methods are looked at.
    halves : Halves
        The module, with its spread known where that is known at all.
    x : Tensor of shape (B, …)
        A few samples as in the data.
    given : Tensor, optional
        Their condition.
    """
    readings: list[tuple[str, LossReading]] = []
    failures: list[str] = []
    reasons: dict[str, str] = {}
    for name, function in _losses(source, halves, x)[:MOST_TRIED]:
        settings, open_ = ({}, []) if source is None else _called_with(source, name, function)
        found = _read(name, function, halves, x, given, settings)
        if isinstance(found, str):
            failures.append(found)
        else:
            readings.append((name, found))
            reasons[name] = _reason(settings, open_)
    if not readings:
        return FoundLoss(why=failures[0]) if failures else FoundLoss()
    name, reading = readings[0]
    weighs = {round(float(r.water_level), 9) if r.likelihood == "gaussian" and not r.learns_variance
              else (r.likelihood, round(float(Objective.from_reading(r).beta), 9)) for _, r in readings}  # fmt: skip
    if len(weighs) > 1:
        names = ", ".join(name for name, _ in readings)
        return FoundLoss(why=f"the file has several losses that weigh differently: {names}")
    found_as = Inferred("loss", f"{name}: {reading.headline}".removesuffix("."), reasons[name], "--loss, --recon, …")
    return FoundLoss(Objective.from_reading(reading), reading.misfit.kind or "", found_as)


def _read(
    name: str, function: Any, halves: Halves, x: Tensor, given: Tensor | None, settings: dict[str, Any]
) -> LossReading | str:
    """The first way to call a loss in which it is understood; else why the most telling one is not."""
    shape = halves.reading.own_shape
    n_latents = halves.mean_and_spread(x[:2], None if given is None else given[:2])[0][0].numel()
    forms = [(function, settings)]
    if halves.reading.spread:
        forms += [(form, {}) for form in forms_of(function, halves, x[:FEW], given, settings)]
    forms += [(_turned(form), some) for form, some in forms if "elbo" in name.lower()]
    failure = outside = ""
    for form, some in forms[:MOST_FORMS]:
        try:
            reading = read_loss(form, shape if len(shape) > 1 else shape[0], n_latents, settings=some)
        except UncollapseError as error:
            failure = failure or str(error)
            continue
        if not reading.outside:
            return reading
        if reading.misfit.kind is not None or not reading.misfit.axes:  # it does see what it is given
            outside = outside or f"{name}: {reading.outside}"
    return outside or failure or f"{name}: does not depend on what it is given"


def _turned(function: Any) -> Any:
    """A bound that is to be made large, as a loss."""

    @wraps(function)
    def turned(*given: Any, **named: Any) -> Any:
        out = function(*given, **named)
        return -(out[0] if isinstance(out, tuple) else out)

    turned.__self__ = getattr(function, "__self__", None)  # type: ignore[attr-defined]
    return turned


def _called_with(source: Source, name: str, function: Any) -> tuple[dict[str, Any], list[str]]:
    """Arguments that the file gives its loss beside tensors: those that are plain numbers, and names of the others."""
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


def _reason(settings: dict[str, Any], open_: list[str]) -> str:
    reason = "read by its values"
    if settings:
        reason += f", with {', '.join(f'{k}={v:g}' for k, v in settings.items())} as the file calls it"
    if open_:
        reason += (
            f"; the file gives {', '.join(open_)} a value that is not plain, so the default was taken: is it right?"
        )
    return reason


def _losses(source: Source | None, halves: Halves, x: Tensor) -> list[tuple[str, Callable[..., Any]]]:
    """Methods of the module first, then functions of its file; a training step; a `forward` that gives a number."""
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
            out = halves.model(halves.reading.presented(x[:FEW]).clone())
    except Exception:  # it takes more
        return False
    return torch.is_tensor(out) and out.ndim == 0
