"""Names in the statements of a training loop → the plain values that the file gives them elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uncollapse.inferring.calls import UNKNOWN, called_name, root_of
from uncollapse.inferring.loops import is_model
from uncollapse.inferring.scopes import COUNT, Place, Scopes

__all__ = ["CHANGED", "MADE_UP", "Names", "Resolve"]

MADE_UP = "_made_up"
"""What stands in the statements for what the file does not say."""

CHANGED = "which changes from step to step"


@dataclass(frozen=True, eq=False)
class Names:
    """What names in the statements of a loop are.

    Attributes
    ----------
    place : Place
        Of the loop.
    models : set of str
        They stand for the model.
    shown : str
        What the model is shown, as code.
    bound : frozenset of str
        They are there when the statements run.
    set_here : frozenset of str
        Attributes that the statements set, as code.
    counted : set of str
        They count without an end.
    counters : dict of str → ast.Call
        They count, as a `range` or `enumerate` says.
    refused : dict of str → str
        Those that no statement may make, and why.
    made_by : callable
        What `__init__` makes an attribute of, where that may be run; else None.
    """

    place: Place
    models: set[str]
    shown: str
    bound: frozenset[str]
    set_here: frozenset[str]
    counted: set[str]
    counters: dict[str, ast.Call]
    refused: dict[str, str]
    made_by: Callable[[ast.expr], ast.expr | None]


class Resolve(ast.NodeTransformer):
    """Names that nothing binds, as the plain values that the file gives them."""

    def __init__(self, names: Names, scopes: Scopes) -> None:
        self.names, self.scopes = names, scopes
        self.missing: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        """What the model is shown, such as ``data[i]``, is x wherever it stands."""
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load) and isinstance(node, ast.expr)
        if is_read and ast.unparse(node) == self.names.shown:
            return ast.Name("_x", ast.Load())
        return super().visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if called_name(node) == "len" and node.args and root_of(node.args[0]) not in self.names.bound:
            return _made_up("count")
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        return ast.Name("_model", ast.Load()) if is_model(node, self.names.models) else self._of(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self._of(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in self.names.counted:
            return _made_up("count")
        if node.id in self.names.counters:
            return _constant(self.scopes.last(self.names.counters[node.id], self.names.place))
        return self._of(node)

    def _of(self, node: Any) -> Any:
        root, scopes = root_of(node), self.scopes
        if not root or not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        apart = root == "self" or root not in self.names.models
        changes = apart and ast.unparse(node) not in self.names.set_here and scopes.changes(node, self.names.place)
        if root in self.names.bound and not changes:
            return self.generic_visit(node)
        refused = changes or (isinstance(node, ast.Name) and root in self.names.refused)
        value = UNKNOWN if refused else scopes.value(node, self.names.place)
        if value is COUNT or isinstance(value, bool | int | float | str | None):
            return _constant(value)
        if not refused and (made := self.names.made_by(node)) is not None:
            return made
        why = CHANGED if changes else self.names.refused.get(root, "")
        self.missing.append(f"{ast.unparse(node)}, {why}," if why else ast.unparse(node))
        return _made_up("unsaid")


def _made_up(what: str) -> ast.expr:
    return ast.Attribute(ast.Name(MADE_UP, ast.Load()), what, ast.Load())


def _constant(value: Any) -> ast.expr:
    return _made_up("count") if value is COUNT else ast.Constant(value)
