"""A described figure, drawn by Matplotlib on axes of the caller's or on new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse.errors import DataError, UncollapseError
from uncollapse.showing.figure import (
    Axis,
    Band,
    Bars,
    Contour,
    Figure,
    Line,
    Mark,
    Panel,
    Points,
    colour_of,
    colours_of,
)
from uncollapse.showing.ticks import label, limits_of, log_ticks, whole_ticks

__all__ = ["draw"]

SYMBOLS = {"circle": "o", "cross": "X", "bar": "_"}
DASHES = {"": "-", "dot": ":", "dash": "--"}
INSIDE = {"right": "best", "left": "upper left"}
INCH = 100.0
"""Pixels of a page in an inch."""


def draw(figure: Figure, ax: Any = None) -> Any:
    """Draw a figure; nothing is shown or saved.

    Parameters
    ----------
    figure : Figure
    ax : matplotlib Axes, or a sequence of them, optional
        One for each panel; new ones when left out.

    Returns
    -------
    Axes, or ndarray of Axes
        What was given, or the new ones: an array where the figure has several panels.

    Raises
    ------
    DataError
        Not as many axes as panels.
    UncollapseError
        Matplotlib is not installed.
    """
    n = len(figure.panels)
    if ax is None:
        ax = _new_axes(figure)
    given = list(np.ravel(np.array(ax, dtype=object)))
    if len(given) != n or not all(hasattr(one, "plot") for one in given):
        wanted = "one Matplotlib Axes" if n == 1 else f"{n} Matplotlib Axes, one for each panel"
        raise DataError(f"ax must be {wanted}, got {len(given)} of {type(given[0]).__name__ if given else 'nothing'}")
    named: dict[str, Any] = {}
    for panel, axes in zip(figure.panels, given, strict=True):
        handles: dict[str, Any] = {}
        for mark in panel.marks:
            handle = _drawn(mark, axes)
            if not isinstance(mark, Contour) and mark.name and mark.name not in named:
                handles[mark.name] = handle
        named |= handles
        if panel.title:
            axes.set_title(panel.title, fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        if figure.legend in INSIDE and handles:
            axes.legend(handles.values(), handles.keys(), loc=INSIDE[figure.legend], frameon=False, fontsize="small")
    for i, (panel, axes) in enumerate(zip(figure.panels, given, strict=True)):  # limits, once all that share them drew
        _set_axis(axes.xaxis, panel, of_x=True)
        _set_axis(axes.yaxis, panel, of_x=False)
        if figure.shared_y and i:
            axes.set_ylabel("")
    if named and figure.legend not in INSIDE:
        _legend_outside(figure, named, given)
    return ax


def _new_axes(figure: Figure) -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UncollapseError("plots need Matplotlib; pip install 'uncollapse[plot]'") from None
    n = len(figure.panels)
    width = (figure.panel_width or 640) * n + 60
    _, axes = plt.subplots(
        1, n, figsize=(width / INCH, figure.height / INCH), sharey=figure.shared_y, layout="constrained"
    )
    return axes


def _drawn(mark: Mark, axes: Any) -> Any:
    """What stands for the mark in the legend."""
    if isinstance(mark, Contour):
        return _contour(mark, axes)
    x, y = np.asarray(mark.x, dtype=float), np.asarray(mark.y, dtype=float)
    if isinstance(mark, Bars):
        return _bars(mark, x, y, axes)
    colour = colour_of(mark.colour)
    if isinstance(mark, Band):
        return axes.fill_between(mark.x, mark.y[0], mark.y[1], color=colour, alpha=mark.OPACITY, linewidth=0, zorder=1)
    if isinstance(mark, Line):
        style = {"linestyle": DASHES[mark.dash], "drawstyle": "steps-post" if mark.steps else "default"}
        return axes.plot(x, y, color=colour, linewidth=mark.width * 0.75, zorder=3, **style)[0]
    return _points(mark, x, y, colour, axes)


def _bars(mark: Bars, x: np.ndarray, y: np.ndarray, axes: Any) -> Any:
    bars = axes.bar(x, y, width=0.8, color=colours_of(mark), zorder=2)
    if mark.above is not None:
        above = np.asarray(mark.above, dtype=float)
        below = above if mark.below is None else np.asarray(mark.below, dtype=float)
        axes.errorbar(
            x, y, yerr=[below, above], fmt="none", ecolor=colour_of("error"), elinewidth=0.8, capsize=1.5, zorder=3
        )
    return bars


def _points(mark: Points, x: np.ndarray, y: np.ndarray, colour: str, axes: Any) -> Any:
    size = mark.size * 0.75
    edge: dict[str, Any] = {"markeredgecolor": "white" if mark.outlined else colour}
    if mark.symbol == "bar":
        edge |= {"markeredgewidth": 2.2}
    style = {"marker": SYMBOLS[mark.symbol], "markersize": size, "color": colour, "alpha": mark.opacity, **edge}
    if mark.errors is None:
        return axes.plot(x, y, linestyle="none", zorder=4, **style)[0]
    errors = np.asarray(mark.errors, dtype=float)
    return axes.errorbar(x, y, yerr=errors, linestyle="none", elinewidth=0.9, capsize=2, zorder=4, **style)


def _contour(mark: Contour, axes: Any) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = float(mark.z.min()), float(mark.z.max())
    levels = np.linspace(low, high if high > low else low + 1.0, mark.N_COLOURS + 1)
    ramp = LinearSegmentedColormap.from_list("good and bad", mark.ramp)
    axes.contourf(mark.x, mark.y, mark.z, levels=levels, cmap=ramp, zorder=0)
    axes.contour(mark.x, mark.y, mark.z, levels=levels[1:-1], colors="#3c3c3c", linewidths=0.4, alpha=0.45, zorder=1)


def _set_axis(drawn: Any, panel: Panel, *, of_x: bool) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator, PercentFormatter

    axis: Axis = panel.x if of_x else panel.y
    drawn.set_label_text(axis.title)
    set_limits = drawn.axes.set_xlim if of_x else drawn.axes.set_ylim
    if axis.log:
        (drawn.axes.set_xscale if of_x else drawn.axes.set_yscale)("log")
        low, high = limits_of(panel, of_x=of_x)
        ticks = log_ticks(low, high)
        set_limits(low, high)
        drawn.set_ticks(ticks, labels=[*map(label, ticks)])
        drawn.set_minor_locator(NullLocator())
        drawn.set_minor_formatter(NullFormatter())
        return
    if axis.limits is not None:
        set_limits(*axis.limits)
    elif axis.from_zero and not of_x:
        set_limits(bottom=0)
    elif axis.from_zero:
        set_limits(left=0)
    if axis.whole:
        drawn.set_ticks(whole_ticks(*limits_of(panel, of_x=of_x)))
    if axis.labels:
        drawn.set_ticks(range(1, len(axis.labels) + 1), list(axis.labels))
    if axis.percent:
        drawn.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _legend_outside(figure: Figure, named: dict[str, Any], axes: list[Any]) -> None:
    style: dict[str, Any] = {"frameon": False, "fontsize": "small"}
    if figure.legend == "beside":
        axes[-1].legend(named.values(), named.keys(), loc="upper left", bbox_to_anchor=(1.01, 1.0), **style)
        return
    over = 1.08 if any(panel.title for panel in figure.panels) else 1.0
    style |= {"loc": "lower left", "bbox_to_anchor": (0.0, over), "borderaxespad": 0.2, "ncols": len(named)}
    axes[0].legend(named.values(), named.keys(), **style)
