"""What a `forward` must be given beside x, where its file always gives it the same plain value."""

from __future__ import annotations

import ast
import inspect
from functools import partial
from typing import Any

from torch import nn

from uncollapse.inferring.calls import said_once, value_of
from uncollapse.inferring.result import Inferred
from uncollapse.inferring.source import Source

__all__ = ["with_settings"]


def with_settings(module: nn.Module, source: Source) -> list[Inferred]:
    """Bind what the module's `forward` asks for by name to what its file gives it; what was bound.

    Parameters
    ----------
    module : Module
        Its `forward` is changed in place, and its weights are not.
    source : Source
        Its file: ``net(batch, temperature=1.0)``.
    """
    own = type(module).forward.__get__(module)
    asked = [
        p.name
        for p in [*inspect.signature(own).parameters.values()][1:]
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    values = {name: value for name in asked if (value := _always(source.tree, name)) is not None}
    if not values:
        return []
    bound: Any = partial(own, **values)
    bound.__name__ = "forward"
    module.forward = bound
    told = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return [Inferred("given to forward", told, f"as {source.path.name} calls it", "a function of yours")]


def _always(tree: ast.Module, name: str) -> Any:
    """The one number or text that calls in a file give an argument by its name; else None."""
    known = said_once(tree, of_modules=False)
    found = [value_of(k.value, known) for node in ast.walk(tree) if isinstance(node, ast.Call)
             for k in node.keywords if k.arg == name]  # fmt: skip
    is_plain = bool(found) and all(isinstance(value, bool | int | float | str) for value in found)
    return found[0] if is_plain and len(set(found)) == 1 else None
