"""A training watched against its forecast: what is logged, and when it is warned of. The callbacks share it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from uncollapse import checks
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.opening import probe_of
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.interop.alarm import Alarm, expected_alive
from uncollapse.measure.observe import observe
from uncollapse.measure.words import alive_words
from uncollapse.objective import Objective
from uncollapse.probes.restated import with_prior_of

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast
    from uncollapse.measure.protocol import Probe, Spread
    from uncollapse.measure.result import Measurement

__all__ = ["Watch", "measured", "opened"]

MOST_LOGGED = 256
"""Latents up to which the KL of each is logged; beyond (spatial latents), the counts and the rate alone."""

NAME = re.compile(r"[\w.-]+(/[\w.-]+)*", flags=re.ASCII)
"""Prefixes that every logger takes: MLflow refuses most other characters, and what is no plain path."""


class Watch:
    """Measurements of a training beside its forecast: the values to log, and one warning.

    Parameters
    ----------
    forecast, warmup_epochs, patience, prefix
        As `WatchCollapse` takes them.

    Raises
    ------
    ObjectiveError
        The forecast is of several levels, of fixed encoder variances, or has no single optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast, measure_posterior
    >>> x = np.random.default_rng(0).standard_normal((500, 3)) * [3.0, 2.0, 0.1]
    >>> watch = Watch(forecast(x, n_latents=3), patience=1)
    >>> dead = measure_posterior(np.zeros((10, 3)), log_variance=np.zeros((10, 3)))
    >>> watch.logged(dead)["collapse/n_alive_forecast"]
    2.0
    >>> watch.complaint(dead, epoch=0)[:51], watch.complaint(dead, epoch=1)
    ('epoch 0: 0 of 3 latents are alive, and 2 were forec', None)
    """

    def __init__(
        self,
        forecast: Forecast | None = None,
        *,
        warmup_epochs: float = 0.0,
        patience: int = 10,
        prefix: str = "collapse",
    ) -> None:
        if not isinstance(prefix, str) or not NAME.fullmatch(prefix):
            raise ObjectiveError(
                f"prefix must be text of letters, digits, _, -, . and / between them, which every logger takes, got "
                f"{checks.shown(prefix)}"
            )
        self.forecast, self.prefix = forecast, prefix
        self.warmup_epochs = checks.non_negative(warmup_epochs, "warmup_epochs")
        patience = checks.count(patience, "patience", least=1)
        self._fresh = None if forecast is None else Alarm(expected_alive(forecast), patience)
        self.restart()

    def restart(self) -> None:
        """Forget what was seen."""
        self._alarm = self._fresh
        self._said: set[str] = set()

    @property
    def prior_variance(self) -> float:
        """Of each latent, by the forecast; the standard normal's without one."""
        return 1.0 if self.forecast is None else float(self.forecast.objective.prior_variance)

    def check_latents(self, n_latents: int) -> None:
        """Refuse a model of another number of latents than the forecast's."""
        wanted = None if self.forecast is None else self.forecast.objective.n_latents
        if wanted is not None and wanted != n_latents:
            raise DataError(
                f"the forecast is for {wanted} latents and the encoder gives {n_latents}; forecast with "
                f"n_latents={n_latents}"
            )

    def logged(self, measurement: Measurement) -> dict[str, float]:
        """What a logger shows of a measurement, under names that it can monitor."""
        values: dict[str, float] = {
            "n_alive": measurement.n_alive,
            "n_active": measurement.n_active,
            "rate": measurement.rate,
        }
        if self.forecast is not None and self._alarm is not None:
            values |= {"n_alive_forecast": self._alarm.expected, "water_level": self.forecast.water_level}
        if measurement.n_latents <= MOST_LOGGED:
            width = len(str(measurement.n_latents))
            values |= {f"kl/latent_{i:0{width}}": float(kl) for i, kl in enumerate(measurement.kl, start=1)}
        return {f"{self.prefix}/{name}": float(value) for name, value in values.items()}

    def complaint(self, measurement: Measurement, epoch: int) -> str | None:
        """The warning of a validation in this epoch (from 0), the first time that one is due."""
        if not self._rings(measurement.n_alive, epoch):
            return None
        alarm, forecast = self._alarm, self.forecast
        assert alarm is not None
        assert forecast is not None
        so_far = "so many were alive before" if alarm.reached else f"so it was for {alarm.below} validations"
        return (
            f"epoch {epoch}: {alive_words(measurement.n_alive, measurement.n_latents)}, and {alarm.expected} "
            f"were forecast at water level {forecast.water_level:.4g}; {so_far}. A network that is not linear may "
            f"carry several modes in one latent, and a slow one may not be there yet, so this is worth a diagnosis: "
            f"uncollapse diagnose"
        )

    def recall(self, n_alive: int, epoch: int) -> None:
        """Take in a validation of an earlier run, whose warning was given there."""
        self._rings(n_alive, epoch)

    def once(self, about: str) -> bool:
        """Whether this is the first time that something is said of it."""
        first = about not in self._said
        self._said.add(about)
        return first

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs so as not to warn again, or too late."""
        seen = {} if self._alarm is None else {"reached": self._alarm.reached, "below": self._alarm.below}
        return {**seen, "warned": sorted(self._said)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._said = set(state["warned"])
        if self._alarm is not None and "below" in state:
            self._alarm = replace(self._alarm, reached=state["reached"], below=state["below"])

    def _rings(self, n_alive: int, epoch: int) -> bool:
        if self._alarm is None or epoch < self.warmup_epochs:
            return False
        self._alarm = self._alarm.after(n_alive)
        return self._alarm.rings and self.once("collapse")


def opened(
    model: Any, data: Any, watch: Watch, *, spread: Spread | None = None, input_shape: tuple[int, ...] | None = None
) -> Probe:
    """The model as a probe, its KL from the prior of the forecast; arguments and errors as in `diagnose`."""
    objective = Objective() if watch.forecast is None else watch.forecast.objective
    probe = probe_of(model, data, as_rows(data), objective=objective, spread=spread, input_shape=input_shape)
    return probe if watch.forecast is None else with_prior_of(probe, objective)


def measured(probe: Probe, data: Any, watch: Watch) -> Measurement:
    """The posteriors of all rows of the data, in one pass."""
    measurement = observe(probe, data).measurement
    watch.check_latents(measurement.n_latents)
    return measurement
