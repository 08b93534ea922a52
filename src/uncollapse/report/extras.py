"""What is told beside a forecast when asked for: nonlinear strengths, a pilot, and how slowly modes come alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.landscape.escape import EscapeTimes
from uncollapse.report.pilot import about_pilot

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot

__all__ = ["Beyond"]


@dataclass(frozen=True, eq=False)
class Beyond:
    """Findings beside the linear forecast; each may be missing.

    Attributes
    ----------
    nonlinear : Forecast
        From cross-validated regression.
    times : EscapeTimes
        Of gradient descent.
    pilot : Pilot
        Small networks over a grid of water levels.
    """

    nonlinear: Forecast | None = None
    times: EscapeTimes | None = None
    pilot: Pilot | None = None

    def sentences(self, linear: Forecast) -> list[str]:
        """One for each finding."""
        found = [] if self.pilot is None else [about_pilot(self.pilot)]
        found += [] if self.nonlinear is None else [_about_nonlinear(linear, self.nonlinear)]
        return found if self.times is None else [*found, _about_steps(self.times)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found: dict[str, Any] = {}
        if self.pilot is not None:
            found["pilot"] = self.pilot.to_dict()
        if self.nonlinear is not None:
            found["nonlinear"] = {
                "n_alive": self.nonlinear.n_alive,
                "critical_beta": self.nonlinear.critical_beta,
                "strengths": self.nonlinear.spectrum.strengths.tolist(),
            }
        if self.times is not None:
            steps = [float(step) if np.isfinite(step) else None for step in self.times.steps]
            found["gradient_descent"] = {"learning_rate": self.times.learning_rate, "steps": steps}
        return found


def _about_nonlinear(linear: Forecast, nonlinear: Forecast) -> str:
    """How many latents a network nonlinear in its input could keep alive, beside the linear count."""
    there, here = nonlinear.critical_beta, linear.critical_beta
    if linear.spectrum.condition:
        return (
            f"With a decoder that is nonlinear in the condition {nonlinear.n_alive} would live where the linear one "
            f"has {linear.n_alive}: cross-validated regression leaves a strongest mode of {_top(nonlinear)}, least "
            f"squares {_top(linear)}."
        )
    if nonlinear.n_alive < linear.n_alive:
        return (
            f"Cross-validated regression, linear and nonlinear, keeps {nonlinear.n_alive} alive where least squares "
            f"says {linear.n_alive}: the linear strengths are partly overfit."
        )
    return (
        f"A nonlinear encoder could keep {nonlinear.n_alive} alive (the linear one {linear.n_alive}): complete "
        f"collapse starts at β = {there:.4g} or above, where the linear strengths say {here:.4g}."
    )


def _top(f: Forecast) -> str:
    return f"{f.spectrum.strengths[0]:.4g}" if f.spectrum.rank else "0"


def _about_steps(times: EscapeTimes) -> str:
    """When the last mode comes alive under gradient descent."""
    alive = np.flatnonzero(np.isfinite(times.steps))
    if not len(alive):
        return "No number of steps brings a latent to life: every mode lies under water."
    slowest = int(alive[np.argmax(times.steps[alive])])
    return f"Under plain gradient descent {times.sentences[slowest]} (Adam is not covered)."
