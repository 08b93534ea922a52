"""Seconds of a forecast from a known spectrum, for every kind of model, and of a sweep over β."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from timing import Row, medians
from uncollapse import Forecast, Level, Spectrum, forecast, spectrum


def run(n_repeats: int) -> list[Row]:
    """One row for each kind of model at 2,000 modes, and one for the sweep of a hierarchy."""
    large, mnist_sized = _spectrum(2000), _spectrum(784)
    widths = np.geomspace(0.01, 3, 1000).tolist()
    models: dict[str, dict[str, object]] = {
        "one level, learned": {"n_latents": 2000},
        "one level, unequal fixed widths": {"encoder_variance": tuple(np.geomspace(0.01, 3, 2000).tolist())},
        "1,000 fixed and 1,000 learned widths": {"encoder_variance": (*widths, *["learned"] * 1000)},
        "learned decoder variance": {"n_latents": 1999, "decoder_variance": "learned"},
        "two levels": {"levels": (Level(1.0, 0.2, 2000), Level(0.7, "learned", 2000))},
        "twelve fixed levels": {"levels": (Level(0.9, 0.3, 2000),) * 12},
    }
    rows = []
    for name, settings in models.items():
        seconds = medians({name: _answer(large, settings)}, n_repeats)[name]
        rows.append(Row(f"forecast, 2,000 modes, {name}", f"{1000 * seconds:.3g} ms", "seconds", seconds, "≤ 0.2"))
    levels = (Level(1.0, 0.3), Level(0.8, 0.2), Level(1.5, 0.1))
    betas = np.geomspace(0.01, 100, 200)
    hierarchy = forecast(mnist_sized, levels=levels)
    sweep = medians({"sweep": lambda: hierarchy.curves(betas)}, n_repeats)["sweep"]
    what = "200 values of β, three fixed levels, 784 modes"
    rows.append(Row(what, f"{sweep:.3g} s", "seconds", sweep, "≤ 5"))
    return rows


def _answer(spectrum: Spectrum, settings: dict[str, object]) -> Callable[[], tuple[object, ...]]:
    """Everything the report asks of a forecast, from nothing but the spectrum."""

    def answer() -> tuple[object, ...]:
        f: Forecast = forecast(spectrum, **settings)
        return f.status, f.loss, f.modes, f.critical_betas, f.levels

    return answer


def _spectrum(n_modes: int) -> Spectrum:
    strengths = np.geomspace(20, 0.01, n_modes)
    small = spectrum(np.random.default_rng(0).standard_normal((50, 4)))
    return replace(
        small,
        strengths=strengths,
        strength_errors=np.zeros(n_modes),
        total_energy=float(strengths.sum()),
        n_features=n_modes,
        n_targets=n_modes,
        n_samples=100 * n_modes,
        input_rank=n_modes,
    )


if __name__ == "__main__":
    for row in run(5):
        print(row)
