"""What is told beside a forecast when asked for: nonlinear strengths, and how slowly modes come alive."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse.dynamics import EscapeTimes
from uncollapse.forecast import Forecast

__all__ = ["about_nonlinear", "about_steps", "nonlinear_facts", "steps_facts"]


def about_nonlinear(linear: Forecast, nonlinear: Forecast) -> str:
    """How many latents a network nonlinear in its input could keep alive, beside the linear count."""
    there, here = nonlinear.critical_beta, linear.critical_beta
    if linear.spectrum.condition:
        return (
            f"With a decoder that is nonlinear in the condition {nonlinear.n_alive} would live where the linear one "
            f"has {linear.n_alive}: cross-validated regression leaves a strongest mode of {_top(nonlinear)}, least "
            f"squares {_top(linear)}."
        )
    return (
        f"A nonlinear encoder could keep {nonlinear.n_alive} alive (the linear one {linear.n_alive}): complete "
        f"collapse starts at β = {there:.4g} or above, where the linear strengths say {here:.4g}."
    )


def _top(f: Forecast) -> str:
    return f"{f.spectrum.strengths[0]:.4g}" if f.spectrum.rank else "0"


def nonlinear_facts(nonlinear: Forecast) -> dict[str, Any]:
    """Plain values, for JSON."""
    return {
        "n_alive": nonlinear.n_alive,
        "critical_beta": nonlinear.critical_beta,
        "strengths": nonlinear.spectrum.strengths.tolist(),
    }


def about_steps(times: EscapeTimes) -> str:
    """When the first and the last mode come alive under gradient descent."""
    alive = np.flatnonzero(np.isfinite(times.steps))
    if not len(alive):
        return "No number of steps brings a latent to life: every mode lies under water."
    slowest = int(alive[np.argmax(times.steps[alive])])
    says = times.sentences[slowest]
    return f"Under plain gradient descent {says} (Adam is not covered)."


def steps_facts(times: EscapeTimes) -> dict[str, Any]:
    """Plain values, for JSON; None for modes that stay dead."""
    return {
        "learning_rate": times.learning_rate,
        "steps": [float(step) if np.isfinite(step) else None for step in times.steps],
    }
