"""What a name or an attribute stands for at a place of a file, where that is one plain value, or a count."""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from uncollapse.inferring.calls import UNKNOWN, called_name, modules_of, root_of, said_once, value_of

__all__ = ["COUNT", "Place", "Scopes", "arguments_of", "counted_by"]

COUNT = object()
"""The last of a count that goes as far as the file does not say."""

ANY_ORDER = ("reversed", "sample", "permutation", "shuffle")

OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip

SETS = ast.Assign | ast.AnnAssign | ast.AugAssign


@dataclass(frozen=True, eq=False)
class Place:
    """Where something stands.

    Attributes
    ----------
    function : ast.FunctionDef, optional
        None at the top of the file.
    owner : str
        The class of that, where it is a method.
    loops : tuple of ast.For
        Around it, the outer first.
    """

    function: ast.FunctionDef | None = None
    owner: str = ""
    loops: tuple[ast.For, ...] = ()


class Scopes:
    """The functions of a file, and what they are called with.

    Parameters
    ----------
    tree : ast.Module

    Examples
    --------
    >>> tree = ast.parse("def train(weight):\\n    weight\\nfor epoch in range(5):\\n    train(epoch / 8)")
    >>> Scopes(tree).value(ast.Name("weight"), Place(tree.body[0]))
    0.5
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree, self.once = tree, said_once(tree, of_modules=False)
        self.modules = modules_of(tree)
        self.places = [Place(), *_places(tree, "")]
        self.calls = [one for place in self.places for one in _calls_of(place, self._scope(place))]
        self.parts_set = {ast.unparse(t) for s in ast.walk(tree) if isinstance(s, SETS) for t in _targets(s)}
        self.written = set(self._written())
        self.asked: list[str] = []

    def value(self, node: ast.expr, place: Place) -> Any:
        """Its plain value, or `UNKNOWN`; of a count the last number, or `COUNT`."""
        text = ast.unparse(node)
        if self.asked.count(text) > 3:  # a function that calls itself
            return UNKNOWN
        self.asked.append(text)
        try:
            return self._value(node, place)
        finally:
            self.asked.pop()

    def _value(self, node: ast.expr, place: Place) -> Any:
        if isinstance(node, ast.Name):
            return self._of_name(node.id, place)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            left, right = self.value(node.left, place), self.value(node.right, place)
            known = all(isinstance(side, int | float) for side in (left, right)) and right != 0
            return OPERATIONS[type(node.op)](left, right) if known else UNKNOWN
        if self._settings_of(node, place):
            made = self.made(node, place)
            return UNKNOWN if made is None else self.value(*made)
        return UNKNOWN if root_of(node) in self.modules else value_of(node, self.once)

    def made(self, node: ast.expr, place: Place) -> tuple[ast.expr, Place] | None:
        """What `__init__` sets an attribute of ``self`` to, where nothing else in the class sets it."""
        sites = self._settings_of(node, place)
        if len(sites) != 1:
            return None
        s, where = sites[0]
        is_init = where.function is not None and where.function.name == "__init__"
        return (s.value, where) if is_init and isinstance(s, ast.Assign) else None

    def changes(self, node: ast.expr, place: Place) -> bool:
        """Whether it is an attribute of ``self`` that not only `__init__` sets, or a part of a name set elsewhere."""
        if root_of(node) in self.written:
            return True
        if sites := self._settings_of(node, place):
            return any(getattr(where.function, "name", "") != "__init__" for _, where in sites)
        if not (isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name)):
            return False
        if node.value.id == "self" or _stores(self._scope(place))[node.value.id]:
            return False
        return ast.unparse(node) in self.parts_set

    def _written(self) -> Iterator[str]:
        """Names of which a function changes a part by a call, and those of which anything does so by `setattr`."""
        for call, place in self.calls:
            if called_name(call) == "setattr" and call.args:
                yield root_of(call.args[0])
            elif called_name(call) == "update" and place.function is not None:
                root = root_of(call.func)
                yield from () if root in {*self.hidden(place), "self"} else (root,)

    def hidden(self, place: Place) -> set[str]:
        """Names that a function and those around it bind, so that they are not those at the top of the file."""
        if place.function is None:
            return set()
        outer = self._around(place)
        beyond = set() if outer is None else self.hidden(outer)
        return {*arguments_of(place.function), *_stores(place.function), *beyond}

    def _around(self, place: Place) -> Place | None:
        """The innermost function around a function."""
        found = [one for one in self.places if one.function is not None and one.function is not place.function
                 and any(node is place.function for node in ast.walk(one.function))]  # fmt: skip
        return found[-1] if found else None

    def shifting(self, place: Place) -> set[str]:
        """Names at the top of the file that may stand for another thing each time that a function runs."""
        told = {name for node in ast.walk(self.tree) if isinstance(node, ast.Global) for name in node.names}
        if place.function is None:
            return told
        loops = [node for node in _own_nodes(self.tree) if isinstance(node, ast.For | ast.While)]
        times = sum((_stores(self.tree), *(_stored(ast.walk(loop)) for loop in loops)), Counter[str]())
        return told | {name for name, n in times.items() if n > 1}

    def _of_name(self, name: str, place: Place) -> Any:
        for loop in reversed(place.loops):
            if name in _stored(ast.walk(loop.target)):
                through = counted_by(loop.target, loop.iter).get(name)
                return UNKNOWN if through is None else self.last(through, place)
        stored = _stores(self._scope(place))[name]
        if place.function is not None and name in arguments_of(place.function):
            return UNKNOWN if stored else self._given(name, place)
        if stored:
            return self._set_to(name, place) if stored == 1 else UNKNOWN
        if (outer := self._around(place)) is not None and name in self.hidden(outer):
            return self._of_name(name, outer)
        if place.function is not None and _stores(self.tree)[name]:
            return UNKNOWN if name in self.shifting(place) else self._of_name(name, Place())
        return self.once.get(name, UNKNOWN)

    def _set_to(self, name: str, place: Place) -> Any:
        for s in _own_nodes(self._scope(place)):
            if isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in s.targets):
                return self.value(s.value, place)
        return self.once.get(name, UNKNOWN)

    def _given(self, name: str, place: Place) -> Any:
        """An argument of a function, where all calls of it give the same; where nothing calls it, the default."""
        assert place.function is not None  # it has arguments
        default = arguments_of(place.function)[name]
        given = [(each.get(name, default), where) for call, where in self.calls
                 if (each := _bound(call, place.function, place.owner)) is not None]  # fmt: skip
        values = [UNKNOWN if part is None else self.value(part, where) for part, where in given or [(default, Place())]]
        return values[0] if all(one is values[0] or one == values[0] for one in values) else UNKNOWN

    def last(self, through: ast.Call, place: Place) -> Any:
        """The last number of a `range`, else `COUNT`."""
        ends = [self.value(part, place) for part in through.args] if called_name(through) != "enumerate" else []
        if 1 <= len(ends) <= 2 and all(isinstance(end, int) for end in ends):
            return ends[-1] - 1
        return COUNT

    def _scope(self, place: Place) -> ast.Module | ast.FunctionDef:
        return place.function or self.tree

    def _settings_of(self, node: ast.expr, place: Place) -> list[tuple[Any, Place]]:
        """The statements of the class that set an attribute of ``self``, and their methods."""
        if not (place.owner and isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"):
            return []
        text = ast.unparse(node)
        methods = [one for one in self.places if one.owner == place.owner]
        return [(s, one) for one in methods for s in _own_nodes(self._scope(one)) if isinstance(s, SETS)
                and text in map(ast.unparse, _targets(s))]  # fmt: skip


def counted_by(target: ast.expr, through: ast.expr) -> dict[str, ast.Call]:
    """The name that counts in a loop, with the `range` or `enumerate` that it is of.

    Examples
    --------
    >>> loop = ast.parse("for i, x in enumerate(tqdm(data)): pass").body[0]
    >>> list(counted_by(loop.target, loop.iter))
    ['i']
    """
    while isinstance(through, ast.Call) and called_name(through) not in ("range", "trange", "enumerate"):
        if called_name(through) in ANY_ORDER or not through.args:
            return {}
        if called_name(through) == "zip" and isinstance(target, ast.Tuple):
            target = target.elts[0]
        through = through.args[0]
    if not isinstance(through, ast.Call):
        return {}
    if called_name(through) == "enumerate" and isinstance(target, ast.Tuple):
        target = target.elts[0]
    return {target.id: through} if isinstance(target, ast.Name) else {}


def _own_nodes(scope: ast.Module | ast.FunctionDef) -> Iterator[ast.AST]:
    """All nodes of a scope but those of functions and classes in it."""
    todo: list[ast.AST] = list(scope.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)


def _stored(nodes: Iterator[ast.AST]) -> Counter[str]:
    return Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _stores(scope: ast.Module | ast.FunctionDef) -> Counter[str]:
    """How often a scope binds each name."""
    return _stored(_own_nodes(scope))


def _targets(s: Any) -> list[ast.expr]:
    return s.targets if isinstance(s, ast.Assign) else [s.target]


def _places(part: ast.AST, owner: str) -> Iterator[Place]:
    for node in ast.iter_child_nodes(part):
        if isinstance(node, ast.FunctionDef):
            yield Place(node, owner)
        yield from _places(node, node.name if isinstance(node, ast.ClassDef) else
                           "" if isinstance(node, ast.FunctionDef) else owner)  # fmt: skip


def _calls_of(place: Place, scope: ast.Module | ast.FunctionDef) -> Iterator[tuple[ast.Call, Place]]:
    """Calls in a scope, each with the loops around it."""
    nodes = list(_own_nodes(scope))
    loops = sorted((node for node in nodes if isinstance(node, ast.For)), key=lambda loop: loop.lineno)
    inside = [(loop, set(map(id, ast.walk(loop)))) for loop in loops]
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node, replace(place, loops=tuple(loop for loop, ids in inside if id(node) in ids))


def arguments_of(function: ast.FunctionDef) -> dict[str, ast.expr | None]:
    """Those by place first; each with its default."""
    a = function.args
    by_place = [one.arg for one in (*a.posonlyargs, *a.args)]
    lacking = [None] * (len(by_place) - len(a.defaults))
    named = zip([one.arg for one in a.kwonlyargs], a.kw_defaults, strict=True)
    return {**dict(zip(by_place, [*lacking, *a.defaults], strict=True)), **dict(named)}


def _bound(call: ast.Call, function: ast.FunctionDef, owner: str) -> dict[str, ast.expr | None] | None:
    """What a call gives each argument, None what is not seen; None where it is not a call of that function."""
    is_init = bool(owner) and function.name == "__init__"
    if called_name(call) != (owner if is_init else function.name):
        return None
    if not is_init and bool(owner) != isinstance(call.func, ast.Attribute):
        return None
    arguments = arguments_of(function)
    names = list(arguments)[1 if owner else 0 :]
    hidden = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
    if hidden:
        return dict.fromkeys(names)
    given: dict[str, ast.expr | None] = dict(zip(names, call.args, strict=False))
    given |= {k.arg: k.value for k in call.keywords if k.arg is not None}
    fits = len(call.args) <= len(names) and all(name in given or arguments[name] is not None for name in names)
    return given if fits and given.keys() <= set(names) else None
