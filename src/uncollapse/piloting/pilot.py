"""Pilot forecast: small nonlinear networks trained over a grid of water levels, beside the linear forecast.

For deep networks the linear count is no forecast of the number alive (docs/theory.md section 5); what is cheap and
honest is to train small ones. Gaussian losses depend on β and η² through τ = βη² alone, so the networks train at η² =
1 and β = τ.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.bill.prune import earning
from uncollapse.bill.sample import FEWEST, make_sample
from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.data.sample import RowSample
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.observe import observe
from uncollapse.objective import Objective
from uncollapse.piloting.result import Pilot
from uncollapse.probes.own import own_probe
from uncollapse.training.config import Network, Setup, Training
from uncollapse.training.ensemble import train_all
from uncollapse.training.result import Trained
from uncollapse.training.schedules import Schedule

__all__ = ["pilot", "sample_rows", "to_the_end"]

N_ROWS, N_LEVELS, N_SEEDS = 2048, 4, 2
NETWORK = Network(hidden=(128,))
MOST_LATENTS = 16

BATCH, EPOCHS, LEAST_STEPS = 128, 300, 4800
"""Of a training to the end: on fewer rows more epochs, for as many steps. How near it comes: docs/training.md."""

USUAL_RATE = 1e-3
"""Of a training like the user's."""

EARNING_ROWS, EARNING_DRAWS = 768, 2
"""On which it is asked which latents earn."""

ABOVE, BELOW = 1.1, 30.0
"""The grid runs from a tenth above the strongest mode, where everything is dead, to a thirtieth of it."""


def pilot(
    data: Any,
    forecast: Forecast,
    target: Any = None,
    given: Any = None,
    *,
    network: Network | None = None,
    n_levels: int = N_LEVELS,
    n_seeds: int = N_SEEDS,
    n_rows: int = N_ROWS,
    training: Training | None = None,
    epochs: int | None = None,
    seed: int = 0,
    drop_nonfinite: bool = False,
    progress: bool = False,
) -> Pilot:
    """Train a network to its end over a grid of water levels, as one ensemble on a sample of the rows.

    Parameters
    ----------
    data, target, given : array, Rows, or anything else that `uncollapse.forecast` takes
    forecast : Forecast
        Of the same data; one level of latents, a decoder variance that is given.
    network : Network, optional
        The user's; one hidden layer of 128 ReLU units on both sides when left out.
    n_levels, n_seeds, n_rows : int
        At each level so many networks come from below (a KL warm-up), and one more starts quietly, at the full weight.
    training : Training, optional
        `to_the_end` when left out.
    epochs : int, optional
        Of a training like the user's, at a constant rate: what it would show is told beside the count at the end.
    seed : int
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values.
    progress : bool

    Returns
    -------
    Pilot

    Raises
    ------
    ObjectiveError
        For what is not covered: levels, a learned decoder variance, data without a mode.

    Notes
    -----
    Gaussian data are scaled to unit mean variance first, and τ with them, which changes no solution and suits one
    learning rate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from uncollapse import forecast
    >>> x = load_iris().data
    >>> short = Training(epochs=3, schedule=Schedule("linear", warmup=2))
    >>> result = pilot(x, forecast(x, n_latents=2), n_levels=2, n_seeds=1, training=short)
    >>> result.n_alive.shape, result.n_rows
    ((3, 1), 150)
    """
    f, start = forecast, time.monotonic()
    _check(f)
    n_latents = f.objective.n_latents or min(f.n_latents, MOST_LATENTS)
    x, y, condition = sample_rows(data, target, given, n_rows, seed, drop_nonfinite=drop_nonfinite)
    levels = _grid(f, n_levels)
    unit = _unit(f)
    how, shape = training or to_the_end(len(x)), network or NETWORK
    factor = float(f.spectrum.target_scale[0]) if f.exact else 1.0
    scaled = [None if part is None else part * (factor * unit) for part in (x, y, condition)]

    def setup(level: float, training: Training) -> Setup:
        return Setup(_objective(f, level * unit**2, n_latents), shape, training)

    from_below = [setup(level, replace(how, seed=seed + i)) for level in levels for i in range(n_seeds)]
    quiet = [setup(level, replace(how, seed=seed, schedule=Schedule())) for level in levels]
    trained = train_all([*from_below, *quiet], *scaled, progress=progress)
    result = [one.evaluate(*scaled) for one in trained]
    grid, n = (len(levels), n_seeds), len(from_below)
    usual = None
    if epochs is not None:
        plain = Training(epochs=checks.count(epochs, "epochs", least=1), learning_rate=USUAL_RATE, seed=seed)
        members = train_all([setup(f.water_level, replace(plain, seed=seed + i)) for i in range(n_seeds)], *scaled)
        usual = np.array([one.evaluate(*scaled).n_alive for one in members])
    return Pilot(
        forecast=f,
        network=shape,
        n_latents=n_latents,
        water_levels=levels,
        n_earning=np.reshape([_n_earning(one, scaled) for one in trained[:n]], grid),
        n_alive=np.reshape([one.n_alive for one in result[:n]], grid),
        kl=np.reshape([one.rate for one in result[:n]], grid),
        loss=np.reshape([one.loss for one in result[:n]], grid) / (unit**2 * f.decoder_variance),
        quiet_n_alive=np.array([_n_earning(one, scaled) for one in trained[n:]]),
        n_rows=len(x),
        seconds=time.monotonic() - start,
        epochs=epochs,
        usual_n_alive=usual,
    )


def to_the_end(n_rows: int) -> Training:
    """A KL warm-up over two fifths, then a learning rate that cools to 0 over the second half: what still earns then is
    what lives in the end.

    Parameters
    ----------
    n_rows : int

    Examples
    --------
    >>> to_the_end(2048).epochs, to_the_end(600).epochs
    (300, 960)
    """
    epochs = max(EPOCHS, math.ceil(LEAST_STEPS / math.ceil(n_rows / BATCH)))
    warm_up = Schedule("linear", warmup=0.4 * epochs)
    return Training(epochs=epochs, cooling=epochs // 2, batch_size=BATCH, learning_rate=2e-3, schedule=warm_up)


def _n_earning(trained: Trained, scaled: list[Any]) -> int:
    """Latents that earn their KL; those alive by it where the rows are too few to tell."""
    x, y, condition = scaled
    if len(x) < FEWEST:
        return int(trained.evaluate(*scaled).n_alive)
    probe = own_probe(trained)
    seen = observe(probe, x, y, condition, n_rows=EARNING_ROWS)
    sample = make_sample(probe, seen, trained.setup.objective, 1.0, n_draws=EARNING_DRAWS)
    cut = len(sample) // 3
    found = earning(sample.part(slice(0, cut)), sample.part(slice(cut, len(sample))), lambda: True)
    return int(found.earns.sum())


def _objective(f: Forecast, level: float, n_latents: int) -> Objective:
    return replace(f.objective, beta=level, decoder_variance=1.0, n_latents=n_latents, loss=None)


def _unit(f: Forecast) -> float:
    """What brings the target to unit mean variance; likelihoods beyond Gaussian have no unit to choose."""
    if not f.exact or not f.spectrum.total_energy:
        return 1.0
    return float(np.sqrt(f.spectrum.n_targets / f.spectrum.total_energy))


def _grid(f: Forecast, n_levels: int) -> np.ndarray:
    """Water levels from just above the strongest mode downwards, with the objective's own among them; descending."""
    top = float(f.critical_levels.max()) * ABOVE
    low = min(top / BELOW, f.water_level)
    levels = np.append(np.geomspace(low, max(top, low * 2), n_levels), f.water_level)
    kept = np.unique(levels.round(12))[::-1]
    distinct = np.append(True, np.abs(np.diff(np.log(kept))) > 1e-3)
    return kept[distinct]


def _check(f: Forecast) -> None:
    if f.objective.levels:
        raise ObjectiveError("a pilot is for one level of latents; train your hierarchy itself (uncollapse train)")
    if f.objective.decoder_variance == "learned":
        raise ObjectiveError("a pilot sweeps the water level, so it needs a decoder variance that is given")
    if f.spectrum.rank == 0:
        raise ObjectiveError("no mode has any strength, so every network would collapse: there is nothing to train")


def sample_rows(
    data: Any, target: Any, given: Any, n_rows: int, seed: int, *, drop_nonfinite: bool = False
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """A random sample of the rows, the same of each table, in one pass.

    Examples
    --------
    >>> x, _, _ = sample_rows(np.arange(12.0).reshape(6, 2), None, None, 3, 0)
    >>> x.shape
    (3, 2)
    """
    rows, kept = as_rows(data), RowSample(n_rows, seed)
    named = ((target, "the target"), (given, "the condition"))
    others = [None if part is None else as_rows(part, name) for part, name in named]
    for parts in _together(rows, [part for part in others if part is not None]):
        whole = [dense(part) for part in parts]
        if drop_nonfinite:
            finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in whole])
            whole = [part[finite] for part in whole]
        kept.add(*whole)
    tables = iter(kept.parts)
    x = next(tables)
    y, condition = (None if part is None else next(tables) for part in others)
    return x, y, condition


def _together(rows: Rows, others: list[Rows]) -> Any:
    if not others:
        return ((block,) for block in rows.blocks())
    if len(others) > 1:
        raise DataError("give a target or a condition, not both")
    return paired_blocks(rows, others[0])
