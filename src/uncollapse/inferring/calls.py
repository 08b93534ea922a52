"""Where a file builds its model: the arguments that stand there, as far as they are plain values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

__all__ = [
    "UNKNOWN",
    "called_name",
    "calls_of",
    "constants_in",
    "modules_of",
    "root_of",
    "said_once",
    "settings_in",
    "value_of",
]

UNKNOWN = object()
"""An argument that is no plain value."""


def calls_of(tree: ast.Module, name: str) -> list[tuple[list[Any], dict[str, Any]]]:
    """Arguments of every call of a class in a file, by place and by name.

    Constants are looked up by their names, and ``args.latent_dim`` by the default that the file's parser gives it.

    Parameters
    ----------
    tree : ast.Module
    name : str
        Of the class.

    Examples
    --------
    >>> tree = ast.parse("Z = 8\\nmodel = VAE(784, latent_dim=Z).to(device)")
    >>> calls_of(tree, "VAE")
    [([784], {'latent_dim': 8})]
    """
    values = constants_in(tree)
    result = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called_name(node) != name:
            continue
        given = [value_of(part, values) for part in node.args if not isinstance(part, ast.Starred)]
        named = {k.arg: value_of(k.value, values) for k in node.keywords if k.arg is not None}
        if given or named:
            result.append((given, named))
    return result


def called_name(node: ast.Call) -> str:
    """The last part of what is called: ``relu`` of ``F.relu(x)``."""
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def constants_in(tree: ast.Module) -> dict[str, Any]:
    """Plain values by name: assigned anywhere in the file, fields of its classes, and a parser's defaults."""
    return {name: value for name, value in _named(tree) if value is not UNKNOWN}


def said_once(tree: ast.Module, *, of_modules: bool = True) -> dict[str, Any]:
    """As `constants_in`, without names that stand for several values, or for one that is not plain.

    Parameters
    ----------
    tree : ast.Module
    of_modules : bool
        Whether fields of classes with a `forward` count: they are no settings of a training.

    Examples
    --------
    >>> said_once(ast.parse("a = 1\\nb = 1\\nb = 2\\nc = 3\\nc = f()"))
    {'a': 1}
    """
    found: dict[str, Any] = {}
    networks = [] if of_modules else [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
                and any(isinstance(s, ast.FunctionDef) and s.name == "forward" for s in node.body)]  # fmt: skip
    fields = {f".{name}" for node in networks for s in node.body for name, _ in _field(s)}
    for name, value in _named(tree):
        found[name] = value if found.get(name, value) == value else UNKNOWN
    return {name: value for name, value in found.items() if value is not UNKNOWN and name not in fields}


def _named(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from _assigned(node.targets[0], _literal(node.value))
        elif isinstance(node, ast.ClassDef):
            yield from ((f".{name}", value) for s in node.body for name, value in _field(s))
        elif isinstance(node, ast.Call) and called_name(node) == "add_argument" and node.args:
            flag = _literal(node.args[-1])
            if isinstance(flag, str):
                yield f".{flag.lstrip('-').replace('-', '_')}", _default(node)


def _default(option: ast.Call) -> Any:
    """Of an option of a parser; one that only switches is off or on."""
    told = {k.arg: _literal(k.value) for k in option.keywords}
    switch = {"store_true": False, "store_false": True}.get(told.get("action", ""), UNKNOWN)
    return told.get("default", switch)


def _assigned(target: ast.expr, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple):
        same = isinstance(value, tuple) and len(value) == len(target.elts)
        for t, one in zip(target.elts, value if same else [UNKNOWN] * len(target.elts), strict=True):
            yield from _assigned(t, one)


def _field(statement: ast.stmt) -> Iterator[tuple[str, Any]]:
    """A name of a class with its value: a dataclass's default, a configuration's setting."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield from _assigned(statement.target, _literal(statement.value))
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        yield from _assigned(statement.targets[0], _literal(statement.value))


def settings_in(tree: ast.Module) -> dict[str, dict[str, Any]]:
    """Dictionaries of plain values in a file, by their names: what may be a configuration.

    Examples
    --------
    >>> settings_in(ast.parse("CONFIG = {'latent_dim': 8}"))
    {'CONFIG': {'latent_dim': 8}}
    """
    return {name: value for name, value in constants_in(tree).items() if isinstance(value, dict) and value}


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


def modules_of(tree: ast.Module) -> dict[str, str]:
    """The package that each name comes from that the file imports."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(a.asname or a.name).partition(".")[0]: a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: (node.module or "").partition(".")[0] for a in node.names}
    return found


def value_of(node: ast.expr, values: dict[str, Any]) -> Any:
    """The plain value that an expression has, or `UNKNOWN`.

    Parameters
    ----------
    node : ast.expr
    values : dict
        As `constants_in` gives them.
    """
    if (value := _literal(node)) is not UNKNOWN:
        return value
    if isinstance(node, ast.Name):
        return values.get(node.id, UNKNOWN)
    if isinstance(node, ast.Attribute):
        return values.get(f".{node.attr}", UNKNOWN)
    if isinstance(node, ast.Subscript):
        held, key = value_of(node.value, values), _literal(node.slice)
        return held.get(key, UNKNOWN) if isinstance(held, dict) else UNKNOWN
    return UNKNOWN


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return UNKNOWN
