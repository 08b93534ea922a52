"""The figures of the landscape and of gradient flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uncollapse.landscape.escape import EscapeTimes
from uncollapse.landscape.flow import Flow
from uncollapse.landscape.slices import Slice
from uncollapse.showing.colours import shade
from uncollapse.showing.figure import Axis, Bars, Contour, Figure, Line, Mark, Panel, Points

__all__ = ["escape_figure", "flow_figure", "slice_figure"]

MOST_MODES = 8
"""Lines in a panel of a flow, unless the caller names the modes."""

MOST_BARS = 60


def slice_figure(slices: Sequence[Slice]) -> Figure:
    """Slices side by side as contours, the stationary point in the middle and the best points of the grid marked.

    Green is where training wants to go: low loss, or high likelihood. Each panel has its own range of colours.
    """
    panels = tuple(_slice_panel(each) for each in slices)
    return Figure(panels, legend="above", panel_width=max(330, 640 // len(panels)), height=430)


def _slice_panel(each: Slice) -> Panel:
    better = each.values if each.quantity == "log-likelihood" else -each.values
    x, y = _best(each, better)
    marks: list[Mark] = [_contour(each), Points([0.0], [0.0], "point", "stationary point", 11, "cross", outlined=True)]
    if x:
        marks.append(Points(x, y, "water", "best in this plane", 11, outlined=True))
    edges = [(float(steps[0]), float(steps[-1])) for steps in (each.first, each.second)]
    return Panel(
        tuple(marks), Axis(each.first_label, limits=edges[0]), Axis(each.second_label, limits=edges[1]), each.title
    )


def _contour(each: Slice) -> Contour:
    low, high = float(each.values.min()), float(each.values.max())
    if each.quantity == "loss":
        # far corners are steep: colours stop where the plane is as far above the point as its best is below
        high = min(high, max(-2.0 * low, 0.15 * high))
    else:
        low = max(low, min(-2.0 * high, 0.15 * low))
    values = np.clip(each.values, low, high)
    return Contour(each.first, each.second, values, each.quantity == "loss", f"{each.quantity} {{z:.4g}} nats")


def _best(each: Slice, better: np.ndarray) -> tuple[list[float], list[float]]:
    """The best points of the grid, up to the symmetry of signs; none when the middle is the best."""
    if better.max() <= 1e-12:
        return [], []
    rows, columns = np.nonzero(better > better.max() - 1e-9 * np.ptp(better))
    return each.first[columns].tolist(), each.second[rows].tolist()


def flow_figure(
    flows: dict[str, Flow], modes: Sequence[int] | None = None, resting: np.ndarray | None = None
) -> Figure:
    """How much of its final size each mode has reached, against the step; a panel per flow, escapes marked.

    Parameters
    ----------
    flows : dict of str to Flow
        By the title of the panel.
    modes : sequence of int, optional
        Those to draw, counted from 0; they must live in the end. The first that escape when left out.
    resting : ndarray of shape (p,), optional
        Final product of each mode; the product at the last step when left out.
    """
    panels = tuple(_flow_panel(title, flow, modes, resting) for title, flow in flows.items())
    return Figure(panels, legend="beside", panel_width=440, height=380, shared_y=True)


def _flow_panel(title: str, flow: Flow, modes: Sequence[int] | None, resting: np.ndarray | None) -> Panel:
    chosen = np.flatnonzero(np.isfinite(flow.escapes))[:MOST_MODES].tolist() if modes is None else list(modes)
    ends = flow.product[-1] if resting is None else resting
    marks: list[Mark] = []
    for place, k in enumerate(chosen):
        colour = shade(place / max(len(chosen) - 1, 1))
        marks.append(Line(flow.steps, flow.product[:, k] / ends[k], colour, f"mode {k + 1}", width=2.5))
    escaped = [k for k in chosen if np.isfinite(flow.escapes[k])]
    if escaped:
        marks.append(Points(flow.escapes[escaped], [0.5] * len(escaped), "water", "escape", 9, outlined=True))
    if np.ptp(flow.beta):
        marks.append(Line(flow.steps, flow.beta / flow.beta[-1], "collapsed", "β over its final value", dash="dash"))
    y = Axis("decoder × encoder, over its end", from_zero=True)
    return Panel(tuple(marks), Axis("step of gradient descent", from_zero=True), y, title)


def escape_figure(times: EscapeTimes) -> Figure:
    """Steps until each mode is alive, as bars; modes that no number of steps brings to life have none."""
    steps = times.steps[:MOST_BARS]
    alive = np.isfinite(steps)
    index = np.arange(1, len(steps) + 1)
    bars = Bars(index[alive], steps[alive], "alive", hover="mode {x}: {y:.4g} steps")
    x = Axis("mode (no bar: never alive)", limits=(0.5, max(len(steps), 1) + 0.5), whole=True)
    return Figure((Panel((bars,), x, Axis("steps of gradient descent", log=True)),))
