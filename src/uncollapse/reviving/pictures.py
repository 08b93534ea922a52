"""The figure of a revived model: KL of each latent, before and after."""

from __future__ import annotations

import numpy as np

from uncollapse.reviving.result import Revived
from uncollapse.showing.figure import Axis, Bars, Figure, Panel, Points

__all__ = ["kl_figure"]

MOST_BARS = 60


def kl_figure(revived: Revived) -> Figure:
    """KL of each latent after, as bars, and before, as marks."""
    after = revived.kl_after
    before = np.append(revived.kl_before, np.zeros(len(after) - len(revived.kl_before)))
    order = np.argsort(-after, kind="stable")[:MOST_BARS]
    place = np.arange(1, len(order) + 1)
    bars = Bars(place, after[order], "alive", "revived", hover="{text}: {y:.4g} nats",
                texts=[f"latent {i + 1}" for i in order])  # fmt: skip
    marks = Points(place, before[order], "point", "before", size=10, symbol="bar", hover="before: {y:.4g} nats")
    x = Axis("latents, the largest KL first", limits=(0.4, len(order) + 0.6), whole=True)
    return Figure((Panel((bars, marks), x, Axis("KL, nats per sample", from_zero=True)),), height=320)
