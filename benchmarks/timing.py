"""Medians of interleaved runs, and the rows of the table."""

from __future__ import annotations

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
        return f"| {self.what} | {self.ours} | {self.against} | {self.ratio:.3g} | {self.limit} |"


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
