"""The figure of a sweep: trained networks as points, the forecast as lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.showing.colours import PALETTE
from uncollapse.showing.figure import Axis, Figure, Line, Mark, Panel, Points
from uncollapse.training.config import Setup
from uncollapse.training.losses import LOG_2PI

__all__ = ["SHOWN", "sweep_figure"]

SHOWN = {"n_alive": "latents alive", "rate": "KL, nats per sample", "loss": "loss, nats per sample"}
FAMILY = ("decoder_variance_setting", "encoder_variance", "n_latents", "hidden", "learning_rate", "likelihood")


def sweep_figure(columns: dict[str, list[Any]], setups: list[Setup], forecasts: list[Forecast | None]) -> Figure:
    """Latents alive, KL and loss against β, one colour for each combination of the other settings."""
    varied = [name for name in FAMILY if len(set(map(str, columns[name]))) > 1]
    families: dict[str, list[int]] = {}
    for i in range(len(setups)):
        name = ", ".join(f"{name.removesuffix('_setting')} {columns[name][i]}" for name in varied) or "training"
        families.setdefault(name, []).append(i)
    marks: dict[str, list[Mark]] = {name: [] for name in SHOWN}
    for at, (label, cells) in enumerate(families.items()):
        colour = PALETTE[at % len(PALETTE)]
        betas = [columns["beta"][i] for i in cells]
        lines = _lines(forecasts[cells[0]], min(betas), max(betas))
        for name in SHOWN:
            values = [np.nan if columns[name][i] is None else columns[name][i] for i in cells]
            marks[name].append(Points(betas, values, colour, label, opacity=0.7))
            if lines:
                forecast = f"{label}: forecast"
                marks[name].append(Line(lines["beta"], lines[name], colour, forecast, steps=name == "n_alive"))
    panels = tuple(Panel(tuple(marks[name]), Axis("β"), Axis(""), title) for name, title in SHOWN.items())
    return Figure(panels, legend="beside", height=420)


def _lines(forecast: Forecast | None, low: float, high: float) -> dict[str, np.ndarray]:
    """The forecast at many β, a little outside those that were trained; empty without one."""
    if forecast is None:
        return {}
    betas = np.geomspace(low / 1.2, high * 1.2, 200)
    totals = forecast.curves(betas)
    loss = totals.loss
    if forecast.objective.decoder_variance == "learned":
        loss = -totals.elbo - forecast.spectrum.n_targets / 2 * LOG_2PI
    if not forecast.exact:  # only the first threshold is known then, and the count as an estimate
        loss = np.full_like(betas, np.nan)
    return {"beta": betas, "n_alive": totals.n_alive, "rate": totals.rate, "loss": loss}
