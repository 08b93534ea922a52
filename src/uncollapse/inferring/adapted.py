"""A loss of any arguments → the same as a function of reconstruction, x, mean and log-variance, which can be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.inferring.filled import UNREAD, Made, Template
from uncollapse.inferring.halves import FORWARD, Halves
from uncollapse.inferring.through import Doubles
from uncollapse.reading.roles import SPREADS, role_of

__all__ = ["OF_MODEL", "forms_of", "forms_of_step"]

Loss = Callable[..., Any]
Filler = Callable[[Made], Any]

OF_MODEL = ("model", "vae", "net", "network", "autoencoder", "module", "ae")
AS_GIVEN = {"log variance": "log_variance", "log std": "log_std", "std": "std", "variance": "variance"}


@dataclass(frozen=True, eq=False)
class _Context:
    function: Loss
    halves: Halves
    x: Tensor
    given: Tensor | None
    settings: dict[str, Any]


def forms_of(
    function: Loss, halves: Halves, x: Tensor, given: Tensor | None, settings: dict[str, Any]
) -> Iterator[Loss]:
    """Ways to call a loss, the likelier first; each may fail, or not depend on what it is given.

    Parameters
    ----------
    function : callable
        Of a file, or a method of the module.
    halves : Halves
        The module, with its spread known.
    x : Tensor of shape (B, …)
        A few samples as in the data.
    given : Tensor, optional
        Their condition.
    settings : dict
        Arguments that are plain numbers.
    """
    context = _Context(function, halves, x, given, settings)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    asked = [p.name for p in parameters if p.default is p.empty and p.name not in settings
             and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]  # fmt: skip
    roles = _roles(asked)
    whole = Doubles(halves, x, given, inner=False)
    forward = whole.templates.get(FORWARD)
    if "mean" in roles.values() and any(role in SPREADS for role in roles.values()):
        yield from _of_parts(context, asked, roles, forward)
        return
    if forward is not None and len(asked) <= 3:
        yield from _of_outputs(context, asked, roles, forward)
    for doubles in (whole, Doubles(halves, x, given, inner=True)):
        yield from _of_x(context, asked, roles, doubles)


def forms_of_step(step: Loss, halves: Halves, x: Tensor, given: Tensor | None) -> Iterator[Loss]:
    """Ways to call a function of the module and x, as `forms_of`.

    Parameters
    ----------
    step : callable
        Its arguments are called model and x.
    halves : Halves
    x : Tensor of shape (B, …)
    given : Tensor, optional
    """
    context = _Context(step, halves, x, given, {})
    fillers: dict[str, Filler] = {"model": lambda made: halves.model, "x": lambda made: made.x}
    several = [Doubles(halves, x, given, inner=inner) for inner in (False, True)]
    for but, doubles in product(("", FORWARD), several):  # a forward may give the loss
        yield _as_read(context, fillers, doubles=doubles, but=but)


def _roles(asked: list[str]) -> dict[str, str]:
    """Each role once; reconstruction and x that no name tells are what is left, in this order."""
    roles: dict[str, str] = {}
    for name in asked:
        role = role_of(name) or ("z" if "sample" in name.lower() else None)
        if role is not None and role not in roles.values():
            roles[name] = role
    if "mean" in roles.values():
        lacking = [role for role in ("recon", "x") if role not in roles.values()]
        roles |= dict(zip([name for name in asked if name not in roles], lacking, strict=False))
    return roles


def _of_parts(context: _Context, asked: list[str], roles: dict[str, str], forward: Template | None) -> Iterator[Loss]:
    """Of reconstruction, x, mean and spread, with a class or its scores beside them, which are held still."""
    fillers: dict[str, Filler] = {name: _filler(role) for name, role in roles.items()}
    rest = [name for name in asked if name not in roles]
    others = [] if forward is None else forward.others()
    held: list[Filler] = [_zeros(part) for part in others if part.ndim > 1][:2]
    held += [lambda made: torch.zeros(len(made.x), dtype=torch.long), lambda made: torch.zeros(len(made.x))]
    for values in product(held, repeat=min(len(rest), 3)):
        yield _as_read(context, {**fillers, **dict(zip(rest, values, strict=False))}, takes_z="z" in roles.values())


def _of_outputs(context: _Context, asked: list[str], roles: dict[str, str], forward: Template) -> Iterator[Loss]:
    """Of all that the module returns, and x."""
    for place, name in enumerate(asked):
        if name.lower() in OF_MODEL:
            continue
        rest = [other for other in asked if other != name]
        if len(rest) > 1 and not any(roles.get(other) == "x" for other in rest):
            continue
        x_name = next((other for other in rest if roles.get(other) == "x"), *rest[:1]) if rest else None
        fillers: dict[str, Filler] = {name: forward.filled}
        fillers |= {} if x_name is None else {str(x_name): lambda made: made.x}
        steps = [other for other in rest if other != x_name]
        yield _as_read(context, fillers | {other: lambda made: 10**9 for other in steps})
        if place > 1:
            return


def _of_x(context: _Context, asked: list[str], roles: dict[str, str], doubles: Doubles) -> Iterator[Loss]:
    """Of x, and perhaps the module: what it calls of the module gives made-up numbers."""
    model = context.halves.model
    models = [name for name in asked if name.lower() in OF_MODEL]
    rest = [name for name in asked if name not in models]
    if not rest:
        return
    batch, *more = rest
    alone: Filler = lambda made: made.x  # noqa: E731
    with_labels: Filler = lambda made: (made.x, torch.zeros(len(made.x), dtype=torch.long))  # noqa: E731
    for of_batch in (alone, with_labels):
        fillers: dict[str, Filler] = {batch: of_batch, **{name: lambda made: 0 for name in more}}
        fillers |= {name: lambda made: model for name in models}
        yield _as_read(context, fillers, doubles=doubles)


def _filler(role: str) -> Filler:
    if role in AS_GIVEN:
        return lambda made: UNREAD[AS_GIVEN[role]](made.log_variance)
    if role == "posterior":
        return lambda made: torch.distributions.Normal(made.mean, (made.log_variance / 2).exp())
    if role == "step":
        return lambda made: 10**9
    return lambda made: {"recon": made.recon, "x": made.x, "mean": made.mean, "z": made.sample}.get(role)


def _zeros(part: Tensor) -> Filler:
    return lambda made: made.x.new_zeros(len(made.x), *part.shape[1:])


def _as_read(
    context: _Context,
    fillers: dict[str, Filler],
    *,
    doubles: Doubles | None = None,
    takes_z: bool = False,
    but: str = "",
) -> Loss:
    function, settings = context.function, context.settings
    but = but or getattr(function, "__name__", "")

    def value(recon: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, z: Tensor | None = None) -> Any:
        made = Made(recon, x, mean, log_variance, z)
        given = {name: fill(made) for name, fill in fillers.items()}
        if doubles is None:
            return function(**given, **settings)
        with doubles.in_place(made, but=but):
            return function(**given, **settings)

    def without_z(recon: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Any:
        return value(recon, x, mean, log_variance)

    def with_z(recon: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, z: Tensor) -> Any:
        return value(recon, x, mean, log_variance, z)

    read: Any = with_z if takes_z else without_z
    read.__qualname__ = getattr(function, "__qualname__", type(function).__name__)
    owner = getattr(function, "__self__", context.halves.model)
    read.__self__ = owner if isinstance(owner, nn.Module) else context.halves.model  # its small parameters are read
    return read
