"""The long run, `make fuzz`: python tests/fuzz/run.py [INPUTS] writes its counts into docs/benchmarks.md.

FUZZ_SEED chooses the inputs; the same seed and number give the same ones. Exit code 1 if anything went wrong.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from fuzz.doors import DOORS, lines, tried  # noqa: E402
from fuzz.outcomes import BAD, KINDS, Outcome  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks.md"
BATCH = 500
"""Inputs of one seed: some hundred at a time keep the generator's memory small."""

Bad = list[tuple[str, Outcome]]


def main() -> None:
    """Try them all, on every core."""
    total = int(float(sys.argv[1])) if len(sys.argv) > 1 else 100_000
    start = int(os.environ.get("FUZZ_SEED", "0"))
    work = [
        (name, min(BATCH, n - done), start * 1_000_003 + index * 10_007 + done)
        for index, (name, door) in enumerate(DOORS.items())
        for n in [max(BATCH // 10, total * door.share // 1000)]
        for done in range(0, n, BATCH)
    ]
    began = time.perf_counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in DOORS}
    bad: Bad = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for name, some, failed in pool.imap_unordered(batch, work):
            counts[name] += some
            bad += failed
    minutes = (time.perf_counter() - began) / 60
    print(table(counts))
    print(*lines(bad), sep="\n")
    write(counts, start, minutes)
    sys.exit(bool(bad))


def batch(work: tuple[str, int, int]) -> tuple[str, Counter[str], Bad]:
    """Some attempts at one door, in a process of its own."""
    warnings.simplefilter("ignore")
    name, n, start = work
    counts, bad = tried(DOORS[name], n, start)
    return name, counts, bad


def table(counts: dict[str, Counter[str]]) -> str:
    """Outcomes of each door, and of all."""
    rows = [*counts.items(), ("all", sum(counts.values(), Counter()))]
    head = ["door", "inputs", *KINDS]
    body = [[name, f"{c.total():,}", *(f"{c[kind]:,}" for kind in KINDS)] for name, c in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def write(counts: dict[str, Counter[str]], start: int, minutes: float) -> None:
    """The section of the page, between its marks."""
    n_bad = sum(c[kind] for c in counts.values() for kind in BAD)
    text = f"""## Fuzzing

<!-- fuzz -->
Odd and damaged input at every door (`make fuzz`, seed {start}: {minutes:.0f} minutes on {os.cpu_count()} cores).
*Right* is an answer that agrees with long-double or rational arithmetic, with optimisation or with the formula itself,
or one that is allowed to come. A *clear error* is one line. {n_bad or "None"} ended in anything else.

{table(counts)}

<!-- end -->"""
    page = PAGE.read_text(encoding="utf-8")
    section = re.compile(r"## Fuzzing\n\n<!-- fuzz -->.*?<!-- end -->", re.DOTALL)
    page = section.sub(lambda _: text, page) if section.search(page) else f"{page.rstrip()}\n\n{text}\n"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
