"""How the sums grow with rows, measured here, and what follows for 1e9 × 4,096: `python docs/measure_scale.py`.

Some minutes on one core. Writes the table and the numbers between the marks of docs/scale.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from uncollapse import Moments, moments
from uncollapse.data.blocks import Rows, rows_per_block
from uncollapse.data.on_dask import FAN_IN
from uncollapse.data.shared import chunk_rows

PAGE = Path(__file__).with_name("scale.md")
BEGIN, END = "<!-- numbers -->", "<!-- end of numbers -->"
D, LARGE_D, LARGE_N = 64, 4096, 10**9
MOST_SECONDS = 300.0
WORKERS = (8, 64)
NETWORK = 1e9
"""Bytes a second between two machines, for the sums: about 10 Gbit/s."""


class Made:
    """Blocks of random float32 rows, with the time that making them takes kept apart."""

    def __init__(self, n: int, d: int) -> None:
        self.n, self.d, self.seconds = n, d, 0.0
        self.rows = Rows("made", d, n, self._blocks)

    def _blocks(self) -> Iterator[np.ndarray]:
        rng, step = np.random.default_rng(0), rows_per_block(self.d)
        scales = np.geomspace(3, 0.1, self.d, dtype=np.float32)
        for start in range(0, self.n, step):
            began = time.perf_counter()
            block = rng.random((min(step, self.n - start), self.d), dtype=np.float32) * scales
            self.seconds += time.perf_counter() - began
            yield block


def timed(n: int, d: int) -> tuple[Moments, float]:
    """Moments of n made rows, and the seconds of the sums alone."""
    made = Made(n, d)
    began = time.perf_counter()
    found = moments(made.rows)
    return found, time.perf_counter() - began - made.seconds


def size(n_bytes: float) -> str:
    """In the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} PB"


def hours(seconds: float) -> str:
    """In hours, or minutes where it is less than two."""
    return f"{seconds / 3600:.0f} hours" if seconds > 7200 else f"{seconds / 60:.0f} minutes"


def slopes() -> tuple[list[str], str]:
    """Rows of the table, and how straight the line is."""
    counts, times = [10**6, 10**7], []
    for n in counts:
        times.append(timed(n, D)[1])
        print(f"{n:,} x {D}: {times[-1]:.1f} s", flush=True)
    whole = 10**8 if times[-1] * 20 < MOST_SECONDS else 3 * 10**7
    counts.append(whole)
    times.append(timed(whole, D)[1])
    print(f"{whole:,} x {D}: {times[-1]:.1f} s", flush=True)
    table = [f"| {n:,} × {D} | {t:.1f} s | {1e9 * t / n:.0f} ns |" for n, t in zip(counts, times, strict=True)]
    slope = np.polyfit(np.log(counts), np.log(times), 1)[0]
    said = f"Time grows as the number of rows to the power {slope:.2f}."
    if whole != 10**8:
        said += f" The largest is {whole:,} rows, as 10⁸ would have taken more than five minutes here."
    return table, said


def at_width() -> tuple[float, float]:
    """Seconds of a row at 4,096 columns, and of merging two results."""
    step = rows_per_block(LARGE_D)
    found, one = timed(step, LARGE_D)
    _, three = timed(3 * step, LARGE_D)
    began = time.perf_counter()
    found + found
    return (three - one) / (2 * step), time.perf_counter() - began


def page() -> str:
    """Between the marks."""
    load = os.getloadavg()[0]
    table, said = slopes()
    per_row, merge = at_width()
    rows, d = chunk_rows(LARGE_D), LARGE_D
    n_chunks, result, chunk = -(-LARGE_N // rows), 8 * d * d, 4 * d * rows
    n_merges = -(-n_chunks // (FAN_IN - 1))
    depth = int(np.ceil(np.log(n_chunks) / np.log(FAN_IN)))
    cores = LARGE_N * per_row + n_chunks * merge
    block = 4 * d * rows_per_block(d)
    memory = chunk + 2 * block + (FAN_IN + 1) * result
    lines = [
        f"Measured on one thread of a machine with {os.cpu_count()} cores, NumPy {np.__version__}, load {load:.0f} "
        f"when it began. Rows of float32 are made block by block; the time to make them is not counted.",
        "",
        "| rows × columns | sums | a row |",
        "|---|---|---|",
        *table,
        "",
        said,
        "",
        f"At {d:,} columns a row takes {1e6 * per_row:.0f} µs here, and merging two results {merge:.2f} s. "
        f"From these, **on paper**, for {LARGE_N:,} × {d:,} in float32:",
        "",
        "| what | how much |",
        "|---|---|",
        f"| the data, read once | {size(4 * LARGE_N * d)} |",
        f"| rows of a chunk | {rows:,} ({size(chunk)}) |",
        f"| chunks | {n_chunks:,} |",
        f"| what a chunk gives: count, mean, {d:,} × {d:,} sums in float64 | {size(result)} |",
        f"| merges, {FAN_IN} at a time, in {depth} layers | {n_merges:,} |",
        f"| moved between workers, if every result moves | {size((n_chunks + n_merges) * result)} |",
        *(
            f"| moved at the least, with {w} workers that each add up their own first | {size((w - 1) * result)} |"
            for w in WORKERS
        ),
        f"| memory of a worker, for each of its threads | {size(memory)} |",
        f"| the sample for the second threshold | {size(8 * min(2**22, LARGE_N * d))} |",
        f"| arithmetic, one core like this one | {hours(cores)} |",
        *(f"| the same on {w} such cores | {hours(cores / w)} |" for w in WORKERS),
        f"| reading, {WORKERS[-1]} machines at 1 GB/s each | {hours(4 * LARGE_N * d / WORKERS[-1] / NETWORK)} |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{page()}\n\n{END}{after}")


if __name__ == "__main__":
    main()
