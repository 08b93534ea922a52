"""The house keeps its order: what the layers contract does not say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import uncollapse

SOURCE = Path(uncollapse.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 400


def imports(path: Path) -> list[tuple[str, str]]:
    """Module and name of each import from ours."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return [(node.module, alias.name) for node in found for alias in node.names if node.module.startswith("uncollapse")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_private_name_is_imported_from_another_module(path):
    assert [
        f"{module}.{name}" for module, name in imports(path) if name.startswith("_") and not name.startswith("__")
    ] == []


def test_theory_imports_nothing_of_ours_but_errors():
    for path in (SOURCE / "theory").glob("*.py"):
        for module, name in imports(path):
            assert module == "uncollapse.errors" or module.startswith("uncollapse.theory"), (
                f"{path.name}: {module}.{name}"
            )


def test_no_module_has_the_name_of_a_public_function():
    functions = {name for name in uncollapse.__all__ if name.islower()}
    assert [str(path) for path in FILES if path.stem in functions] == []


def test_files_are_rooms_and_not_halls():
    assert {path.name: n for path in FILES if (n := len(path.read_text("utf-8").splitlines())) > MOST_LINES} == {}
    assert {path for path in SOURCE.rglob("*") if path.is_dir() and len(path.relative_to(SOURCE).parts) > 2} == set()
    assert not list(SOURCE.rglob("*utils*"))


def test_every_public_name_says_what_it_is():
    missing = [name for name in uncollapse.__all__ if not (getattr(uncollapse, name).__doc__ or "").strip()]
    assert missing == []
