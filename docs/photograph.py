"""Plotly figures as pictures, through Chromium; for the scripts that make the documentation's figures."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "figures"


def photograph(figures: dict[str, go.Figure], scale: float = 1.0) -> None:
    """Write each figure, of the size its layout gives, to docs/figures/NAME.png; `scale` multiplies the pixels."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, figure in figures.items():
            path = Path(folder) / f"{name}.html"
            figure.write_html(path, config={"displayModeBar": False})
            size = {"width": figure.layout.width + 20, "height": figure.layout.height + 20}
            tab = browser.new_page(viewport=size, device_scale_factor=scale)
            tab.goto(path.as_uri())
            tab.wait_for_timeout(1500)
            tab.locator(".plotly-graph-div").screenshot(path=OUT / f"{name}.png")
        browser.close()
