"""Pilot forecast: the user's network, or one like it, trained to its end over a grid of water levels.

For deep networks the linear count is no forecast of the number alive (docs/theory.md section 5); what is cheap and
honest is to train some.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from uncollapse import checks
from uncollapse.data.sample import sample_rows
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.protocol import Spread
from uncollapse.piloting.members import Plan, Trainer
from uncollapse.piloting.modules import Modules, latents_of, maker
from uncollapse.piloting.networks import Stacks
from uncollapse.piloting.result import Pilot
from uncollapse.probes.retrain import RATE
from uncollapse.training.config import Network, Training
from uncollapse.training.schedules import Schedule

__all__ = ["Estimate", "pilot", "to_the_end"]

N_ROWS, N_SEEDS = 2048, 2
N_LEVELS, N_LEVELS_ALONE = 4, 2
"""Beside the objective's own; fewer where networks train one after the other."""

NETWORK = Network(hidden=(128,))
MOST_LATENTS = 16

BATCH, EPOCHS, LEAST_STEPS = 128, 600, 4800
"""Of a training to the end: on fewer rows more epochs, for as many steps. How near it comes: docs/training.md."""

ABOVE, BELOW = 1.1, 30.0
"""The grid runs from a tenth above the strongest mode, where everything is dead, to a thirtieth of it."""


def pilot(
    data: Any,
    forecast: Forecast,
    target: Any = None,
    given: Any = None,
    *,
    network: Network | None = None,
    n_levels: int | None = None,
    n_seeds: int = N_SEEDS,
    n_rows: int = N_ROWS,
    training: Training | None = None,
    epochs: int | None = None,
    seed: int = 0,
    drop_nonfinite: bool = False,
    progress: bool = False,
    on_estimate: Callable[[Estimate], None] | None = None,
    model: Any = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    device: str | None = None,
) -> Pilot:
    """Train a network to its end over a grid of water levels, on a sample of the rows.

    Parameters
    ----------
    data, target, given : array, Rows, or anything else that `uncollapse.forecast` takes
    forecast : Forecast
        Of the same data; one level of latents, a decoder variance that is given.
    network : Network, optional
        The user's; one hidden layer of 128 ReLU units on both sides when left out.
    n_levels : int, optional
        Beside the objective's own: 4, or 2 with `model`.
    n_seeds, n_rows : int
        At each level so many networks come from below (a KL warm-up), and one more starts quietly, at the full weight.
    training : Training, optional
        `to_the_end` when left out.
    epochs : int, optional
        Of a training like the user's, at a constant rate: what it would show is told beside the count at the end.
    seed : int
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values.
    progress : bool
    on_estimate : callable, optional
        Called with an `Estimate` before the training starts: how many networks, and about how long they take.
    model : callable or Module, optional
        The user's own network in place of `network`: a function or a class of no arguments that gives a module with
        `encode` and `decode`, or such a module whose parts can reset themselves. Its networks train one after the
        other, on the data and the loss as they are.
    spread, input_shape
        How the module is to be read, where it does not say; see `uncollapse.probes.open_probe`.
    device : str, optional
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``; a GPU if there is one for networks of `network`, and where the module is
        for one of the user's own, when left out.

    Returns
    -------
    Pilot

    Raises
    ------
    ObjectiveError
        For what is not covered: levels, a learned decoder variance, data without a mode, a model that is no PyTorch
        module or has another number of latents than the forecast.

    Notes
    -----
    Networks of `network` are one ensemble; see `piloting.networks` for their units.

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
    x, y, condition = sample_rows(data, target, given, n_rows, seed, drop_nonfinite=drop_nonfinite)
    levels = _grid(f, _n_levels(n_levels, alone=model is not None))
    n_seeds = checks.count(n_seeds, "n_seeds", least=1)
    epochs = None if epochs is None else checks.count(epochs, "epochs", least=1)
    trainer: Trainer
    if model is None:
        n_latents = f.objective.n_latents or min(f.n_latents, MOST_LATENTS)
        shape, how = network or NETWORK, training or to_the_end(len(x))
        trainer = Stacks(f, shape, n_latents, (x, y, condition), how, epochs, progress, device)
    else:
        if network is not None:
            raise ObjectiveError("give a network or a model of your own, not both")
        make = maker(model, device=device, spread=spread, input_shape=input_shape)
        how = training or gently(to_the_end(len(x)))
        n_latents = latents_of(make(seed), f, x, condition)
        trainer = Modules(f, make, (_scaled(f, x), _scaled(f, y), _scaled(f, condition)), how, epochs, progress)
    from_below = [Plan(level, seed + i, "from below") for level in levels for i in range(n_seeds)]
    quiet = [Plan(level, seed, "quiet") for level in levels]
    usual = [] if epochs is None else [Plan(f.water_level, seed + i, "usual") for i in range(n_seeds)]
    plans = [*from_below, *quiet, *usual]
    if on_estimate is not None:
        on_estimate(Estimate(len(plans), trainer.seconds(plans)))
    members = trainer.train(plans)
    grid, n, cut = (len(levels), n_seeds), len(from_below), len(from_below) + len(quiet)
    return Pilot(
        forecast=f,
        shape=trainer.shape,
        n_latents=n_latents,
        water_levels=levels,
        n_earning=np.reshape([one.n_earning for one in members[:n]], grid),
        n_alive=np.reshape([one.n_alive for one in members[:n]], grid),
        kl=np.reshape([one.kl for one in members[:n]], grid),
        loss=np.reshape([one.loss for one in members[:n]], grid),
        quiet_n_alive=np.array([one.n_earning for one in members[n:cut]]),
        n_rows=len(x),
        seconds=time.monotonic() - start,
        epochs=epochs,
        usual_n_alive=np.array([one.n_alive for one in members[cut:]]) if usual else None,
    )


class Estimate(NamedTuple):
    """What a pilot is about to train, and about how long that takes here."""

    n_networks: int
    seconds: float

    def __str__(self) -> str:
        minutes = self.seconds / 60
        how_long = f"{minutes:.0f} minutes" if minutes > 1.5 else f"{max(self.seconds, 1):.0f} s"
        return f"{self.n_networks} networks to train: about {how_long}"


def to_the_end(n_rows: int) -> Training:
    """A KL warm-up over two fifths, then a learning rate that cools to 0 over the second half: what still earns then is
    what lives in the end.

    Parameters
    ----------
    n_rows : int

    Examples
    --------
    >>> to_the_end(2048).epochs, to_the_end(600).epochs
    (600, 960)
    """
    epochs = max(EPOCHS, math.ceil(LEAST_STEPS / math.ceil(n_rows / BATCH)))
    warm_up = Schedule("linear", warmup=0.4 * epochs)
    return Training(epochs=epochs, cooling=epochs // 2, batch_size=BATCH, learning_rate=2e-3, schedule=warm_up)


def _n_levels(n: int | None, *, alone: bool) -> int:
    if n is None:
        return N_LEVELS_ALONE if alone else N_LEVELS
    return checks.count(n, "n_levels", least=1)


def gently(training: Training) -> Training:
    """The same at the usual rate of Adam: a user's own module is trained in its own units."""
    return replace(training, learning_rate=RATE)


def _scaled(f: Forecast, part: np.ndarray | None) -> np.ndarray | None:
    """As the loader of the user's training does."""
    return None if part is None else part * (float(f.spectrum.target_scale[0]) if f.exact else 1.0)


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
