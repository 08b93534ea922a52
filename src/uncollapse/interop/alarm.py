"""When a training has lost latents that its forecast keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.result import ALIVE_NATS

__all__ = ["Alarm", "expected_alive"]

CONFIRMED = 2
"""Validations in a row under the forecast's count after which a fall is no flicker of a latent at the threshold."""


@dataclass(frozen=True)
class Alarm:
    """How the number alive has stood to the forecast so far; `after` a further validation it is another.

    It rings when the count is under the forecast's: for 2 validations in a row where it had been reached, for
    `patience` in a row where it had not. Only validations at the full weight of the KL are shown to it: a warm-up
    keeps latents alive that the forecast lets die.

    Attributes
    ----------
    expected : int
        Number alive at the forecast's optimum.
    patience : int
    reached : bool
        Whether at least `expected` latents were alive in some validation.
    below : int
        Validations in a row, up to the last, in which fewer were alive.

    Examples
    --------
    >>> never = Alarm(expected=3, patience=4)
    >>> [(never := never.after(n)).rings for n in (0, 1, 2, 2)]
    [False, False, False, True]
    >>> fell = Alarm(expected=3, patience=4)
    >>> [(fell := fell.after(n)).rings for n in (3, 2, 3, 2, 1)]
    [False, False, False, False, True]
    """

    expected: int
    patience: int
    reached: bool = False
    below: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "patience", checks.count(self.patience, "patience", least=1))

    def after(self, n_alive: int) -> Alarm:
        """The alarm after a validation in which `n_alive` latents are alive."""
        if n_alive >= self.expected:
            return replace(self, reached=True, below=0)
        return replace(self, below=self.below + 1)

    @property
    def rings(self) -> bool:
        """Whether a collapse has begun that was not forecast."""
        return self.below >= (min(CONFIRMED, self.patience) if self.reached else self.patience)


def expected_alive(forecast: Forecast) -> int:
    """Latents that a measurement counts as alive at the forecast's optimum: those of at least `ALIVE_NATS` KL.

    It is `Forecast.n_alive` less the modes that stand above the water level by a hair.

    Raises
    ------
    ObjectiveError
        The KL of a latent does not tell whether it lives, or the forecast has no single optimum or number of latents.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 3)) * [3.0, 1.0, 0.1]
    >>> expected_alive(forecast(x, beta=0.5, n_latents=3))
    2
    """
    checks.instance(forecast, "forecast", Forecast)
    if forecast.objective.levels:
        raise ObjectiveError("the forecast is of several levels, which a training is not watched against; give none")
    if forecast.objective.encoder_variance != "learned":
        raise ObjectiveError(
            f"the forecast has encoder_variance={forecast.objective.encoder_variance!r}, with which a collapsed latent "
            f"keeps some KL, so living ones cannot be counted; watch without a forecast"
        )
    if forecast.objective.n_latents is None:
        raise ObjectiveError("the forecast leaves the number of latents open; say n_latents=... of the model you train")
    if reason := forecast.ill_posed or forecast.flat:
        raise ObjectiveError(f"the forecast is no measure of a training, {reason}")
    modes = forecast.modes
    return int((modes.alive & (modes.kl > ALIVE_NATS)).sum())
