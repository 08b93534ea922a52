"""A pilot in words: the answer in a sentence, and a row for each water level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot

__all__ = ["HEADINGS", "about_pilot", "pilot_rows"]

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


def _spread(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
