"""A class and the shapes of its weights → the arguments that it was built with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from uncollapse.errors import kind_and_line
from uncollapse.inferring.calls import UNKNOWN
from uncollapse.inferring.slots import Config, Slot, Unset, candidates, nested, slots_of

__all__ = ["Fit", "arguments_for", "differences", "shapes_of"]

Shapes = dict[str, tuple[int, ...]]

ROUNDS = 4

OPENED = ("lacking", "with a default", "all")

SAID = "said"
"""Where what the user says is from."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Arguments, and how well what they build fits the weights.

    Attributes
    ----------
    values : dict
    shapes : dict of str → tuple of int, or None
        What they build; None where building fails.
    error : str
        Why it fails.
    sources : dict of str → str
        Where each argument is from.
    """

    values: dict[str, Any]
    shapes: Shapes | None
    error: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    def score(self, target: Shapes) -> float:
        """Weights that fit less those that do not; minus infinity where nothing was built."""
        if self.shapes is None:
            return -float("inf")
        fits = sum(target.get(name) == shape for name, shape in self.shapes.items())
        sizes = sum(
            sum(a == b for a, b in zip(target[n], s, strict=False)) for n, s in self.shapes.items() if n in target
        )
        return fits - len(self.shapes.keys() ^ target.keys()) + 1e-3 * sizes

    def exact(self, target: Shapes) -> bool:
        """Whether every weight of the model is in the file, in its shape, and no other is there."""
        return self.shapes == target


def arguments_for(
    make: Callable[..., Any],
    target: Shapes,
    known: list[tuple[str, dict[str, Any]]],
    sample: tuple[int, ...],
    until: float,
    parts: Callable[[Slot], list[Any]] = lambda slot: [],
) -> Fit:
    """Arguments with which a class has weights of given shapes, or those that come nearest.

    Parameters
    ----------
    make : callable
        The class, or a function that builds the model.
    target : dict of str → tuple of int
        Shapes of the weights.
    known : list of (str, dict)
        Arguments that are known from somewhere, with where they are from; tried in turn, each with what is before it
        in the list only where that is what the user says.
    sample : tuple of int
        Shape of a sample of the data.
    until : float
        When to give up, on the clock of this process's own work: a busy machine searches as far as an idle one.
    parts : callable, optional
        Classes and modules that an argument may be.
    """
    fixed = frozenset(name for source, values in known if source == SAID for name in values)
    search = _Search(make, target, sample, until, parts, fixed)
    best: Fit | None = None
    for source, values in known:
        said = dict.fromkeys(values, source)
        for opened in OPENED if source.startswith("as ") else OPENED[:2]:
            found = search.completed(values, said, opened)
            if found.exact(target) or (found.shapes and not found.shapes.keys() & target.keys()):
                return found  # the weights, or those of another class altogether
            if best is None or found.score(target) > best.score(target):
                best = found
    assert best is not None
    return best


@dataclass(eq=False)
class _Search:
    """Argument by argument: each takes the value that fits best while the others stay."""

    make: Callable[..., Any]
    target: Shapes
    sample: tuple[int, ...]
    until: float
    parts: Callable[[Slot], list[Any]]
    fixed: frozenset[str]  # what the user says
    read: list[str] = field(default_factory=list)  # settings that the class reads from its configuration

    def completed(self, values: dict[str, Any], sources: dict[str, str], opened: str) -> Fit:
        """The arguments given, with those lacking; where asked those with a default; or all that the user did not say.

        A file may build its model from a parser's options, which were others on the day.
        """
        first = self._built(values, sources)
        if first.exact(self.target):
            return first
        kinds = ("int", "sizes", "bool", "any")
        kept = self.fixed if opened == "all" else values
        open_ = [s for s in slots_of(self.make, self.read) if s.name not in kept and (
            s.default is UNKNOWN or (opened != "lacking" and s.kind in kinds))]  # fmt: skip
        options = {s.name: self._options(s) for s in open_}
        if not open_ or not all(options.values()):
            return first
        if opened == "all":
            sources = {name: source for name, source in sources.items() if name not in options}
        best = first
        for start in self._starts(open_, options, values):
            best = max(best, self._climbed(start, values, sources, open_, options), key=self._score)
            if best.exact(self.target) or time.process_time() > self.until:
                break
        return best

    def _climbed(
        self, start: dict[str, Any], values: dict[str, Any], sources: dict[str, str], open_: list[Slot],
        options: dict[str, list[Any]],
    ) -> Fit:  # fmt: skip
        best = self._built(values | start, sources)
        for _ in range(ROUNDS):
            before = self._score(best)
            for slot in sorted(open_, key=lambda slot: slot.kind == "bool"):  # a switch alone may fit nothing
                for value in options[slot.name]:
                    trial = self._built({**best.values, slot.name: value}, sources)
                    if self._score(trial) > self._score(best):
                        best = trial
                    if best.exact(self.target) or time.process_time() > self.until:
                        return best
            if self._score(best) <= before:
                break
        return best

    def _options(self, slot: Slot) -> list[Any]:
        given = self.parts(slot) if slot.kind == "any" else []
        return [*given, *candidates(slot, self.target, self.sample)]

    def _starts(
        self, open_: list[Slot], options: dict[str, list[Any]], values: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Defaults where there are any, else the likeliest, each switch turned; then the same value in all places."""
        defaults = {s.name: values.get(s.name, s.default) for s in open_}
        defaults = {name: value for name, value in defaults.items() if value is not UNKNOWN}
        first = {s.name: defaults.get(s.name, options[s.name][0]) for s in open_}
        yield first
        for slot in open_:
            if slot.kind == "bool":
                yield {**first, slot.name: not first[slot.name]}
        for i in range(1, max(map(len, options.values()))):
            yield {name: defaults.get(name, some[min(i, len(some) - 1)]) for name, some in options.items()}

    def _score(self, fit: Fit) -> float:
        return fit.score(self.target)

    def _built(self, values: dict[str, Any], sources: dict[str, str]) -> Fit:
        """What the class builds of these arguments, with settings that it is found to read filled in."""
        values = dict(values)
        while True:
            try:
                return Fit(values, shapes_of(self.make, values), sources=sources)
            except Unset as error:
                name = self._setting(str(error.args[0]))
                if name is None or name in values:
                    return Fit(values, None, f"its configuration lacks {error.args[0]}", sources)
                self.read += [] if name in self.read else [name]
                options = candidates(Slot(name, "any"), self.target, self.sample)
                values[name] = options[0]
            except (Exception, SystemExit) as error:  # a user's class raises anything
                return Fit(values, None, kind_and_line(error), sources)

    def _setting(self, name: str) -> str | None:
        given, named = nested(self.make, {})
        holder = next((key for key, value in named.items() if isinstance(value, Config)), None)
        return None if holder is None and not given else f"{holder}.{name}"


def shapes_of(make: Callable[..., Any], values: dict[str, Any]) -> Shapes:
    """Shapes of the weights that a class has with these arguments; nothing is stored where that can be avoided."""
    given, named = nested(make, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                module = make(*given, **named)
        except (NotImplementedError, RuntimeError):  # it looks at numbers, which there are none of
            module = make(*given, **named)
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"it gives a {type(module).__name__}, no PyTorch module")
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def differences(shapes: Shapes | None, target: Shapes, most: int = 3) -> str:
    """The first differences between a class's weights and a file's."""
    lines = []
    for name in dict.fromkeys([*(shapes or {}), *target]):
        own, there = (shapes or {}).get(name), target.get(name)
        if own is None:
            lines.append(f"{name} {_size(there)} is only in the file")
        elif there is None:
            lines.append(f"{name} {_size(own)} is only in the class")
        elif own != there:
            lines.append(f"{name} is {_size(there)} in the file and {_size(own)} in the class")
    more = f", and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


def _size(shape: tuple[int, ...] | None) -> str:
    return "×".join(map(str, shape or ())) or "a number"
