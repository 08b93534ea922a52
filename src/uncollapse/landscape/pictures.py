"""Figures of the landscape and of gradient flow, as Plotly figures in the report's style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.landscape.flow import Flow
from uncollapse.landscape.slices import Slice
from uncollapse.showing.style import ALIVE, COLLAPSED, WATER, graph_objects, layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["flow_figure", "slice_figure"]


def slice_figure(slices: Sequence[Slice]) -> go.Figure:
    """Slices side by side as contours, the stationary point in the middle and the best points of the grid marked.

    Green is where training wants to go: low loss, or high likelihood. Each panel has its own range of colours.
    """
    from plotly.subplots import make_subplots

    go = graph_objects()
    named: set[str] = set()
    figure = make_subplots(cols=len(slices), subplot_titles=[each.title for each in slices], horizontal_spacing=0.06)
    for column, each in enumerate(slices, start=1):
        better = each.values if each.quantity == "log-likelihood" else -each.values
        figure.add_trace(_contour(go, each), row=1, col=column)
        x, y = _best(each, better)
        for marks, symbol, colour, name in (
            (([0.0], [0.0]), "x", "#222222", "stationary point"),
            ((x, y), "circle", WATER, "best in this plane"),
        ):
            marker = {"symbol": symbol, "color": colour, "size": 11, "line": {"color": "white", "width": 1.5}}
            figure.add_scatter(
                x=marks[0],
                y=marks[1],
                mode="markers",
                marker=marker,
                name=name,
                showlegend=bool(marks[0]) and name not in named,
                row=1,
                col=column,
            )
            named |= {name} if marks[0] else set()
    own = layout(
        margin={"l": 60, "r": 15, "t": 40, "b": 85},
        width=60 + 330 * len(slices),
        height=430,
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.18, "yanchor": "top"},
    )
    figure.update_layout(**own)
    for column, each in enumerate(slices, start=1):
        figure.update_xaxes(title_text=each.first_label, ticks="outside", row=1, col=column)
        figure.update_yaxes(title_text=each.second_label if column == 1 else None, ticks="outside", row=1, col=column)
    return figure


def flow_figure(flows: dict[str, Flow], modes: Sequence[int], resting: np.ndarray) -> go.Figure:
    """How much of its final size each mode has reached, against the step; a panel per flow, escapes marked.

    Parameters
    ----------
    flows : dict of str to Flow
        By the title of the panel.
    modes : sequence of int
        Those to draw, counted from 0; they must live in the end.
    resting : ndarray of shape (p,)
        Final product of each mode.
    """
    from plotly.subplots import make_subplots

    go = graph_objects()
    figure = make_subplots(cols=len(flows), shared_yaxes=True, subplot_titles=list(flows), horizontal_spacing=0.04)
    for column, flow in enumerate(flows.values(), start=1):
        for place, k in enumerate(modes):
            colour = _shade(place / max(len(modes) - 1, 1))
            figure.add_trace(
                go.Scatter(
                    x=flow.steps,
                    y=flow.product[:, k] / resting[k],
                    mode="lines",
                    line={"color": colour, "width": 2.5},
                    name=f"mode {k + 1}",
                    showlegend=column == 1,
                ),
                row=1,
                col=column,
            )
            if np.isfinite(flow.escapes[k]):
                figure.add_scatter(
                    x=[flow.escapes[k]],
                    y=[0.5],
                    mode="markers",
                    marker={"color": WATER, "size": 9, "line": {"color": "white", "width": 1.5}},
                    name="escape",
                    showlegend=column == 1 and k == modes[0],
                    legendrank=2000,
                    row=1,
                    col=column,
                )
        if np.ptp(flow.beta):
            figure.add_scatter(
                x=flow.steps,
                y=flow.beta / flow.beta[-1],
                mode="lines",
                line={"color": COLLAPSED, "dash": "dash", "width": 2},
                name="β over its final value",
                row=1,
                col=column,
            )
    own = layout(
        margin={"l": 60, "r": 15, "t": 40, "b": 50}, width=60 + 440 * len(flows), height=380, legend={"x": 1.01, "y": 1}
    )
    figure.update_layout(**own)
    figure.update_xaxes(title_text="step of gradient descent", ticks="outside")
    return figure.update_yaxes(title_text="decoder × encoder, over its end", ticks="outside", col=1)


def _contour(go: Any, each: Slice) -> Any:
    low, high = float(each.values.min()), float(each.values.max())
    scale = [[0.0, "#f4ecdf"], [0.5, "#bcd9c8"], [1.0, ALIVE]]
    if each.quantity == "loss":
        # far corners are steep: colours stop where the plane is as far above the point as its best is below
        high = min(high, max(-2.0 * low, 0.15 * high))
        scale = [[0.0, ALIVE], [0.5, "#bcd9c8"], [1.0, "#f4ecdf"]]
    else:
        low = max(low, min(-2.0 * high, 0.15 * low))
    return go.Contour(
        x=each.first,
        y=each.second,
        z=np.clip(each.values, low, high),
        colorscale=scale,
        contours={"start": low + (high - low) / 40, "end": high - (high - low) / 40, "size": (high - low) / 20},
        line={"width": 0.7, "color": "rgba(60,60,60,0.45)"},
        showscale=False,
        hovertemplate=f"{each.quantity} %{{z:.4g}} nats<extra></extra>",
    )


def _best(each: Slice, better: np.ndarray) -> tuple[list[float], list[float]]:
    """The best points of the grid, up to the symmetry of signs; none when the middle is the best."""
    if better.max() <= 1e-12:
        return [], []
    rows, columns = np.nonzero(better > better.max() - 1e-9 * np.ptp(better))
    return each.first[columns].tolist(), each.second[rows].tolist()


def _shade(share: float) -> str:
    """From the report's green to a light one."""
    start, end = (27, 127, 92), (178, 214, 196)
    return "rgb({:.0f},{:.0f},{:.0f})".format(*(a + (b - a) * share for a, b in zip(start, end, strict=True)))
