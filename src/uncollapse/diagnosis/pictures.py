"""The figures of a diagnosis: the residual, KL of each latent, and the share of collapsed latents."""

from __future__ import annotations

import numpy as np

from uncollapse.diagnosis.result import Diagnosis
from uncollapse.diagnosis.tables import latents
from uncollapse.measure.pictures import collapse_panel
from uncollapse.showing.figure import Axis, Bars, Figure, Mark, Panel, Points, across

__all__ = ["collapse_figure", "diagnosis_figure", "latents_figure", "residual_figure"]

FEW_BARS, MOST_BARS = 24, 60
DECADES = 4.5
"""How far below the largest value the logarithmic axis goes, at most."""


def diagnosis_figure(d: Diagnosis) -> Figure:
    """KL of each latent beside the residual: what the reconstruction misses."""
    panels = (*latents_figure(d).panels, *residual_figure(d).panels)
    return Figure(panels, panel_width=470, height=380)


def residual_figure(d: Diagnosis) -> Figure:
    """The data's strengths as bars, the residual's as points with two standard errors, and the water level."""
    r, water = d.decoder.residual, d.residual_water_level
    data = d.forecast.critical_levels[: min(max(len(r.held_out), d.forecast.n_alive + 4, FEW_BARS), MOST_BARS)]
    n = max(len(data), len(r.held_out))
    left = np.where(r.held_out > 0, r.held_out, np.nan)
    ends = (0.5, n + 0.5)
    marks: list[Mark] = [
        Bars(np.arange(1, len(data) + 1), data, "collapsed", "in the data", hover="mode {x} of the data: {y:.4g}"),
        Points(
            np.arange(1, len(left) + 1),
            left,
            "noise",
            "left by the decoder, ± 2 errors",
            size=7,
            errors=2 * r.errors,
            hover="direction {x} of the residual: {y:.4g}",
        ),
    ]
    if np.isfinite(water) and water > 0:
        marks.append(across(ends, water, "water", "water level"))
    y = Axis(
        "strength" if d.forecast.exact else "strength, units of β",
        log=True,
        limits=_decades([*data, water], left[np.isfinite(left)].tolist()),
    )
    return Figure((Panel(tuple(marks), Axis("mode, direction", limits=ends, whole=True), y),), legend="above")


def latents_figure(d: Diagnosis) -> Figure:
    """Mean KL of each latent with its standard deviation over rows, beside the forecast's of the same rank."""
    rows = latents(d)[:MOST_BARS]
    place = np.arange(1, len(rows) + 1)
    several = len(d.measurement.level_kl) > 1
    bars = Bars(
        place,
        [row.kl for row in rows],
        ["alive" if row.alive else "collapsed" for row in rows],
        "measured, ± over rows",
        below=[max(min(row.kl_std, row.kl), 0.0) for row in rows],
        above=[row.kl_std for row in rows],
        hover="{text}: {y:.4g} nats",
        texts=[f"latent {row.latent}" + (f", level {row.level}" if several else "") for row in rows],
    )
    expected = Points(
        place,
        [row.forecast_kl for row in rows],
        "water",
        "forecast, linear optimum",
        size=9,
        symbol="bar",
        hover="forecast: {y:.4g} nats",
    )
    x = Axis("latents, the largest KL first", limits=(0.4, len(rows) + 0.6), whole=True)
    return Figure((Panel((bars, expected), x, Axis("KL, nats per sample", from_zero=True)),))


def collapse_figure(d: Diagnosis, delta: float = 0.01) -> Figure:
    """Share of latents that are (ε, δ)-collapsed against ε: Lucas et al. 2019, section 6.2."""
    return Figure((collapse_panel(d.measurement, delta),), legend="left")


def _decades(firm: list[float], loose: list[float]) -> tuple[float, float]:
    """Limits of a logarithmic axis about the positive ones; the `loose` ones may lie a decade under all others."""
    known = [value for value in firm if np.isfinite(value) and value > 0] or loose or [1.0]
    high = float(np.log10(max(*known, *loose, 0.0)))
    low = float(np.log10(min(known)))
    low = max(min([low, *np.log10(loose)]), low - 1, high - DECADES)
    return 10 ** (low - 0.2), 10 ** (high + 0.2)
