"""A described figure, drawn by Plotly for a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from uncollapse.showing.figure import (
    Axis,
    Band,
    Bars,
    Contour,
    Figure,
    Line,
    Mark,
    Numbers,
    Panel,
    Points,
    colour_of,
    colours_of,
)
from uncollapse.showing.ticks import label, limits_of, log_ticks, whole_ticks

__all__ = ["plotly_figure"]

SYMBOLS = {"circle": "circle", "cross": "x", "bar": "line-ew-open"}
LEGENDS: dict[str, dict[str, Any]] = {
    "right": {"x": 1, "xanchor": "right", "y": 1},
    "left": {"x": 0.02, "xanchor": "left", "y": 0.98},
    "above": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    "beside": {"x": 1.01, "xanchor": "left", "y": 1},
}


def plotly_figure(figure: Figure) -> Any:
    """The figure as a `plotly.graph_objects.Figure`; marks of one panel are its traces, in their order."""
    from plotly.subplots import make_subplots

    n = len(figure.panels)
    drawn = make_subplots(
        cols=n,
        shared_yaxes=figure.shared_y,
        subplot_titles=[panel.title for panel in figure.panels] if any(p.title for p in figure.panels) else None,
        horizontal_spacing=0.06 if n > 1 else None,
    )
    listed: set[str] = set()
    for column, panel in enumerate(figure.panels, start=1):
        for mark in panel.marks:
            trace = _trace(mark)
            name = trace.get("name", "")
            trace["showlegend"] = bool(name) and name not in listed
            listed |= {name} if name else set()
            drawn.add_trace(trace, row=1, col=column)
        drawn.update_xaxes(**_axis(panel, of_x=True), row=1, col=column)
        if column == 1 or not figure.shared_y:
            drawn.update_yaxes(**_axis(panel, of_x=False), row=1, col=column)
    over = any(panel.title for panel in figure.panels) or figure.legend == "above"
    titled = any(panel.title for panel in figure.panels) and figure.legend == "above"
    legend = LEGENDS[figure.legend] | ({"y": 1.12} if titled else {})
    return drawn.update_layout(
        template="simple_white",
        margin={"l": 60, "r": 15, "t": 75 if titled else 45 if over else 15, "b": 50},
        height=figure.height,
        width=None if figure.panel_width is None else 60 + figure.panel_width * n,
        legend=legend,
        font={"family": "system-ui, sans-serif", "size": 13},
    )


def _trace(mark: Mark) -> dict[str, Any]:
    shared: dict[str, Any] = {"x": _plain(mark.x), "y": _plain(mark.y)}
    if mark.hover:
        shared["hovertemplate"] = mark.hover.replace("{", "%{") + "<extra></extra>"
    if isinstance(mark, Contour):
        return shared | _contour(mark)
    shared["name"] = mark.name
    if isinstance(mark, Band):
        (left, right), (low, high) = mark.x, mark.y
        corners = {"x": [left, right, right, left], "y": [low, low, high, high], "mode": "none", "fill": "toself"}
        return {"type": "scatter"} | shared | corners | {"fillcolor": _tint(mark), "hoveron": "fills"}
    if isinstance(mark, Bars):
        return {"type": "bar"} | shared | _bars(mark)
    if isinstance(mark, Line):
        line = {"color": colour_of(mark.colour), "width": mark.width, "shape": "hv" if mark.steps else "linear"}
        return {"type": "scatter", "mode": "lines", "line": line | ({"dash": mark.dash} if mark.dash else {})} | shared
    return {"type": "scatter", "mode": "markers"} | shared | _points(mark)


def _tint(mark: Band) -> str:
    colour = colour_of(mark.colour).lstrip("#")
    red, green, blue = (int(colour[i : i + 2], 16) for i in (0, 2, 4))
    return f"rgba({red},{green},{blue},{mark.OPACITY})"


def _bars(mark: Bars) -> dict[str, Any]:
    colours = colours_of(mark)
    shown = colours[0] if isinstance(mark.colours, str) else colours
    # without an outline: on narrow pages it would be wider than the bar
    style: dict[str, Any] = {"marker": {"color": shown, "line": {"width": 0}}}
    if mark.texts:
        style |= {"text": list(mark.texts), "textposition": "none"}
    if mark.above is not None:
        style["error_y"] = {
            "type": "data",
            "array": _plain(mark.above),
            "arrayminus": _plain(mark.above if mark.below is None else mark.below),
            "thickness": 1,
            "width": 2,
            "color": colour_of("error"),
        }
    return style


def _points(mark: Points) -> dict[str, Any]:
    marker: dict[str, Any] = {
        "color": colour_of(mark.colour),
        "size": mark.size,
        "symbol": SYMBOLS[mark.symbol],
        "opacity": mark.opacity,
    }
    if mark.symbol == "bar":
        marker["line"] = {"width": 3}
    elif mark.outlined:
        marker["line"] = {"color": "white", "width": 1.5}
    if mark.errors is None:
        return {"marker": marker}
    return {"marker": marker, "error_y": {"type": "data", "array": _plain(mark.errors), "thickness": 1.2, "width": 3}}


def _contour(mark: Contour) -> dict[str, Any]:
    low, high, n = float(mark.z.min()), float(mark.z.max()), mark.N_COLOURS
    step = (high - low) / n
    return {
        "type": "contour",
        "z": mark.z.tolist(),
        "colorscale": [[share, colour] for share, colour in zip((0.0, 0.5, 1.0), mark.ramp, strict=True)],
        "contours": {"start": low + step / 2, "end": high - step / 2, "size": step},
        "line": {"width": 0.7, "color": "rgba(60,60,60,0.45)"},
        "showscale": False,
    }


def _axis(panel: Panel, *, of_x: bool) -> dict[str, Any]:
    axis: Axis = panel.x if of_x else panel.y
    settings: dict[str, Any] = {"title": {"text": axis.title}, "ticks": "outside"}
    if axis.log:
        low, high = limits_of(panel, of_x=of_x)
        ticks = log_ticks(low, high)
        settings |= {"type": "log", "range": [math.log10(low), math.log10(high)]}
        return settings | {"tickvals": ticks, "ticktext": [*map(label, ticks)], "minor": {"ticks": ""}}
    if axis.limits is not None:
        settings["range"] = list(axis.limits)
    elif axis.from_zero:
        settings["rangemode"] = "tozero"
    if axis.whole:
        settings["tickvals"] = whole_ticks(*limits_of(panel, of_x=of_x))
    if axis.labels:
        settings |= {"tickvals": [*range(1, len(axis.labels) + 1)], "ticktext": list(axis.labels)}
    return settings | ({"tickformat": ".0%"} if axis.percent else {})


def _plain(values: Numbers) -> list[float | None]:
    """JSON knows no NaN; Plotly leaves out what is None."""
    return [float(v) if math.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]
