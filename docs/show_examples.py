"""Run the diagnoses that the pages show and put what they print there: `python docs/show_examples.py FOLDER`.

FOLDER holds `runs`, which `train_examples.py` made, `vae` and `early`, which the `uncollapse train` lines on the
first page make, and `my_vae.py` with what it wrote when it was run there. Of each answer the pages show what stands
above its tables.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = ("command.md", "results.md", "gallery.md")
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in MADE)]

BLOCK = re.compile(r"```console\n\$ (uncollapse (?:diagnose|revive) [^\n]*)\n(.*?)```", flags=re.DOTALL)
"""A diagnosis, or a model revived, and the answer that is shown."""


def answer(command: str, folder: Path) -> str:
    """What a command prints, without its table and figure."""
    words = [sys.executable, "-m", "uncollapse.cli", *command.split()[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    end = next(i for i, line in enumerate(lines) if not line or line.startswith("Better models that exist"))
    return "\n".join(lines[:end]) + "\n"


def words_of(text: str) -> list[str]:
    """An answer without its numbers, which differ between machines in their last digits.

    Examples
    --------
    >>> words_of("The model costs 0.3397 nats\\nless.")
    ['The', 'model', 'costs', 'nats', 'less.']
    """
    return [word for word in text.split() if not re.search(r"\d", word)]


def main(folder: Path) -> None:
    """Write the answers into the pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        shown = BLOCK.sub(lambda m: f"```console\n$ {m[1]}\n{answer(m[1], folder)}```", text)
        if shown != text:
            page.write_text(shown, "utf-8")
            print(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
