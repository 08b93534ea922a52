"""Spectrum of 60,000 × 784 against what a user would run instead; all in one process, interleaved."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

from timing import Row, medians
from uncollapse import moments, spectrum
from uncollapse.data import blocks
from uncollapse.data.sources import open_source

MNIST = Path(os.environ.get("MNIST_DIR", Path(__file__).parents[2] / "shared" / "data" / "mnist"))


def bare(x: np.ndarray) -> np.ndarray:
    """The least anyone can do: no centring, no checks, and in the data's own precision."""
    return np.linalg.eigvalsh(x.T @ x)


def run(n_repeats: int) -> list[Row]:
    """Ratios of median times, and the accuracy on hard data."""
    rng = np.random.default_rng(0)
    rows = []
    for (label, table), dtype in itertools.product(_tables(rng).items(), (np.float32, np.float64)):
        x = table.astype(dtype)
        times = medians(
            {
                "ours": lambda x=x: spectrum(x).strengths,
                "pca": lambda x=x: PCA(svd_solver="covariance_eigh").fit(x),
                "bare": lambda x=x: bare(x),
            },
            n_repeats,
        )
        name, pca = f"spectrum, 60,000 × 784 {label} {np.dtype(dtype)}", "`PCA(svd_solver='covariance_eigh')`"
        rows += [
            Row(name, f"{times['ours']:.2f} s", pca, times["ours"] / times["pca"], "≤ 0.9"),
            Row(name, f"{times['ours']:.2f} s", "bare `X.T @ X` + `eigvalsh`", times["ours"] / times["bare"], "≤ 1.2"),
            Row(
                f"the bare product, {name.partition(', ')[2]}",
                f"{times['bare']:.2f} s",
                pca,
                times["bare"] / times["pca"],
                "nothing exact is faster",
            ),
        ]
        rows.append(_both_thresholds(name, x, times["ours"], n_repeats))
        slow = medians({"ours": lambda x=x: spectrum(x), "incremental": lambda x=x: IncrementalPCA().fit(x)}, 3)
        rows.append(
            Row(
                name,
                f"{slow['ours']:.2f} s",
                "`IncrementalPCA`",
                slow["incremental"] / slow["ours"],
                "≥ 15, times faster",
            )
        )
    rows.append(_block_size(rng, n_repeats))
    return rows + _accuracy(rng)


def _both_thresholds(name: str, x: np.ndarray, alone: float, n_repeats: int) -> Row:
    """The second threshold costs a search on a sample of the rows, on top of the spectrum."""
    times = medians({"both": lambda: spectrum(x).global_threshold}, n_repeats)
    return Row(f"both thresholds, {name.partition(', ')[2]}", f"{times['both']:.2f} s", "the spectrum alone",
               times["both"] / alone, "≤ 5")  # fmt: skip


def _tables(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal data, and MNIST where it is to be had."""
    tables = {"normal": rng.standard_normal((60_000, 784)) * np.linspace(0.1, 3, 784)}
    images = MNIST / "train-images-idx3-ubyte.gz"
    if images.exists():
        tables["MNIST/255"] = np.vstack(list(open_source(str(images)).blocks())) / 255
    return tables


def _block_size(rng: np.random.Generator, n_repeats: int) -> Row:
    """Why blocks hold 2^24 numbers."""
    x = rng.standard_normal((60_000, 784))
    chosen = blocks.BLOCK_ENTRIES
    try:

        def at(entries: int) -> None:
            blocks.BLOCK_ENTRIES = entries
            moments(x)

        times = medians({"small": lambda: at(2**22), "chosen": lambda: at(chosen)}, n_repeats)
    finally:
        blocks.BLOCK_ENTRIES = chosen
    return Row(
        "moments, blocks of 2^24 numbers",
        f"{times['chosen']:.2f} s",
        "blocks of 2^22",
        times["chosen"] / times["small"],
        "",
    )


def _accuracy(rng: np.random.Generator) -> list[Row]:
    x = rng.standard_normal((20_000, 100)) * np.linspace(0.5, 3, 100)
    cases = {
        "float64, mean of 10⁶ standard deviations": (x + 3e6, "≤ 1e-8"),
        "float32": (x.astype(np.float32), "≤ 1e-5"),
        "uint8": (np.clip(x * 20 + 128, 0, 255).astype(np.uint8), "≤ 1e-5"),
    }
    rows = []
    for name, (data, limit) in cases.items():
        wide = data.astype(np.longdouble)
        wide -= wide.mean(axis=0)
        exact = np.linalg.eigvalsh((wide.T @ wide / len(wide)).astype(float))[::-1]
        error = float(np.abs(spectrum(data).strengths - exact).max() / exact[0])
        rows.append(Row(f"accuracy, {name}", "", "extended precision, error of the largest", error, limit))
    return rows
