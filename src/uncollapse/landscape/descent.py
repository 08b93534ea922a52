"""Gradient descent on a forecast's loss: what is covered, time per step, where a random start lies.

Plain gradient descent on the whole data, or stochastic descent with steps small enough for its noise not to matter.
**Adam is not covered**: it rescales each parameter's gradient, so that neither the rates nor the order of escape carry
over. Nor are networks that are not linear.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError, warn
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.loss import LossConvention
from uncollapse.theory import dynamics as theory
from uncollapse.theory.landscape import planes

__all__ = [
    "Inputs",
    "WidthParameter",
    "beta_in_time",
    "checked_start",
    "initial_widths",
    "integrated",
    "linear_warmup",
    "mode_at",
    "random_start",
    "time_per_step",
    "warn_if_unstable",
]

Inputs = Literal["raw", "centred", "whitened"]
WidthParameter = Literal["log_variance", "log_std"]


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


def checked_start(initial_std: Any) -> tuple[float, float] | None:
    """Standard deviations of the weights at the start: of decoder and encoder, each positive."""
    if initial_std is None:
        return None
    wanted = "a positive number (the origin is stationary), or two: decoder, encoder"
    shape: Any = getattr(initial_std, "shape", ())
    if isinstance(initial_std, list | tuple) or shape:
        return checks.pair(initial_std, "initial_std", wanted=wanted)
    return (checks.positive(initial_std, "initial_std", wanted=wanted),) * 2


def integrated(
    mode: theory.Mode,
    start: np.ndarray,
    duration: float,
    beta: Callable[[float], float],
    half: float,
    times: np.ndarray,
) -> theory.ModePath:
    """`theory.dynamics.integrate`, or one line where the solver gives up."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", message="lsoda|.*[Ee]xcess", category=UserWarning)
        path = theory.integrate(mode, start, duration, beta, half, times)
    if len(times) and (len(path.states) != len(times) or not np.isfinite(path.states).all()):
        raise ObjectiveError(
            f"the path could not be followed over {duration:.3g} (learning rate × steps); ask for fewer steps, or a "
            f"start nearer to 0"
        )
    return path


def time_per_step(f: Forecast, learning_rate: float, inputs: Inputs) -> float:
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
    if not 0 < per_step < math.inf:
        raise ObjectiveError(
            f"learning_rate {learning_rate:g} makes steps of length {per_step:g}; give one nearer to 1"
        )
    return per_step


def mode_at(f: Forecast, k: int, inputs: Inputs, width_parameter: WidthParameter) -> theory.Mode:
    zeta = math.sqrt(f.spectrum.strengths[k])
    speed = 0.0 if one_level(f.solution).rho is not None else {"log_std": 1.0, "log_variance": 0.25}[width_parameter]
    gain = 1.0 if inputs == "whitened" else zeta
    return theory.Mode(zeta, gain, f.decoder_variance, f.objective.prior_variance, speed)


def initial_widths(f: Forecast) -> np.ndarray:
    """σ² of each mode at the start, near the origin: the prior's when learned; shape (m,)."""
    rho = one_level(f.solution).rho
    return f.objective.prior_variance * (np.ones(f.spectrum.rank) if rho is None else rho**2)


def random_start(
    f: Forecast, k: int, initial_std: tuple[float, float] | None, inputs: Inputs, beta: float
) -> np.ndarray:
    """(u, v, log σ) on the growing direction of mode k, as long as a random start is there on average.

    Row k of FᵀU and of FᵀW has one entry for each latent, and those that i stronger modes take are gone for mode i.
    """
    if initial_std is None:
        decoder_std, encoder_std = 1 / math.sqrt(3 * f.n_latents), 1 / math.sqrt(3 * f.spectrum.n_features)
    else:
        decoder_std, encoder_std = initial_std
    strength, width = f.spectrum.strengths[k : k + 1], initial_widths(f)[k : k + 1]
    gain = np.ones(1) if inputs == "whitened" else np.sqrt(strength)
    cost = np.full(1, beta * f.decoder_variance / f.objective.prior_variance)
    plane = planes(strength, gain, width, cost, f.decoder_variance)
    a, b = float(plane.decoder[0]), float(plane.encoder[0])
    size = math.sqrt(max(f.n_latents - k, 1)) * math.hypot(a * decoder_std, b * encoder_std)
    return np.array([size * a, size * b * float(gain[0]), math.log(width[0]) / 2])


def beta_in_time(f: Forecast, beta: Callable[[float], float] | None, unit: float) -> Callable[[float], float]:
    """β as a function of time, `unit` steps each."""
    if beta is None:
        return lambda t: f.objective.beta

    def at(t: float) -> float:
        try:
            value = beta(t * unit)
        except Exception as error:
            raise ObjectiveError(f"beta raised {type(error).__name__} at step {t * unit:g}") from error
        if type(value) is float and 0 <= value < math.inf:  # asked for at every step of the solution
            return value
        return checks.non_negative(value, f"beta at step {t * unit:g}")

    return at


def warn_if_unstable(f: Forecast, per_step: float, inputs: Inputs, width_parameter: WidthParameter) -> None:
    if not f.n_alive or one_level(f.solution).rho is not None:
        return
    strengths = f.spectrum.strengths[: f.n_alive]
    gains = np.ones(f.n_alive) if inputs == "whitened" else np.sqrt(strengths)
    speed = mode_at(f, 0, inputs, width_parameter).width_speed
    sharpest = theory.own_curvature(
        strengths, gains, f.water_level, f.decoder_variance, f.objective.prior_variance, speed
    ).max()
    if inputs == "raw" and f.objective.bias:
        # along (x̄, 1) in the column and bias of the latent that carries the strongest mode; at least this much
        mean = f.spectrum.mean_input
        steep = strengths[0] / (f.decoder_variance * f.objective.prior_variance)
        sharpest = max(sharpest, float(steep * (mean @ mean + 1)))
    if per_step * sharpest > 2:
        warn(
            f"at this learning rate gradient descent cannot settle at the optimum, and steps counted here mean little; "
            f"it would have to be below {2 / sharpest / per_step:.2g} of what it is"
        )


def _scale(written: LossConvention) -> float:
    """2a of the loss a‖x − x̂‖² + b·KL as it is written: what the objective at unit variance is multiplied by."""
    scale = (1.0 if written.half else 2.0) / (written.n_features or 1 if written.reduction == "mean" else 1)
    if written.batch == "mean":
        return scale
    if written.batch_size is None:
        raise ObjectiveError("the loss is summed over a batch, so its gradients grow with it; give batch_size")
    return scale * written.batch_size
