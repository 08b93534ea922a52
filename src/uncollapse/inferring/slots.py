"""The arguments that a class asks for, and values that each may have, given the shapes of its weights."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from uncollapse.inferring.calls import UNKNOWN

__all__ = ["Config", "Part", "Slot", "Unset", "candidates", "configs_of", "nested", "slots_of", "takes_any"]

CONFIGS = ("config", "cfg", "conf", "args", "hparams", "params", "opt", "options", "opts", "model_config", "settings")
MOST_LAYERS = 6
SHAPES = ("shape", "input_size", "image_size", "img_size", "in_size", "input_dim", "in_dim", "dims")


class Unset(AttributeError, KeyError):
    """A setting that a class reads from its configuration and that nobody gave."""


class Config(dict[str, Any]):
    """A configuration that is read by attribute or by key, and says what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __missing__(self, key: str) -> Any:
        raise Unset(key)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Config:
        """With settings inside settings read in the same way."""
        return cls({k: cls.of(v) if isinstance(v, dict) else v for k, v in settings.items()})


@dataclass(frozen=True)
class Part:
    """A module that is an argument: a class with its own arguments, built anew each time.

    Attributes
    ----------
    make : callable
    values : dict
    """

    make: Callable[..., Any]
    values: dict[str, Any]

    def built(self) -> Any:
        """The module."""
        given, named = nested(self.make, self.values)
        return self.make(*given, **named)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.make.__name__}({inner})"


@dataclass(frozen=True)
class Slot:
    """An argument of a class, or a setting of its configuration.

    Attributes
    ----------
    name : str
        ``latent_dim``, or ``config.latent_dim``.
    kind : str
        "int", "float", "bool", "str", "sizes" (a list), "any" where nothing says it.
    default : object
        UNKNOWN where it has none.
    """

    name: str
    kind: str
    default: Any = UNKNOWN

    @property
    def plain(self) -> str:
        """Its own name."""
        return self.name.rpartition(".")[2]


def slots_of(make: Callable[..., Any], settings: Sequence[str] = ()) -> list[Slot]:
    """Arguments of a class or function, in order; those of a configuration by their own names.

    Parameters
    ----------
    make : callable
    settings : sequence of str
        Settings of a configuration without fields, as far as they are known: ``config.latent_dim``.
    """
    hints = _hints(make)
    result: list[Slot] = []
    for p in _parameters(make):
        hint = hints.get(p.name)
        if (fields := _fields(hint, p.default)) is not None:
            inner = _hints(type(p.default) if hint is None else hint)
            result += [_slot(f"{p.name}.{f.name}", inner.get(f.name), _default(f)) for f in fields]
        elif _is_config(p):
            result += [Slot(name, "any") for name in settings if name.startswith(f"{p.name}.")]
        else:
            result.append(_slot(p.name, hint, UNKNOWN if p.default is p.empty else p.default))
    return result


def nested(make: Callable[..., Any], values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by place and by name, configurations made of their settings."""
    hints, given, named = _hints(make), list[Any](), dict[str, Any]()
    for p in _parameters(make):
        hint = hints.get(p.name)
        inner = {k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{p.name}.")}
        if (fields := _fields(hint, p.default)) is not None:
            kind: Any = type(p.default) if hint is None else hint
            value: Any = kind(**{f.name: inner[f.name] for f in fields if f.name in inner})
        elif _is_config(p) and p.name not in values:
            value = Config.of(inner)
        elif p.name in values:
            value = values[p.name]
            value = value.built() if isinstance(value, Part) else value
        else:
            continue
        if p.kind is p.POSITIONAL_ONLY:
            given.append(value)
        else:
            named[p.name] = value
    if _takes_more(make):
        named |= {k: v for k, v in values.items() if "." not in k and k not in named}
    return given, named


def takes_any(make: Callable[..., Any]) -> bool:
    """Whether arguments of any name are taken: by ``**kwargs``, or by a configuration without fields that are known."""
    return _takes_more(make) or bool(configs_of(make))


def candidates(slot: Slot, shapes: dict[str, tuple[int, ...]], sample: tuple[int, ...]) -> list[Any]:
    """Values that an argument may have, the likelier first.

    Parameters
    ----------
    slot : Slot
    shapes : dict of str → tuple of int
        Of the weights.
    sample : tuple of int
        Shape of a sample of the data.
    """
    if slot.kind == "bool":
        return [True, False]
    if slot.kind == "float" or any(part in slot.plain.lower() for part in ("beta", "drop", "rate", "lr", "weight")):
        return [[1.0], 1.0] if slot.kind in ("sizes", "any") and slot.plain.endswith("s") else [1.0]
    if slot.kind == "str":
        return []
    images = list(_images(sample))
    sizes = _sizes(shapes, sample, images)
    lists = _lists(shapes)
    tuples: list[Any] = [*images, *((shape[1:]) for shape in images if len(shape) == 3)]
    if slot.kind == "int":
        return sizes
    if slot.kind == "sizes":
        return [*lists, *map(list, tuples)]
    if isinstance(slot.default, list | tuple):
        return [*lists, *tuples]
    if any(slot.plain.lower().endswith(end) for end in SHAPES):
        return [*sizes[:12], *tuples, *sizes[12:], *lists]
    return (
        [*lists, *sizes] if slot.plain.endswith("s") and not slot.plain.startswith("n") else [*sizes, *lists, *tuples]
    )


def _sizes(shapes: dict[str, tuple[int, ...]], sample: tuple[int, ...], images: list[tuple[int, ...]]) -> list[int]:
    """Sizes of the weights, of the data, and small numbers (of layers, of classes)."""
    found = [size for shape in shapes.values() for size in shape if len(shape) > 0]
    halves = [size // 2 for size in found if size % 2 == 0 and size > 2]
    of_data = [math.prod(sample), *(side for shape in images for side in shape)]
    return list(dict.fromkeys([*found, *of_data, *halves, *range(1, 11)]))


def _lists(shapes: dict[str, tuple[int, ...]]) -> list[list[int]]:
    """Runs of the widths of layers, in their order, and turned round."""
    out = [shape[0] for name, shape in shapes.items() if len(shape) > 1]
    widths = [size for size, _ in itertools.groupby(out)]
    runs = [widths[i : i + n] for n in range(1, MOST_LAYERS + 1) for i in range(len(widths) - n + 1)]
    return [list(run) for run in dict.fromkeys(map(tuple, [*runs, *(run[::-1] for run in runs)]))]


def _images(sample: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if len(sample) > 1:
        yield sample
        return
    n = math.prod(sample)
    for channels in (1, 3):
        side = math.isqrt(n // channels)
        if side > 1 and channels * side * side == n:
            yield channels, side, side


def _parameters(make: Callable[..., Any]) -> list[inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in inspect.signature(make).parameters.values() if p.kind not in variadic]


def _takes_more(make: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values())


def _is_config(p: inspect.Parameter) -> bool:
    return p.name in CONFIGS and p.default in (p.empty, None)


def configs_of(make: Callable[..., Any]) -> list[str]:
    """Arguments that are configurations without fields that are known."""
    return [p.name for p in _parameters(make) if _is_config(p)]


def _fields(hint: Any, default: Any) -> tuple[dataclasses.Field[Any], ...] | None:
    kind = hint if isinstance(hint, type) else type(default)
    return tuple(f for f in dataclasses.fields(kind) if f.init) if dataclasses.is_dataclass(kind) else None


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return UNKNOWN if field.default_factory is dataclasses.MISSING else field.default_factory()


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(make.__init__ if isinstance(make, type) and not dataclasses.is_dataclass(make) else make)  # type: ignore[misc]
    except Exception:  # a name that only exists for type checkers
        return {}


def _slot(name: str, hint: Any, default: Any) -> Slot:
    words = str(hint if hint is not None else "" if default is UNKNOWN or default is None else type(default)).lower()
    if any(word in words for word in ("list", "tuple", "sequence", "iterable")):
        return Slot(name, "sizes", default)
    kind = next((kind for kind in ("bool", "int", "float", "str") if kind in words), "any")
    return Slot(name, kind, default)
