"""Make the pictures of the documentation from the code: `make figures`. Needs Chromium."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

from playwright.sync_api import sync_playwright

from uncollapse import Objective, diagnose, forecast, open_probe, verify
from uncollapse.data.sources import open_source
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.report.diagnosis_page import diagnosis_page
from uncollapse.report.page import page
from uncollapse.report.revive_page import revive_page
from uncollapse.reviving.build import revive
from uncollapse.reviving.train_on import train_on
from uncollapse.training import Network, Training, train

OUT = Path(__file__).parent / "figures"


def main() -> None:
    """Photograph the two reports on the digits, and the spectrum alone."""
    OUT.mkdir(exist_ok=True)
    _photograph(_forecast(), {"report": None, "spectrum": "#spectrum"}, height=1180)
    _photograph(_diagnosis(), {"diagnosis": None}, height=1350)
    _photograph(_revived(), {"revived": None}, height=1330, n_figures=2)


def _forecast() -> str:
    rows = open_source("digits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f = forecast(rows, n_latents=32, decoder_variance=10.0)
    return page(f, bootstrap(rows, f, n_samples=100), "digits", [])


def _diagnosis() -> str:
    """Of the dead model on the first page."""
    rows, shallow = open_source("digits"), Network(hidden=(64,))
    x = next(iter(rows.blocks())) / 16
    probe = open_probe(train(x, objective=Objective(n_latents=8), network=shallow, training=Training(epochs=30)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return diagnosis_page(verify(diagnose(probe, x), probe, x), "digits")


def _revived() -> str:
    """Of the model on the first page that was stopped early."""
    x = next(iter(open_source("digits").blocks())) / 16
    objective = Objective(decoder_variance=0.02, n_latents=8)
    early = train(x, objective=objective, network=Network(hidden=(64,)), training=Training(epochs=8))
    better = revive(early, x)
    return revive_page(better, "digits", train_on(better, x, epochs=20))


def _photograph(html: str, parts: dict[str, str | None], *, height: int, n_figures: int = 3) -> None:
    """The page from its top, or the element of it, under each name."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1000, "height": height})
        tab.goto(path.as_uri())
        tab.wait_for_function("document.querySelectorAll('.main-svg').length >= " + str(n_figures))
        tab.wait_for_timeout(500)
        for name, element in parts.items():
            (tab.locator(element) if element else tab).screenshot(path=OUT / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
