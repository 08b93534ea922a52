"""How the report's figures look: colours, layout and the mark of the objective's own point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["ALIVE", "COLLAPSED", "NOISE", "WATER", "axes", "graph_objects", "layout", "own_point"]

ALIVE, COLLAPSED, WATER, NOISE = "#1b7f5c", "#b9c0c7", "#2a6fdb", "#c2571a"


def graph_objects() -> Any:
    """`plotly.graph_objects`, loaded when the first figure is drawn."""
    import plotly.graph_objects as go

    return go


def layout(**own: object) -> dict[str, object]:
    """What all figures share, with a figure's own settings in front."""
    return {
        "template": "simple_white",
        "margin": {"l": 60, "r": 15, "t": 15, "b": 50},
        "height": 340,
        "legend": {"x": 1, "xanchor": "right", "y": 1},
        "font": {"family": "system-ui, sans-serif", "size": 13},
    } | own


def axes(x: str, y: str) -> dict[str, object]:
    """Titles of a figure's two axes, for `layout`."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}


def own_point(x: Sequence[float | None], y: Sequence[float]) -> dict[str, object]:
    """The objective's own point on a curve."""
    return {"x": x, "y": y, "mode": "markers", "marker": {"color": WATER, "size": 12}, "name": "your objective"}
