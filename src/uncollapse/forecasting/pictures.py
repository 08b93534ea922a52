"""Figures of a forecast, as Plotly figures: for the page, and for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.showing.style import ALIVE, COLLAPSED, NOISE, WATER, axes, graph_objects, layout, own_point

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["alive_figure", "beta_grid", "rate_distortion_figure", "spectrum_figure"]

N_GRID = 201
MOST_BARS = 300


def beta_grid(forecast: Forecast) -> np.ndarray:
    """Values of β to draw over, logarithmic, from where all usable modes live to where none does."""
    f = forecast
    if f.spectrum.rank == 0:
        return np.geomspace(f.objective.beta / 10, f.objective.beta * 10, N_GRID)
    last, first = float(f.critical_betas[: max(f.n_usable, 1)].min()), f.critical_beta
    low = min(max(last, first * 1e-4), f.objective.beta) / 1.5
    high = max(first, f.objective.beta) * 1.5
    return np.unique(np.append(np.geomspace(low, high, N_GRID - 1), f.objective.beta))


def spectrum_figure(forecast: Forecast) -> go.Figure:
    """Strength of each mode as a bar, alive or collapsed, with the water level and the noise edge across."""
    go = graph_objects()
    f = forecast
    shown = slice(0, min(f.spectrum.rank, MOST_BARS))
    index = np.arange(1, f.spectrum.rank + 1)[shown]
    figure = go.Figure(layout=layout(**axes("mode", "strength ζ²" if f.exact else "strength, in units of β")))
    figure.add_bar(
        x=index.tolist(),
        y=f.critical_levels[shown].tolist(),
        marker_color=[ALIVE if alive else COLLAPSED for alive in f.modes.alive[shown]],
        name="modes",
        hovertemplate="mode %{x}: %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    ends = [0.5, len(index) + 0.5]
    figure.add_scatter(
        x=ends, y=[f.water_level] * 2, mode="lines", line={"color": WATER, "width": 3}, name="water level τ"
    )
    if f.spectrum.noise.edge > 0:
        figure.add_scatter(
            x=ends,
            y=[f.spectrum.noise.edge] * 2,
            mode="lines",
            line={"color": NOISE, "width": 1.5, "dash": "dot"},
            name="edge of sampling noise",
        )
    return figure.update_yaxes(type="log", exponentformat="power").update_xaxes(range=ends)


def alive_figure(forecast: Forecast) -> go.Figure:
    """Number of living latents against β, with the objective's own β marked."""
    go = graph_objects()
    f, betas = forecast, beta_grid(forecast)
    figure = go.Figure(layout=layout(**axes("β", "latents alive")))
    figure.add_scatter(
        x=betas.tolist(),
        y=f.curves(betas).n_alive.tolist(),
        mode="lines",
        line={"color": ALIVE, "shape": "hv"},
        showlegend=False,
    )
    figure.add_scatter(**own_point([f.objective.beta], [f.n_alive]))
    return figure.update_xaxes(type="log").update_yaxes(rangemode="tozero")


def rate_distortion_figure(forecast: Forecast) -> go.Figure:
    """Distortion against rate over all β: the best any linear VAE can do, with the objective's own point."""
    go = graph_objects()
    f, totals = forecast, forecast.curves(beta_grid(forecast))
    known = np.isfinite(totals.rate)
    figure = go.Figure(layout=layout(**axes("rate: KL, nats per sample", "distortion E‖y − ŷ‖²")))
    figure.add_scatter(
        x=totals.rate[known].tolist(),
        y=totals.distortion[known].tolist(),
        mode="lines",
        line={"color": ALIVE},
        showlegend=False,
    )
    own = [f.rate] if np.isfinite(f.rate) else [None]
    figure.add_scatter(**own_point(own, [f.distortion]))
    return figure.update_yaxes(rangemode="tozero")
