"""Where a file builds its model: the arguments that stand there, as far as they are plain values."""

from __future__ import annotations

import ast
from typing import Any

__all__ = ["UNKNOWN", "called_name", "calls_of", "constants_in", "settings_in", "value_of"]

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
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            found |= _assigned(node.targets[0], _literal(node.value))
        elif isinstance(node, ast.ClassDef):
            found |= {f".{name}": value for s in node.body for name, value in _field(s).items()}
        elif isinstance(node, ast.Call) and called_name(node) == "add_argument" and node.args:
            flag = _literal(node.args[-1])
            default = _default(node)
            if isinstance(flag, str) and default is not UNKNOWN:
                found[f".{flag.lstrip('-').replace('-', '_')}"] = default
    return found


def _default(option: ast.Call) -> Any:
    """Of an option of a parser; one that only switches is off or on."""
    told = {k.arg: _literal(k.value) for k in option.keywords}
    switch = {"store_true": False, "store_false": True}.get(told.get("action", ""), UNKNOWN)
    return told.get("default", switch)


def _assigned(target: ast.expr, value: Any) -> dict[str, Any]:
    if isinstance(target, ast.Name) and value is not UNKNOWN:
        return {target.id: value}
    if isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
        return {name: v for t, one in zip(target.elts, value, strict=True) for name, v in _assigned(t, one).items()}
    return {}


def _field(statement: ast.stmt) -> dict[str, Any]:
    """A name of a class with its plain value: a dataclass's default, a configuration's setting."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return _assigned(statement.target, _literal(statement.value))
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return _assigned(statement.targets[0], _literal(statement.value))
    return {}


def settings_in(tree: ast.Module) -> dict[str, dict[str, Any]]:
    """Dictionaries of plain values in a file, by their names: what may be a configuration.

    Examples
    --------
    >>> settings_in(ast.parse("CONFIG = {'latent_dim': 8}"))
    {'CONFIG': {'latent_dim': 8}}
    """
    return {name: value for name, value in constants_in(tree).items() if isinstance(value, dict) and value}


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
