"""The loop of a file that trains → what it makes small, as a function of the model and a batch."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from uncollapse.errors import kind_and_line
from uncollapse.inferring.adapted import OF_MODEL
from uncollapse.inferring.bare import bare
from uncollapse.inferring.calls import called_name, root_of
from uncollapse.inferring.loops import Training, is_model, read_in, stored_in, trainings_in
from uncollapse.inferring.resolve import CHANGED, MADE_UP, Names, Resolve
from uncollapse.inferring.scopes import Scopes
from uncollapse.inferring.source import Source

__all__ = ["Looped", "MadeUp", "looped_in"]

SAFE = ("torch", "nn", "F", "math", "np", "numpy", "range", "min", "max", "abs", "float", "int", "len", "sum", "round")
"""What a statement before the loop may call: it makes a number or a cost, and reads no file."""

ACTS = ("input", "open", "exec", "eval", "exit", "quit", "os", "shutil", "subprocess", "pathlib", "pickle", "json",
        "requests", "urllib", "socket", "matplotlib", "wandb")  # fmt: skip
"""What no statement may call: it asks, reads or writes."""

READS = ("load", "loadtxt", "genfromtxt", "fromfile", "save", "from_file", "read_text", "write_text", "read_csv")


class NotPlainError(Exception):
    """A loop that cannot be run by itself: why."""


@dataclass(frozen=True)
class MadeUp:
    """What stands for what a file does not say.

    Attributes
    ----------
    count : float
        For lengths and counts.
    label : int
        For what comes with x.
    unsaid : float
        For numbers that are no plain value.
    """

    count: float
    label: int
    unsaid: float


@dataclass(frozen=True, eq=False)
class Looped:
    """What a loop makes small.

    Attributes
    ----------
    name : str
    function : callable
        Of what is made up, the model and x.
    hangs : bool
        Whether it looks at what is made up.
    why_not : str
        What of it is no plain value, so that the loop is not known; empty where nothing is.
    """

    name: str
    function: Callable[[MadeUp], Callable[[Any, Any], Any]]
    hangs: bool
    why_not: str


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
    scopes = Scopes(source.tree)
    for training in trainings_in(source.tree):
        own = models | ({"self"} if training.owner in kinds else set())
        try:
            found.append(_Cut(source, scopes, training, own).looped())
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

    def __init__(self, source: Source, scopes: Scopes, training: Training, models: set[str]) -> None:
        self.source, self.scopes, self.training, self.models = source, scopes, training, models
        self.space = dict(vars(source.module)) | {"_torch": torch}
        self.own = self.scopes.hidden(training.place)
        defined = {s.name for s in ast.walk(source.tree) if isinstance(s, ast.FunctionDef | ast.ClassDef)}
        self.batch = training.batch(models, {*self.scopes.modules, *defined, *vars(builtins)})
        if not self.batch.x:
            raise NotPlainError("no call of the model before it was seen")
        self.counted = training.counted()
        self.given = self.batch.x | self.batch.beside | models | self.counted
        self.refused: dict[str, str] = dict.fromkeys(self.batch.steps - self.given, CHANGED)
        self.statements = self._needed()

    def looped(self) -> Looped:
        bound = {*self.space, *vars(builtins)} - self.own | {*self.given, MADE_UP, "_model", "_x"}
        for s in [*self.statements, ast.Expr(self.training.value)]:
            bound |= stored_in(s) | {node.arg for node in ast.walk(s) if isinstance(node, ast.arg)}
        resolve = Resolve(self._names(bound), self.scopes)
        body = [resolve.visit(s) for s in self.statements]
        value = resolve.visit(ast.parse(ast.unparse(self.training.value), mode="eval").body)
        step = self._compiled([*body, ast.Return(value)])
        name = f"the training loop, line {self.training.line}"

        def with_made_up(made_up: MadeUp) -> Callable[[Any, Any], Any]:
            def looped(model: Any, x: Any) -> Any:
                with _kept(model):
                    return step(made_up, model, x)

            looped.__qualname__ = name
            return looped

        used = {n.id for part in (*body, value) for n in ast.walk(part) if isinstance(n, ast.Name)}
        missing = ", ".join(dict.fromkeys(resolve.missing))
        return Looped(name, with_made_up, MADE_UP in used or bool(used & self.batch.beside),
                      f"{name}: {missing} is no plain value" if missing else "")  # fmt: skip

    def _names(self, bound: set[str]) -> Names:
        parts = (n for s in self.statements for n in ast.walk(s) if isinstance(n, ast.Attribute))
        return Names(
            self.training.place,
            self.models,
            "" if self.batch.shown is None else ast.unparse(self.batch.shown),
            frozenset(bound - self.refused.keys()),
            frozenset(ast.unparse(n) for n in parts if isinstance(n.ctx, ast.Store)),
            self.counted,
            self.training.counters(),
            self.refused,
            self._made_by,
        )

    def _compiled(self, body: list[ast.stmt]) -> Callable[..., Any]:
        label = f"_torch.full((len(_x),), {MADE_UP}.label)"
        names = {"_model": self.models, "_x": self.batch.x, label: self.batch.beside}
        first = [f"{name} = {stands_for}" for stands_for, some in names.items() for name in sorted(some)]
        tree = ast.parse(f"def _step({MADE_UP}, _model, _x):\n    pass")
        defined = tree.body[0]
        assert isinstance(defined, ast.FunctionDef)  # it was written so
        defined.body = [*ast.parse("\n".join(first)).body, *body]
        try:
            exec(compile(ast.fix_missing_locations(tree), str(self.source.path), "exec"), self.space)
        except SyntaxError as error:  # what stands right in the file may not in a function of its own
            raise NotPlainError(f"cannot be run by itself: {kind_and_line(error)}") from error
        return self.space["_step"]

    def _needed(self) -> list[ast.stmt]:
        """Backwards from the value: each statement that binds what is still needed, without what it does beside."""
        training, file = self.training, self.source.tree.body
        of_batch, inside, top = (set(map(id, part)) for part in (self.batch.made_by, training.inside, file))
        around = [] if training.function is None else [s for s in file if _is_simple(s)]
        shifting = self.scopes.shifting(training.place) - self.counted
        needed = read_in(training.value) - self.given
        chosen: list[ast.stmt] = []
        for s in reversed([*around, *training.outside, *training.inside]):
            stored = stored_in(s) - (self.own if id(s) in top else set())
            unneeded = not stored & needed or (id(s) in of_batch and stored <= self.given)
            if unneeded and not self._sets_model(s):
                continue
            only = bare(s)
            if id(s) not in inside:
                at_top = shifting if id(s) in top else set()
                self.refused |= dict.fromkeys((training.carried(s) - self.counted) | (stored & at_top), CHANGED)
            was_run = id(s) in top and stored <= set(self.space) and not unneeded
            if not was_run and (what := self._unsafe(only, anything=id(s) in inside)):
                self.refused |= dict.fromkeys(stored, f"which comes from {what}")
            if was_run or stored & self.refused.keys() or _binds_anew(s):
                needed -= stored
            if not (was_run or stored & self.refused.keys()):
                needed |= (_free(s) if isinstance(s, ast.FunctionDef) else read_in(only)) - self.given
                chosen.insert(0, only)
        return chosen

    def _sets_model(self, s: ast.stmt) -> bool:
        """Whether it sets an attribute of the model at which a class of the file looks."""
        looked_at = {n.attr for n in ast.walk(self.source.tree) if isinstance(n, ast.Attribute)
                     and isinstance(n.ctx, ast.Load) and root_of(n) == "self"}  # fmt: skip
        parts = [n for n in ast.walk(s) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
        return isinstance(s, ast.Assign | ast.AugAssign | ast.If) and any(
            part.attr in looked_at and is_model(part.value, self.models) for part in parts
        )

    def _unsafe(self, s: ast.stmt, *, anything: bool) -> str:
        """What a statement calls that may do more than give a value; `anything` else is safe in the loop itself."""
        if isinstance(s, ast.FunctionDef | ast.Import | ast.ImportFrom):
            return ""
        costs = {name for name, value in self.space.items() if isinstance(value, type) and issubclass(value, nn.Module)}
        calls = [(node, root_of(node)) for node in ast.walk(s) if isinstance(node, ast.Call)]
        unsafe = (c for c, root in calls if self.scopes.modules.get(root, root) in ACTS or called_name(c) in READS
                  or not (anything or root in costs.union(SAFE)))  # fmt: skip
        return next((ast.unparse(c)[:60] for c in unsafe), "")

    def _made_by(self, node: ast.expr) -> ast.expr | None:
        """The cost or the number that `__init__` makes an attribute of ``self`` of."""
        made = self.scopes.made(node, self.training.place)
        if made is None or self._unsafe(ast.Expr(made[0]), anything=False):
            return None
        names = {*self.space, *vars(builtins)} - self.given
        return ast.parse(ast.unparse(made[0]), mode="eval").body if read_in(made[0]) <= names else None


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Attributes that a step sets are as before behind it."""
    before = {name: dict(held) if type(held) is dict else held for name, held in vars(model).items()}
    try:
        yield
    finally:
        vars(model).clear()
        vars(model).update(before)


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
