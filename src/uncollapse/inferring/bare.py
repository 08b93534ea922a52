"""A statement → what it makes, without what it does beside."""

from __future__ import annotations

import ast
from typing import Any

from uncollapse.inferring.calls import called_name
from uncollapse.inferring.loops import CHANGES

__all__ = ["bare"]


class _Bare(ast.NodeTransformer):
    """A statement without what it only does, such as printing; leaving the loop gives no value."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        changes = isinstance(node.value, ast.Call) and called_name(node.value) in CHANGES
        return node if changes else ast.Pass()

    def visit_Continue(self, node: ast.Continue) -> Any:
        return ast.Return(ast.Constant(None))

    def visit_Break(self, node: ast.Break) -> Any:
        return ast.Return(ast.Constant(None))

    def _as_it_is(self, node: Any) -> Any:
        return node

    visit_For = visit_While = visit_FunctionDef = visit_ClassDef = _as_it_is


def bare(s: ast.stmt) -> ast.stmt:
    """A copy of a statement that only binds and changes names, so that it prints, saves and asks nothing by itself.

    Examples
    --------
    >>> print(ast.unparse(bare(ast.parse("if broken:\\n    print(loss)\\n    loss = 0\\n    continue").body[0])))
    if broken:
        pass
        loss = 0
        return None
    """
    made = _Bare().visit(ast.parse(ast.unparse(s)).body[0])
    assert isinstance(made, ast.stmt)  # as it gives
    return made
