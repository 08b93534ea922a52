"""The picture of a pilot: what small networks did, beside the linear forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.showing.style import ALIVE, COLLAPSED, axes, graph_objects, layout, own_point

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot

__all__ = ["pilot_figure"]


def pilot_figure(p: Pilot) -> Any:
    """Number alive against the water level: networks as points, the linear forecast as a line."""
    go = graph_objects()
    figure = go.Figure(layout=layout(**axes("water level", "latents alive")))
    levels = np.geomspace(p.water_levels[-1], p.water_levels[0], 200)
    counts = replace(p.forecast, n_latents=p.n_latents).curves(levels / p.forecast.decoder_variance).n_alive
    figure.add_scatter(
        x=levels.tolist(),
        y=counts.tolist(),
        mode="lines",
        line={"color": COLLAPSED, "shape": "hv"},
        name="linear forecast",
    )
    figure.add_scatter(
        x=np.repeat(p.water_levels, p.n_alive.shape[1]).tolist(),
        y=p.n_alive.ravel().tolist(),
        mode="markers",
        marker={"color": ALIVE, "size": 9, "opacity": 0.6},
        name="small networks",
    )
    figure.add_scatter(**own_point([float(p.water_levels[p.here])], [float(np.median(p.n_alive[p.here]))]))
    return figure.update_xaxes(type="log").update_yaxes(rangemode="tozero")
