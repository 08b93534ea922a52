"""Figures of a diagnosis, as Plotly figures: for the page, and for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.diagnosis.result import Diagnosis
from uncollapse.diagnosis.tables import latents
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.measure.sums import EPSILONS
from uncollapse.showing.style import ALIVE, COLLAPSED, NOISE, WATER, axes, graph_objects, layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["collapse_figure", "latents_figure", "residual_figure"]

FEW_BARS, MOST_BARS = 24, 60
DECADES = 4.5
"""How far below the largest value the logarithmic axis goes, at most."""


def residual_figure(d: Diagnosis) -> go.Figure:
    """The data's strengths as bars, what the decoder leaves as points with two standard errors, and the water level."""
    go, r, water = graph_objects(), d.decoder.residual, d.residual_water_level
    data = d.forecast.critical_levels[: min(max(len(r.held_out), d.forecast.n_alive + 4, FEW_BARS), MOST_BARS)]
    n = max(len(data), len(r.held_out))
    figure = go.Figure(
        layout=layout(**axes("mode, direction", "strength" if d.forecast.exact else "strength, units of β"))
    )
    figure.add_bar(
        x=np.arange(1, len(data) + 1).tolist(),
        y=data.tolist(),
        marker_color=COLLAPSED,
        name="in the data",
        hovertemplate="mode %{x} of the data: %{y:.4g}<extra></extra>",
    )
    left = [float(v) if v > 0 else None for v in r.held_out]
    figure.add_scatter(
        x=np.arange(1, len(left) + 1).tolist(),
        y=left,
        error_y={"type": "data", "array": (2 * r.errors).tolist(), "thickness": 1.2, "width": 3},
        mode="markers",
        marker={"color": NOISE, "size": 7},
        name="left by the decoder, ± 2 errors",
        hovertemplate="direction %{x} of the residual: %{y:.4g}<extra></extra>",
    )
    if np.isfinite(water) and water > 0:
        figure.add_scatter(
            x=[0.5, n + 0.5], y=[water] * 2, mode="lines", line={"color": WATER, "width": 3}, name="water level"
        )
    figure.update_layout(
        margin={"t": 45}, legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    )
    spread = _decades([*data, water], [v for v in left if v])
    return figure.update_yaxes(type="log", exponentformat="power", range=spread).update_xaxes(range=[0.5, n + 0.5])


def latents_figure(d: Diagnosis) -> go.Figure:
    """Mean KL of each latent with its standard deviation over rows, beside the forecast's of the same rank."""
    go = graph_objects()
    rows = latents(d)[:MOST_BARS]
    place = list(range(1, len(rows) + 1))
    names = [
        f"latent {row.latent}" + (f", level {row.level}" if len(d.measurement.level_kl) > 1 else "") for row in rows
    ]
    figure = go.Figure(layout=layout(**axes("latents, the largest KL first", "KL, nats per sample")))
    figure.add_bar(
        x=place,
        y=[row.kl for row in rows],
        error_y={
            "type": "data",
            "array": [row.kl_std for row in rows],
            "arrayminus": [min(row.kl_std, row.kl) for row in rows],
            "thickness": 1,
            "width": 2,
            "color": "#5d6b7a",
        },
        marker_color=[ALIVE if row.alive else COLLAPSED for row in rows],
        text=names,
        textposition="none",
        name="measured, ± over rows",
        hovertemplate="%{text}: %{y:.4g} nats<extra></extra>",
    )
    figure.add_scatter(
        x=place,
        y=[row.forecast_kl if np.isfinite(row.forecast_kl) else None for row in rows],
        mode="markers",
        marker={"color": WATER, "size": 9, "symbol": "line-ew-open", "line": {"width": 3}},
        name="forecast, linear optimum",
        hovertemplate="forecast: %{y:.4g} nats<extra></extra>",
    )
    return figure.update_yaxes(rangemode="tozero").update_xaxes(range=[0.4, len(rows) + 0.6])


def collapse_figure(d: Diagnosis, delta: float = 0.01) -> go.Figure:
    """Share of latents that are (ε, δ)-collapsed against ε: Lucas et al. 2019, section 6.2."""
    go = graph_objects()
    figure = go.Figure(layout=layout(**axes("ε, nats", f"share of latents collapsed, δ = {delta:g}")))
    figure.add_scatter(
        x=EPSILONS.tolist(),
        y=d.measurement.collapse_curve(delta).tolist(),
        mode="lines",
        line={"color": ALIVE, "shape": "hv"},
        name="share of latents",
        showlegend=False,
        hovertemplate="ε = %{x:.3g}: %{y:.0%}<extra></extra>",
    )
    figure.add_scatter(
        x=[ALIVE_NATS] * 2, y=[0, 1], mode="lines", line={"color": WATER, "dash": "dot"}, name=f"ε = {ALIVE_NATS:g}"
    )
    figure.update_layout(legend={"x": 0.02, "xanchor": "left", "y": 0.98})
    return figure.update_xaxes(type="log", exponentformat="power").update_yaxes(range=[-0.03, 1.03], tickformat=".0%")


def _decades(firm: list[float], loose: list[float]) -> list[float]:
    """Range of a logarithmic axis about the positive ones; the `loose` ones may lie a decade under all others."""
    known = [value for value in firm if np.isfinite(value) and value > 0] or loose or [1.0]
    high = float(np.log10(max(*known, *loose, 0.0)))
    low = float(np.log10(min(known)))
    low = max(min([low, *np.log10(loose)]), low - 1, high - DECADES)
    return [low - 0.2, high + 0.2]
