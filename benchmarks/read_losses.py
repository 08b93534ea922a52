"""Every loss of `losses.py`, read → the table of docs/losses.md: `python benchmarks/read_losses.py`."""

from __future__ import annotations

import re
import time
from pathlib import Path

from losses import LOSSES, D, K
from uncollapse import read_loss
from uncollapse.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "losses.md"


def main() -> None:
    """Read all and write the table between its marks."""
    lines = ["| in the manner of | read as | what else it says |", "|---|---|---|"]
    started = time.perf_counter()
    for loss in LOSSES:
        shape = loss.shape[0] if len(loss.shape) == 1 else loss.shape
        r = read_loss(loss.function, shape, K, settings=loss.settings)
        said = " ".join(r.remarks).replace("|", "\\|")
        lines.append(f"| {loss.source} | {r.headline.replace('|', chr(92) + '|')} | {said} |")
    print(f"{len(LOSSES)} losses in {time.perf_counter() - started:.1f} s, {D} features and {K} latents")
    marks = re.compile(r"(<!-- losses -->\n).*?(<!-- end -->)", re.DOTALL)
    text = PAGE.read_text(encoding="utf-8")
    table = "\n".join(lines)
    write_text(PAGE, marks.sub(lambda m: f"{m[1]}\n{table}\n\n{m[2]}", text))


if __name__ == "__main__":
    main()
