"""The page of a result, written from Python."""

from __future__ import annotations

import pytest

from diagnosed import diagnosed
from uncollapse import Objective, OutputError, forecast, write_report
from uncollapse.forecasting.intervals import bootstrap


def test_a_forecast_is_written_whole_with_its_intervals(tmp_path, rng):
    x = rng.standard_normal((80, 4)) * [3, 2, 1, 0.2]
    f = forecast(x, beta=1.0, n_latents=3)
    path = write_report(f, str(tmp_path / "report.html"), source="my <data>", intervals=bootstrap(x, f, n_samples=20))
    text = path.read_text("utf-8")
    assert path == tmp_path / "report.html"
    assert "my &lt;data&gt;" in text
    assert "90%" in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_diagnosis_is_written_too_and_takes_no_intervals(tmp_path, rng):
    d = diagnosed(rng)
    text = write_report(d, tmp_path / "report.html").read_text("utf-8")
    assert d.verdict[:20] in text
    x = rng.standard_normal((40, 3))
    f = forecast(x, n_latents=2)
    with pytest.raises(OutputError, match="intervals belong to the page of a forecast"):
        write_report(d, tmp_path / "again.html", intervals=bootstrap(x, f, n_samples=5))


@pytest.mark.parametrize(
    ("what", "where", "how", "message"),
    [
        ("x", "r.html", {}, "result must be a Forecast or Diagnosis, got 'x'"),
        (None, "", {}, "path must be the name of a file, got ''"),
        (None, 3, {}, "path must be the name of a file, got 3"),
        (None, "r.html", {"source": 3}, "source must be text, got 3"),
        (None, "r.html", {"intervals": (1, 2)}, "intervals must be an Intervals, got"),
        (None, "nowhere/r.html", {}, "does not exist"),
    ],
)
def test_other_things_are_refused_in_one_line(tmp_path, rng, monkeypatch, what, where, how, message):
    monkeypatch.chdir(tmp_path)
    f = forecast(rng.standard_normal((40, 3)), objective=Objective(n_latents=2)) if what is None else what
    with pytest.raises(OutputError, match=message) as caught:
        write_report(f, where, **how)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
