"""A pilot of the user's own module: built anew for each training, one after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from uncollapse.errors import ObjectiveError, UncollapseError, kind_and_line
from uncollapse.forecasting.result import Forecast
from uncollapse.objective import Objective
from uncollapse.piloting.members import Member, Plan, measured
from uncollapse.probes.open import open_probe
from uncollapse.probes.placed import placed
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import BATCH, RATE, retrain, start_anew
from uncollapse.progress import delayed_bar
from uncollapse.training.config import Training

__all__ = ["Modules", "latents_of", "maker"]

TIMED_STEPS = 15
"""The median of so many tells the time of all."""


@dataclass(frozen=True, eq=False)
class Modules:
    """Copies of a module of the user's own, each with fresh weights, on the user's own data and loss.

    Attributes
    ----------
    forecast : Forecast
    make : callable (seed) → TorchProbe
        With fresh weights each time.
    tables : tuple of ndarray or None
        x, y and condition.
    training : Training
        Epochs, warm-up and cooling of those from below; a quiet one has no warm-up.
    epochs : int, optional
        Of a usual training.
    progress : bool
    """

    forecast: Forecast
    make: Callable[[int], TorchProbe]
    tables: tuple[Any, Any, Any]
    training: Training
    epochs: int | None = None
    progress: bool = False

    @property
    def shape(self) -> str:
        """Name of the module."""
        return self.make(0).name

    def seconds(self, plans: Sequence[Plan]) -> float:
        """How long they will take, from the time of a few steps."""
        times: list[float] = []
        self._trained(plans[0], TIMED_STEPS + 1, lambda _: times.append(time.perf_counter()))
        return float(np.median(np.diff(times))) * sum(self._steps(plan) for plan in plans)

    def train(self, plans: Sequence[Plan]) -> list[Member]:
        """Each plan's network, in their order."""
        members, done = [], 0
        with delayed_bar("training", sum(self._steps(plan) for plan in plans), shown=self.progress) as on_step:
            for i, plan in enumerate(plans):
                words, before = f"network {i + 1} of {len(plans)}", done

                def watch(step: int, words: str = words, before: int = before) -> None:
                    on_step(before + step, words)

                probe = self._trained(plan, self._steps(plan), watch)
                done += self._steps(plan)
                members.append(measured(probe, self._objective(plan), *self.tables))
        return members

    def _trained(self, plan: Plan, n_steps: int, on_step: Callable[[int], None] | None = None) -> TorchProbe:
        x, y, given = self.tables
        t = self.training
        settings: dict[str, Any] = {}
        if plan.manner != "usual":
            settings["cooling"] = t.cooling / t.epochs
        if plan.manner == "from below":
            settings["warm_up"] = t.schedule.warmup / t.epochs
        rate = RATE if plan.manner == "usual" else t.learning_rate
        return retrain(
            self.make(plan.seed), x, x if y is None else y, given, objective=self._objective(plan), n_steps=n_steps,
            learning_rate=rate, seed=plan.seed, on_step=on_step, **settings,
        )  # fmt: skip

    def _steps(self, plan: Plan) -> int:
        epochs = self.epochs if plan.manner == "usual" else self.training.epochs
        assert epochs is not None
        return epochs * math.ceil(len(self.tables[0]) / BATCH)

    def _objective(self, plan: Plan) -> Objective:
        f = self.forecast
        return replace(f.objective, beta=plan.level / f.decoder_variance, loss=None)


def maker(model: Any, device: str | None = None, **how: Any) -> Callable[[int], TorchProbe]:
    """A function that gives the model with fresh weights, the same at the same seed.

    Parameters
    ----------
    model : callable or Module
        A function, or a class, of no arguments that gives the module; or a module whose parts can reset themselves.
    device : str, optional
    how
        Spread and shape of a sample, as `open_probe` takes them.

    Raises
    ------
    ObjectiveError
        It gives no PyTorch module with `encode` and `decode`.
    """

    def make(seed: int) -> TorchProbe:
        if isinstance(model, nn.Module):
            return start_anew(_torch_probe(model, how, device), seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                built = model()
            except UncollapseError:
                raise
            except Exception as error:  # a user's function raises anything
                raise ObjectiveError(f"the function that makes the model failed: {kind_and_line(error)}") from error
            return _torch_probe(built, how, device)

    return make


def _torch_probe(model: Any, how: dict[str, Any], device: str | None) -> TorchProbe:
    probe = open_probe(model, **how)
    if not isinstance(probe, TorchProbe):
        raise ObjectiveError(f"{type(model).__name__}: a pilot trains the model, so it must be a PyTorch module")
    placed(probe, device)
    return probe


def latents_of(probe: TorchProbe, forecast: Forecast, x: Any, given: Any) -> int:
    """Number of latents of a module, which the forecast must have too where it says one.

    Raises
    ------
    ObjectiveError
        They differ.
    """
    n: int = probe.encode(x[:2], None if given is None else given[:2]).level_sizes[0]
    said = forecast.objective.n_latents
    if said is not None and said != n:
        raise ObjectiveError(f"{probe.name}: has {n} latents, the forecast is of {said}; give both the same number")
    return n
