"""What a decoder leaves for a latent to say, as one HTML file."""

from __future__ import annotations

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.injecting.words import card
from uncollapse.report.page import plain_figures, rendered

__all__ = ["injection_page"]


def injection_page(result: InjectionSpectrum, source: str, notes: list[str]) -> str:
    """The whole page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    result : InjectionSpectrum
    source : str
        What the sequences were called.
    notes : list of str
        Warnings that came up on the way.
    """
    said = card(result)
    return rendered(
        "injection.html.j2",
        source=source,
        name=result.decoder,
        verdict=said.headline,
        advice=said.lines,
        notes=notes,
        facts=said.facts,
        headings=said.headings,
        rows=said.rows,
        data={"figures": plain_figures({"directions": result.figure()}), "start": None},
    )
