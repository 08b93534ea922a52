"""The loss in a model's own file → what it weighs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Any

from torch import Tensor

from uncollapse.errors import UncollapseError
from uncollapse.inferring.adapted import forms_of, forms_of_step
from uncollapse.inferring.calls import calls_of
from uncollapse.inferring.halves import Halves
from uncollapse.inferring.looped import looped_in
from uncollapse.inferring.losses import called_with, losses_of
from uncollapse.inferring.result import Inferred
from uncollapse.inferring.source import Source
from uncollapse.objective import Objective
from uncollapse.reading.read import read_loss
from uncollapse.reading.result import LossReading

__all__ = ["FoundLoss", "loss_in"]

MOST_TRIED = 8
MOST_FORMS = 24
FEW = 4

NUMBERS = (1e6, 1e8)
"""For a length or a count that a file does not say: what it trains must not hang on it."""


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
    x, given = x[:FEW], None if given is None else given[:FEW]
    readings: list[tuple[str, LossReading]] = []
    failures: list[str] = []
    reasons: dict[str, str] = {}
    losses = losses_of(source, halves, x)[:MOST_TRIED]
    for name, function in losses:
        settings, open_ = ({}, []) if source is None else called_with(source, name, function)
        found = _read(name, function, halves, x, given, settings)
        if isinstance(found, str):
            failures.append(found)
        else:
            readings.append((name, found))
            reasons[name] = _reason(settings, open_)
    looped, why = _looped(source, halves, x, given)
    if looped is not None and (not readings or {_weighs(r) for _, r in readings} != {_weighs(looped)}):
        readings, reasons = [(looped.name, looped)], {looped.name: "what its loop makes small, read by its values"}
    if not readings and looped is None:
        readings, reasons = _summed(source, losses, halves, x, given)
    if not readings:
        return FoundLoss(why="; ".join(part for part in (*failures[:1], why) if part) or FoundLoss().why)
    if len({_weighs(r) for _, r in readings}) > 1:
        names = ", ".join(name for name, _ in readings)
        return FoundLoss(why=f"the file has several losses that weigh differently: {names}")
    name, reading = readings[0]
    found_as = Inferred("loss", f"{name}: {reading.headline}".removesuffix("."), reasons[name], "--loss, --recon, …")
    return FoundLoss(Objective.from_reading(reading), reading.misfit.kind or "", found_as)


def _weighs(r: LossReading) -> tuple[str, bool, float]:
    """What must be the same of two losses that make the same model."""
    level = float(r.water_level if r.likelihood == "gaussian" else Objective.from_reading(r).beta)
    return r.likelihood, r.learns_variance, float(f"{level:.6g}")


def _looped(source: Source | None, halves: Halves, x: Tensor, given: Tensor | None) -> tuple[LossReading | None, str]:
    """What the loops of a file make small, where they all make the same; else why it is not known."""
    if source is None:
        return None, ""
    loops, why = looped_in(source, halves.model)
    found: list[LossReading] = []
    for one in loops[:MOST_TRIED]:
        read = [_first_read([(form, {}) for form in forms_of_step(one.function(number), halves, x, given)],
                            one.name, halves, x, given)
                for number in (NUMBERS if one.takes_number else NUMBERS[:1])]  # fmt: skip
        understood = [r for r in read if isinstance(r, LossReading)]
        if len(understood) < len(read):
            why = why or next(r for r in read if isinstance(r, str))
        elif len({_weighs(r) for r in understood}) > 1:
            why = f"{one.name}: what it makes small hangs on a number that the file does not say"
        else:
            found += understood[:1]
    if len({_weighs(r) for r in found}) > 1:
        return None, f"the file has several loops that weigh differently: {', '.join(r.name for r in found)}"
    return (found[0], "") if found else (None, why)


def _summed(
    source: Source | None, losses: list[tuple[str, Any]], halves: Halves, x: Tensor, given: Tensor | None
) -> tuple[list[tuple[str, LossReading]], dict[str, str]]:
    """Losses that give several numbers which nothing in the file adds up, as their sum."""
    readings: list[tuple[str, LossReading]] = []
    for name, function in losses:
        if source is not None and calls_of(source.tree, name.rpartition(".")[2]):
            continue  # what is done with them there is another sum, or none
        forms: list[tuple[Any, dict[str, Any]]] = [
            (_sum_of(form), {}) for form in (function, *forms_of(function, halves, x, given, {}))
        ]
        found = _first_read(forms, name, halves, x, given)
        readings += [(name, found)] if isinstance(found, LossReading) else []
    reason = (
        "read by its values, as the sum of the numbers that it gives: the file does not say how they are added; "
        "is that right?"
    )
    return readings, {name: reason for name, _ in readings}


def _read(
    name: str, function: Any, halves: Halves, x: Tensor, given: Tensor | None, settings: dict[str, Any]
) -> LossReading | str:
    """The first way to call a loss in which it is understood; else why the most telling one is not."""
    forms = [(function, settings)]
    if halves.reading.spread:
        forms += [(form, {}) for form in forms_of(function, halves, x, given, settings)]
    forms += [(_turned(form), some) for form, some in forms if "elbo" in name.lower()]
    return _first_read(forms, name, halves, x, given)


def _first_read(
    forms: Iterable[tuple[Any, dict[str, Any]]], name: str, halves: Halves, x: Tensor, given: Tensor | None
) -> LossReading | str:
    shape = halves.reading.own_shape
    n_latents = halves.mean_and_spread(x, given)[0][0].numel()
    failure = outside = ""
    for form, some in islice(forms, MOST_FORMS):
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
    return _then(function, lambda out: -(out[0] if isinstance(out, tuple) else out))


def _sum_of(function: Any) -> Any:
    """The sum of several numbers."""

    def summed(out: Any) -> Any:
        parts = list(out.values()) if isinstance(out, dict) else out
        if not isinstance(parts, tuple | list) or len(parts) < 2:
            raise ValueError("it gives one thing, and no several numbers")
        return sum(parts)

    return _then(function, summed)


def _then(function: Any, change: Callable[[Any], Any]) -> Any:
    @wraps(function)
    def changed(*given: Any, **named: Any) -> Any:
        return change(function(*given, **named))

    changed.__self__ = getattr(function, "__self__", None)  # type: ignore[attr-defined]
    return changed


def _reason(settings: dict[str, Any], open_: list[str]) -> str:
    reason = "read by its values"
    if settings:
        reason += f", with {', '.join(f'{k}={v:g}' for k, v in settings.items())} as the file calls it"
    if open_:
        reason += (
            f"; the file gives {', '.join(open_)} a value that is not plain, so the default was taken: is it right?"
        )
    return reason
