"""A sweep of VAEs of sequences as one HTML file."""

from __future__ import annotations

from uncollapse.injecting.sweep_pictures import SHOWN
from uncollapse.injecting.sweep_result import SequenceSweep
from uncollapse.report.page import rendered
from uncollapse.report.sweep_page import panels_apart

__all__ = ["sequence_sweep_page"]

SAID = (
    "Each point is a VAE, trained from one language model; each line is what λ of that model says: to second order, so "
    "near λ, and of as many directions as λ was measured of. Far below λ a VAE gains more."
)


def sequence_sweep_page(sweep: SequenceSweep, source: str = "sequences") -> str:
    """The whole page as HTML text; every text from outside is escaped."""
    said = sweep.card()
    return rendered(
        "sweep.html.j2",
        source=source,
        verdict=said.headline,
        lost=said.lines,
        said=SAID,
        headings=said.headings,
        rows=said.rows,
        facts=said.facts,
        **panels_apart(sweep.figure(), SHOWN),
    )
