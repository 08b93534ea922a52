"""Tables of text with named columns: CSV."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from uncollapse import checks
from uncollapse.data.blocks import Rows, rows_per_block
from uncollapse.errors import SourceError, warn

__all__ = ["listed", "read_csv"]

NAMES_SHOWN, NAME_SHOWN = 8, 40
"""Columns that a message names, and characters of each name."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What an empty cell may say; read as NaN, so that rows with gaps are reported or left out like any other."""


def read_csv(path: Path) -> Rows:
    """A comma-, semicolon- or tab-separated table of numbers, with or without a header line."""
    path = checks.as_path(path, "the CSV file", error=SourceError)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as CSV text: {error}") from None
    if not first.strip():
        raise SourceError(f"{path}: empty")
    separator = max(",;\t", key=first.count)
    if separator == ",":
        _refuse_decimal_commas(path, first)
    try:
        cells = next(csv.reader([first], delimiter=separator))
    except csv.Error as error:
        raise SourceError(f"{path}: cannot be read as CSV text: {error}") from error
    counted = len(cells) > 2 and cells == [str(index) for index in range(len(cells))]
    if counted:
        _warn_counted(path)
    has_header = counted or not all(map(_is_number, cells))
    names = cells if has_header else [f"number {index}" for index in range(len(cells))]
    step = rows_per_block(len(cells))

    def blocks() -> Iterator[np.ndarray]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = itertools.islice(file, int(has_header), None)
            n_seen = 0
            while group := [line for line in itertools.islice(lines, step) if line.strip()]:
                yield _parsed(path, group, separator, names, n_seen)
                n_seen += len(group)

    return Rows(str(path), len(cells), None, blocks)


def _refuse_decimal_commas(path: Path, first: str) -> None:
    """Refuse a first line in which another separator leaves numbers with commas."""
    for separator in ";\t":
        cells = [cell.strip() for cell in first.split(separator)]
        if len(cells) > 1 and all(cell and (_is_number(cell) or _has_comma(cell)) for cell in cells):
            found = next(filter(_has_comma, cells))
            raise SourceError(f"{path}: decimal commas, first {found[:30]!r}; write decimal points")


def _warn_counted(path: Path) -> None:
    warn(f"{path}: the first line only counts the columns, so it is taken for a header; if it is data, add a header")


def _parsed(path: Path, lines: list[str], separator: str, names: list[str], n_seen: int) -> np.ndarray:
    try:
        table = np.loadtxt(lines, delimiter=separator, ndmin=2, comments=None)
        if table.shape[1] == len(names):
            return table
    except ValueError:
        pass  # gaps, quotes or text: the slow way says which
    table = np.empty((len(lines), len(names)))
    for row, cells in enumerate(csv.reader(lines, delimiter=separator)):
        if len(cells) != len(names):
            raise SourceError(
                f"{path}: data row {n_seen + row} has {len(cells)} columns where {len(names)} are expected"
            )
        for column, cell in enumerate(cells):
            if not _is_number(cell):
                text = _text_columns(lines, separator, names)
                if _has_comma(cell):
                    raise SourceError(
                        f"{path}: column {listed(text)} has decimal commas, first {cell.strip()[:30]!r} in data row "
                        f"{n_seen + row}; write decimal points"
                    )
                raise SourceError(
                    f"{path}: column {listed(text)} holds text, first {cell.strip()[:30]!r} in data row "
                    f"{n_seen + row}; leave such columns out or encode them as numbers"
                )
            table[row, column] = float(cell) if cell.strip().lower() not in MISSING else np.nan
    return table


def _text_columns(lines: list[str], separator: str, names: list[str]) -> list[str]:
    rows = list(csv.reader(lines, delimiter=separator))
    return [name for index, name in enumerate(names) if any(index < len(r) and not _is_number(r[index]) for r in rows)]


def listed(names: list[str]) -> str:
    """Names of columns on one line, the first few where there are many."""
    short = [" ".join(name.split())[:NAME_SHOWN] for name in names[:NAMES_SHOWN]]
    return ", ".join(short) + (f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else "")


def _has_comma(cell: str) -> bool:
    """Whether a cell is a number but for its comma."""
    return not _is_number(cell) and _is_number(cell.replace(",", ".", 1))


def _is_number(cell: str) -> bool:
    if cell.strip().lower() in MISSING:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
