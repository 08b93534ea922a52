"""The figures of models of sequences: how training went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncollapse.showing.figure import Axis, Figure, Line, Panel

if TYPE_CHECKING:
    from uncollapse.sequences.language import LanguageModel
    from uncollapse.sequences.result import SequenceVAE
    from uncollapse.training.result import History

__all__ = ["language_figure", "vae_figure"]

EPOCH = Axis("epoch", whole=True)


def _losses(history: History) -> Panel:
    lines = (
        Line(history["epoch"], history["loss"], "water", name="in training"),
        Line(history["epoch"], history["held_out"], "alive", name="held out"),
    )
    return Panel(lines, EPOCH, Axis("loss, nats per sequence"))


def language_figure(lm: LanguageModel) -> Figure:
    """Loss over the epochs."""
    return Figure((_losses(lm.history),), panel_width=400)


def vae_figure(vae: SequenceVAE) -> Figure:
    """Loss and number of living latents over the epochs."""
    alive = Line(vae.history["epoch"], vae.history["n_alive"], "alive", steps=True)
    count = Panel((alive,), EPOCH, Axis("latents alive", from_zero=True, whole=True))
    return Figure((_losses(vae.history), count), panel_width=400)
