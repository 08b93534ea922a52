"""A pilot forecast on terminal and page: what small networks did, beside the linear forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.report.style import ALIVE, COLLAPSED, axes, graph_objects, layout, own_point

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot

__all__ = ["HEADINGS", "about_pilot", "pilot_figure", "pilot_rows"]

HEADINGS = ("water level", "alive", "linear", "KL, nats", "linear", "loss", "linear")


def about_pilot(p: Pilot) -> str:
    """The answer at the objective's own water level, with its spread over seeds."""
    alive, kl = p.n_alive[p.here], p.kl[p.here]
    linear = int(p.linear.n_alive[p.here])
    shape = "-".join(map(str, (p.forecast.spectrum.n_features, *p.network.hidden)))
    return (
        f"Pilot: of {p.n_latents} latents {_spread(alive)} live in small networks ({shape}, {p.n_rows:,} rows, "
        f"{len(alive)} seeds) with {_range(kl)} nats of KL; the linear forecast says {linear} with "
        f"{float(p.linear.rate[p.here]):.3g}."
    )


def pilot_rows(p: Pilot) -> list[list[str]]:
    """A line for each water level, the highest first; the objective's own is marked."""
    linear = p.linear
    rows = []
    for i, level in enumerate(p.water_levels):
        mark = " ←" if i == p.here else ""
        loss = f"{linear.loss[i]:.4g}" if p.forecast.exact else ""
        rows.append(
            [
                f"{level:.4g}{mark}",
                _spread(p.n_alive[i]),
                str(int(linear.n_alive[i])),
                _range(p.kl[i]),
                f"{linear.rate[i]:.3g}",
                f"{np.median(p.loss[i]):.4g}",
                loss,
            ]
        )
    return rows


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


def _spread(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
