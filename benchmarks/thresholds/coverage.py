"""How often the interval of the first critical β holds the truth, on populations that are known."""

from __future__ import annotations

import warnings

import numpy as np

from uncollapse import forecast
from uncollapse.forecasting.intervals import bootstrap

__all__ = ["SHAPES", "SIZES", "covered", "population"]

SHAPES = ("normal", "t with 5 degrees of freedom", "sparse: on in 1 of 10")
SIZES = ((300, 30), (1000, 30), (5000, 30), (300, 200))
TOP, NOISE = (6.0, 4.0, 2.5), 0.5


def population(shape: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of three strong modes and noise; every column of the shape, at unit variance before it is scaled."""
    draws = {
        SHAPES[0]: lambda: rng.standard_normal((n, d)),
        SHAPES[1]: lambda: rng.standard_t(5, (n, d)) / np.sqrt(5 / 3),
        SHAPES[2]: lambda: (rng.random((n, d)) < 0.1) * rng.standard_normal((n, d)) / np.sqrt(0.1),
    }
    return draws[shape]() * np.sqrt([*TOP, *[NOISE] * (d - len(TOP))])


def covered(shape: str, n: int, d: int, n_samples: int, seed: int, resamples: int = 200) -> float:
    """Share of samples whose 90 % interval of the first critical β, at η² = 1, holds the strongest mode's variance."""
    held = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(n_samples):
            x = population(shape, n, d, np.random.default_rng([seed, i, n, d]))
            low, high = bootstrap(x, forecast(x), n_samples=resamples, seed=i).critical_betas[0]
            held += bool(low <= TOP[0] <= high)
    return held / n_samples
