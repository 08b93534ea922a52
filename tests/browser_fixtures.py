"""Pages opened in a real browser, without a network."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        # without a system browser, Playwright starts its own, or fails and says how to install it
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page, collecting everything that it says or asks for."""
    tabs = []

    def open_page(html: str):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        tab = browser.new_page(viewport={"width": 1000, "height": 1400}, offline=True)
        heard: list[str] = []
        tab.on("console", lambda message: heard.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (heard.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: heard.append(request.url) if request.url != path.as_uri() else None)
        tab.goto(path.as_uri())
        tab.wait_for_function("document.querySelectorAll('.main-svg').length >= 3")
        # a page without a slider has no such place
        tab.wait_for_function("(document.getElementById('alive-value') ?? document.body).textContent !== ''")
        tabs.append(tab)
        return tab, heard

    yield open_page
    for tab in tabs:
        tab.close()
