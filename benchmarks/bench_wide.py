"""Spectra of wide tables: a sparse one beside TruncatedSVD at the same accuracy, a dense one beside its Gram matrix.

`python benchmarks/bench_wide.py [ROWS]` prints the sparse row for a table of so many rows; a million needs 16 GB. The
table is not centred: `TruncatedSVD` cannot, so ours is asked for the strengths of a model without biases. Few rows of
many columns are centred by both sides, and neither forms a direction, which ours does when asked for one.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from timing import Row, medians
from uncollapse import spectrum

COLUMNS, FILLED, TOPICS, MODES = 20_000, 0.01, 60, 20
ROWS = 100_000
ITERATIONS = (2, 4, 7, 10, 15, 25, 40)
ERROR = 1e-6
"""Of the largest strength: where ours stops, and what `TruncatedSVD` has to reach. Both get float64: in float32 theirs
stays at 2e-6 however long it iterates."""


def run(n_repeats: int) -> list[Row]:
    """Both rows."""
    return [sparse_row(ROWS, min(n_repeats, 3)), dense_row(min(n_repeats, 2))]


def sparse_row(n: int, n_repeats: int) -> Row:
    """Words of topics: a hundredth of a table is filled; both find its leading uncentred strengths."""
    x = topics(n, np.random.default_rng(0))
    exact = TruncatedSVD(MODES, algorithm="arpack", random_state=0).fit(x).singular_values_ ** 2 / n
    ours = _error(spectrum(x, n_modes=MODES, bias=False).strengths, exact)
    errors = ((n_iter, _error(_svd(x, n_iter), exact)) for n_iter in ITERATIONS)
    n_iter, theirs = next((pair for pair in errors if pair[1] <= ERROR), (ITERATIONS[-1], math.nan))
    times = medians(
        {"ours": lambda: spectrum(x, n_modes=MODES, bias=False), "theirs": lambda: _svd(x, n_iter)}, n_repeats
    )
    return Row(
        f"{MODES} modes of {n:,} × {COLUMNS:,} sparse, {FILLED:.0%} filled, error {ours:.0e} of the largest",
        f"{times['ours']:.1f} s",
        f"`TruncatedSVD(n_iter={n_iter})`, the first within {ERROR:.0e}, error {theirs:.0e}",
        times["ours"] / times["theirs"],
        "≤ 1.5",
    )


def dense_row(n_repeats: int) -> Row:
    """Few rows of many columns: all modes, from the n × n matrix."""
    x = np.random.default_rng(0).standard_normal((2_000, 200_000), dtype=np.float32)
    times = medians({"ours": lambda: spectrum(x), "gram": lambda: _gram(x)}, n_repeats)
    return Row("spectrum, 2,000 × 200,000 float32", f"{times['ours']:.1f} s", "its Gram matrix in float64, `eigh`",
               times["ours"] / times["gram"], "≤ 1.2")  # fmt: skip


def topics(n: int, rng: np.random.Generator) -> sparse.csr_array:
    """Counts of words, each row of one of several topics, words by Zipf's law within each."""
    per_row = int(COLUMNS * FILLED * 1.3)  # some words come twice
    zipf = 1 / np.arange(1, COLUMNS + 1)
    orders = [rng.permutation(COLUMNS) for _ in range(TOPICS)]
    weights = rng.dirichlet(np.full(TOPICS, 0.5))
    of_row = rng.choice(TOPICS, size=n, p=weights)
    ranks = np.searchsorted(np.cumsum(zipf / zipf.sum()), rng.random((n, per_row), dtype=np.float32))
    columns = np.empty((n, per_row), np.int32)
    for topic, order in enumerate(orders):
        rows = of_row == topic
        columns[rows] = order[np.minimum(ranks[rows], COLUMNS - 1)]
    indptr = np.arange(0, n * per_row + 1, per_row)
    x = sparse.csr_array((np.ones(n * per_row), columns.ravel(), indptr), shape=(n, COLUMNS))
    x.sum_duplicates()
    return x


def _svd(x: sparse.csr_array, n_iter: int) -> np.ndarray:
    found = TruncatedSVD(MODES, n_iter=n_iter, random_state=0).fit(x)
    return found.singular_values_**2 / x.shape[0]


def _gram(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0, dtype=np.float64)
    return np.linalg.eigh(centred @ centred.T)[0]


def _error(strengths: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(strengths - exact).max() / exact[0])


if __name__ == "__main__":
    print(sparse_row(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS, 3))
