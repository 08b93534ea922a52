"""A pilot's networks as stacks of our own: trained side by side, on data in units in which one learning rate suits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.piloting.members import Member, Plan, measured
from uncollapse.probes.own import own_probe
from uncollapse.training.config import Network, Setup, Training
from uncollapse.training.data import table
from uncollapse.training.ensemble import fastest, train_all
from uncollapse.training.fit import prepared
from uncollapse.training.schedules import Schedule

__all__ = ["Stacks"]

USUAL_RATE = 1e-3
"""Of a training like the user's."""


@dataclass(frozen=True, eq=False)
class Stacks:
    """Networks of one shape, trained as an ensemble.

    Gaussian data are scaled to unit mean variance, and τ with them, which changes no solution; losses depend on β and
    η² through τ alone, so the networks train at η² = 1 and β = τ.

    Attributes
    ----------
    forecast : Forecast
    network : Network
    n_latents : int
    tables : tuple of ndarray or None
        x, y and condition.
    training : Training
        Of those from below; a quiet one has no warm-up.
    epochs : int, optional
        Of a usual training.
    progress : bool
    device : str, optional
    """

    forecast: Forecast
    network: Network
    n_latents: int
    tables: tuple[Any, Any, Any]
    training: Training
    epochs: int | None = None
    progress: bool = False
    device: str | None = None

    @property
    def shape(self) -> str:
        """Widths from the data to the last hidden layer."""
        return "-".join(map(str, (self.forecast.spectrum.n_features, *self.network.hidden)))

    @property
    def unit(self) -> float:
        """What brings the target to unit mean variance; likelihoods beyond Gaussian have no unit to choose."""
        f = self.forecast
        if not f.exact or not f.spectrum.total_energy:
            return 1.0
        return float(np.sqrt(f.spectrum.n_targets / f.spectrum.total_energy))

    @property
    def scaled(self) -> list[Any]:
        """The tables in those units."""
        f = self.forecast
        factor = self.unit * (float(f.spectrum.target_scale[0]) if f.exact else 1.0)
        return [None if part is None else part * factor for part in self.tables]

    def seconds(self, plans: Sequence[Plan]) -> float:
        """How long they will take, from the time of a few steps."""
        members = [self._setup(plan) for plan in plans]
        rows, a = prepared(members[0], table(*self.scaled), self.device)
        of_a_step = fastest([setup for setup in members if setup.training.schedule == self.training.schedule], a, rows)
        per_epoch = -(-len(rows.x) // min(self.training.batch_size or len(rows.x), len(rows.x)))
        return of_a_step.seconds * per_epoch * sum(setup.training.epochs for setup in members)

    def train(self, plans: Sequence[Plan]) -> list[Member]:
        """Each plan's network, in their order."""
        scaled = self.scaled
        trained = train_all([self._setup(plan) for plan in plans], *scaled, device=self.device, progress=self.progress)
        members = []
        for one in trained:
            found, exact = measured(own_probe(one), one.setup.objective, *scaled), one.evaluate(*scaled)
            loss = exact.loss / (self.unit**2 * self.forecast.decoder_variance)
            members.append(Member(found.n_earning, exact.n_alive, exact.rate, loss))
        return members

    def _setup(self, plan: Plan) -> Setup:
        level = plan.level * self.unit**2
        objective = replace(
            self.forecast.objective, beta=level, decoder_variance=1.0, n_latents=self.n_latents, loss=None
        )
        how = replace(self.training, seed=plan.seed)
        if plan.manner == "quiet":
            how = replace(how, schedule=Schedule())
        if plan.manner == "usual":
            assert self.epochs is not None
            how = Training(epochs=self.epochs, learning_rate=USUAL_RATE, seed=plan.seed)
        return Setup(objective, self.network, how)
