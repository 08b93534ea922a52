"""The figure of a sweep of VAEs of sequences: trained ones as points, what λ says as lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.colours import PALETTE
from uncollapse.showing.figure import Axis, Figure, Line, Mark, Panel, Points

if TYPE_CHECKING:
    from uncollapse.injecting.result import InjectionSpectrum
    from uncollapse.injecting.sweep_result import SequenceSweep

__all__ = ["SHOWN", "sweep_figure"]

SHOWN = {"n_alive": "latents alive", "rate": "KL, nats per sequence", "gain": "gain over no latent, nats per sequence"}
POINTS = 80


def sweep_figure(sweep: SequenceSweep) -> Figure:
    """A panel for each of what is shown, against β; a colour for each number of latents."""
    columns = sweep.columns
    marks: dict[str, list[Mark]] = {name: [] for name in SHOWN}
    for at, n_latents in enumerate(sorted(set(columns["n_latents"]))):
        cells = [i for i, n in enumerate(columns["n_latents"]) if n == n_latents]
        betas, colour = [columns["beta"][i] for i in cells], PALETTE[at % len(PALETTE)]
        label = f"{n_latents} latent{'s' if n_latents > 1 else ''}"
        lines = _lines(replace(sweep.spectrum, n_latents=n_latents), min(betas), max(betas))
        for name in SHOWN:
            values = [np.nan if columns[name][i] is None else columns[name][i] for i in cells]
            marks[name].append(Points(betas, values, colour, label, opacity=0.7))
            said = f"{label}: by λ"
            marks[name].append(Line(lines["beta"], lines[name], colour, said, steps=name == "n_alive"))
    panels = (
        Panel(tuple(marks[name]), Axis("β"), Axis("", whole=name == "n_alive"), title) for name, title in SHOWN.items()
    )
    return Figure(tuple(panels), legend="beside", height=420)


def _lines(spectrum: InjectionSpectrum, low: float, high: float) -> dict[str, np.ndarray]:
    """What λ says at many β, a little outside those that were trained."""
    betas = np.geomspace(low / 1.2, high * 1.2, POINTS)
    alive = np.array([spectrum.n_alive(beta) for beta in betas])
    rate, gain = (np.where(alive, [of(beta) for beta in betas], 0.0) for of in (spectrum.kl, spectrum.worth))
    return {"beta": betas, "n_alive": alive, "rate": rate, "gain": gain}
