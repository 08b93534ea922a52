"""What reports on a terminal share: plain tables, and bars on a logarithmic scale with the water through them."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from uncollapse.showing.noun import LEAST_WIDTH, Card

__all__ = ["bars", "card_text", "n_bars", "plain_table", "printed", "shown", "standard_output"]

HEIGHT, MARGIN, END = 10, 13, 11
"""Rows of a chart, and columns beside its bars: labels at the left, the word "water" at the right."""

EIGHTHS = " ▁▂▃▄▅▆▇█"


def standard_output() -> Console:
    """The console of a command: as wide as the terminal or as COLUMNS says, else 80."""
    return Console(highlight=False, width=max(shutil.get_terminal_size().columns, LEAST_WIDTH))


def plain_table(headings: Sequence[str], rows: list[list[str]], *, words: Sequence[str] = ()) -> Table:
    """Cells as they are: numbers, and under the headings in `words` text."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(Text(heading), justify="left" if heading in words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def shown(n: int, edge: int) -> list[int | None]:
    """Of n rows the first, those about the `edge` and the last, with gaps marked by None."""
    wanted = sorted({i for i in (0, 1, 2, edge - 2, edge - 1, edge, edge + 1, n - 1) if 0 <= i < n})
    index: list[int | None] = []
    for i in wanted:
        if index and index[-1] is not None and i > index[-1] + 1:
            index.append(None)
        index.append(i)
    return index


def n_bars(width: int) -> int:
    """Bars that a terminal of this width has room for."""
    return max(width - MARGIN - END, 8)


def bars(levels: np.ndarray, water: float, lit: np.ndarray, *, label: str, axis: str, color: str = "green") -> Group:
    """Levels as bars, at most `n_bars` of them, the water level as a line through them.

    Parameters
    ----------
    levels : ndarray of shape (n,)
        What is not positive has no bar.
    water : float
        No line unless it is positive.
    lit : ndarray of bool, shape (n,)
        Bars in `color`; the others are grey.
    label : str
        Of the water level, at the left of its line.
    axis : str
        Under the bars.
    """
    known = np.append(levels[levels > 0], water if water > 0 else [])
    if not len(known):
        return Group()
    top = math.log10(known.max())
    bottom = max(math.log10(known.min()), top - 4) - 0.15

    def height(level: float) -> float:
        if level <= 0:
            return 0.0
        return HEIGHT * min(max((math.log10(level) - bottom) / (top - bottom), 0.01), 1.0)

    surface = min(math.ceil(height(water)), HEIGHT) - 1 if water > 0 else -1
    lines = []
    for row in reversed(range(HEIGHT)):
        text = label if row == surface else f"{10**top:.4g}" if row == HEIGHT - 1 else ""
        line = Text(f"{text:>{MARGIN - 1}} ", style="cyan" if row == surface else "dim")
        for level, is_lit in zip(levels, lit, strict=True):
            _draw_cell(line, height(level) - row, color if is_lit else None, row == surface)
        if row == surface:
            line.append("~ water", style="cyan")
        lines.append(line)
    return Group(*lines, Text(" " * MARGIN + axis, style="dim"))


def _draw_cell(line: Text, bar: float, color: str | None, is_surface: bool) -> None:
    filled = EIGHTHS[round(8 * min(max(bar, 0.0), 1.0))]
    if filled == " ":
        line.append("~" if is_surface else " ", style="cyan")
    elif color:
        line.append(filled, style=color)
    else:
        line.append("▒" if filled == "█" else filled, style="bright_black")


def printed(width: int, put: Callable[[Console], None]) -> str:
    """What `put` prints on a terminal of this width, without colours and without spaces at the ends of lines."""
    console = Console(width=width, file=io.StringIO(), highlight=False, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        put(console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")


def card_text(card: Card, width: int) -> str:
    """A card as text."""
    parts: list[RenderableType] = [Text(card.headline), *(Text("→ " + line) for line in card.lines)]
    if card.facts:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column()
        grid.add_column(overflow="fold")
        for name, value in card.facts:
            grid.add_row(Text(name), Text(value))
        parts += [Text(), grid]
    if card.headings:
        parts.append(plain_table(card.headings, [list(row) for row in card.rows]))
    return printed(width, lambda console: console.print(*parts, sep="\n"))
