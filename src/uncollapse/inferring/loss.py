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
from uncollapse.inferring.batches import batch_size_in
from uncollapse.inferring.calls import calls_of
from uncollapse.inferring.halves import Halves
from uncollapse.inferring.looped import Looped, MadeUp, looped_in
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

MADE_UP = (MadeUp(1_002_137.0, 0, 0.7), MadeUp(10_005_318.0, 1, 2.3), MadeUp(100_008_592.0, 0, 5.1))
"""What it trains must not hang on it. The counts stand at other places of any cycle of steps."""


HANGS_ON_ROWS = (
    "one term is summed over the batch and the other averaged, and the file does not say how many rows a batch has"
)


@dataclass(frozen=True, eq=False)
class _Shown:
    """The module, a few samples with their condition, and the rows of a step, where they are known."""

    halves: Halves
    x: Tensor
    given: Tensor | None
    batch_size: int | None


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
    batch_size = None if source is None else batch_size_in(source.tree)
    shown = _Shown(halves, x[:FEW], None if given is None else given[:FEW], batch_size)
    losses = losses_of(source, halves, shown.x)[:MOST_TRIED]
    readings, reasons, failure = _functions(source, losses, shown)
    loops = _looped(source, shown)
    if loops.differs:
        return FoundLoss(why=loops.why)
    looped = loops.reading
    if looped is not None and (not readings or {_weighs(r) for _, r in readings} != {_weighs(looped)}):
        readings, reasons = [(looped.name, looped)], {looped.name: "what its loop makes small, read by its values"}
    elif loops.why:
        doubt = f"; its loop is not read ({loops.why}): is it right?"
        reasons = {name: reason + doubt for name, reason in reasons.items()}
    if not readings and looped is None:
        readings, reasons = _summed(source, losses, shown)
    if not readings:
        return FoundLoss(why="; ".join(part for part in (failure, loops.why) if part) or FoundLoss().why)
    if len({_weighs(r) for _, r in readings}) > 1:
        names = ", ".join(name for name, _ in readings)
        return FoundLoss(why=f"the file has several losses that weigh differently: {names}")
    return _taken(*readings[0], reasons[readings[0][0]], batch_size)


def _taken(name: str, reading: LossReading, reason: str, batch_size: int | None) -> FoundLoss:
    """A loss that is understood, unless it hangs on how large a batch is and that is not known."""
    if {reading.misfit.batch, reading.kl.batch} == {"sum", "mean"}:
        if batch_size is None:
            return FoundLoss(why=f"{name}: {HANGS_ON_ROWS}")
        reason += f", at batches of {batch_size} as the file has them"
    found = Inferred("loss", f"{name}: {reading.headline}".removesuffix("."), reason, "--loss, --recon, …")
    return FoundLoss(Objective.from_reading(reading), reading.misfit.kind or "", found)


def _functions(
    source: Source | None, losses: list[tuple[str, Any]], shown: _Shown
) -> tuple[list[tuple[str, LossReading]], dict[str, str], str]:
    """What losses weigh, how each was read, and why the first of the others was not."""
    readings: list[tuple[str, LossReading]] = []
    reasons: dict[str, str] = {}
    failure = ""
    for name, function in losses:
        settings, open_ = ({}, []) if source is None else called_with(source, name, function)
        found = _read(name, function, shown, settings)
        if isinstance(found, str):
            failure = failure or found
        else:
            readings.append((name, found))
            reasons[name] = _reason(settings, open_)
    return readings, reasons, failure


def _weighs(r: LossReading) -> tuple[str, bool, float]:
    """What must be the same of two losses that make the same model."""
    level = float(r.water_level if r.likelihood == "gaussian" else Objective.from_reading(r).beta)
    return r.likelihood, r.learns_variance, float(f"{level:.6g}")


@dataclass(frozen=True, eq=False)
class _Loops:
    """What the loops of a file make small; else why it is not known, and whether it is known to differ."""

    reading: LossReading | None = None
    why: str = ""
    differs: bool = False


def _looped(source: Source | None, shown: _Shown) -> _Loops:
    """What the loops of a file make small, where they all make the same."""
    if source is None:
        return _Loops()
    loops, why = looped_in(source, shown.halves.model)
    found: list[LossReading] = []
    for one in loops[:MOST_TRIED]:
        read = _loop(one, shown)
        if read.differs:
            return read
        why = why or read.why
        found += [] if read.reading is None else [read.reading]
    if len({_weighs(r) for r in found}) > 1:
        names = ", ".join(r.name for r in found)
        return _Loops(why=f"the file has several loops that weigh differently: {names}", differs=True)
    return _Loops(found[0]) if found else _Loops(why=why)


def _loop(one: Looped, shown: _Shown) -> _Loops:
    steps = [one.function(made_up) for made_up in (MADE_UP if one.hangs else MADE_UP[:1])]
    of_steps = [forms_of_step(step, shown.halves, shown.x, shown.given) for step in steps]
    read = [_first_read([(form, {}) for form in forms], one.name, shown) for forms in of_steps]
    understood = [r for r in read if isinstance(r, LossReading)]
    if not understood:
        return _Loops(why=one.why_not or next(r for r in read if isinstance(r, str)))
    if len(understood) < len(read) or len({_weighs(r) for r in understood}) > 1:
        why = f"{one.name}: what it makes small hangs on a number that the file does not say"
        return _Loops(why=one.why_not or why, differs=True)
    return _Loops(why=one.why_not) if one.why_not else _Loops(understood[0])


def _summed(
    source: Source | None, losses: list[tuple[str, Any]], shown: _Shown
) -> tuple[list[tuple[str, LossReading]], dict[str, str]]:
    """Losses that give several numbers which nothing in the file adds up, as their sum."""
    readings: list[tuple[str, LossReading]] = []
    for name, function in losses:
        if source is not None and calls_of(source.tree, name.rpartition(".")[2]):
            continue  # what is done with them there is another sum, or none
        forms: list[tuple[Any, dict[str, Any]]] = [
            (_sum_of(form), {}) for form in (function, *forms_of(function, shown.halves, shown.x, shown.given, {}))
        ]
        found = _first_read(forms, name, shown)
        readings += [(name, found)] if isinstance(found, LossReading) else []
    reason = (
        "read by its values, as the sum of the numbers that it gives: the file does not say how they are added; "
        "is that right?"
    )
    return readings, {name: reason for name, _ in readings}


def _read(name: str, function: Any, shown: _Shown, settings: dict[str, Any]) -> LossReading | str:
    """The first way to call a loss in which it is understood; else why the most telling one is not."""
    forms = [(function, settings)]
    if shown.halves.reading.spread:
        forms += [(form, {}) for form in forms_of(function, shown.halves, shown.x, shown.given, settings)]
    forms += [(_turned(form), some) for form, some in forms if "elbo" in name.lower()]
    return _first_read(forms, name, shown)


def _first_read(forms: Iterable[tuple[Any, dict[str, Any]]], name: str, shown: _Shown) -> LossReading | str:
    shape = shown.halves.reading.own_shape
    features = shape if len(shape) > 1 else shape[0]
    n_latents = shown.halves.mean_and_spread(shown.x, shown.given)[0][0].numel()
    failure = outside = ""
    for form, some in islice(forms, MOST_FORMS):
        try:
            reading = read_loss(form, features, n_latents, settings=some, batch_size=shown.batch_size or 128)
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
