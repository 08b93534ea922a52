"""Pilot forecast: small nonlinear networks trained over a grid of water levels, beside the linear forecast.

For deep networks the linear count is no forecast of the number alive (docs/theory.md section 5); what is cheap and
honest is to train small ones. Gaussian losses depend on β and η² through τ = βη² alone, so the networks train at η² =
1 and β = τ.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.data.sample import RowSample
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.objective import Objective
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn
from uncollapse.theory.optimum import Totals
from uncollapse.training.config import Network, Setup, Training
from uncollapse.training.ensemble import train_all
from uncollapse.training.schedules import Schedule
from uncollapse.training.words import about_pilot

__all__ = ["Pilot", "pilot", "sample_rows"]

N_ROWS, N_LEVELS, N_SEEDS = 3072, 5, 3
NETWORK = Network(hidden=(128,))
MOST_LATENTS = 16

HOW = Training(epochs=30, batch_size=128, learning_rate=2e-3, schedule=Schedule("linear", warmup=15))
"""720 steps of 3,072 rows. What twice as many change is measured in docs/training.md."""

ABOVE, BELOW = 1.1, 30.0
"""The grid runs from a tenth above the strongest mode, where everything is dead, to a thirtieth of it."""


@dataclass(frozen=True, eq=False, repr=False)
class Pilot(Drawn):
    """What small networks did at each water level; arrays of shape (n_levels, n_seeds), levels descending.

    Attributes
    ----------
    forecast : Forecast
        The linear one, at the objective's own level.
    network : Network
    n_latents : int
    water_levels : ndarray of shape (n_levels,)
        τ; in units of β for a likelihood other than Gaussian. The objective's own is among them.
    n_alive : ndarray of int
        Latents with more than 0.01 nats of mean KL.
    kl : ndarray
        Nats per sample, all latents.
    loss : ndarray
        Nats per sample at the objective's own decoder variance.
    n_rows : int
        Rows that the networks saw.
    seconds : float
    """

    forecast: Forecast
    network: Network
    n_latents: int
    water_levels: np.ndarray
    n_alive: np.ndarray
    kl: np.ndarray
    loss: np.ndarray
    n_rows: int
    seconds: float

    @property
    def here(self) -> int:
        """Index of the objective's own water level."""
        return int(np.abs(np.log(self.water_levels / self.forecast.water_level)).argmin())

    @property
    def linear(self) -> Totals:
        """Totals of the linear forecast at the same water levels, with as many latents."""
        same = replace(self.forecast, n_latents=self.n_latents)
        return same.curves(self.water_levels / self.forecast.decoder_variance)

    @property
    def headline(self) -> str:
        """The answer at the objective's own water level, with its spread over seeds."""
        return about_pilot(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        linear = self.linear
        return {
            "network": list(self.network.hidden),
            "n_rows": self.n_rows,
            "n_seeds": self.n_alive.shape[1],
            "seconds": round(self.seconds, 1),
            "levels": [
                {
                    "water_level": float(self.water_levels[i]),
                    "n_alive": self.n_alive[i].tolist(),
                    "kl": self.kl[i].tolist(),
                    "loss": self.loss[i].tolist(),
                    "linear_n_alive": int(linear.n_alive[i]),
                    "linear_kl": float(linear.rate[i]),
                    "linear_loss": float(linear.loss[i]) if self.forecast.exact else None,
                }
                for i in range(len(self.water_levels))
            ],
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.training.words import pilot_card

        return pilot_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.training.pictures import pilot_figure

        return pilot_figure(self)


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
    seed: int = 0,
    drop_nonfinite: bool = False,
    progress: bool = False,
) -> Pilot:
    """Train small networks over a grid of water levels, as one ensemble on a sample of the rows, with KL warm-up.

    Parameters
    ----------
    data, target, given : array, Rows, or anything else that `uncollapse.forecast` takes
    forecast : Forecast
        Of the same data; one level of latents, a decoder variance that is given.
    network : Network, optional
        What stands for the user's; one hidden layer of 128 ReLU units on both sides when left out.
    n_levels, n_seeds, n_rows : int
    training : Training, optional
        30 epochs of Adam at 2e-3 with a KL warm-up over half of them when left out.
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
    how, shape = training or HOW, network or NETWORK
    setups = [
        Setup(_objective(f, level * unit**2, n_latents), shape, replace(how, seed=seed + i))
        for level in levels
        for i in range(n_seeds)
    ]
    factor = float(f.spectrum.target_scale[0]) if f.exact else 1.0
    scaled = [None if part is None else part * (factor * unit) for part in (x, y, condition)]
    result = [trained.evaluate(*scaled) for trained in train_all(setups, *scaled, progress=progress)]
    grid = (len(levels), n_seeds)
    return Pilot(
        forecast=f,
        network=shape,
        n_latents=n_latents,
        water_levels=levels,
        n_alive=np.reshape([one.n_alive for one in result], grid),
        kl=np.reshape([one.rate for one in result], grid),
        loss=np.reshape([one.loss for one in result], grid) / (unit**2 * f.decoder_variance),
        n_rows=len(x),
        seconds=time.monotonic() - start,
    )


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
