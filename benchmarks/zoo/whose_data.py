"""How much a decoder shows over draws of its prior: models stopped early on their own data, settled ones on others.

`python benchmarks/zoo/whose_data.py`, some minutes: prints R² and the share of the data's variance that the threshold
`LEARNED` of diagnosis/thresholds.py is held against, for those that reconstruct worse than the constant mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from planted import CASES, grow

from uncollapse.diagnosis.data_fit import r_squared

SEEDS = (1000, 1001)
SETS = ("lowrank", "digits", "mnist", "mnist14", "curved")
ROWS = 1000


def main() -> None:
    """Print a line a model and data."""
    warnings.simplefilter("ignore")
    for seed in SEEDS:
        for case in CASES:
            if case.data in SETS and case.cause in ("slow", "healthy"):
                planted = grow(case, seed)
                own = planted.data.x[:ROWS]
                rng = np.random.default_rng(seed)
                for name, x in [("own", own)] if case.cause == "slow" else others(own, rng):
                    share, shown = shares(planted.probe, x)
                    if share < 0:
                        print(f"{case.name}, {seed}, {name}: R² {share:.3f}, shows {shown:.3f}", flush=True)


def others(x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """The same rows changed, and noise."""
    yield "permuted", x[:, rng.permutation(x.shape[1])]
    yield "negative", x.max() + x.min() - x
    yield "rolled", np.roll(x, x.shape[1] // 7, axis=1)
    yield "standardised", ((x - x.mean(0)) / (x.std(0) + 1e-6)).astype(x.dtype)
    yield "doubled", 2 * x
    yield "noise", (rng.standard_normal(x.shape) * x.std() + x.mean()).astype(x.dtype)


def shares(probe: Any, x: np.ndarray) -> tuple[float, float]:
    """R² of the reconstruction, and the variance of the decoder's output over N(0, I), as a share of that of x."""
    q = probe.encode(x, None)
    z = np.random.default_rng(0).standard_normal((400, q.mean.shape[1])).astype(np.float32)
    shown = np.asarray(probe.decode(z, None), dtype=float).var(axis=0).sum()
    share = r_squared(x.astype(float), np.asarray(probe.decode(q.mean, None), dtype=float))
    return share, float(shown / x.var(axis=0).sum())


if __name__ == "__main__":
    main()
