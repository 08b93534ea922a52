"""A result → its page, written to a file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from uncollapse import checks
from uncollapse.diagnosis.result import Diagnosis
from uncollapse.errors import OutputError
from uncollapse.files import check_writable, write_text
from uncollapse.forecasting.intervals import Intervals
from uncollapse.forecasting.result import Forecast
from uncollapse.report.diagnosis_page import diagnosis_page
from uncollapse.report.page import page

__all__ = ["write_report"]


def write_report(
    result: Forecast | Diagnosis,
    path: str | PathLike[str],
    *,
    source: str = "the data",
    intervals: Intervals | None = None,
) -> Path:
    """Write the page that ``--html`` writes: one file that holds everything it needs and opens offline.

    Parameters
    ----------
    result : Forecast or Diagnosis
    path : str or path
        The file. One that is there is replaced, whole or not at all.
    source : str
        What the page calls the data.
    intervals : Intervals, optional
        Of a forecast, from `forecasting.intervals.bootstrap`: the page then shows how far another sample could differ.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    OutputError
        Not a result that has a page, or a place that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> f = forecast(np.random.default_rng(0).standard_normal((100, 3)), beta=0.5, n_latents=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_report(f, f"{folder}/report.html")
    ...     written.stat().st_size > 100_000
    True
    """
    checks.instance(result, "result", (Forecast, Diagnosis), error=OutputError)
    if not isinstance(path, str | PathLike) or not str(path):
        raise OutputError(f"path must be the name of a file, got {checks.shown(path)}")
    if not isinstance(source, str):
        raise OutputError(f"source must be text, got {checks.shown(source)}")
    if intervals is not None:
        checks.instance(intervals, "intervals", Intervals, error=OutputError)
        if isinstance(result, Diagnosis):
            raise OutputError("intervals belong to the page of a forecast; leave them out for a diagnosis")
    place = Path(path)
    check_writable(place)
    if isinstance(result, Diagnosis):
        write_text(place, diagnosis_page(result, source))
    else:
        write_text(place, page(result, intervals, source, []))
    return place
