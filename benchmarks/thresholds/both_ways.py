"""Networks trained both ways at levels about the two thresholds: from a quiet start, and from a lower weight."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import Objective, spectrum
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import observe
from uncollapse.probes.own import own_probe
from uncollapse.showing.figure import Axis, Band, Figure, Line, Panel
from uncollapse.theory.loglikelihood import negative_log_likelihood
from uncollapse.training import Network, Schedule, Setup, Training, train_all

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))
from sets import Data, load

__all__ = ["LEVELS", "SETS", "Both", "both_ways", "data_of", "hysteresis_figure"]

LEVELS = (0.9, 1.1, 1.3, 1.6, 2.0, 2.5)
SETS = (
    "normal", "uniform", "rare factor", "scales", "exponential", "lowrank", "curved", "rare", "tumours", "digits",
    "binary", "counts", "overdispersed", "mnist14",
)  # fmt: skip
ROWS, STEPS, STACK = 3000, 4000, 12
STARTS = ("quiet", "from below")


@dataclass(frozen=True)
class Both:
    """One data set: its thresholds, and what the networks gain over collapse on rows held out.

    Attributes
    ----------
    name : str
    second, error : float
        τ_g over τ_c, and its standard error.
    gains, errors, kl : dict of float
        By start and level, nats a sample; KL of all latents.
    """

    name: str
    likelihood: str
    second: float
    error: float
    gains: dict[tuple[str, float], float]
    errors: dict[tuple[str, float], float]
    kl: dict[tuple[str, float], float]


def data_of(name: str, seed: int) -> Data:
    """One column made here, or a set of the zoo."""
    rng = np.random.default_rng([seed, 9])
    n = 2 * ROWS
    noise = rng.standard_normal(n)
    made = {
        "normal": noise,
        "uniform": rng.uniform(-1, 1, n),
        "rare factor": np.where(rng.random(n) < 0.05, 3.0, 0.0) + 0.1 * noise,
        "scales": np.where(rng.random(n) < 0.2, 2.0, 0.5) * noise,
        "exponential": np.minimum(rng.exponential(size=n), 6.0),
    }
    if name not in made:
        return load(name, seed)
    x = made[name].astype(np.float32)[:, None]
    return Data(name, x[:ROWS], x[ROWS:])


def both_ways(name: str, seed: int = 20, *, levels: tuple[float, ...] = LEVELS, steps: int = STEPS) -> Both:
    """Train at every level, both ways, and measure."""
    data = data_of(name, seed)
    likelihood: Any = data.likelihood
    s = spectrum(data.x, likelihood=likelihood)
    first, second = float(s.strengths[0]), s.global_threshold
    assert second.level is not None
    assert second.interval is not None
    cells = list(product(STARTS, levels))
    models = train_all([*_setups(data, cells, first, steps, seed)], data.x, device="cpu", stack=STACK)
    gains, errors, kl = {}, {}, {}
    for cell, model in zip(cells, models, strict=True):
        probe = own_probe(model)
        objective = model.setup.objective
        seen = observe(probe, data.held_out, n_rows=2048)
        y = np.asarray(seen.x, dtype=np.float64)
        r = np.inf if probe.dispersion is None else probe.dispersion
        mean = np.broadcast_to(data.x.mean(axis=0, dtype=np.float64), y.shape)
        variance = float(objective.decoder_variance)
        collapsed = negative_log_likelihood(likelihood, y, mean, decoder_variance=variance, dispersion=r)
        fall = collapsed - row_losses(probe, seen, objective, n_draws=16, seed=1)
        gains[cell], errors[cell] = float(fall.mean()), float(fall.std() / np.sqrt(len(fall)))
        kl[cell] = float(seen.posterior.kl.sum(axis=1).mean())
    return Both(name, data.likelihood, second.level / first, (second.interval[1] - second.level) / 2 / first,
                gains, errors, kl)  # fmt: skip


def _setups(data: Data, cells: list[tuple[str, float]], first: float, steps: int, seed: int) -> Iterator[Setup]:
    epochs = max(4, round(steps / -(-len(data.x) // 128)))
    latents = 1 if data.x.shape[1] == 1 else 4
    for i, (start, level) in enumerate(cells):
        schedule = Schedule("linear", warmup=epochs / 2) if start == "from below" else Schedule()
        how = Training(epochs=epochs, cooling=epochs // 3, learning_rate=3e-3, seed=1000 * seed + i, schedule=schedule)
        likelihood: Any = data.likelihood
        objective = Objective(beta=level * first, n_latents=latents, likelihood=likelihood)
        yield Setup(objective, Network(hidden=(32,), activation="tanh"), how)


def hysteresis_figure(some: list[Both]) -> Figure:
    """Gain over collapse at each level, both ways, and the second threshold."""
    panels = []
    for b in some:
        lines = [
            Line(LEVELS, [b.gains[start, level] for level in LEVELS], colour, start, width=2.5, dash=dash)
            for start, colour, dash in (("quiet", "mode", "dash"), ("from below", "alive", ""))
        ]
        ends = [min(0.0, *b.gains.values()), max(b.gains.values()) * 1.1]
        band = Band((1.0, b.second), (ends[0], ends[1]), "water", "stable, not best")
        x = Axis("water level over the first threshold", limits=(LEVELS[0], max(LEVELS[-1], b.second)))
        panels.append(Panel((band, *lines), x, Axis("gain over collapse, nats"), b.name))
    return Figure(tuple(panels), legend="above", panel_width=330, height=300)
