"""What stands beside a forecast when asked for: estimates for nonlinear networks, a pilot, how slow modes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.forecasting.free import FreeForecast
from uncollapse.forecasting.recommend import Recommended
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.sequential import Sequential
from uncollapse.forecasting.words import about_nonlinear
from uncollapse.landscape.escape import EscapeTimes

if TYPE_CHECKING:
    from uncollapse.piloting.result import Pilot

__all__ = ["Extras"]


@dataclass(frozen=True, eq=False)
class Extras:
    """Results beside the linear forecast; each may be missing.

    Attributes
    ----------
    nonlinear : Forecast
        From cross-validated regression.
    times : EscapeTimes
        Of gradient descent.
    pilot : Pilot
        Networks trained to their end over a grid of water levels.
    settings : tuple of Recommended
        For three aims.
    free : FreeForecast
        With a floor under the KL.
    sequential : Sequential
        For data that are their own target: how many latents a nonlinear network may need.
    """

    nonlinear: Forecast | None = None
    times: EscapeTimes | None = None
    pilot: Pilot | None = None
    settings: tuple[Recommended, ...] = ()
    free: FreeForecast | None = None
    sequential: Sequential | None = None

    def sentences(self, linear: Forecast) -> list[str]:
        """One for each result."""
        lines = [] if self.free is None else [f"The verdict knows no floor. {self.free.headline}", *self.free.lines]
        lines += [] if self.pilot is None else [self.pilot.headline]
        lines += [] if self.nonlinear is None else [about_nonlinear(linear, self.nonlinear)]
        lines += [] if self.sequential is None else [self.sequential.headline]
        return lines if self.times is None else [*lines, self.times.headline]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = {}
        if self.pilot is not None:
            values["pilot"] = self.pilot.to_dict()
        if self.free is not None:
            values["free_bits"] = self.free.to_dict()
        if self.settings:
            values["recommended"] = [one.to_dict() for one in self.settings]
        if self.nonlinear is not None:
            values["nonlinear"] = {
                "n_alive": self.nonlinear.n_alive,
                "critical_beta": self.nonlinear.critical_beta,
                "strengths": self.nonlinear.spectrum.strengths.tolist(),
            }
        if self.sequential is not None:
            values["sequential"] = self.sequential.to_dict()
        if self.times is not None:
            steps = [float(step) if np.isfinite(step) else None for step in self.times.steps]
            values["gradient_descent"] = {"learning_rate": self.times.learning_rate, "steps": steps}
        return values
