"""Gradient descent on a forecast's loss: what is covered, time per step, where a random start lies.

Plain gradient descent on the whole data, or stochastic descent with steps small enough for its noise not to matter.
**Adam is not covered**: it rescales each parameter's gradient, so that neither the rates nor the order of escape carry
over. Nor are networks that are not linear.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError, warn
from uncollapse.forecasting.problem import quiet
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.loss import LossConvention
from uncollapse.theory import dynamics as theory
from uncollapse.theory.landscape import planes

__all__ = ["Descent", "Inputs", "WidthParameter", "descent", "integrated", "linear_warmup"]

Inputs = Literal["raw", "centred", "whitened"]
WidthParameter = Literal["log_variance", "log_std"]

SHORTEST = 1e-30
"""Learning rate × steps: nothing moves in less, and the solver hangs on times far below it."""


@dataclass(frozen=True, eq=False)
class Descent:
    """Gradient descent as it was asked for, checked.

    Attributes
    ----------
    forecast : Forecast
    per_step : float
        Time of one step: the learning rate, times the scale of the loss as it is written.
    initial_std : pair of floats or None
        Standard deviations of decoder and encoder weights at the start.
    beta : callable or None
        β at each step.
    inputs : {"raw", "centred", "whitened"}
    width_parameter : {"log_variance", "log_std"}
    """

    forecast: Forecast
    per_step: float
    initial_std: tuple[float, float] | None
    beta: Callable[[float], float] | None
    inputs: Inputs
    width_parameter: WidthParameter

    @property
    def width_speed(self) -> float:
        """κ, the speed of log σ; 0 where the width is fixed."""
        if one_level(self.forecast.solution).rho is not None:
            return 0.0
        return {"log_std": 1.0, "log_variance": 0.25}[self.width_parameter]

    @property
    def gains(self) -> np.ndarray:
        """Input gain g of each mode, shape (m,)."""
        strengths = self.forecast.spectrum.strengths
        return np.ones(len(strengths)) if self.inputs == "whitened" else np.sqrt(strengths)

    @property
    def widths(self) -> np.ndarray:
        """σ² of each mode at the start, near the origin: the prior's when learned; shape (m,)."""
        f = self.forecast
        rho = one_level(f.solution).rho
        return f.objective.prior_variance * (np.ones(f.spectrum.rank) if rho is None else rho**2)

    def mode(self, k: int) -> theory.Mode:
        """What the flow of mode k needs to know."""
        f, zeta = self.forecast, math.sqrt(self.forecast.spectrum.strengths[k])
        gain = 1.0 if self.inputs == "whitened" else zeta
        return theory.Mode(zeta, gain, f.decoder_variance, f.objective.prior_variance, self.width_speed)

    @quiet
    def random_start(self, k: int, beta: float) -> np.ndarray:
        """(u, v, log σ) on the growing direction of mode k, as long as a random start is there on average.

        Row k of FᵀU and of FᵀW has one entry for each latent, and those that i stronger modes take are gone for mode i.
        """
        f = self.forecast
        default = (1 / math.sqrt(3 * f.n_latents), 1 / math.sqrt(3 * f.spectrum.n_features))
        decoder_std, encoder_std = self.initial_std or default
        gain, width = self.gains[k : k + 1], self.widths[k : k + 1]
        cost = np.full(1, beta * f.decoder_variance / f.objective.prior_variance)
        plane = planes(f.spectrum.strengths[k : k + 1], gain, width, cost, f.decoder_variance)
        a, b = float(plane.decoder[0]), float(plane.encoder[0])
        size = math.sqrt(max(f.n_latents - k, 1)) * math.hypot(a * decoder_std, b * encoder_std)
        return np.array([size * a, size * b * float(gain[0]), math.log(width[0]) / 2])

    def schedule(self, unit: float) -> Callable[[float], float]:
        """β as a function of time, `unit` steps each."""
        beta, constant = self.beta, self.forecast.objective.beta
        if beta is None:
            return lambda t: constant

        def at(t: float) -> float:
            try:
                value = beta(t * unit)
            except Exception as error:
                raise ObjectiveError(f"beta raised {type(error).__name__} at step {t * unit:g}") from error
            if type(value) is float and 0 <= value < math.inf:  # asked for at every step of the solution
                return value
            return checks.non_negative(value, f"beta at step {t * unit:g}")

        return at

    def warn_if_unstable(self) -> None:
        """Warn where the steps are too long for the curvature at the optimum."""
        too_fast = self.per_step * self._sharpest() / 2
        if too_fast > 1:
            warn(
                f"at this learning rate gradient descent cannot settle at the optimum, and steps counted here mean "
                f"little; it would have to be below {1 / too_fast:.2g} of what it is"
            )

    @quiet
    def _sharpest(self) -> float:
        """The largest curvature at the optimum, at least; 0 where widths are fixed or nothing lives."""
        f, n = self.forecast, self.forecast.n_alive
        if not n or not self.width_speed:
            return 0.0
        strengths, variance, prior = f.spectrum.strengths[:n], f.decoder_variance, f.objective.prior_variance
        own = theory.own_curvature(strengths, self.gains[:n], f.water_level, variance, prior, self.width_speed)
        sharpest = float(own.max())
        if self.inputs == "raw" and f.objective.bias:
            # along (x̄, 1) in the column and bias of the latent that carries the strongest mode; at least this much
            mean = f.spectrum.mean_input
            sharpest = max(sharpest, float(strengths[0] / (variance * prior) * (mean @ mean + 1)))
        return sharpest


def descent(
    forecast: Forecast,
    learning_rate: float,
    initial_std: Any,
    beta: Callable[[float], float] | None,
    inputs: Inputs,
    width_parameter: WidthParameter,
) -> Descent:
    """The descent that a caller asks for; or the one line that says what is wrong or not covered."""
    f = checks.instance(forecast, "forecast", Forecast)
    rate, std = checks.positive(learning_rate, "learning_rate"), _checked_start(initial_std)
    if beta is not None:
        checks.function(beta, "beta")
    checks.one_of(inputs, "inputs", get_args(Inputs))
    checks.one_of(width_parameter, "width_parameter", get_args(WidthParameter))
    return Descent(f, _time_per_step(f, rate, inputs), std, beta, inputs, width_parameter)


def linear_warmup(n_steps: float, beta: float) -> Callable[[float], float]:
    """β rising from 0 in a straight line to `beta` at step `n_steps`, and constant from there.

    Examples
    --------
    >>> warmup = linear_warmup(100, 4.0)
    >>> warmup(0), warmup(50), warmup(1000)
    (0.0, 2.0, 4.0)
    """
    duration, final = checks.non_negative(n_steps, "n_steps"), checks.positive(beta, "beta")
    return lambda step: final * min(step / duration, 1.0) if duration else final


def integrated(
    mode: theory.Mode,
    start: np.ndarray,
    duration: float,
    beta: Callable[[float], float],
    half: float,
    times: np.ndarray,
) -> theory.ModePath:
    """`theory.dynamics.integrate`, or one line where the solver gives up."""
    if duration < SHORTEST:
        raise ObjectiveError(f"nothing moves within {duration:.3g} (learning rate × steps); ask for more steps")
    if not math.isfinite(duration):
        raise ObjectiveError("this mode needs more steps than a computer number can count; raise the learning rate")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", message="lsoda|.*[Ee]xcess", category=UserWarning)
        path = theory.integrate(mode, start, duration, beta, half, times)
    if len(times) and (len(path.states) != len(times) or not np.isfinite(path.states).all()):
        raise ObjectiveError(
            f"the path could not be followed over {duration:.3g} (learning rate × steps); ask for fewer steps, or a "
            f"start nearer to 0"
        )
    return path


def _checked_start(initial_std: Any) -> tuple[float, float] | None:
    """Standard deviations of the weights at the start: of decoder and encoder, each positive."""
    if initial_std is None:
        return None
    wanted = "a positive number (the origin is stationary), or two: decoder, encoder"
    shape: Any = getattr(initial_std, "shape", ())
    if isinstance(initial_std, list | tuple) or shape:
        return checks.pair(initial_std, "initial_std", wanted=wanted)
    return (checks.positive(initial_std, "initial_std", wanted=wanted),) * 2


def _time_per_step(f: Forecast, learning_rate: float, inputs: Inputs) -> float:
    """Time per step: learning rate × scale of the loss; or the one line that says what is not covered."""
    if not f.exact:
        raise ObjectiveError(f"the flow is known for Gaussian decoders only, not {f.spectrum.likelihood}")
    one_level(f.solution)
    if f.objective.decoder_variance == "learned":
        raise ObjectiveError(
            "a decoder variance that learns along is not covered; forecast with decoder_variance set to a number"
        )
    if isinstance(f.objective.encoder_variance, tuple) and len(set(f.objective.encoder_variance)) > 1:
        raise ObjectiveError("fixed encoder variances that differ are not covered; give one for all latents")
    if inputs != "whitened" and not f.spectrum.target_is_input:
        raise ObjectiveError(
            'with another target than x the modes do not move apart in raw inputs; pass inputs="whitened", or take the '
            "rates from theory.landscape.origin_block"
        )
    per_step = learning_rate * (1.0 if f.objective.loss is None else _scale(f.objective.loss))
    if not SHORTEST < per_step < 1 / SHORTEST:
        raise ObjectiveError(
            f"learning_rate {learning_rate:g} makes steps of length {per_step:g}; give one nearer to 1"
        )
    return per_step


def _scale(written: LossConvention) -> float:
    """2a of the loss a‖x − x̂‖² + b·KL as it is written: what the objective at unit variance is multiplied by."""
    scale = (1.0 if written.half else 2.0) / (written.n_features or 1 if written.reduction == "mean" else 1)
    if written.batch == "mean":
        return scale
    if written.batch_size is None:
        raise ObjectiveError("the loss is summed over a batch, so its gradients grow with it; give batch_size")
    return scale * written.batch_size
