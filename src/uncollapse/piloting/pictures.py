"""The figure of a pilot: its networks beside the linear forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.figure import Axis, Figure, Line, Panel, Points, own_point

if TYPE_CHECKING:
    from uncollapse.piloting.result import Pilot

__all__ = ["pilot_figure"]


def pilot_figure(p: Pilot) -> Figure:
    """Number alive at the end against the water level: networks as points, the linear forecast as a line."""
    levels = np.geomspace(p.water_levels[-1], p.water_levels[0], 200)
    counts = replace(p.forecast, n_latents=p.n_latents).curves(levels / p.forecast.decoder_variance).n_alive
    seen = np.repeat(p.water_levels, p.n_alive.shape[1])
    marks = (
        Line(levels, counts, "collapsed", "linear forecast", steps=True),
        Points(seen, p.n_earning.ravel(), "alive", "networks, from below", size=9, opacity=0.6),
        Points(p.water_levels, p.quiet_n_alive, "mode", "from a quiet start", size=8, symbol="cross", opacity=0.7),
        own_point(float(p.water_levels[p.here]), float(np.median(p.n_earning[p.here]))),
    )
    return Figure((Panel(marks, Axis("water level", log=True), Axis("latents alive", from_zero=True, whole=True)),))
