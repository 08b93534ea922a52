"""Stationary points, slices, flows and escape times in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.noun import MOST_ROWS, Card, number

if TYPE_CHECKING:
    from uncollapse.landscape.direction import Direction
    from uncollapse.landscape.escape import EscapeTimes
    from uncollapse.landscape.flow import Flow
    from uncollapse.landscape.origin import OriginHessian
    from uncollapse.landscape.slices import Slice
    from uncollapse.landscape.stationary import StationaryPoint

__all__ = ["direction_card", "escape_card", "flow_card", "origin_card", "slice_card", "stationary_card"]


def escape_card(times: EscapeTimes) -> Card:
    """When the last mode comes alive, and each of the first ones."""
    f, rows = times.forecast, zip(times.rates[:MOST_ROWS].tolist(), times.steps[:MOST_ROWS].tolist(), strict=True)
    alive = int(np.isfinite(times.steps).sum())
    return Card(
        times.headline,
        (
            ("learning rate", number(times.learning_rate)),
            ("modes that come alive", f"{alive} of {len(times.steps)}"),
            ("water level", number(f.water_level)),
        ),
        headings=("mode", "growth rate", "steps"),
        rows=tuple((str(k), number(rate), number(steps)) for k, (rate, steps) in enumerate(rows, start=1)),
    )


def flow_card(flow: Flow) -> Card:
    """How many modes came alive, and how the loss fell."""
    n = int(np.isfinite(flow.escapes).sum())
    last = number(float(flow.steps[-1]))
    facts = (
        ("loss at the start, nats per sample", number(float(flow.loss[0]))),
        ("loss at the end", number(float(flow.loss[-1]))),
        ("β at the end", number(float(flow.beta[-1]))),
    )
    rows = tuple((str(k), number(step)) for k, step in enumerate(flow.escapes[:MOST_ROWS].tolist(), start=1))
    headline = f"{n} of {len(flow.escapes)} modes come alive within {last} steps of gradient descent."
    return Card(headline, facts, headings=("mode", "alive at step"), rows=rows)


def slice_card(each: Slice) -> Card:
    """Of what, along what, and the range of values."""
    best = float(each.values.max() if each.quantity == "log-likelihood" else each.values.min())
    facts = (
        ("across", each.first_label),
        ("up", each.second_label),
        ("grid", f"{len(each.first)} × {len(each.second)}"),
        ("best value, nats above the point", number(best)),
    )
    return Card(f"A slice of the {each.quantity}: {each.title}.", facts)


def stationary_card(p: StationaryPoint) -> Card:
    """Minimum or saddle, and how to leave it."""
    carried = ", ".join(str(k + 1) for k in p.modes[:MOST_ROWS]) + (", …" if len(p.modes) > MOST_ROWS else "")
    what = "the global minimum" if p.index == 0 else f"a saddle with {_directions(p.index)} down"
    where = f"carry {'mode' if len(p.modes) == 1 else 'modes'} {carried}" if p.modes else "carry nothing"
    rows = tuple(
        (str(way.latent + 1), str(way.mode + 1), number(way.curvature), number(way.drop))
        for way in p.escapes[:MOST_ROWS]
    )
    return Card(
        f"Where the latents {where}: {what}.",
        (
            ("loss, nats per sample", number(p.loss)),
            ("above the minimum", number(p.loss - p.forecast.loss)),
            ("water level", number(p.water_level)),
        ),
        headings=("latent", "towards mode", "curvature", "drop, nats") if rows else (),
        rows=rows,
    )


def direction_card(way: Direction) -> Card:
    """Which latent moves where, and what that gains."""
    down = "down" if way.curvature < 0 else "up"
    facts = (
        ("curvature", number(way.curvature)),
        ("lowest loss after a step of", number(way.distance)),
        ("nats gained there", number(way.drop)),
    )
    return Card(f"Latent {way.latent + 1} towards mode {way.mode + 1}: the way leads {down}.", facts)


def origin_card(h: OriginHessian) -> Card:
    """Whether everything dead is the minimum."""
    if h.positive_semidefinite:
        headline = "The point where every latent is dead is the global minimum: complete collapse."
    else:
        headline = f"The point where every latent is dead is a saddle with {_directions(h.index)} down."
    lowest = number(float(h.lowest.min())) if h.lowest.size else "–"
    return Card(headline, (("lowest curvature", lowest), ("modes", str(len(h.lowest)))))


def _directions(n: int) -> str:
    return "1 direction" if n == 1 else f"{n:,} directions"
