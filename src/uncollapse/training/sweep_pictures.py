"""The figure of a sweep: what training found as points, the forecast as lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.training.config import Setup
from uncollapse.training.losses import LOG_2PI

__all__ = ["sweep_figure"]

PALETTE = ("#1b7f5c", "#2a6fdb", "#c2571a", "#7b4ab5", "#b3384a", "#5b6b73")
SHOWN = {"n_alive": "latents alive", "rate": "KL, nats per sample", "loss": "loss, nats per sample"}
FAMILY = ("decoder_variance_setting", "encoder_variance", "n_latents", "hidden", "learning_rate", "likelihood")


def sweep_figure(columns: dict[str, list[Any]], setups: list[Setup], forecasts: list[Forecast | None]) -> Any:
    """Latents alive, KL and loss against β, one colour for each combination of the other settings."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=len(SHOWN), subplot_titles=list(SHOWN.values()))
    varied = [name for name in FAMILY if len(set(map(str, columns[name]))) > 1]
    families: dict[str, list[int]] = {}
    for i in range(len(setups)):
        label = ", ".join(f"{name.removesuffix('_setting')} {columns[name][i]}" for name in varied) or "training"
        families.setdefault(label, []).append(i)
    for at, (label, cells) in enumerate(families.items()):
        color = PALETTE[at % len(PALETTE)]
        betas = [columns["beta"][i] for i in cells]
        line = _line(forecasts[cells[0]], min(betas), max(betas))
        for col, name in enumerate(SHOWN, 1):
            shared: dict[str, Any] = {"legendgroup": label, "showlegend": col == 1}
            figure.add_scatter(x=betas, y=[columns[name][i] for i in cells], mode="markers", name=label,
                               marker={"color": color, "opacity": 0.7}, **shared, row=1, col=col)  # fmt: skip
            if line is not None:
                figure.add_scatter(x=line["beta"], y=line[name], mode="lines", name=f"{label}: forecast",
                                   line={"color": color, "shape": "hv" if name == "n_alive" else "linear"},
                                   **shared, row=1, col=col)  # fmt: skip
    figure.update_xaxes(title_text="β")
    return figure.update_layout(template="simple_white", height=420, font={"family": "system-ui, sans-serif"})


def _line(forecast: Forecast | None, low: float, high: float) -> dict[str, list[Any]] | None:
    """The forecast at many β, a little beyond those that were trained."""
    if forecast is None:
        return None
    betas = np.geomspace(low / 1.2, high * 1.2, 200)
    totals = forecast.curves(betas)
    loss = totals.loss
    if forecast.objective.decoder_variance == "learned":
        loss = -totals.elbo - forecast.spectrum.n_targets / 2 * LOG_2PI
    if not forecast.exact:  # beyond the Gaussian only the first threshold is known, and the count as an estimate
        loss = np.full_like(betas, np.nan)
    columns = {"n_alive": totals.n_alive, "rate": totals.rate, "loss": loss}
    return {"beta": betas.tolist()} | {
        name: [float(v) if np.isfinite(v) else None for v in values] for name, values in columns.items()
    }
