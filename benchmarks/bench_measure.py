"""Measuring a trained model beside the bare pass of its encoder; memory against the number of rows; a whole diagnosis.

`python benchmarks/bench_measure.py`. The model is an MLP, 784-512-256-16, trained briefly on 60,000 rows of its own
kind: what is timed does not depend on how well it is trained.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
import warnings
from typing import Any

import numpy as np
import torch

from timing import Row, medians
from uncollapse import Objective, diagnose, forecast, revive
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import make_sample
from uncollapse.errors import UncollapseWarning
from uncollapse.measure.observe import observe
from uncollapse.probes.own import own_probe
from uncollapse.probes.probe import TorchProbe
from uncollapse.training import Network, Schedule, Training, train

N_ROWS, N_COLUMNS, BATCH = 60_000, 784, 4096


def run(n_repeats: int) -> list[Row]:
    """Rows of the table."""
    warnings.simplefilter("ignore", UncollapseWarning)
    x = _rows(N_ROWS)
    warm = Training(epochs=6, schedule=Schedule("linear", warmup=3))
    network = Network(hidden=(512, 256))
    probe, larger = (
        own_probe(train(x[:6_000], objective=Objective(beta=beta, n_latents=16), network=network, training=warm))
        for beta in (1.0, 1000.0)
    )
    times = medians({"bare": lambda: _bare(probe, x), "ours": lambda: observe(probe, x)}, n_repeats)
    what = f"measuring {N_ROWS:,} × {N_COLUMNS} through 784-512-256-16"
    table = [Row(what, _seconds(times["ours"]), "bare encoder pass", times["ours"] / times["bare"], "≤ 1.15")]
    peaks = [_peak(probe, rows) for rows in (x, np.concatenate([x, x]))]
    table.append(
        Row("peak memory of measuring, twice the rows", f"{peaks[1]:.0f} MB", f"{peaks[0]:.0f} MB",
            peaks[1] / peaks[0], "independent of the rows")
    )  # fmt: skip
    table += _bill(probe, x, times["bare"], n_repeats)
    table.append(_diagnosis(larger, x, n_repeats, "forecast and diagnosis on top, nothing to try"))
    table.append(_diagnosis(probe, x, n_repeats, "the same, with further training tried"))
    return table


def _rows(n: int) -> np.ndarray:
    """A low-rank signal in noise, bent: nothing that a linear model explains alone."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 20)) @ (rng.standard_normal((20, N_COLUMNS)) / 3)
    return (np.tanh(z) + 0.3 * rng.standard_normal((n, N_COLUMNS))).astype(np.float32)


@torch.no_grad()
def _bare(probe: TorchProbe, x: np.ndarray) -> None:
    for start in range(0, len(x), BATCH):
        probe.posterior(torch.from_numpy(x[start : start + BATCH]), None)


def _peak(probe: TorchProbe, x: np.ndarray) -> float:
    """Megabytes that NumPy held at most; the encoder's own are PyTorch's, of one block of rows."""
    tracemalloc.start()
    observe(probe, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def _bill(probe: TorchProbe, x: np.ndarray, bare: float, n_repeats: int) -> list[Row]:
    """All lines that need no training, the pass over the data among them; and a model revived."""
    objective = probe.objective
    assert objective is not None

    def billed() -> None:
        seen = observe(probe, x)
        bill_of(make_sample(probe, seen, objective, 1.0))

    times = medians({"bill": billed, "revive": lambda: revive(probe, x)}, min(n_repeats, 3))
    allowed = 3 * bare + 2
    return [
        Row("bill without trials, same model and rows", _seconds(times["bill"]), "three bare passes and 2 s",
            times["bill"] / allowed, "≤ 1"),
        Row("a model revived, same model and rows", _seconds(times["revive"]), "seconds", times["revive"], "< 10"),
    ]  # fmt: skip


def _diagnosis(probe: Any, x: np.ndarray, n_repeats: int, what: str) -> Row:
    seconds = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        diagnosis = diagnose(probe, x)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        observe(probe, x)
        seconds.append(whole - (time.perf_counter() - start))
    alone = medians({"forecast": lambda: forecast(x, n_latents=16)}, 3)["forecast"]
    extra = statistics.median(seconds)
    return Row(f"{what} ({diagnosis.cause})", _seconds(extra), f"forecast alone {alone:.2f} s; seconds", extra, "< 2")


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


if __name__ == "__main__":
    for row in run(5):
        print(row)
