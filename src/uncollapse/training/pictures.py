"""The figures of training: a pilot's networks beside the linear forecast, and how a training went."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.figure import Axis, Figure, Line, Panel, Points, own_point

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot
    from uncollapse.training.result import Trained

__all__ = ["pilot_figure", "training_figure"]


def pilot_figure(p: Pilot) -> Figure:
    """Number alive against the water level: networks as points, the linear forecast as a line."""
    levels = np.geomspace(p.water_levels[-1], p.water_levels[0], 200)
    counts = replace(p.forecast, n_latents=p.n_latents).curves(levels / p.forecast.decoder_variance).n_alive
    seen = np.repeat(p.water_levels, p.n_alive.shape[1])
    marks = (
        Line(levels, counts, "collapsed", "linear forecast", steps=True),
        Points(seen, p.n_alive.ravel(), "alive", "small networks", size=9, opacity=0.6),
        own_point(float(p.water_levels[p.here]), float(np.median(p.n_alive[p.here]))),
    )
    return Figure((Panel(marks, Axis("water level", log=True), Axis("latents alive", from_zero=True, whole=True)),))


def training_figure(t: Trained) -> Figure:
    """Loss and number of living latents over the epochs."""
    epochs, x = t.history["epoch"], Axis("epoch", whole=True)
    loss = Panel((Line(epochs, t.history["loss"], "water"),), x, Axis("loss, nats per sample"))
    alive = Panel(
        (Line(epochs, t.history["n_alive"], "alive", steps=True),), x, Axis("latents alive", from_zero=True, whole=True)
    )
    return Figure((loss, alive), panel_width=400)
