"""The figures of a forecast: its spectrum against the water, the number alive against β, rate and distortion."""

from __future__ import annotations

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.showing.figure import Axis, Band, Bars, Figure, Line, Mark, Panel, across, own_point

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


def spectrum_figure(forecast: Forecast) -> Figure:
    """Strength of each mode as a bar, alive or collapsed, with the water level and the noise edge across."""
    f = forecast
    n = min(f.spectrum.rank, MOST_BARS)
    ends = (0.5, max(n, 1) + 0.5)
    marks: list[Mark] = [
        Bars(
            np.arange(1, n + 1),
            f.critical_levels[:n],
            ["alive" if alive else "collapsed" for alive in f.modes.alive[:n]],
            hover="mode {x}: {y:.4g}",
        ),
        across(ends, f.water_level, "water", "water level τ" if f.exact else "water level, β"),
    ]
    marks += _second(f, ends)
    if f.spectrum.noise.edge > 0:
        marks.append(across(ends, f.spectrum.noise.edge, "noise", "edge of sampling noise", width=1.5, dash="dot"))
    y = Axis("strength ζ²" if f.exact else "strength, in units of β", log=True)
    return Figure((Panel(tuple(marks), Axis("mode", limits=ends, whole=True), y),), legend="above")


def _second(f: Forecast, ends: tuple[float, float]) -> list[Mark]:
    """The zone in which collapse is stable and not best, from the strongest mode up."""
    known, first = f.global_threshold.level, float(f.critical_levels.max(initial=0.0))
    if known is None or known <= first:
        return []
    return [Band(ends, (first, known), "water", "collapse stable, not best")]


def alive_figure(forecast: Forecast) -> Figure:
    """Number of living latents against β, with the objective's own β marked."""
    f, betas = forecast, beta_grid(forecast)
    curve = Line(betas, f.curves(betas).n_alive, "alive", steps=True)
    marks = (curve, own_point(f.objective.beta, f.n_alive))
    return Figure((Panel(marks, Axis("β", log=True), Axis("latents alive", from_zero=True, whole=True)),))


def rate_distortion_figure(forecast: Forecast) -> Figure:
    """Distortion against rate over all β: the best any linear VAE can do, with the objective's own point."""
    f, totals = forecast, forecast.curves(beta_grid(forecast))
    known = np.isfinite(totals.rate)
    marks = (Line(totals.rate[known], totals.distortion[known], "alive"), own_point(f.rate, f.distortion))
    x, y = Axis("rate: KL, nats per sample"), Axis("distortion E‖y − ŷ‖²", from_zero=True)
    return Figure((Panel(marks, x, y),))
