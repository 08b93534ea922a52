"""The figure of a training: how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncollapse.showing.figure import Axis, Figure, Line, Panel

if TYPE_CHECKING:
    from uncollapse.training.result import Trained

__all__ = ["training_figure"]


def training_figure(t: Trained) -> Figure:
    """Loss and number of living latents over the epochs."""
    epochs, x = t.history["epoch"], Axis("epoch", whole=True)
    loss = Panel((Line(epochs, t.history["loss"], "water"),), x, Axis("loss, nats per sample"))
    alive = Panel(
        (Line(epochs, t.history["n_alive"], "alive", steps=True),), x, Axis("latents alive", from_zero=True, whole=True)
    )
    return Figure((loss, alive), panel_width=400)
