"""How long gradient descent takes to bring each mode to life: what looks dead may only be slow.

What is covered and what is not: `uncollapse.landscape.descent`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.forecasting.problem import quiet
from uncollapse.forecasting.result import Forecast
from uncollapse.landscape.descent import Descent, Inputs, WidthParameter, descent, integrated
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn
from uncollapse.showing.plain import plain
from uncollapse.theory import dynamics as theory
from uncollapse.theory.landscape import planes

__all__ = ["EscapeTimes", "escape_times"]


@dataclass(frozen=True, eq=False, repr=False)
class EscapeTimes(Drawn):
    """When each mode comes alive under gradient descent; arrays of shape (m,), in the order of the strengths.

    Attributes
    ----------
    forecast : Forecast
    learning_rate : float
    rates : ndarray
        Growth near the origin, per unit of (learning rate × steps × scale of the loss); negative under water.
    steps : ndarray
        Until the product of decoder and encoder reaches half its final value; infinite for modes that stay dead.
    """

    forecast: Forecast
    learning_rate: float
    rates: np.ndarray
    steps: np.ndarray

    def slow(self, n_steps: float) -> np.ndarray:
        """Modes that live at the optimum but have not come alive after `n_steps`, counted from 0."""
        n_steps = checks.non_negative(n_steps, "n_steps")
        return np.flatnonzero(np.isfinite(self.steps) & (self.steps > n_steps))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each mode, numbered from 1."""
        return tuple(self._sentence(k) for k in range(len(self.steps)))

    @property
    def headline(self) -> str:
        """When the last mode comes alive, in one sentence."""
        alive = np.flatnonzero(np.isfinite(self.steps))
        if not len(alive):
            return "No number of steps brings a latent to life: every mode lies under water."
        slowest = int(alive[np.argmax(self.steps[alive])])
        return f"Under plain gradient descent {self.sentences[slowest]} (Adam is not covered)."

    def _sentence(self, k: int) -> str:
        f = self.forecast
        if math.isfinite(self.steps[k]):
            return (
                f"mode {k + 1} needs about {_round(self.steps[k])} steps at this learning rate: "
                f"what looks dead before that is only slow"
            )
        if k < f.n_alive:
            return f"mode {k + 1} lives at the optimum, but did not come alive from this start under this β"
        if k >= f.n_usable and f.critical_levels[k] > f.water_level:
            return f"mode {k + 1} is above water but has no latent left: stronger modes take them all"
        return (
            f"mode {k + 1} lies under water ({f.critical_levels[k]:.3g} against {f.water_level:.3g}): "
            f"no number of steps brings it to life"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; steps of modes that stay dead are None."""
        return {"learning_rate": self.learning_rate, "rates": plain(self.rates), "steps": plain(self.steps)}

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import escape_card

        return escape_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.landscape.pictures import escape_figure

        return escape_figure(self)


def escape_times(
    forecast: Forecast,
    learning_rate: float,
    *,
    initial_std: float | tuple[float, float] | None = None,
    beta: Callable[[float], float] | None = None,
    inputs: Inputs = "raw",
    width_parameter: WidthParameter = "log_variance",
) -> EscapeTimes:
    """Steps of gradient descent until each mode is alive, from a random start.

    Parameters
    ----------
    forecast : Forecast
        Gaussian, decoder variance given. An objective from `Objective.from_loss` is taken at the scale of
        that loss: its steps are shorter by 2a when it is written a‖x − x̂‖² + b·KL.
    learning_rate : float
    initial_std : float or pair, optional
        Standard deviation of the weights (decoder, encoder) at the start; that of `torch.nn.Linear` by default,
        1/√(3 d1) and 1/√(3 d0). Widths start at the prior's.
    beta : callable, optional
        β at each step, for annealing; the objective's own throughout by default. It must end there.
    inputs : {"raw", "centred", "whitened"}
        What the encoder reads: x as it is, x less its mean, or whitened x.
    width_parameter : {"log_variance", "log_std"}
        What the network puts out for σ.

    Returns
    -------
    EscapeTimes

    Raises
    ------
    ObjectiveError
        For what is not covered: other likelihoods, a learned decoder variance, another target with raw inputs.

    Notes
    -----
    Rates are exact near the origin. Times follow each mode by itself, from the expected size of a random start along
    its growing direction on the latents that stronger modes leave free. From a full random start modes disturb each
    other; docs/landscape.md says by how much. With ``inputs="raw"`` the mean of x slows modes down
    (`theory.dynamics.uncentred_rates`), and times are those of centred inputs stretched by the ratio of the rates.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.5], [0.0, -1.5], [0.0, 0.0]])
    >>> times = escape_times(forecast(x), 1e-3, initial_std=1e-3)
    >>> times.sentences[0]
    'mode 1 needs about 4,700 steps at this learning rate: what looks dead before that is only slow'
    >>> times.sentences[1]
    'mode 2 lies under water (0.9 against 1): no number of steps brings it to life'
    """
    way = descent(forecast, learning_rate, initial_std, beta, inputs, width_parameter)
    way.warn_if_unstable()
    rates, steps = _rates_and_steps(way)
    return EscapeTimes(forecast, float(learning_rate), rates, steps)


@quiet
def _rates_and_steps(way: Descent) -> tuple[np.ndarray, np.ndarray]:
    f, rates = way.forecast, _centred_rates(way)
    stretch = np.ones(f.spectrum.rank)
    if way.inputs == "raw" and f.objective.bias:
        slowed = _uncentred_rates(way)
        np.divide(rates, slowed, out=stretch, where=(rates > 0) & (slowed > 0))
        rates = np.where(rates > 0, slowed, rates)
    steps = np.full(f.spectrum.rank, np.inf)
    for k in range(f.n_alive):
        unit = float(stretch[k] / way.per_step)  # steps per unit of the centred mode's time
        schedule = way.schedule(unit)
        mode, start = way.mode(k), way.random_start(k, schedule(0.0))
        steps[k] = unit * _escape(mode, start, schedule, f.objective.beta, 60 / (rates[k] * stretch[k]))
    return rates, steps


def _escape(
    mode: theory.Mode, start: np.ndarray, schedule: Callable[[float], float], beta: float, horizon: float
) -> float:
    half = mode.product_at_rest(beta, math.exp(2 * start[2])) / 2
    for _ in range(6):
        escape = integrated(mode, start, horizon, schedule, half, np.empty(0)).escape
        if math.isfinite(escape):
            return escape
        horizon *= 8  # a tiny start, or a schedule that begins above the mode
    return math.inf


def _centred_rates(way: Descent) -> np.ndarray:
    """Minus the lowest curvature of each mode's plane at the origin, shape (m,)."""
    f = way.forecast
    cost = np.full(f.spectrum.rank, f.water_level / f.objective.prior_variance)
    return -planes(f.spectrum.strengths, way.gains, way.widths, cost, f.decoder_variance).lowest


def _uncentred_rates(way: Descent) -> np.ndarray:
    f, s, o = way.forecast, way.forecast.spectrum, way.forecast.objective
    mean = s.basis.decoder.T @ s.mean_input
    outside = max(float(s.mean_input @ s.mean_input - mean @ mean), 0.0)
    width = float(way.widths[0]) if s.rank else 1.0
    given = {"beta": o.beta, "variance": f.decoder_variance, "prior_variance": o.prior_variance, "width": width}
    return theory.uncentred_rates(s.strengths, mean, outside, **given)


def _round(steps: float) -> str:
    """Two digits, with commas: 41,234 becomes 41,000."""
    if steps < 10:
        return f"{steps:.1g}"
    digits = 1 - math.floor(math.log10(steps))
    return f"{round(steps, digits):,.0f}" if steps < 1e15 else f"{steps:.1e}"
