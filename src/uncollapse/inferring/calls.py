"""Where a file builds its model: the arguments that stand there, as far as they are plain values."""

from __future__ import annotations

import ast
from typing import Any

__all__ = ["UNKNOWN", "calls_of", "settings_in"]

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
    values = _constants(tree)
    result = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _called(node) != name:
            continue
        given = [_value(part, values) for part in node.args if not isinstance(part, ast.Starred)]
        named = {k.arg: _value(k.value, values) for k in node.keywords if k.arg is not None}
        if given or named:
            result.append((given, named))
    return result


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Plain values by name: assigned anywhere in the file, fields of its classes, and a parser's defaults."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            found |= _assigned(node.targets[0], _literal(node.value))
        elif isinstance(node, ast.ClassDef):
            found |= {f".{name}": value for s in node.body for name, value in _field(s).items()}
        elif isinstance(node, ast.Call) and _called(node) == "add_argument" and node.args:
            flag = _literal(node.args[-1])
            default = next((_literal(k.value) for k in node.keywords if k.arg == "default"), UNKNOWN)
            if isinstance(flag, str) and default is not UNKNOWN:
                found[f".{flag.lstrip('-').replace('-', '_')}"] = default
    return found


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
    return {name: value for name, value in _constants(tree).items() if isinstance(value, dict) and value}


def _value(node: ast.expr, values: dict[str, Any]) -> Any:
    if (value := _literal(node)) is not UNKNOWN:
        return value
    if isinstance(node, ast.Name):
        return values.get(node.id, UNKNOWN)
    if isinstance(node, ast.Attribute):
        return values.get(f".{node.attr}", UNKNOWN)
    if isinstance(node, ast.Subscript):
        held, key = _value(node.value, values), _literal(node.slice)
        return held.get(key, UNKNOWN) if isinstance(held, dict) else UNKNOWN
    return UNKNOWN


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return UNKNOWN
