"""A figure, described once: what is drawn, in which colours, on which axes. Plotly and Matplotlib both draw it.

`showing.with_plotly` draws it for the HTML pages, `showing.with_matplotlib` for `plot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from uncollapse.showing.colours import COLOURS, Meaning

__all__ = [
    "Axis",
    "Band",
    "Bars",
    "Contour",
    "Figure",
    "Line",
    "Mark",
    "Numbers",
    "Panel",
    "Points",
    "across",
    "colour_of",
    "colours_of",
    "own_point",
]

Numbers = Sequence[float] | np.ndarray
Colour = Meaning | str
"""One of the meanings, or a colour as ``#rrggbb``."""


def colour_of(colour: Colour) -> str:
    """As ``#rrggbb``."""
    return dict[str, str](COLOURS.items()).get(colour, colour)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a panel.

    Attributes
    ----------
    title : str
    log : bool
        Logarithmic.
    limits : pair of floats, optional
        What the axis shows, in the values' own units; what the marks need when left out.
    percent : bool
        Whether values are shares, written in percent.
    from_zero : bool
        Whether the axis starts at 0.
    whole : bool
        Whether values are whole numbers, so that ticks are too.
    labels : tuple of str
        Words in place of the numbers 1, 2, … .
    """

    title: str
    log: bool = False
    limits: tuple[float, float] | None = None
    percent: bool = False
    from_zero: bool = False
    whole: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bars:
    """A bar for each value.

    Attributes
    ----------
    x, y : arrays of shape (n,)
    colours : sequence of n colours, or one for all
    name : str
        In the legend; left out of it when empty.
    below, above : arrays of shape (n,), optional
        Lengths of an error bar under and over each value.
    hover : str
        Text under the mouse on a page, with ``{x}``, ``{y:.4g}``, ``{text}``.
    texts : sequence of n str
        For `hover`.
    """

    x: Numbers
    y: Numbers
    colours: Sequence[Colour] | Colour
    name: str = ""
    below: Numbers | None = None
    above: Numbers | None = None
    hover: str = ""
    texts: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Line:
    """Values joined by a line, straight or in steps; see `Bars` for what is not said here.

    Attributes
    ----------
    x, y : arrays of shape (n,)
        NaN breaks the line.
    width : float
        In pixels.
    dash : {"", "dot", "dash"}
    steps : bool
        Whether each value holds until the next.
    """

    x: Numbers
    y: Numbers
    colour: Colour
    name: str = ""
    width: float = 2.0
    dash: Literal["", "dot", "dash"] = ""
    steps: bool = False
    hover: str = ""


@dataclass(frozen=True, eq=False)
class Band:
    """A tinted zone between two levels, over a stretch of x.

    Attributes
    ----------
    x, y : pairs of floats
    """

    x: tuple[float, float]
    y: tuple[float, float]
    colour: Colour
    name: str = ""
    hover: str = ""

    OPACITY = 0.16


@dataclass(frozen=True, eq=False)
class Points:
    """A symbol for each value; see `Bars` for what is not said here.

    Attributes
    ----------
    x, y : arrays of shape (n,)
        A NaN is not drawn.
    symbol : {"circle", "cross", "bar"}
    opacity : float
    outlined : bool
        Whether a white line runs around each symbol.
    """

    x: Numbers
    y: Numbers
    colour: Colour
    name: str = ""
    size: float = 8.0
    symbol: Literal["circle", "cross", "bar"] = "circle"
    opacity: float = 1.0
    outlined: bool = False
    errors: Numbers | None = None
    hover: str = ""


@dataclass(frozen=True, eq=False)
class Contour:
    """Values on a grid as filled contours, from sand (bad) to green (good).

    Attributes
    ----------
    x, y : arrays of shape (n,), (m,)
    z : ndarray of shape (m, n)
    low_is_good : bool
    hover : str
        With ``{z:.4g}``.
    """

    x: Numbers
    y: Numbers
    z: np.ndarray
    low_is_good: bool
    hover: str = ""

    N_COLOURS = 20

    @property
    def ramp(self) -> tuple[str, str, str]:
        """Colours of the lowest, middle and highest value."""
        bad, middle, good = "#f4ecdf", "#bcd9c8", COLOURS["alive"]
        return (good, middle, bad) if self.low_is_good else (bad, middle, good)


def colours_of(bars: Bars) -> list[str]:
    """Of each bar, as ``#rrggbb``."""
    if isinstance(bars.colours, str):
        return [colour_of(bars.colours)] * max(len(bars.x), 1)
    return [*map(colour_of, bars.colours)]


Mark = Band | Bars | Line | Points | Contour


@dataclass(frozen=True, eq=False)
class Panel:
    """What shares a pair of axes; later marks lie over earlier ones."""

    marks: tuple[Mark, ...]
    x: Axis
    y: Axis
    title: str = ""


@dataclass(frozen=True, eq=False)
class Figure:
    """Panels side by side.

    Attributes
    ----------
    panels : tuple of Panel
    legend : {"right", "left", "above", "beside"}
        Inside at the upper right or left, over the panels, or to the right of them.
    panel_width : int or None
        In pixels; as wide as the page when left out.
    height : int
        In pixels.
    shared_y : bool
        Whether panels share the vertical axis of the first.
    """

    panels: tuple[Panel, ...]
    legend: Literal["right", "left", "above", "beside"] = "right"
    panel_width: int | None = None
    height: int = 340
    shared_y: bool = field(default=False)


def across(
    x: tuple[float, float], y: float, colour: Colour, name: str, *, width: float = 3.0, dash: Literal["", "dot"] = ""
) -> Line:
    """A level line over the whole width."""
    return Line(list(x), [y, y], colour, name, width=width, dash=dash)


def own_point(x: float, y: float) -> Points:
    """The objective's own point on a curve."""
    return Points([x], [y], "water", "your objective", size=12)
