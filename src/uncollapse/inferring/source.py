"""A file of Python → the classes and losses in it, with only what they need run: many files train when imported."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from uncollapse.errors import SourceError, kind_and_line
from uncollapse.inferring.guarded import NetworkRefused, guarded

__all__ = ["Source", "load_source"]

Statement = ast.stmt

HINT = "put what trains under `if __name__ == '__main__':`"


@dataclass(frozen=True, eq=False)
class Source:
    """A file that was read, and run as far as its classes and losses need it.

    Attributes
    ----------
    path : Path
    module : module
    tree : ast.Module
    left_out : tuple of str
        Statements that act (loops, calls), which were not run: their first lines.
    failed : dict of str → str
        Names that could not be made, and why.
    """

    path: Path
    module: ModuleType
    tree: ast.Module
    left_out: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def classes(self) -> list[type]:
        """The classes that the file itself defines, the last first: a model stands below its parts."""
        names = [s.name for s in self.tree.body if isinstance(s, ast.ClassDef)]
        return [found for name in reversed(names) if isinstance(found := vars(self.module).get(name), type)]

    def why_not(self, name: str) -> str:
        """Why a name is not there."""
        return dict(self.failed).get(name, "")


def load_source(path: Path, wanted: str | None = None) -> Source:
    """Run what the classes of a file, its losses and a name that is wanted need, and nothing else of it.

    Parameters
    ----------
    path : Path
    wanted : str, optional
        A class or a function at the top of the file.

    Raises
    ------
    SourceError
        No such file, no Python, or what is wanted cannot be made.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {kind_and_line(error)}") from error
    try:
        tree = ast.parse(text, str(path))
    except (SyntaxError, ValueError) as error:
        raise SourceError(f"{path}: is no Python that can be read: {kind_and_line(error)}") from error
    needed = _needed(tree, wanted)
    module, root = _empty(path)
    acting = tuple(_line(text, s) for s in tree.body if not ([*_binds(s)] or _settles(s) or _is_plain(s)))
    sys.path.insert(0, str(root))
    failed: list[tuple[str, str]] = []
    try:
        with guarded(str(path), hint=HINT):
            for statement in tree.body:
                names = set(_binds(statement))
                if not (names & needed or "*" in names or _settles(statement)):
                    continue
                _run(statement, module, path, names, failed)
    finally:
        sys.path.remove(str(root))
    if wanted is not None and (why := dict(failed).get(wanted)):
        raise SourceError(f"{path}: {wanted} cannot be made: {why}")
    return Source(path, module, tree, acting, tuple(failed))


def _run(statement: Statement, module: ModuleType, path: Path, names: set[str], failed: list[tuple[str, str]]) -> None:
    code = compile(ast.Module([statement], []), str(path), "exec")
    try:
        exec(code, vars(module))
    except NetworkRefused:
        raise
    except (Exception, SystemExit) as error:  # a user's file raises anything; only what is asked for must be there
        why = kind_and_line(error)
        missing = getattr(error, "name", None) if isinstance(error, NameError) else None
        why = dict(failed).get(str(missing), why)
        failed.extend((name, why) for name in names)


def _empty(path: Path) -> tuple[ModuleType, Path]:
    """A module without content for the file, and the folder from which it imports; packages are climbed."""
    folder, parts = path.resolve().parent, [path.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    module = ModuleType(name if name not in sys.modules else f"{name} as read")
    module.__file__ = str(path)
    module.__package__ = ".".join(parts[:-1])
    sys.modules[module.__name__] = module  # dataclasses, pickles and inspect look there
    return module, folder


def _binds(statement: Statement) -> Iterator[str]:
    """Names that a statement at the top defines; none of one that acts."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or (alias.name.partition(".")[0] if isinstance(statement, ast.Import) else alias.name)
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.If | ast.Try) and not _is_main(statement):
        inner = [s for s in ast.iter_child_nodes(statement) if isinstance(s, ast.stmt | ast.ExceptHandler)]
        body = [part for s in inner for part in (s.body if isinstance(s, ast.ExceptHandler) else [s])]
        if all([*_binds(s)] or _is_plain(s) for s in body):
            yield from (name for s in body for name in _binds(s))


def _is_plain(statement: Statement) -> bool:
    """Whether it does nothing by itself: a docstring, `pass`, a raise, what stands under `__main__`."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return text or isinstance(statement, ast.Pass | ast.Raise) or _is_main(statement)


def _is_main(statement: Statement) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _settles(statement: Statement) -> bool:
    """Whether it is a call that settles something for what follows: an option of a parser, a path, a default type."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    function = statement.value.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    return name == "add_argument" or name.startswith("set_default") or "sys.path" in ast.unparse(function)


def _needed(tree: ast.Module, wanted: str | None) -> set[str]:
    """Names at the top that classes, losses and what is wanted use, directly or through others."""
    by_name: dict[str, list[Statement]] = {}
    for statement in tree.body:
        for name in _binds(statement):
            by_name.setdefault(name, []).append(statement)
    roots = [s.name for s in tree.body if isinstance(s, ast.ClassDef)]
    roots += [s.name for s in tree.body if isinstance(s, ast.FunctionDef) and is_loss_name(s.name)]
    todo, needed = [*roots, *([wanted] if wanted else [])], set[str]()
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        for statement in by_name.get(name, ()):
            todo += [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id in by_name]
    parsers = {s.value.func.value.id for s in tree.body if _settles(s) and isinstance(s, ast.Expr)
               and isinstance(s.value, ast.Call) and isinstance(s.value.func, ast.Attribute)
               and isinstance(s.value.func.value, ast.Name)}  # fmt: skip
    for name in parsers & set(by_name):
        needed |= {name, *(n.id for s in by_name[name] for n in ast.walk(s) if isinstance(n, ast.Name))}
    return needed


def is_loss_name(name: str) -> bool:
    """Whether a function of this name is likely to be a VAE's loss."""
    plain = name.lower()
    return any(part in plain for part in ("loss", "elbo", "criterion", "objective"))


def _line(text: str, statement: Statement) -> str:
    return text.splitlines()[statement.lineno - 1].strip()


def source_of(function: Any) -> ast.AST | None:
    """The syntax of a function or a class; None where its source is not to be had."""
    try:
        lines = inspect.getsource(function)
        return ast.parse(inspect.cleandoc("if 1:\n" + lines) if lines[:1].isspace() else lines)
    except (OSError, TypeError, SyntaxError):
        return None
