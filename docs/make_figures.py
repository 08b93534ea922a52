"""Make the pictures of the documentation from the code: `make figures`. Needs Chromium."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

from playwright.sync_api import sync_playwright

from uncollapse import forecast
from uncollapse.bootstrap import bootstrap
from uncollapse.data.sources import open_source
from uncollapse.report.page import page

OUT = Path(__file__).parent / "figures"


def main() -> None:
    """Photograph the report on the digits, whole and its spectrum alone."""
    rows = open_source("digits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f = forecast(rows, n_latents=32, decoder_variance=10.0)
    html = page(f, bootstrap(rows, f, n_samples=100), "digits", [])
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1000, "height": 1180})
        tab.goto(path.as_uri())
        tab.wait_for_function("document.querySelectorAll('.main-svg').length >= 3")
        tab.wait_for_timeout(500)
        tab.screenshot(path=OUT / "report.png")
        tab.locator("#spectrum").screenshot(path=OUT / "spectrum.png")
        browser.close()


if __name__ == "__main__":
    main()
