"""How long gradient descent takes to bring each mode to life: what looks dead may only be slow.

Plain gradient descent on the whole data, or stochastic descent with steps small enough for its noise not to matter.
**Adam is not covered**: it rescales each parameter's gradient, so that neither the rates nor the order of escape carry
over. Nor are networks that are not linear.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from uncollapse.errors import ObjectiveError, UncollapseWarning
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.loss import LossConvention
from uncollapse.theory import dynamics as theory
from uncollapse.theory.landscape import loss, planes
from uncollapse.theory.optimum import fixed_width_kl

__all__ = ["EscapeTimes", "Flow", "Inputs", "WidthParameter", "escape_times", "gradient_flow", "linear_warmup"]

Inputs = Literal["raw", "centred", "whitened"]
WidthParameter = Literal["log_variance", "log_std"]


@dataclass(frozen=True, eq=False)
class EscapeTimes:
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
        return np.flatnonzero(np.isfinite(self.steps) & (self.steps > n_steps))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each mode, numbered from 1."""
        return tuple(self._sentence(k) for k in range(len(self.steps)))

    def _sentence(self, k: int) -> str:
        f = self.forecast
        if math.isfinite(self.steps[k]):
            return (
                f"mode {k + 1} needs about {_round(self.steps[k])} steps at this learning rate: "
                f"what looks dead before that is only slow"
            )
        if k >= f.n_usable and f.critical_levels[k] > f.water_level:
            return f"mode {k + 1} is above water but has no latent left: stronger modes take them all"
        return (
            f"mode {k + 1} lies under water ({f.critical_levels[k]:.3g} against {f.water_level:.3g}): "
            f"no number of steps brings it to life"
        )


@dataclass(frozen=True, eq=False)
class Flow:
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
    f = forecast
    per_step = _check(f, learning_rate, inputs)
    _warn_unstable(f, per_step, inputs, width_parameter)
    rates = _centred_rates(f, inputs)
    stretch = np.ones(f.spectrum.rank)
    if inputs == "raw" and f.objective.bias:
        slowed = _uncentred_rates(f)
        np.divide(rates, slowed, out=stretch, where=(rates > 0) & (slowed > 0))
        rates = np.where(rates > 0, slowed, rates)
    steps = np.full(f.spectrum.rank, np.inf)
    for k in range(f.n_alive):
        unit = stretch[k] / per_step  # steps per unit of the centred mode's time
        schedule = _in_time(f, beta, unit)
        mode, start = _mode(f, k, inputs, width_parameter), _random_start(f, k, initial_std, inputs, schedule(0.0))
        steps[k] = unit * _escape(mode, start, schedule, f.objective.beta, 60 / (rates[k] * stretch[k]))
    return EscapeTimes(f, learning_rate, rates, steps)


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
    f = forecast
    per_step = _check(f, learning_rate, inputs)
    if inputs == "raw" and f.objective.bias:
        raise ObjectiveError('the mean of raw inputs mixes the modes; pass inputs="centred", or see escape_times')
    if not n_steps > 0 or n_points < 2:
        raise ObjectiveError(f"n_steps must be positive and n_points 2 or more, got {n_steps} and {n_points}")
    _warn_unstable(f, per_step, inputs, width_parameter)
    steps = np.linspace(0, n_steps, n_points)
    schedule = _in_time(f, beta, 1 / per_step)
    states, escapes = np.empty((n_points, f.n_usable, 3)), np.full(f.n_usable, np.inf)
    for k in range(f.n_usable):
        mode, start = _mode(f, k, inputs, width_parameter), _random_start(f, k, initial_std, inputs, schedule(0.0))
        rest = mode.product_at_rest(f.objective.beta, math.exp(2 * start[2]))
        path = theory.integrate(mode, start, n_steps * per_step, schedule, rest / 2 or math.inf, steps * per_step)
        states[:, k], escapes[k] = path.states, path.escape / per_step
    u, v, std = states[..., 0], states[..., 1], np.exp(states[..., 2])
    betas = np.array([schedule(t) for t in steps * per_step])
    return Flow(steps, betas, u, v, std, _loss(f, u, v, std**2), escapes)


def linear_warmup(n_steps: float, beta: float) -> Callable[[float], float]:
    """β rising from 0 in a straight line to `beta` at step `n_steps`, and constant from there.

    Examples
    --------
    >>> warmup = linear_warmup(100, 4.0)
    >>> warmup(0), warmup(50), warmup(1000)
    (0.0, 2.0, 4.0)
    """
    return lambda step: beta * min(step / n_steps, 1.0) if n_steps else beta


def _escape(
    mode: theory.Mode, start: np.ndarray, schedule: Callable[[float], float], beta: float, horizon: float
) -> float:
    half = mode.product_at_rest(beta, math.exp(2 * start[2])) / 2
    for _ in range(6):
        escape = theory.integrate(mode, start, horizon, schedule, half, np.empty(0)).escape
        if math.isfinite(escape):
            return escape
        horizon *= 8  # a tiny start, or a schedule that begins above the mode
    return math.inf


def _mode(f: Forecast, k: int, inputs: Inputs, width_parameter: WidthParameter) -> theory.Mode:
    zeta = math.sqrt(f.spectrum.strengths[k])
    speed = 0.0 if one_level(f.solution).rho is not None else {"log_std": 1.0, "log_variance": 0.25}[width_parameter]
    gain = 1.0 if inputs == "whitened" else zeta
    return theory.Mode(zeta, gain, f.decoder_variance, f.objective.prior_variance, speed)


def _widths(f: Forecast) -> np.ndarray:
    """σ² of each mode at the start, near the origin: the prior's when learned; shape (m,)."""
    rho = one_level(f.solution).rho
    return f.objective.prior_variance * (np.ones(f.spectrum.rank) if rho is None else rho**2)


def _random_start(
    f: Forecast, k: int, initial_std: float | tuple[float, float] | None, inputs: Inputs, beta: float
) -> np.ndarray:
    """(u, v, log σ) on the growing direction of mode k, as long as a random start is there on average.

    Row k of FᵀU and of FᵀW has one entry for each latent, and those that i stronger modes take are gone for mode i.
    """
    if initial_std is None:
        decoder_std, encoder_std = 1 / math.sqrt(3 * f.n_latents), 1 / math.sqrt(3 * f.spectrum.n_features)
    else:
        if np.size(initial_std) > 2:
            raise ObjectiveError(f"initial_std is one number, or two (decoder, encoder); got {initial_std}")
        decoder_std, encoder_std = np.broadcast_to(initial_std, 2).tolist()
        if not min(decoder_std, encoder_std) > 0:
            raise ObjectiveError(f"initial_std must be positive: the origin is stationary; got {initial_std}")
    strength, width = f.spectrum.strengths[k : k + 1], _widths(f)[k : k + 1]
    gain = np.ones(1) if inputs == "whitened" else np.sqrt(strength)
    cost = np.full(1, beta * f.decoder_variance / f.objective.prior_variance)
    plane = planes(strength, gain, width, cost, f.decoder_variance)
    a, b = float(plane.decoder[0]), float(plane.encoder[0])
    size = math.sqrt(max(f.n_latents - k, 1)) * math.hypot(a * decoder_std, b * encoder_std)
    return np.array([size * a, size * b * float(gain[0]), math.log(width[0]) / 2])


def _centred_rates(f: Forecast, inputs: Inputs) -> np.ndarray:
    """Minus the lowest curvature of each mode's plane at the origin, shape (m,)."""
    strengths = f.spectrum.strengths
    gains = np.ones(len(strengths)) if inputs == "whitened" else np.sqrt(strengths)
    cost = np.full(len(strengths), f.water_level / f.objective.prior_variance)
    return -planes(strengths, gains, _widths(f), cost, f.decoder_variance).lowest


def _uncentred_rates(f: Forecast) -> np.ndarray:
    s, o = f.spectrum, f.objective
    mean = s.basis.decoder.T @ s.mean_input
    beyond = max(float(s.mean_input @ s.mean_input - mean @ mean), 0.0)
    width = float(_widths(f)[0]) if s.rank else 1.0
    given = {"beta": o.beta, "variance": f.decoder_variance, "prior_variance": o.prior_variance, "width": width}
    return theory.uncentred_rates(s.strengths, mean, beyond, **given)


def _in_time(f: Forecast, beta: Callable[[float], float] | None, unit: float) -> Callable[[float], float]:
    """β as a function of time, `unit` steps each."""
    if beta is None:
        return lambda t: f.objective.beta
    return lambda t: beta(t * unit)


def _loss(f: Forecast, u: np.ndarray, v: np.ndarray, widths: np.ndarray) -> np.ndarray:
    s, o, p = f.spectrum, f.objective, f.n_usable
    total = np.full(len(u), (s.total_energy - s.strengths[:p].sum()) / (2 * f.decoder_variance))
    for k in range(p):
        total += loss(
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


def _check(f: Forecast, learning_rate: float, inputs: Inputs) -> float:
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
    if inputs not in get_args(Inputs):
        raise ObjectiveError(f"inputs must be {', '.join(get_args(Inputs))}, got {inputs!r}")
    if inputs != "whitened" and not f.spectrum.target_is_input:
        raise ObjectiveError(
            'with another target than x the modes do not move apart in raw inputs; pass inputs="whitened", or take the '
            "rates from theory.landscape.origin_block"
        )
    if not 0 < learning_rate < math.inf:
        raise ObjectiveError(f"learning_rate must be a positive number, got {learning_rate}")
    return learning_rate * (1.0 if f.objective.loss is None else _scale(f.objective.loss))


def _scale(written: LossConvention) -> float:
    """2a of the loss a‖x − x̂‖² + b·KL as it is written: what the objective at unit variance is multiplied by."""
    scale = (1.0 if written.half else 2.0) / (written.n_features or 1 if written.reduction == "mean" else 1)
    if written.batch == "mean":
        return scale
    if written.batch_size is None:
        raise ObjectiveError("the loss is summed over a batch, so its gradients grow with it; give batch_size")
    return scale * written.batch_size


def _warn_unstable(f: Forecast, per_step: float, inputs: Inputs, width_parameter: WidthParameter) -> None:
    if not f.n_alive or one_level(f.solution).rho is not None:
        return
    strengths = f.spectrum.strengths[: f.n_alive]
    gains = np.ones(f.n_alive) if inputs == "whitened" else np.sqrt(strengths)
    speed = _mode(f, 0, inputs, width_parameter).width_speed
    sharpest = theory.own_curvature(
        strengths, gains, f.water_level, f.decoder_variance, f.objective.prior_variance, speed
    ).max()
    if inputs == "raw" and f.objective.bias:
        # along (x̄, 1) in the column and bias of the latent that carries the strongest mode; at least this much
        mean = f.spectrum.mean_input
        steep = strengths[0] / (f.decoder_variance * f.objective.prior_variance)
        sharpest = max(sharpest, float(steep * (mean @ mean + 1)))
    if per_step * sharpest > 2:
        warnings.warn(
            f"at this learning rate gradient descent cannot settle at the optimum, and steps counted here mean little; "
            f"it would have to be below {2 / sharpest / per_step:.2g} of what it is",
            UncollapseWarning,
            stacklevel=3,
        )


def _round(steps: float) -> str:
    """Two digits, with commas: 41,234 becomes 41,000."""
    if steps < 10:
        return f"{steps:.1g}"
    digits = 1 - math.floor(math.log10(steps))
    return f"{round(steps, digits):,.0f}" if steps < 1e15 else f"{steps:.1e}"
