"""Where a file trains: what it makes small, and the statements that come before."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

__all__ = ["Batch", "Training", "is_model", "names_in", "root_of", "stored_in", "trainings_in"]

QUIET = ("train", "eval", "zero_grad", "parameters", "to", "cuda", "cpu", "state_dict", "requires_grad_", "apply")
"""Methods of a module that look at no batch."""

TAKE_IT = ("accelerator", "fabric", "self", "engine", "strategy")
"""Objects whose `backward` is given what is made small."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What the model is shown at a step.

    Attributes
    ----------
    shown : ast.expr or None
        What the model is given first; None where no call of it is seen.
    x : frozenset of str
        Names that stand for it or that it is made of.
    beside : frozenset of str
        Of what else comes with it, such as labels.
    made_by : tuple of ast.stmt
        The statements before that call.
    """

    shown: ast.expr | None
    x: frozenset[str]
    beside: frozenset[str]
    made_by: tuple[ast.stmt, ...]


@dataclass(frozen=True, eq=False)
class Training:
    """One call of `backward`.

    Attributes
    ----------
    line : int
    value : ast.expr
        What is made small.
    inside : tuple of ast.stmt
        Those before it in the innermost loop, those of `with` among them; of a function without a loop all of it.
    outside : tuple of ast.stmt
        Those before that loop, in the function, or where there is none in the file.
    targets : tuple of pairs
        Of the loops around it: what each step of one binds, and what it goes through.
    loops : tuple of ast.stmt
        The outer first.
    function : ast.FunctionDef, optional
        That it stands in.
    owner : str
        The class of that, where it is a method.
    """

    line: int = 0
    value: ast.expr = field(default_factory=lambda: ast.Constant(None))
    inside: tuple[ast.stmt, ...] = ()
    outside: tuple[ast.stmt, ...] = ()
    targets: tuple[tuple[ast.expr, ast.expr], ...] = ()
    loops: tuple[ast.For | ast.While, ...] = ()
    function: ast.FunctionDef | None = None
    owner: str = ""

    def carried(self, before: ast.stmt) -> set[str]:
        """Names that a statement before a loop binds and the loop changes from step to step."""
        deeper = [loop for loop in self.loops if all(node is not before for node in ast.walk(loop))]
        return stored_in(before) & {name for loop in deeper for name in stored_in(loop)}

    def counted(self) -> set[str]:
        """Names to which the loops only add."""
        simple = [
            s for s in (ast.walk(self.loops[0]) if self.loops else ()) if isinstance(s, ast.Assign | ast.AugAssign)
        ]
        adds = [s for s in simple if isinstance(s, ast.AugAssign) and isinstance(s.op, ast.Add)]
        others = {name for s in simple if s not in adds for name in stored_in(s)}
        return {name for s in adds if isinstance(s.value, ast.Constant) for name in stored_in(s)} - others

    def counters(self) -> dict[str, ast.expr]:
        """Names that count, with the `range` or `enumerate` that they are of."""
        found: dict[str, ast.expr] = {}
        for target, through in self.targets:
            calls = {n.func.id for n in ast.walk(through) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            if "enumerate" in calls and isinstance(target, ast.Tuple):
                target = target.elts[0]
            elif not calls & {"range", "trange"}:
                continue
            found |= dict.fromkeys(names_in(target), through)
        return found

    def batch(self, models: set[str]) -> Batch:
        """What a step's batch is called.

        Parameters
        ----------
        models : set of str
            What the model is called.
        """
        first = next((i for i, s in enumerate(self.inside) if _shown(s, models)), len(self.inside))
        call = next((_shown(s, models) for s in self.inside[first : first + 1]), None) or _shown_in(self.value, models)
        counters = set(self.counters())
        of_steps = {name for target, _ in self.targets for name in names_in(target)} - counters
        before = self.inside[:first]
        bound = of_steps.union(*map(stored_in, before))
        x = set() if call is None else names_in(call) - models - counters
        for s in reversed(before):
            if stored_in(s) & x:
                x |= (names_in(s) - stored_in(s)) & bound - counters
        for s in before:
            alone = isinstance(s, ast.Assign) and all(isinstance(t, ast.Name) for t in s.targets)
            if alone and (names_in(s) - stored_in(s)) & x:
                x |= stored_in(s)
        beside = of_steps - x
        for s in before:
            if names_in(s) & (x | beside):
                beside |= stored_in(s) - x - counters
        return Batch(call, frozenset(x), frozenset(beside), before)


def trainings_in(tree: ast.Module) -> list[Training]:
    """Every call of `backward` in a file.

    Examples
    --------
    >>> tree = ast.parse("for x in data:\\n    loss = (model(x) - x).pow(2).sum()\\n    loss.backward()")
    >>> [(one.line, ast.unparse(one.value), len(one.inside)) for one in trainings_in(tree)]
    [(3, 'loss', 1)]
    """
    return list(_trainings(tree.body, Training()))


def _trainings(body: list[ast.stmt], above: Training) -> Iterator[Training]:
    for at, s in enumerate(body):
        here = replace(above, inside=(*above.inside, *_flat(body[:at])))
        if isinstance(s, ast.FunctionDef):
            yield from _trainings(s.body, Training(function=s, owner=above.owner))
        elif isinstance(s, ast.For):
            within = replace(here, outside=(*here.outside, *here.inside), inside=(), loops=(*here.loops, s))
            yield from _trainings(s.body, replace(within, targets=(*here.targets, (s.target, s.iter))))
        elif isinstance(s, ast.While):
            within = replace(here, outside=(*here.outside, *here.inside), inside=(), loops=(*here.loops, s))
            yield from _trainings(s.body, within)
        elif isinstance(s, ast.ClassDef):
            yield from _trainings(s.body, Training(owner=s.name))
        elif isinstance(s, ast.If | ast.With | ast.Try):
            yield from _trainings(s.body, here)
        else:
            values = [value for node in ast.walk(s) if (value := _made_small(node)) is not None]
            yield from (replace(here, line=s.lineno, value=value) for value in values)


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for s in body:
        if isinstance(s, ast.With):
            yield from _flat(s.body)
        else:
            yield s


def _made_small(node: ast.AST) -> ast.expr | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    owner = node.func.value
    if node.func.attr == "manual_backward" or (node.func.attr == "backward" and root_of(owner) in TAKE_IT):
        return node.args[0] if node.args else None
    if node.func.attr != "backward":
        return None
    while isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "scale":
        owner = owner.args[0]
    return owner


def _shown(s: ast.stmt, models: set[str]) -> ast.expr | None:
    return None if isinstance(s, ast.FunctionDef | ast.ClassDef) else _shown_in(s, models)


def _shown_in(part: ast.AST, models: set[str]) -> ast.expr | None:
    """What the model is given first there, or a function beside the model; of calls inside calls the inner one."""
    found = None
    for node in ast.walk(part):
        if not isinstance(node, ast.Call):
            continue
        function, given = node.func, [*node.args, *(k.value for k in node.keywords)]
        if isinstance(function, ast.Attribute) and not is_model(function, models) and function.attr not in QUIET:
            function = function.value
        beside = [one for one in given if not is_model(one, models)]
        if beside and (is_model(function, models) or len(beside) < len(given)):
            found = beside[0]
    return found


def is_model(node: ast.AST, models: set[str]) -> bool:
    """Whether it is the model, ``self.model`` or ``model.module``."""
    if isinstance(node, ast.Attribute):
        of_self = isinstance(node.value, ast.Name) and node.value.id == "self" and "self" not in models
        return (of_self and node.attr in models) or (node.attr == "module" and is_model(node.value, models))
    return isinstance(node, ast.Name) and node.id in models


def root_of(node: ast.AST) -> str:
    """The name that an expression of attributes, items and calls begins with; empty where there is none.

    Examples
    --------
    >>> root_of(ast.parse("args.weights['kl'].item()", mode="eval").body)
    'args'
    """
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def names_in(part: ast.AST) -> set[str]:
    """All names in it."""
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}


CHANGES = ("append", "extend", "insert", "update", "add_", "mul_", "div_")


def stored_in(s: ast.stmt) -> set[str]:
    """Names that a statement binds or changes.

    Examples
    --------
    >>> [sorted(stored_in(s)) for s in ast.parse("a, b = f(c)\\nd['k'] = 1\\ne.append(c)\\nimport g.h as i").body]
    [['a', 'b'], ['d'], ['e'], ['i']]
    """
    if isinstance(s, ast.FunctionDef | ast.ClassDef):
        return {s.name}
    if isinstance(s, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in s.names}
    found = set()
    for node in ast.walk(s):
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.add(root_of(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            found.add(root_of(node.func.value))
    return found - {"", "self"}
