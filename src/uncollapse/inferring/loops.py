"""Where a file trains: what it makes small, and the statements that come before."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from uncollapse.inferring.calls import called_name, root_of
from uncollapse.inferring.scopes import Place, counted_by

__all__ = ["CHANGES", "Batch", "Training", "is_model", "names_in", "read_in", "stored_in", "trainings_in"]

QUIET = ("train", "eval", "zero_grad", "parameters", "to", "cuda", "cpu", "state_dict", "requires_grad_", "apply")
"""Methods of a module that look at no batch."""

TAKE_IT = ("accelerator", "fabric", "self", "engine", "model_engine", "strategy")
"""Objects whose `backward` is given what is made small."""

SIZES = ("shape", "ndim", "device", "dtype", "len", "size", "numel", "dim")
"""What of a batch is no batch itself."""


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
    steps : frozenset of str
        Of what else the loops bind, and do not count.
    made_by : tuple of ast.stmt
        The statements before that call.
    """

    shown: ast.expr | None
    x: frozenset[str]
    beside: frozenset[str]
    steps: frozenset[str]
    made_by: tuple[ast.stmt, ...]


@dataclass(frozen=True, eq=False)
class Training:
    """One call of `backward`.

    Attributes
    ----------
    statement : ast.stmt
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

    statement: ast.stmt = field(default_factory=ast.Pass)
    value: ast.expr = field(default_factory=lambda: ast.Constant(None))
    inside: tuple[ast.stmt, ...] = ()
    outside: tuple[ast.stmt, ...] = ()
    targets: tuple[tuple[ast.expr, ast.expr], ...] = ()
    loops: tuple[ast.For | ast.While, ...] = ()
    function: ast.FunctionDef | None = None
    owner: str = ""

    @property
    def line(self) -> int:
        """Of the file."""
        return self.statement.lineno

    @property
    def place(self) -> Place:
        """Where it stands, for `Scopes`."""
        return Place(self.function, self.owner)

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

    def counters(self) -> dict[str, ast.Call]:
        """Names that count, with the `range` or `enumerate` that they are of."""
        return {name: of for target, through in self.targets for name, of in counted_by(target, through).items()}

    def batch(self, models: set[str], apart: set[str]) -> Batch:
        """What a step's batch is called.

        Parameters
        ----------
        models : set of str
            What the model is called.
        apart : set of str
            Names that are no data, such as those of modules and functions.
        """
        first = next((i for i, s in enumerate(self.inside) if _shown(s, models)), len(self.inside))
        call = next((_shown(s, models) for s in self.inside[first : first + 1]), None) or _shown_in(self.value, models)
        others = {*models, *apart, *self.counters()}
        of_loops = [names_in(target) - others for target, _ in self.targets]
        before = [s for s in self.inside[:first] if not _is_size(s)]
        bound = set().union(*of_loops, *map(stored_in, before))
        x = set() if call is None else names_in(call) - others
        for s in reversed(before):
            if stored_in(s) & x:
                x |= (names_in(s) - stored_in(s)) & bound - others
        of_x = set().union(*(names for names in of_loops if names & x))
        for s in before:
            alone = isinstance(s, ast.Assign) and all(isinstance(t, ast.Name) for t in s.targets)
            if alone and (names_in(s) - stored_in(s)) & x:
                x |= stored_in(s)
        beside = of_x - x
        for s in before:
            if names_in(s) & (x | beside):
                beside |= stored_in(s) - x - others
        steps = set().union(*of_loops) - x - beside
        return Batch(call, frozenset(x), frozenset(beside), frozenset(steps), tuple(before))


def trainings_in(tree: ast.Module) -> list[Training]:
    """Every call of `backward` in a file.

    Examples
    --------
    >>> tree = ast.parse("for x in data:\\n    loss = (model(x) - x).pow(2).sum()\\n    loss.backward()")
    >>> [(one.line, ast.unparse(one.value), len(one.inside)) for one in trainings_in(tree)]
    [(3, 'loss', 1)]
    """
    found = list(_trainings(tree.body, Training()))
    added = {id(s) for one in found for s in _earlier(one)}
    return [_with_earlier(one) for one in found if id(one.statement) not in added]


def _trainings(body: list[ast.stmt], above: Training) -> Iterator[Training]:
    for at, s in enumerate(body):
        here = replace(above, inside=(*above.inside, *_flat(body[:at])))
        if isinstance(s, ast.FunctionDef):
            yield from _trainings(s.body, Training(function=s, owner=above.owner))
        elif isinstance(s, ast.For | ast.While):
            targets = ((s.target, s.iter),) if isinstance(s, ast.For) else ()
            within = replace(here, outside=(*here.outside, *here.inside), inside=(), loops=(*here.loops, s))
            yield from _trainings(s.body, replace(within, targets=(*here.targets, *targets)))
        elif isinstance(s, ast.ClassDef):
            yield from _trainings(s.body, Training(owner=s.name))
        elif isinstance(s, ast.If | ast.With | ast.Try):
            yield from _trainings(s.body, here)
            yield from _trainings([] if isinstance(s, ast.With) else s.orelse, here)
        else:
            yield from (replace(here, statement=s, value=value) for value in _made_small_in(s))


def _earlier(one: Training) -> list[ast.stmt]:
    """Calls of `backward` before it, to whose gradients its own are added."""
    found: list[ast.stmt] = []
    for s in one.inside:
        if any(isinstance(n, ast.Call) and called_name(n) in ("step", "zero_grad") for n in ast.walk(s)):
            found = []
        elif isinstance(s, ast.Expr) and _made_small_in(s):
            found.append(s)
    return found


def _with_earlier(one: Training) -> Training:
    """What several calls of `backward` make small together: each value as it is where its call stands."""
    earlier = {id(s): f"_small_{i}" for i, s in enumerate(_earlier(one))}
    if not earlier:
        return one
    inside = [ast.parse(f"{earlier[id(s)]} = {ast.unparse(_made_small_in(s)[0])}").body[0] if id(s) in earlier else s
              for s in one.inside]  # fmt: skip
    value = ast.parse(" + ".join([*earlier.values(), f"({ast.unparse(one.value)})"]), mode="eval").body
    return replace(one, inside=tuple(inside), value=value)


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for s in body:
        if isinstance(s, ast.With):
            yield from _flat(s.body)
        else:
            yield s


def _made_small_in(s: ast.stmt) -> list[ast.expr]:
    return [value for node in ast.walk(s) if (value := _made_small(node)) is not None]


def _made_small(node: ast.AST) -> ast.expr | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    owner = node.func.value
    if node.func.attr not in ("backward", "manual_backward"):
        return None
    if node.args and (node.func.attr == "manual_backward" or root_of(owner) in TAKE_IT):
        return node.args[0]
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


def _is_size(s: ast.stmt) -> bool:
    """Whether it only asks how large a batch is, or of which type."""
    value = s.value if isinstance(s, ast.Assign) else None
    while isinstance(value, ast.Subscript):
        value = value.value
    name = called_name(value) if isinstance(value, ast.Call) else value.attr if isinstance(value, ast.Attribute) else ""
    return name in SIZES


def is_model(node: ast.AST, models: set[str]) -> bool:
    """Whether it is the model, ``self.model`` or ``model.module``."""
    if isinstance(node, ast.Attribute):
        of_self = isinstance(node.value, ast.Name) and node.value.id == "self" and "self" not in models
        return (of_self and node.attr in models) or (node.attr == "module" and is_model(node.value, models))
    return isinstance(node, ast.Name) and node.id in models


def names_in(part: ast.AST) -> set[str]:
    """All names in it."""
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}


def read_in(part: ast.AST) -> set[str]:
    """All names whose values it takes."""
    return {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


CHANGES = ("append", "extend", "insert", "update", "add_", "mul_", "div_")
"""Methods that change what they are of."""


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
