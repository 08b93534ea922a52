"""A sweep as one HTML file."""

from __future__ import annotations

from typing import Any

from uncollapse.forecasting.result import Forecast
from uncollapse.showing.with_plotly import plotly_figure
from uncollapse.training.config import Setup
from uncollapse.training.sweep_pictures import sweep_figure

__all__ = ["sweep_page"]


def sweep_page(columns: dict[str, list[Any]], setups: list[Setup], forecasts: list[Forecast | None]) -> str:
    """The figure with its script inside, so that it opens anywhere."""
    html: str = plotly_figure(sweep_figure(columns, setups, forecasts)).to_html(include_plotlyjs=True, full_html=True)
    return html
