"""The page in a real browser: it draws, the slider moves the count, nothing leaves the file."""

from __future__ import annotations

import re

import numpy as np
import pytest

from uncollapse import Objective, forecast
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.forecasting.pictures import beta_grid
from uncollapse.report.page import page

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")
NASTY = "<script>alert(1)</script>\"'&.npy"


def make(rng, **settings):
    x = rng.standard_normal((300, 12)) * np.geomspace(4, 0.1, 12)
    f = forecast(x, **settings)
    return f, page(f, bootstrap(x, f, n_samples=20), NASTY, ["a note with <b>tags</b>"])


def test_the_slider_moves_the_water_and_kills_modes(rng, opened):
    f, html = make(rng, n_latents=8, beta=0.5)
    tab, heard = opened(html)
    count = lambda: int(tab.text_content("#alive-value"))  # noqa: E731
    assert count() == f.n_alive
    last = len(beta_grid(f)) - 1
    for position in (0, last // 2, last):
        tab.evaluate(
            "i => { const s = document.getElementById('beta'); s.value = i; s.dispatchEvent(new Event('input')); }",
            position,
        )
        beta = beta_grid(f)[position]
        assert count() == int(f.curves(np.array([beta])).n_alive[0])
        level = tab.evaluate("document.getElementById('spectrum').data[1].y[0]")
        assert level == pytest.approx(beta * f.decoder_variance)
        colors = tab.evaluate("document.getElementById('spectrum').data[0].marker.color")
        assert colors.count(colors[0]) in (count(), len(colors))
    assert heard == []


def test_text_from_outside_stays_text(rng, opened):
    _, html = make(rng)
    tab, heard = opened(html)
    assert NASTY in tab.text_content("#about")
    assert "<b>tags</b>" in tab.text_content("body")
    assert heard == []


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 100.0},
        {"decoder_variance": "learned", "n_latents": 3},
        {"decoder_variance": "learned", "beta": 0.5},
        {"encoder_variance": 0.3, "n_latents": 4},
    ],
)
def test_every_status_draws_without_errors(rng, opened, settings):
    f, html = make(rng, **settings)
    tab, heard = opened(html)
    assert tab.text_content("#verdict").strip()
    assert int(tab.text_content("#alive-value")) == f.n_alive
    assert heard == []


def test_data_without_any_mode_still_make_a_page(opened):
    f = forecast(np.ones((5, 3)))
    tab, heard = opened(page(f, None, "nothing", []))
    assert "hold no mode" in tab.text_content("#verdict")
    assert heard == []


def test_the_page_refers_to_nothing_outside(rng):
    _, html = make(rng)
    own = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)  # Plotly itself mentions addresses in its text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!data:)[^\"'\s>]+", own)


def test_the_page_is_small_and_its_verdict_is_the_only_first_heading(rng):
    _, html = make(rng)
    assert len(html.encode()) < 1_500_000
    assert re.findall(r"<h1[^>]*id=\"(\w+)\"", html) == ["verdict"]
    assert html.count("<h1") == 1


def test_the_slider_speaks_of_the_weight_that_the_user_gave(rng, opened):
    objective = Objective.from_loss("mse", reduction="mean", kl_weight=0.001, n_features=12, n_latents=8)
    _, html = make(rng, objective=objective)
    tab, _ = opened(html)
    assert tab.text_content("#beta-name") == "kl_weight"
    assert float(tab.text_content("#beta-value")) == pytest.approx(0.001)
    assert tab.get_attribute("#beta", "aria-valuetext").startswith("kl_weight 0.001: ")


def test_the_page_and_its_figures_follow_a_dark_screen(rng, opened):
    _, html = make(rng)
    tab, heard = opened(html)
    ink = "document.getElementById('spectrum').layout.font.color"
    light = tab.evaluate(ink)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"{ink} !== '{light}'")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 31)"
    assert heard == []
