"""The loop of a file that trains → what it makes small, as a function of the model and a batch."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from uncollapse.inferring.adapted import OF_MODEL
from uncollapse.inferring.calls import UNKNOWN, called_name, calls_of, constants_in, value_of
from uncollapse.inferring.loops import Training, is_model, names_in, root_of, stored_in, trainings_in
from uncollapse.inferring.source import Source

__all__ = ["Looped", "looped_in"]

SAFE = ("torch", "nn", "F", "math", "np", "numpy", "range", "min", "max", "abs", "float", "int", "len", "sum", "round")
"""What a statement before the loop may call: it makes a number or a cost, and reads no file."""

READS = ("load", "loadtxt", "genfromtxt", "fromfile", "save", "from_file")

NUMBER = "_made_up_number"


class NotPlainError(Exception):
    """A loop that cannot be run by itself: why."""


@dataclass(frozen=True, eq=False)
class Looped:
    """What a loop makes small.

    Attributes
    ----------
    name : str
    function : callable
        Of a number, the model and x. The number stands for lengths and counts that the file does not say.
    takes_number : bool
        Whether it looks at the number.
    """

    name: str
    function: Callable[[float], Callable[[Any, Any], Any]]
    takes_number: bool


def looped_in(source: Source, model: nn.Module) -> tuple[list[Looped], str]:
    """The loops of a file that train a model.

    Parameters
    ----------
    source : Source
    model : Module
        Of a class of the file.

    Returns
    -------
    list of Looped
    str
        Why the first of the others is not among them; empty where there is no other.
    """
    found, why = [], ""
    kinds = {kind.__name__ for kind in type(model).__mro__}
    models = _names_of(source.tree, type(model).__name__)
    for training in trainings_in(source.tree):
        try:
            found.append(_Cut(source, training, models | ({"self"} if training.owner in kinds else set())).looped())
        except NotPlainError as error:
            why = why or f"the training loop, line {training.line}: {error}"
    return found, why


def _names_of(tree: ast.Module, kind: str) -> set[str]:
    """What the file calls objects of a class."""
    names = set(OF_MODEL)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(n, ast.Call) and called_name(n) == kind for n in ast.walk(node.value)
        ):
            names |= {t.id if isinstance(t, ast.Name) else t.attr for t in node.targets
                      if isinstance(t, ast.Name | ast.Attribute)}  # fmt: skip
    return names


class _Cut:
    """The statements of a file from which one training's value comes."""

    def __init__(self, source: Source, training: Training, models: set[str]) -> None:
        self.source, self.training, self.models = source, training, models
        self.space = dict(vars(source.module)) | {"_torch": torch}
        self.batch = training.batch(models)
        if not self.batch.x:
            raise NotPlainError("no call of the model before it was seen")
        self.counted = training.counted()
        self.given = self.batch.x | self.batch.beside | models | self.counted
        self.refused: dict[str, str] = {}
        self.statements = self._needed()

    def looped(self) -> Looped:
        training = self.training
        bound = {*self.given, *self.space, *vars(builtins), NUMBER, "_model", "_x"}
        for s in [*self.statements, ast.Expr(training.value)]:
            bound |= stored_in(s) | {node.arg for node in ast.walk(s) if isinstance(node, ast.arg)}
        resolve = _Resolve(self, frozenset(bound))
        body = [resolve.visit(s) for s in ast.parse(ast.unparse(ast.Module(self.statements, []))).body]
        value = resolve.visit(ast.parse(ast.unparse(training.value), mode="eval").body)
        if resolve.missing:
            raise NotPlainError(f"{', '.join(dict.fromkeys(resolve.missing))} is no plain value")
        names = {
            "_model": self.models,
            "_x": self.batch.x,
            "_torch.zeros(len(_x), dtype=_torch.long)": self.batch.beside,
        }
        first = [f"{name} = {stands_for}" for stands_for, some in names.items() for name in sorted(some)]
        tree = ast.parse(f"def step({NUMBER}, _model, _x):\n    pass")
        defined = tree.body[0]
        assert isinstance(defined, ast.FunctionDef)  # it was written so
        defined.body = [*ast.parse("\n".join(first)).body, *body, ast.Return(value)]
        exec(compile(ast.fix_missing_locations(tree), str(self.source.path), "exec"), self.space)
        step = self.space["step"]
        name = f"the training loop, line {training.line}"

        def with_number(number: float) -> Callable[[Any, Any], Any]:
            def looped(model: Any, x: Any) -> Any:
                return step(number, model, x)

            looped.__qualname__ = name
            return looped

        return Looped(name, with_number, resolve.takes_number)

    def _needed(self) -> list[ast.stmt]:
        """Backwards from the value: each statement that binds what is still needed."""
        training, file = self.training, self.source.tree.body
        of_batch, inside, top = (set(map(id, part)) for part in (self.batch.made_by, training.inside, file))
        around = [] if training.function is None else [s for s in file if _is_simple(s)]
        needed = names_in(training.value) - self.given
        chosen: list[ast.stmt] = []
        for s in reversed([*around, *training.outside, *training.inside]):
            stored = stored_in(s)
            if not stored & needed or (id(s) in of_batch and stored <= self.given):
                continue
            changed = training.carried(s) - self.counted if id(s) not in inside else set()
            self.refused |= dict.fromkeys(changed, "what changes from step to step")
            was_run = id(s) in top and stored <= set(self.space)
            if not was_run and id(s) not in inside and (what := self._unsafe(s)):
                self.refused |= dict.fromkeys(stored, what)
            if was_run or stored & self.refused.keys() or _binds_anew(s):
                needed -= stored
            if not (was_run or stored & self.refused.keys()):
                needed |= (_free(s) if isinstance(s, ast.FunctionDef) else names_in(s)) - self.given
                chosen.insert(0, s)
        return chosen

    def _unsafe(self, s: ast.stmt) -> str:
        """What a statement before the loop calls that may do anything; empty where there is no such call."""
        if isinstance(s, ast.FunctionDef | ast.Import | ast.ImportFrom):
            return ""
        costs = {name for name, value in self.space.items() if isinstance(value, type) and issubclass(value, nn.Module)}
        calls = [node for node in ast.walk(s) if isinstance(node, ast.Call)]
        unsafe = (c for c in calls if root_of(c) not in costs.union(SAFE) or called_name(c) in READS)
        return next((ast.unparse(c)[:60] for c in unsafe), "")


class _Resolve(ast.NodeTransformer):
    """Names that nothing binds, as the plain values that the file gives them."""

    def __init__(self, cut: _Cut, bound: frozenset[str]) -> None:
        self.models, self.bound, self.refused = cut.models, bound - cut.refused.keys(), cut.refused
        self.shown = None if cut.batch.shown is None else ast.unparse(cut.batch.shown)
        self.constants = constants_in(cut.source.tree)
        self.counters = cut.training.counters()
        self.function, self.tree = cut.training.function, cut.source.tree
        self.counted = cut.counted
        self.missing: list[str] = []
        self.takes_number = False

    def visit(self, node: ast.AST) -> Any:
        """What the model is shown, such as ``data[i]``, is x wherever it stands."""
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load) and isinstance(node, ast.expr)
        if is_read and self.shown is not None and ast.unparse(node) == self.shown:
            return ast.Name("_x", ast.Load())
        return super().visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if called_name(node) == "len" and node.args and root_of(node.args[0]) not in self.bound:
            return self._number()
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        return ast.Name("_model", ast.Load()) if is_model(node, self.models) else self._of(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self._of(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in self.counted:
            return self._number()
        if node.id in self.counters and isinstance(node.ctx, ast.Load):
            return self._last(self.counters[node.id])
        return self._of(node)

    def _of(self, node: Any) -> Any:
        root = root_of(node)
        if root in self.bound or not root or not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        value = self._of_name(root) if isinstance(node, ast.Name) else value_of(node, self.constants)
        if isinstance(value, bool | int | float | str | None):
            return ast.Constant(value)
        came = f", which comes from {self.refused[root]}," if root in self.refused else ""
        self.missing.append(f"{ast.unparse(node)}{came}")
        return node

    def _of_name(self, name: str) -> Any:
        """A constant of the file; of an argument of the function around the loop what it is given, or its default."""
        names = [] if self.function is None else [a.arg for a in self.function.args.args if a.arg != "self"]
        if name in self.refused:
            return UNKNOWN
        if self.function is None or name not in names:
            return self.constants.get(name, UNKNOWN)
        defaults = dict(zip(reversed(names), reversed(self.function.args.defaults), strict=False))
        value = value_of(defaults[name], self.constants) if name in defaults else UNKNOWN
        for given, named in calls_of(self.tree, self.function.name):
            value = (dict(zip(names, given, strict=False)) | named).get(name, value)
        return value

    def _last(self, through: ast.expr) -> Any:
        """The last count of a range; another number where it is not plain."""
        call = next((n for n in ast.walk(through) if isinstance(n, ast.Call) and called_name(n) in ("range", "trange")),
                    None)  # fmt: skip
        ends = [] if call is None else [value_of(part, self.constants) for part in call.args]
        if 1 <= len(ends) <= 2 and all(isinstance(end, int) for end in ends):
            return ast.Constant(ends[-1] - 1)
        return self._number()

    def _number(self) -> ast.Name:
        self.takes_number = True
        return ast.Name(NUMBER, ast.Load())


def _is_simple(s: ast.stmt) -> bool:
    return isinstance(s, ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.Import | ast.ImportFrom)


def _binds_anew(s: ast.stmt) -> bool:
    """Whether what its names stood for before no longer counts."""
    return isinstance(s, ast.Assign) and all(isinstance(t, ast.Name | ast.Tuple) for t in s.targets)


def _free(s: ast.FunctionDef) -> set[str]:
    """Names that a function takes from around it."""
    table = symtable.symtable(ast.unparse(s), "", "exec")
    inner = [one for one in table.get_children() if isinstance(one, symtable.Function)]
    return {name for one in inner for name in one.get_globals()}
