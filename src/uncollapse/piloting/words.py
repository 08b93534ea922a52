"""A pilot in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.noun import Card

if TYPE_CHECKING:
    from uncollapse.piloting.result import Pilot

__all__ = ["HEADINGS", "about_pilot", "pilot_card", "pilot_rows"]

HEADINGS = ("water", "alive", "quiet start", "linear", "KL, nats", "linear", "loss", "linear")


def about_pilot(p: Pilot) -> str:
    """The answer at the objective's own water level, with its spread over seeds."""
    i = p.here
    text = (
        f"Pilot: trained to the end, {_spread(p.n_earning[i])} of {p.n_latents} latents live in this network "
        f"({p.shape}, {p.n_rows:,} rows, {p.n_alive.shape[1]} seeds) with {_range(p.kl[i])} nats of KL; the linear "
        f"forecast says {int(p.linear.n_alive[i])} with {float(p.linear.rate[i]):.3g}."
    )
    if p.usual_n_alive is not None:
        text += (
            f" After {p.epochs} epochs at a constant rate {_spread(p.usual_n_alive)} would show more than 0.01 nats."
        )
    return text


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
                _spread(p.n_earning[i], "–"),
                str(int(p.quiet_n_alive[i])),
                str(int(linear.n_alive[i])),
                _range(p.kl[i], "–"),
                f"{linear.rate[i]:.3g}",
                f"{np.median(p.loss[i]):.4g}",
                loss,
            ]
        )
    return rows


def pilot_card(p: Pilot) -> Card:
    """The answer at the objective's own water level, and each level."""
    facts = (("rows", f"{p.n_rows:,}"), ("network", p.shape))
    rows = tuple(tuple(row) for row in pilot_rows(p))
    return Card(about_pilot(p), (*facts, ("seconds", f"{p.seconds:.0f}")), headings=HEADINGS, rows=rows)


def _spread(counts: np.ndarray, to: str = " to ") -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low}{to}{high}"


def _range(values: np.ndarray, to: str = " to ") -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low}{to}{high}"
