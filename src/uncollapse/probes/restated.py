"""A probe with another objective than its own."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from uncollapse.measure.posterior import Posterior
from uncollapse.measure.protocol import Probe, TrainedFor, prior_variance_of
from uncollapse.objective import Objective

__all__ = ["RestatedProbe", "with_objective", "with_prior_of"]


@dataclass(frozen=True, eq=False)
class RestatedProbe:
    """A user's own probe, and the objective that it was given; all else is the probe's."""

    probe: Any
    objective: Objective | None
    decoder_variance: float | None

    def __getattr__(self, name: str) -> Any:
        if name == "probe" or name.startswith("__"):  # copying asks for these before anything is set
            raise AttributeError(name)
        return getattr(self.probe, name)

    @property
    def name(self) -> str:
        """The probe's."""
        return str(self.probe.name)

    @property
    def trained_for(self) -> TrainedFor | None:
        """The probe's."""
        trained_for: TrainedFor | None = self.probe.trained_for
        return trained_for

    @property
    def notes(self) -> tuple[str, ...]:
        """The probe's."""
        return tuple(self.probe.notes)

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """The probe's, with the prior that the probe says."""
        q: Posterior = self.probe.encode(x, given)
        return q

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """The probe's."""
        mean: np.ndarray = self.probe.decode(z, given)
        return mean


def with_objective(probe: Any, objective: Objective) -> Any:
    """The probe with an objective that overrules its own, and the decoder variance of it where it says one."""
    variance: Any = objective.decoder_variance
    if objective.likelihood != "gaussian":
        variance = None
    elif variance == "learned":
        variance = probe.decoder_variance
    return _replaced(probe, objective, variance)


def with_prior_of(probe: Probe, objective: Objective) -> Probe:
    """The probe whose KL is from the prior of an objective; itself, if its own has the same.

    A probe of a user's own, and one of a hierarchy, give their KL themselves, which stays.

    Examples
    --------
    >>> from uncollapse.probes import CallableProbe
    >>> still = CallableProbe(lambda x: (0 * x, np.full_like(x, 4.0)), lambda z: z, spread="variance")
    >>> with_prior_of(still, Objective(prior_variance=4.0)).encode(np.ones((1, 2))).kl
    array([[0., 0.]])
    """
    if prior_variance_of(probe) == objective.prior_variance:
        return probe
    restated: Probe = _replaced(probe, objective, probe.decoder_variance)
    return restated


def _replaced(probe: Any, objective: Objective, variance: float | None) -> Any:
    kept = {item.name for item in fields(probe) if item.init} if is_dataclass(probe) else set()
    if {"objective", "decoder_variance"} <= kept:
        return replace(probe, objective=objective, decoder_variance=variance)
    return RestatedProbe(probe, objective, variance)
