"""Medians of interleaved runs, and the rows of the table."""

from __future__ import annotations

import operator
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line: what was measured, against what, the ratio ours/theirs (or as the limit says), and the limit."""

    what: str
    ours: str
    against: str
    ratio: float
    limit: str

    def __str__(self) -> str:
        """A line of a Markdown table."""
        return f"| {self.what} | {self.ours} | {self.against} | {self.ratio:.3g} | {self.limit} | {self.met} |"

    @property
    def met(self) -> str:
        """Whether the limit is kept: yes, **no**, or nothing where it is none that is counted."""
        found = re.match(r"([≤≥<]) ([\d.e-]+)", self.limit)
        if found is None:
            return ""
        holds = {"≤": operator.le, "≥": operator.ge, "<": operator.lt}[found[1]]
        return "yes" if holds(float(f"{self.ratio:.3g}"), float(found[2])) else "**no**"


def medians(candidates: dict[str, Callable[[], object]], n_repeats: int) -> dict[str, float]:
    """Median seconds of each candidate, run in turn A B C A B C … after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(n_repeats + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
