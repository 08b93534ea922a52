"""A revived model as one HTML file: before and after."""

from __future__ import annotations

from typing import Any

from uncollapse.bill.pictures import bill_figure
from uncollapse.bill.terminal import HEADINGS, bill_rows
from uncollapse.report.images import image_shape, image_uri
from uncollapse.report.page import plain_figures, rendered
from uncollapse.reviving.pictures import kl_figure
from uncollapse.reviving.result import Revived

__all__ = ["revive_page"]


def revive_page(revived: Revived, source: str, trained: Any = None) -> str:
    """The whole page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    revived : Revived
    source : str
        What the data were called.
    trained : TrainedOn, optional
        What came of training on.
    """
    figures = {"kl": kl_figure(revived)}
    if revived.bill.lines:
        figures["bill"] = bill_figure(revived.bill)
    return rendered(
        "revive.html.j2",
        source=source,
        name=revived.name,
        verdict=revived.headline,
        trained="" if trained is None else trained.text,
        bill=bill_rows(revived.bill),
        bill_headings=HEADINGS,
        facts=() if revived.additions is None else revived.additions.card().facts,
        images=_images(revived),
        data={"figures": plain_figures(figures), "start": None},
    )


def _images(revived: Revived) -> list[list[str]]:
    """Rows of pictures: data, reconstructions before, and after; none where the data are no images."""
    seen = revived.seen
    if seen is None:
        return []
    rows, before, after, said = seen
    shape = image_shape(rows.shape[1], said)
    if shape is None:
        return []
    low, high = float(rows.min()), float(rows.max())
    return [[image_uri(row, shape, low, high) for row in part] for part in (rows, before, after)]
