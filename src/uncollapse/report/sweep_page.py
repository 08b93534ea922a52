"""A sweep as one HTML file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from uncollapse.forecasting.result import Forecast
from uncollapse.report.page import plain_figures, rendered
from uncollapse.showing.figure import Figure
from uncollapse.training.config import Setup
from uncollapse.training.sweep_pictures import SHOWN, sweep_figure

__all__ = ["panels_apart", "sweep_page"]

SAID = (
    "Each point is a training, each line the forecast of the linear model at the same setting. For deep networks the "
    "forecast says where complete collapse begins; their number alive may differ."
)


def sweep_page(
    columns: dict[str, list[Any]], setups: list[Setup], forecasts: list[Forecast | None], source: str = "data"
) -> str:
    """The whole page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    columns : dict of lists
        The sweep's table, a list a column; see `sweep`.
    setups : list of Setup
        Of its rows.
    forecasts : list of Forecast or None
        Of its rows; None where no closed form is known.
    source : str
        What the data were called.
    """
    return rendered(
        "sweep.html.j2",
        source=source,
        verdict=_verdict(columns, forecasts),
        lost=_lost(columns),
        said=SAID,
        rows=(),
        **panels_apart(sweep_figure(columns, setups, forecasts), SHOWN),
    )


def panels_apart(figure: Figure, titles: dict[str, str]) -> dict[str, Any]:
    """A figure's panels as figures of their own, each under its title: what the template draws."""
    single = {
        name: replace(figure, panels=(replace(panel, title=""),), legend="above", panel_width=None, height=360)
        for name, panel in zip(titles, figure.panels, strict=True)
    }
    named = [(name, f"{title[0].upper()}{title[1:]}") for name, title in titles.items()]
    return {"titles": named, "data": {"figures": plain_figures(single), "start": None}}


def _verdict(columns: dict[str, list[Any]], forecasts: list[Forecast | None]) -> str:
    """How many live, and how near the forecast of the linear model is.

    Examples
    --------
    >>> _verdict({"n_alive": [3, 4, None]}, [None, None, None])
    '2 trainings: 3 to 4 latents live.'
    """
    counts = [n for n in columns["n_alive"] if n is not None]
    if not counts:
        return "No training came to its end."
    most = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0])
    both = [
        (n, f.n_alive) for n, f in zip(columns["n_alive"], forecasts, strict=True) if n is not None and f is not None
    ]
    near = sum(abs(n - forecast) <= 1 for n, forecast in both)
    beside = f" The forecast of the linear model is within one of {near} of them." if both else ""
    return f"{len(counts)} training{'s' if len(counts) > 1 else ''}: {most} latents live.{beside}"


def _lost(columns: dict[str, list[Any]]) -> list[str]:
    """A line for each training that did not come to its end."""
    statuses = columns.get("status", [])
    n = {word: statuses.count(word) for word in ("failed", "refused")}
    return [f"{count} {word}: see the table beside this page." for word, count in n.items() if count]
