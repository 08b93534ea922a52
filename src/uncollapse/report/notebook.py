"""A forecast in a notebook, with the page's slider of β; it needs no kernel, no extension and no network."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from uncollapse import checks
from uncollapse.forecasting.result import Forecast
from uncollapse.report.page import forecast_context, rendered

__all__ = ["Slider", "slider"]

HEIGHT = 550
"""Pixels that the verdict, the figure, the slider and its numbers take on a notebook's usual width."""


@dataclass(frozen=True)
class Slider:
    """What a notebook shows where a cell ends in it: a page of its own in a frame, which scripts cannot leave.

    Attributes
    ----------
    page : str
        HTML that holds everything it needs.
    height : int
        Of the frame, pixels.
    """

    page: str = field(repr=False)
    height: int

    def _repr_html_(self) -> str:
        # a frame, so that ids and styles of two outputs do not meet each other or the notebook's
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts" title="Forecast of posterior collapse" '
            f'width="100%" height="{self.height}" style="border: 0"></iframe>'
        )


def slider(forecast: Forecast, *, height: int = HEIGHT) -> Slider:
    """The spectrum of a forecast against the water, with a slider of β (of your KL weight, if the loss has one).

    All of it is in the cell's output, some 1.2 MB of HTML: the slider also moves in a notebook that was saved and is
    opened without a kernel, if the notebook is trusted.

    Parameters
    ----------
    forecast : Forecast
    height : int
        Of the frame, pixels, 100 or more.

    Raises
    ------
    ObjectiveError
        Not a forecast, or not a height.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> slider(forecast(np.random.default_rng(0).standard_normal((100, 3)), n_latents=2))
    Slider(height=550)
    """
    checks.instance(forecast, "forecast", Forecast)
    height = checks.count(height, "height", least=100)
    context = forecast_context(forecast, None, "the data", [])
    figures = {name: drawn for name, drawn in context["data"]["figures"].items() if name == "spectrum"}
    return Slider(rendered("notebook.html.j2", **{**context, "data": {**context["data"], "figures": figures}}), height)
