"""A class and a file of weights → the trained module."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uncollapse.errors import SourceError, UncollapseError, kind_and_line
from uncollapse.inferring.arguments import SAID, Fit, arguments_for, differences, shapes_of
from uncollapse.inferring.calls import UNKNOWN, calls_of, settings_in
from uncollapse.inferring.guarded import guarded
from uncollapse.inferring.result import Inferred, Said
from uncollapse.inferring.slots import Part, Slot, configs_of, nested, slots_of, takes_any
from uncollapse.inferring.source import HINT, Source, load_source
from uncollapse.inferring.weights import Weights

__all__ = ["construct", "source_named"]

MOST_SECONDS = 20.0
"""Of processor time, for the search of arguments."""

LEAST_SECONDS = 5.0
"""For one class, however many there are."""

SHOWN = 6
"""Arguments in a line."""


def source_named(text: str) -> tuple[Source, str | None]:
    """``FILE:CLASS`` or ``FILE`` → the file, as far as it is needed, and the name.

    Raises
    ------
    SourceError
        No such file or name, or its code fails.
    """
    place, _, name = text.partition(":")
    path = Path(place)
    if path.suffix != ".py" or not path.is_file():
        raise SourceError(f"{text}: no such file: {place}; say FILE:CLASS, such as my_vae.py:VAE")
    source = load_source(path, name or None)
    if name and not hasattr(source.module, name.partition(".")[0]):
        known = ", ".join(c.__name__ for c in source.classes()) or "none"
        raise SourceError(f"{text}: {place} has no {name!r}; its classes are {known}")
    return source, name or None


def construct(
    source: Source, name: str | None, weights: Weights, said: Said, sample: tuple[int, ...],
    works: Callable[[nn.Module], bool] = lambda module: True,
) -> tuple[nn.Module, list[Inferred]]:  # fmt: skip
    """Build the class whose weights the file holds, and load them.

    Parameters
    ----------
    source : Source
    name : str or None
        Of the class or function; each class of the file is tried where it is left out.
    weights : Weights
    said : Said
    sample : tuple of int
        Shape of a sample of the data.
    works : callable, optional
        Whether a module takes the data; what no weight shows (a length, say) is then what makes it work.

    Raises
    ------
    SourceError
        Nothing of the file fits the weights: the nearest is named, with the first differences; or arguments must be
        said.
    """
    makers = [_maker(source, name)] if name else _modules(source)
    if not makers:
        raise SourceError(f"{source.path}: has no class that is a PyTorch module; say FILE:CLASS (--model)")
    tries = [*product(makers, weights.variants())]
    seconds = max(MOST_SECONDS / len(tries), LEAST_SECONDS)
    best: tuple[float, Any, Fit, str, dict[str, Any]] | None = None
    with guarded(f"{source.path}:{name or 'its classes'}", hint=HINT):
        for make, (how, state) in tries:
            target = {key: tuple(value.shape) for key, value in state.items()}
            finder = _Finder(source, weights, said, sample, time.process_time() + seconds)
            fit = finder.fit(make, target)
            if fit.exact(target):
                _check_names(make, source, said)
                module, fit = finder.working(make, fit, state, works)
                return module, _said(make, fit, source, weights, how, named=bool(name))
            if best is None or fit.score(target) > best[0]:
                best = (fit.score(target), make, fit, how, state)
        assert best is not None
        _, make, fit, how, state = best
        _check_names(make, source, said)
        if _fits_but_for_more(fit, state):
            return _loaded(make, fit, state), _said(make, fit, source, weights, how, named=bool(name))
        raise _unfit(source, make, fit, state, weights)


@dataclass(frozen=True, eq=False)
class _Finder:
    """Arguments of the classes of one file."""

    source: Source
    weights: Weights
    said: Said
    sample: tuple[int, ...]
    until: float

    def fit(self, make: Callable[..., Any], target: dict[str, tuple[int, ...]]) -> Fit:
        known = _known(make, self.source, self.weights, self.said)
        return arguments_for(make, target, known, self.sample, self.until, lambda slot: [*self._parts(slot, target)])

    def _parts(self, slot: Slot, target: dict[str, tuple[int, ...]]) -> Iterator[Any]:
        """Classes of the file that are called as an argument is, and modules of them that fit weights of its name."""
        plain = slot.plain.lower().replace("_", "")
        for kind in _modules(self.source):
            name = kind.__name__.lower()
            if not plain or not (plain in name or name in plain):
                continue
            yield kind
            for prefix in dict.fromkeys(key.partition(".")[0] for key in target):
                inner = {k.removeprefix(f"{prefix}."): v for k, v in target.items() if k.startswith(f"{prefix}.")}
                if inner and (prefix.lower().replace("_", "") in (name, plain)):
                    fit = self.fit(kind, inner)
                    if fit.exact(inner):
                        yield Part(kind, fit.values)

    def working(
        self, make: Callable[..., Any], fit: Fit, state: dict[str, Any], works: Callable[[nn.Module], bool]
    ) -> tuple[nn.Module, Fit]:
        """The module; where it does not take the data, with another value of what no weight shows, if that helps."""
        module = _loaded(make, fit, state)
        if works(module):
            return module, fit
        for values in _others(make, fit, self.sample):
            if time.process_time() > self.until:
                break
            other = replace(fit, values=values)
            try:
                if shapes_of(make, values) == fit.shapes and works(again := _loaded(make, other, state)):
                    return again, other
            except (Exception, SystemExit):  # a user's class raises anything
                continue
        return module, fit


def _others(make: Callable[..., Any], fit: Fit, sample: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """The same arguments, one of them with another size of the data."""
    sizes = dict.fromkeys([*sample, math.prod(sample)])
    for slot in slots_of(make):
        if slot.kind in ("int", "any") and slot.name not in fit.sources:
            yield from ({**fit.values, slot.name: size} for size in sizes if size != fit.values.get(slot.name))


def _maker(source: Source, name: str) -> Callable[..., Any]:
    found: Any = source.module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SourceError(f"{source.path}:{name}: is no class or function that makes a model")
    return found


def _check_names(make: Callable[..., Any], source: Source, said: Said) -> None:
    """Arguments that are said must be the class's, or settings of what it is given."""
    if takes_any(make) or not said.arguments:
        return
    names = list(dict.fromkeys(slot.plain for slot in slots_of(make)))
    unknown = [name for name in said.arguments if name.rpartition(".")[2] not in names]
    if unknown:
        has = ", ".join(names) or "none"
        raise SourceError(
            f"{source.path}: {make.__name__} has no argument {' or '.join(unknown)} (--args); it has {has}"
        )


def _modules(source: Source) -> list[Callable[..., Any]]:
    return [kind for kind in source.classes() if issubclass(kind, nn.Module)]


def _known(make: Any, source: Source, weights: Weights, said: Said) -> list[tuple[str, dict[str, Any]]]:
    """What is known of the arguments: what the user says first, then what was saved, then where the file builds it."""
    slots = slots_of(make)
    names = {slot.name for slot in slots}
    by_plain = {slot.plain: slot.name for slot in slots}
    spoken = {by_plain.get(k, k): v for k, v in said.arguments.items()}
    options: list[tuple[str, dict[str, Any]]] = []
    saved = {by_plain[k]: v for k, v in weights.settings.items() if k in by_plain}
    if saved:
        options.append((f"saved in {weights.path.name}", saved | spoken))
    for given, named in calls_of(source.tree, make.__name__):
        by_place = {slot.name: value for slot, value in zip(slots, given, strict=False)}
        call = {k: v for k, v in (by_place | named).items() if v is not UNKNOWN and k in names}
        if call:
            options.append((f"as {source.path.name} builds it", call | spoken))
    held = {f"saved in {weights.path.name}": weights.settings}
    held |= {f"{name} in {source.path.name}": settings for name, settings in settings_in(source.tree).items()}
    for config, (where, some) in product(configs_of(make), held.items()):
        options += [(where, {f"{config}.{k}": v for k, v in some.items()} | spoken)] if some else []
    return [*options, (SAID, spoken)]


def _loaded(make: Any, fit: Fit, state: dict[str, Any]) -> nn.Module:
    given, named = nested(make, fit.values)
    try:
        with torch.random.fork_rng(devices=[]):
            module: nn.Module = make(*given, **named)
        own = module.state_dict()
        module.load_state_dict({name: value for name, value in state.items() if name in own})
    except UncollapseError:
        raise
    except (Exception, SystemExit) as error:  # a user's class raises anything
        raise SourceError(f"{make.__name__}: cannot be built: {kind_and_line(error)}") from error
    return module.eval()


def _fits_but_for_more(fit: Fit, state: dict[str, Any]) -> bool:
    """Whether the file has all of the class's weights, and others beside them."""
    shapes = fit.shapes or {}
    return bool(shapes) and all(n in state and tuple(state[n].shape) == shape for n, shape in shapes.items())


def _said(make: Any, fit: Fit, source: Source, weights: Weights, how: str, *, named: bool) -> list[Inferred]:
    lines = []
    if not named:
        lines.append(
            Inferred("class", make.__name__, f"its weights are those of {weights.path.name}", "--model FILE:CLASS")
        )
    if how:
        lines.append(Inferred("weights", how, f"so they fit {make.__name__}", "another file"))
    if source.left_out:
        what = f"{len(source.left_out)} statement(s) that act, such as `{source.left_out[0][:40]}`, were not run"
        lines.append(Inferred("code run", f"what {make.__name__} needs", what, "--model FILE:CLASS"))
    lines += _arguments_said(make, fit, weights)
    return lines


def _arguments_said(make: Any, fit: Fit, weights: Weights) -> Iterator[Inferred]:
    by_source: dict[str, list[str]] = {}
    for name, value in fit.values.items():
        where = fit.sources.get(name, f"by the shapes in {weights.path.name}")
        if isinstance(value, float) and name not in fit.sources:
            where = "no weight shows it; it counts only if encoder or decoder use it"
        by_source.setdefault(where, []).append(f"{name.rpartition('.')[2]}={_shown(value)}")
    for where, texts in by_source.items():
        if where != SAID:
            more = f", and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            yield Inferred("arguments", ", ".join(texts[:SHOWN]) + more, where, "--args NAME=VALUE")


def _shown(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)


def _unfit(source: Source, make: Any, fit: Fit, state: dict[str, Any], weights: Weights) -> SourceError:
    where = f"{source.path}:{make.__name__}"
    if fit.shapes is None:
        texts = [
            s.plain for s in slots_of(make) if s.kind == "str" and s.default is UNKNOWN and s.name not in fit.values
        ]
        lacking = [s.plain for s in slots_of(make) if s.default is UNKNOWN and s.name not in fit.values]
        ask = texts or lacking
        hint = f"; say {' and '.join(f'--args {name}=VALUE' for name in ask)}" if ask else ""
        return SourceError(f"{where}: cannot be built with weights of {weights.path}: {fit.error}{hint}")
    target = {key: tuple(value.shape) for key, value in state.items()}
    return SourceError(
        f"{weights.path} does not fit {where}: {differences(fit.shapes, target)}; say its arguments "
        f"(--args NAME=VALUE) or another class (--model)"
    )
