"""The slider in a notebook's cell, in a real browser without a network."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from problems import rows_with_spectrum
from uncollapse import Objective, ObjectiveError, forecast, slider

STRENGTHS = np.array([4.0, 2.0, 0.5, 0.1])


@pytest.fixture
def f(rng):
    return forecast(rows_with_spectrum(STRENGTHS, 400, 5, rng), n_latents=3)


@pytest.fixture
def notebook(browser, tmp_path):
    """A page of outputs, one under the other, as a notebook shows them; and everything that it says or asks for."""
    tabs = []

    def show(*cells):
        path = tmp_path / "notebook.html"
        outputs = "".join(f"<div id='beta'>{cell._repr_html_()}</div>" for cell in cells)
        path.write_text(f"<!doctype html><meta charset='utf-8'><body>{outputs}", "utf-8")
        tab, heard = browser.new_page(viewport={"width": 900, "height": 1400}, offline=True), []
        tab.on("console", lambda message: heard.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        own = (path.as_uri(), "about:srcdoc")
        tab.on("request", lambda request: heard.append(request.url) if request.url not in own else None)
        tab.goto(path.as_uri())
        frames = [tab.frame_locator("iframe").nth(i) for i in range(len(cells))]
        for frame in frames:
            frame.locator("#alive-value:not(:empty)").wait_for()
        tabs.append(tab)
        return tab, frames, heard

    yield show
    for tab in tabs:
        tab.close()


def read(frame) -> tuple[float, int]:
    return float(frame.locator("#beta-value").text_content()), int(frame.locator("#alive-value").text_content())


def test_it_starts_at_the_forecast_and_follows_its_curves(f, notebook):
    _, (frame,), heard = notebook(slider(f))
    assert read(frame) == (1.0, f.n_alive) == (1.0, 2)
    for place in (0, 60, 120, 200):
        frame.locator("#beta").fill(str(place))
        beta, n_alive = read(frame)
        assert n_alive == int((f.critical_betas[:3] > beta).sum())
    assert n_alive == 0
    assert heard == []


def test_two_outputs_move_each_by_itself(f, notebook):
    _, (one, other), heard = notebook(slider(f), slider(f))
    one.locator("#beta").fill("200")
    assert read(one)[1] == 0
    assert read(other) == (1.0, 2)
    assert heard == []


def test_all_of_it_is_in_sight_at_a_notebooks_usual_width(f, notebook):
    tab, _, _ = notebook(slider(f))
    content, frame = tab.frames[1].evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert content <= frame


def test_a_loss_in_code_slides_its_own_weight(f, notebook):
    written = Objective.from_loss("mse", reduction="mean", n_features=5, kl_weight=0.1, n_latents=2)
    _, (frame,), _ = notebook(slider(forecast(f.spectrum, objective=written)))
    assert "kl_weight = 0.1" in frame.locator(".readout").text_content()


def test_the_output_is_one_frame_that_may_run_its_scripts_and_no_more(f):
    found = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    Tags().feed(slider(f, height=700)._repr_html_())
    ((tag, attributes),) = found
    assert (tag, attributes["sandbox"], attributes["height"]) == ("iframe", "allow-scripts", "700")
    assert attributes["srcdoc"] == slider(f).page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("f",), "forecast must be a Forecast, got 'f'"), ((None, 50), "height must be a whole number from 100 on")],
)
def test_what_has_no_slider_is_refused(arguments, said, f):
    given, *height = arguments
    with pytest.raises(ObjectiveError, match=said):
        slider(given or f, **({"height": height[0]} if height else {}))
