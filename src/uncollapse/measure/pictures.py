"""The figures of a measurement: KL of each latent, and the share of latents that are collapsed."""

from __future__ import annotations

import numpy as np

from uncollapse.measure.result import ALIVE_NATS, Measurement
from uncollapse.measure.sums import EPSILONS
from uncollapse.showing.figure import Axis, Bars, Figure, Line, Panel

__all__ = ["collapse_panel", "measurement_figure"]

MOST_BARS = 60


def measurement_figure(m: Measurement) -> Figure:
    """KL of each latent, the largest first, beside the (ε, δ)-collapse curve."""
    order = np.argsort(-m.kl, kind="stable")[:MOST_BARS]
    bars = Bars(
        np.arange(1, len(order) + 1),
        m.kl[order],
        ["alive" if alive else "collapsed" for alive in m.alive[order]],
        below=np.clip(m.kl[order], 0.0, m.kl_std[order]),
        above=m.kl_std[order],
        hover="{text}: {y:.4g} nats",
        texts=[f"latent {i + 1}" for i in order],
    )
    x = Axis("latents, the largest KL first", limits=(0.4, len(order) + 0.6), whole=True)
    return Figure(
        (Panel((bars,), x, Axis("KL, nats per sample", from_zero=True)), collapse_panel(m)),
        legend="left",
        panel_width=400,
    )


def collapse_panel(m: Measurement, delta: float = 0.01) -> Panel:
    """Share of latents that are (ε, δ)-collapsed against ε: Lucas et al. 2019, section 6.2."""
    curve = Line(EPSILONS, m.collapse_curve(delta), "alive", steps=True, hover="ε = {x:.3g}: {y:.0%}")
    edge = Line([ALIVE_NATS] * 2, [0, 1], "water", f"ε = {ALIVE_NATS:g}", dash="dot")
    y = Axis(f"share of latents collapsed, δ = {delta:g}", limits=(-0.03, 1.03), percent=True)
    return Panel((curve, edge), Axis("ε, nats", log=True), y)
