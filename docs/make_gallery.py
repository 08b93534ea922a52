"""Make docs/gallery.md and its pictures: `TEXT_DIR=… python docs/make_gallery.py [NAME…]`, some minutes on one core.

Every model is trained here in seconds. TEXT_DIR has names.txt, a first name a line. Needs Chromium. With NAMEs only
their pictures and answers are made again; the others stay as the page has them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gallery_exhibits import EXHIBITS, Exhibit
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from variants import plant

DOCS = Path(__file__).parent
OUT = DOCS / "figures" / "gallery"
WIDTH, HEIGHT = 1000, 1040
MOST_BYTES = 80_000
BUDGET = ["--budget", "120"]
"""Seconds, so that what is tried does not depend on how busy a machine is."""

TOP = """# Twelve reports

Each shows what to type, the first sentence of the answer, and the top of the page that `--html` writes. All were made
by `docs/make_gallery.py`; `diagnose` and `revive` had a `--budget 120`, since the machine was busy. What the words
mean: [the idea in one page](idea.md); every cause: [the table](index.md#every-cause).
"""


def main(names: list[str]) -> None:
    """Run the exhibits, photograph their pages, and write the page."""
    OUT.mkdir(parents=True, exist_ok=True)
    written = (DOCS / "gallery.md").read_text("utf-8") if names else ""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        _put_data_there(Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        parts = []
        for exhibit in EXHIBITS:
            if names and exhibit.name not in names:
                part = _as_it_stands(exhibit, written)
            else:
                part = _part(exhibit, _run(exhibit, Path(folder)))
                _photograph(browser, Path(folder) / exhibit.page, OUT / f"{exhibit.name}.png")
                print(exhibit.name, flush=True)
            parts.append(part)
        browser.close()
    (DOCS / "gallery.md").write_text("\n".join([TOP, *parts]), "utf-8")


def _as_it_stands(exhibit: Exhibit, page: str) -> str:
    """What the page has of an exhibit."""
    found = re.search(rf"^## {re.escape(exhibit.title)}\n.*?\.png\)\n", page, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit(f"gallery.md has no {exhibit.title!r}; make it: python docs/make_gallery.py {exhibit.name}")
    return found[0]


def _put_data_there(folder: Path) -> None:
    """Files of weights, names, counts of cells, and a folder of pictures."""
    shutil.copy(DOCS / "my_vae.py", folder)
    subprocess.run([sys.executable, "my_vae.py"], check=True, cwd=folder)
    plant(folder, "softplus")
    rng = np.random.default_rng(0)
    names = Path(os.environ["TEXT_DIR"], "names.txt").read_text("utf-8").split()
    (folder / "names.txt").write_text("\n".join(rng.permutation(names)[:4000]) + "\n", "utf-8")
    np.save(folder / "cells.npy", cells(rng))
    (folder / "photos").mkdir()
    for i, picture in enumerate(discs(rng)):
        Image.fromarray(picture).save(folder / "photos" / f"{i:03d}.png")


def cells(rng: np.random.Generator, n: int = 600, genes: int = 60, programs: int = 4) -> np.ndarray:
    """Counts in the manner of cells, (n, genes): programs of genes, library sizes, and more noise than Poisson's."""
    effects = rng.standard_normal((programs, genes)) * (rng.random((programs, genes)) < 0.3)
    log_rate = 0.8 * rng.standard_normal((n, programs)) @ effects + rng.normal(-1, 1, genes)
    rate = np.exp(log_rate + 0.4 * rng.standard_normal((n, 1)))
    return rng.poisson(20 * rate / rate.mean() * rng.gamma(3, 1 / 3, rate.shape))


def discs(rng: np.random.Generator, n: int = 400, side: int = 16) -> np.ndarray:
    """Pictures of a soft disc of any place, size and colour: (n, side, side, 3) bytes."""
    place, size = rng.uniform(4, side - 4, (n, 2, 1, 1)), rng.uniform(2, 5, (n, 1, 1))
    y, x = np.mgrid[:side, :side]
    disc = 1 / (1 + np.exp(1.5 * (np.hypot(y - place[:, 0], x - place[:, 1]) - size)))
    return (255 * disc[..., None] * rng.uniform(0.2, 1, (n, 1, 1, 3))).astype(np.uint8)


def _run(exhibit: Exhibit, folder: Path) -> list[str]:
    """The first sentence of each answer, of the commands that give one."""
    answers = []
    for command in exhibit.commands:
        words = [sys.executable, "-m", "uncollapse.cli", *shlex.split(command)[1:]]
        if words[3] in ("diagnose", "revive") and "names.txt" not in words:
            words += BUDGET
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode:
            raise SystemExit(f"{command}: {done.stderr}")
        if words[3] != "train":
            answers.append(first_sentence(done.stdout))
    return answers


def first_sentence(printed: str) -> str:
    """The verdict above what is listed, in one line.

    Examples
    --------
    >>> first_sentence("At this loss all\\nlive.\\nCause: healthy.")
    'At this loss all live.'
    """
    lines = [line.strip() for line in printed.splitlines()]
    end = next((i for i, line in enumerate(lines) if not line or line.startswith(("→", "·", "Cause", "Added"))), None)
    return " ".join(lines[:end])


def _part(exhibit: Exhibit, answers: list[str]) -> str:
    typed = "\n".join(f"$ {command}" for command in exhibit.commands)
    said = "\n>\n".join(f"> {answer}" for answer in answers)
    return (
        f"## {exhibit.title}\n\n{exhibit.sentence}\n\n```console\n{typed}\n```\n\n{said}\n\n"
        f"![{exhibit.alt}](figures/gallery/{exhibit.name}.png)\n"
    )


def _photograph(browser: Browser, page: Path, to: Path) -> None:
    """The top of the page, in as many colours as fit into the bytes that a picture may take."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    tab.goto(page.as_uri())
    tab.wait_for_function("document.querySelectorAll('.main-svg').length >= 1")
    tab.wait_for_timeout(700)
    tab.screenshot(path=to)
    tab.close()
    with Image.open(to) as taken:
        picture = taken.convert("RGB")
    for colours in (128, 64, 32, 16):
        picture.quantize(colours, dither=Image.Dither.NONE).save(to, optimize=True)
        if to.stat().st_size <= MOST_BYTES:
            return
    raise SystemExit(f"{to}: {to.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
