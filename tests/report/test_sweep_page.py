"""The page of a sweep: it draws in a browser, says how near the forecast is, and holds all it needs."""

from __future__ import annotations

import numpy as np

from uncollapse import Objective, forecast
from uncollapse.report.sweep_page import sweep_page
from uncollapse.training.config import Network, Setup, Training

COUNTS = [2, 1, None]


def page_of_three(rng: np.random.Generator, source: str = "data") -> str:
    x = rng.standard_normal((300, 4)) * [3.0, 2.0, 0.5, 0.2]
    betas = [0.5, 1.0, 2.0]
    objectives = [Objective(beta=beta, n_latents=3) for beta in betas]
    setups = [Setup(o, Network(hidden=(8,)), Training(epochs=3)) for o in objectives]
    columns = {
        "beta": betas,
        "n_alive": COUNTS,
        "rate": [1.5, 0.8, None],
        "loss": [3.0, 4.0, None],
        "status": ["done", "done", "failed"],
        **{name: [1.0] * 3 for name in ("decoder_variance_setting", "encoder_variance", "n_latents", "hidden")},
        **{name: ["same"] * 3 for name in ("learning_rate", "likelihood")},
    }
    return sweep_page(columns, setups, [forecast(x, objective=o) for o in objectives], source)


def test_the_page_says_how_many_live_and_how_near_the_forecast_is(rng):
    html = page_of_three(rng, "<script>alert(1)</script>")
    assert "2 trainings: 1 to 2 latents live." in html
    assert "within one of 2 of them" in html
    assert "1 failed: see the table" in html
    assert "<script>alert(1)" not in html
    assert len(html) < 1.5e6


def test_a_browser_draws_its_three_figures_without_a_word(rng, opened):
    tab, heard = opened(page_of_three(rng))
    assert heard == []
    assert tab.locator(".main-svg").count() >= 3
    assert tab.locator("h1").count() == 1
