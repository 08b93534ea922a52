"""The figure of a spectrum: strength of each mode, and the edge of sampling noise."""

from __future__ import annotations

import numpy as np

from uncollapse.showing.figure import Axis, Bars, Figure, Mark, Panel, across
from uncollapse.spectra.result import Spectrum

__all__ = ["strengths_figure"]

MOST_BARS = 300


def strengths_figure(s: Spectrum) -> Figure:
    """Strengths as bars, dark where they stand above sampling noise, whose edge lies across."""
    n = min(s.rank, MOST_BARS)
    ends = (0.5, max(n, 1) + 0.5)
    colours = ["mode" if above else "collapsed" for above in s.above_noise[:n]]
    marks: list[Mark] = [Bars(np.arange(1, n + 1), s.strengths[:n], colours, hover="mode {x}: {y:.4g}")]
    if s.noise.edge > 0:
        marks.append(across(ends, s.noise.edge, "noise", "edge of sampling noise", width=1.5, dash="dot"))
    y = Axis("strength ζ²" if s.likelihood == "gaussian" else "strength, in units of β", log=True)
    return Figure((Panel(tuple(marks), Axis("mode", limits=ends, whole=True), y),))
