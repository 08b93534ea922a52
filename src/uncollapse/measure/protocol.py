"""The interface of every model: q(z|x) and the decoder's mean, whatever library it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from uncollapse.errors import ObjectiveError, shown
from uncollapse.measure.posterior import Posterior
from uncollapse.objective import Objective

__all__ = [
    "RAISED",
    "Probe",
    "Spread",
    "SpreadUnknown",
    "TrainedFor",
    "check_probe",
    "check_spread",
    "is_probe",
    "prior_variance_of",
]

RAISED = (Exception, SystemExit)
"""What a user's own code raises; `sys.exit` in an encoder must not end the program without a word."""

Spread = Literal["log_variance", "variance", "std"]
"""What an encoder gives beside the mean."""


@dataclass(frozen=True)
class TrainedFor:
    """How long a model was trained, as far as it says: what tells a slow mode from a stuck one.

    Attributes
    ----------
    epochs, batch_size : int, optional
    learning_rate : float, optional
    optimiser : str, optional
        In the library's own words.
    free_bits : float
        Nats of each latent's mean KL that cost nothing.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    optimiser: str | None = None
    free_bits: float = 0.0


class Probe(Protocol):
    """A trained model from outside: all that measuring and diagnosing ask of it.

    `objective`, `decoder_variance` and `trained_for` are None where the model does not say them; they are then asked
    for, not guessed.

    A probe may also have `log_prior`, a function z (n, l) → log p(z) (n,), where its prior is no Gaussian of each
    latent: its posteriors then hold the rest of the KL, sampled (`Posterior.beyond`, by `measure.prior`). And
    `covariates`, where its condition is not the columns of a linear model (`measure.covariates`).
    """

    @property
    def name(self) -> str: ...
    @property
    def objective(self) -> Objective | None: ...
    @property
    def decoder_variance(self) -> float | None: ...
    @property
    def trained_for(self) -> TrainedFor | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x) of rows of the data (n, d), with their condition (n, c) if there is one."""

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z] (n, d) in the data's own units, of latents of the lowest level (n, l)."""


class SpreadUnknown(ObjectiveError):
    """Whether the encoder gives a log-variance, a variance or a standard deviation cannot be known; it must be said."""


def is_probe(model: Any) -> bool:
    """Whether an object has all that measuring and diagnosing ask of a probe."""
    try:
        both = callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None))
        return both and all(hasattr(model, name) for name in ("name", "objective", "decoder_variance", "notes"))
    except RAISED:  # an object's own __getattr__ raises anything
        return False


def check_probe(model: Any) -> Any:
    """The probe itself.

    Raises
    ------
    ObjectiveError
        Anything else, a model that was not opened among them.
    """
    if isinstance(model, type) or not is_probe(model):
        raise ObjectiveError(f"probe must be a probe, got {shown(model)}; open_probe(model) makes one of a model")
    return model


def prior_variance_of(probe: Probe) -> float:
    """η_enc² of the objective that the probe knows; the standard normal's without one."""
    return 1.0 if probe.objective is None else float(probe.objective.prior_variance)


def check_spread(spread: Any) -> Spread:
    """The spread's name, or an error that lists the names."""
    if not isinstance(spread, str) or spread not in get_args(Spread):
        known = ", ".join(get_args(Spread))
        raise ObjectiveError(f"spread says what the encoder gives beside the mean, one of {known}; got {shown(spread)}")
    return spread  # type: ignore[return-value]
