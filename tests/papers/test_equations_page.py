"""docs/equations.md is complete, and what it and docs/errata.md name exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "equations.md").read_text()


def numbers(first_cells: list[str]) -> set[int]:
    """Equation numbers in cells such as "31–34" and "39, 40, 42"; other cells name theorems and tables."""
    found: set[int] = set()
    for cell in first_cells:
        if re.fullmatch(r"[\d–, ]+", cell):
            for part in cell.split(","):
                ends = [int(end) for end in part.strip().split("–")]
                found.update(range(ends[0], ends[-1] + 1))
    return found


@pytest.mark.parametrize(("paper", "last"), [("[WZ]", 118), ("[LTGN]", 10)])
def test_every_numbered_equation_has_a_row(paper, last):
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    rows = [line for part in parts if part.startswith(paper) for line in part.splitlines() if line.startswith("| ")]
    assert numbers([row.split("|")[1].strip() for row in rows]) == set(range(1, last + 1))


@pytest.mark.parametrize("page", ["equations.md", "errata.md"])
def test_every_test_named_exists(page):
    text = (ROOT / "docs" / page).read_text()
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", text)
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / "papers" / file).read_text()
    ]
    assert not missing


def test_every_function_named_exists():
    named = re.findall(r"`((?:\w+/)?\w+)\.py::([\w.]+)`", PAGE)
    for path, name in named:
        if path.startswith("test_"):
            continue
        found = importlib.import_module("uncollapse." + path.replace("/", "."))
        for part in name.split("."):
            found = getattr(found, part)
