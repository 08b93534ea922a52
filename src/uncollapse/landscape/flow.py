"""The path of gradient flow: how decoder, encoder and width of each mode move from a random start.

What is covered and what is not: `uncollapse.landscape.descent`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.problem import quiet
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.landscape.descent import Descent, Inputs, WidthParameter, descent, integrated
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn
from uncollapse.showing.plain import Record
from uncollapse.theory.landscape import loss_at
from uncollapse.theory.optimum import fixed_width_kl

__all__ = ["Flow", "gradient_flow"]

MOST_VALUES = 10**8
"""Times × modes at which a path is reported: 2.4 GB."""


@dataclass(frozen=True, eq=False, repr=False)
class Flow(Record, Drawn):
    """Gradient flow, each latent carrying one mode; arrays over n times and the p modes that have a latent.

    Attributes
    ----------
    steps : ndarray of shape (n,)
    beta : ndarray of shape (n,)
    decoder, encoder, encoder_std : ndarrays of shape (n, p)
        u, v and σ of each mode; U = F u, and v is the posterior mean's gain on the mode's whitened score.
    loss : ndarray of shape (n,)
        Nats per sample at the objective's own β, as `Forecast.loss`.
    escapes : ndarray of shape (p,)
        Step at which u v reaches half its final value; infinite if it does not within the steps asked for.
    """

    steps: np.ndarray
    beta: np.ndarray
    decoder: np.ndarray
    encoder: np.ndarray
    encoder_std: np.ndarray
    loss: np.ndarray
    escapes: np.ndarray

    @property
    def product(self) -> np.ndarray:
        """u v, shape (n, p): how much of each mode's whitened score reaches the output; ζ would be all of it."""
        return self.decoder * self.encoder

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import flow_card

        return flow_card(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Flow:
        """What `to_dict` gave, or JSON made of it; a mode that did not escape has None there."""
        result = super().from_dict(values)
        return replace(result, escapes=np.where(np.isnan(result.escapes), np.inf, result.escapes))

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.landscape.pictures import flow_figure

        return flow_figure({"": self})


def gradient_flow(
    forecast: Forecast,
    n_steps: float,
    learning_rate: float,
    *,
    initial_std: float | tuple[float, float] | None = None,
    beta: Callable[[float], float] | None = None,
    inputs: Inputs = "centred",
    width_parameter: WidthParameter = "log_variance",
    n_points: int = 401,
) -> Flow:
    """The whole path of every mode that has a latent, each latent carrying one mode from the start.

    Parameters
    ----------
    forecast, learning_rate, initial_std, beta, width_parameter
        As in `escape_times`.
    n_steps : float
    inputs : {"centred", "whitened"}
        Modes keep apart only when the encoder reads x less its mean; without biases also "raw".
    n_points : int
        Times reported, evenly spaced.

    Returns
    -------
    Flow

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> f = forecast(x)
    >>> flow = gradient_flow(f, 100_000, 1e-3)
    >>> bool(np.isclose(flow.loss[-1], f.loss))
    True
    """
    way = descent(forecast, learning_rate, initial_std, beta, inputs, width_parameter)
    n_steps, n_points = checks.positive(n_steps, "n_steps"), checks.count(n_points, "n_points", least=2)
    if inputs == "raw" and forecast.objective.bias:
        raise ObjectiveError('the mean of raw inputs mixes the modes; pass inputs="centred", or see escape_times')
    if n_points * max(forecast.n_usable, 1) > MOST_VALUES:
        raise ObjectiveError(f"n_points must be below {MOST_VALUES // max(forecast.n_usable, 1)} for so many modes")
    way.warn_if_unstable()
    return _flow(way, n_steps, n_points)


@quiet
def _flow(way: Descent, n_steps: float, n_points: int) -> Flow:
    f, steps = way.forecast, np.linspace(0, n_steps, n_points)
    times, schedule = steps * way.per_step, way.schedule(1 / way.per_step)
    states, escapes = np.empty((n_points, f.n_usable, 3)), np.full(f.n_usable, np.inf)
    for k in range(f.n_usable):
        mode, start = way.mode(k), way.random_start(k, schedule(0.0))
        rest = mode.product_at_rest(f.objective.beta, math.exp(2 * start[2]))
        path = integrated(mode, start, n_steps * way.per_step, schedule, rest / 2 or math.inf, times)
        states[:, k], escapes[k] = path.states, path.escape / way.per_step
    u, v, std = states[..., 0], states[..., 1], np.exp(states[..., 2])
    betas = np.array([schedule(t) for t in times])
    return Flow(steps, betas, u, v, std, _loss(f, u, v, std**2), escapes)


def _loss(f: Forecast, u: np.ndarray, v: np.ndarray, widths: np.ndarray) -> np.ndarray:
    s, o, p = f.spectrum, f.objective, f.n_usable
    total = np.full(len(u), (s.total_energy - s.strengths[:p].sum()) / (2 * f.decoder_variance))
    for k in range(p):
        total += loss_at(
            u[:, k, None, None],
            v[:, k, None, None],
            widths[:, k, None],
            s.strengths[k : k + 1],
            float(s.strengths[k]),
            beta=o.beta,
            variance=f.decoder_variance,
            prior_variance=o.prior_variance,
        )
    one = one_level(f.solution)
    idle = 0.0 if one.rho is None else one.width_kl - float(fixed_width_kl(one.rho[:p]).sum())
    return total + o.beta * idle
