"""Plotly figures as pictures, through Chromium; for the scripts that make the documentation's figures."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "figures"


def photograph(figures: dict[str, go.Figure], *, width: int, height: int) -> None:
    """Write each figure to docs/figures/NAME.png at twice the size in pixels."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)
        for name, figure in figures.items():
            path = Path(folder) / f"{name}.html"
            figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})
            tab.goto(path.as_uri())
            tab.wait_for_selector(".main-svg")
            tab.wait_for_timeout(300)
            tab.screenshot(path=OUT / f"{name}.png")
        browser.close()
