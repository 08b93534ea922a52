"""Gradient flow of the linear VAE, mode by mode.

Where latent i carries mode i alone (U = F diag u, V = G diag v), the gradient keeps it so, and each mode moves by
itself. With the encoder's parameters W read through an input gain g (v = g w; see `theory.landscape`), time measured in
learning rate × steps, and s = log σ moving at speed κ (1 if log σ is the parameter, ¼ if log σ² is):

    u̇ = −[(uv − ζ) v + σ² u]/η²,   v̇ = −g² [(uv − ζ) u + (τ/η_enc²) v]/η²,   ṡ = −κ [σ² (u² + τ/η_enc²) − τ]/η²

For y = x read raw, g = ζ; for whitened inputs, g = 1. Near 0, with σ = η_enc, the mode grows at minus the lowest
eigenvalue of its plane at the origin: r = ½(√((a − b)² + 4g²ζ²/η⁴) − (a + b)), a = η_enc²/η², b = g²β/η_enc².

Source: gradient of Wang & Ziyin 2022, eq. 4, in mode coordinates; docs/landscape.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Mode", "ModePath", "integrate", "own_curvature", "uncentred_rates", "velocity"]


@dataclass(frozen=True)
class Mode:
    """What the flow of one mode needs to know: ζ, the input gain g, η², η_enc², and the speed κ of log σ (0: fixed)."""

    zeta: float
    gain: float
    variance: float
    prior_variance: float
    width_speed: float

    def product_at_rest(self, beta: float, width: float) -> float:
        """u v where the mode lives: (ζ² − τ)/ζ, or ζ − √τ σ/η_enc when the width σ² is fixed; 0 under water.

        Source: Wang & Ziyin 2022, eqs. 8 and 17–19.
        """
        tau = beta * self.variance
        lost = tau / self.zeta if self.width_speed else np.sqrt(tau * width / self.prior_variance)
        return max(self.zeta - float(lost), 0.0)


@dataclass(frozen=True, eq=False)
class ModePath:
    """A solution: ``states`` of shape (n, 3) holds u, v and log σ at each time asked for; and the time of escape.

    ``escape`` is when u v first reaches half its final value; infinite if not within the time integrated.
    """

    states: np.ndarray
    escape: float


def velocity(state: np.ndarray, beta: float, mode: Mode) -> np.ndarray:
    """(u̇, v̇, ṡ) at `state` = (u, v, log σ), per unit of learning rate × steps; see the module.

    Examples
    --------
    >>> velocity(np.array([1.0, 1.0, 0.0]), 1.0, Mode(3.0, 1.0, 1.0, 1.0, 1.0))
    array([ 1.,  1., -1.])
    """
    u, v, log_width = state
    width, cost = np.exp(2 * log_width), beta * mode.variance / mode.prior_variance
    gap = mode.zeta - u * v
    down = np.array(
        [
            gap * v - width * u,
            mode.gain**2 * (gap * u - cost * v),
            mode.width_speed * (beta * mode.variance - width * (u**2 + cost)),
        ]
    )
    return down / mode.variance


def integrate(
    mode: Mode, start: np.ndarray, duration: float, beta: Callable[[float], float], half: float, times: np.ndarray
) -> ModePath:
    """Solve the flow of one mode from `start` = (u, v, log σ).

    Parameters
    ----------
    duration : float
        In learning rate × steps.
    beta : callable
        β at each time.
    half : float
        The product u v at which the mode counts as escaped.
    times : ndarray of shape (n,)
        When to report the state; when empty, the solution stops at the escape.

    Examples
    --------
    >>> path = integrate(Mode(2.0, 1.0, 1.0, 1.0, 1.0), np.array([0.01, 0.01, 0.0]), 50.0, lambda t: 1.0, 0.75,
    ...                  np.array([50.0]))
    >>> round(float(path.states[0, 0] * path.states[0, 1]), 4)  # (ζ² − τ)/ζ
    1.5
    """
    from scipy.integrate import solve_ivp

    def escaped(t: float, state: np.ndarray) -> float:
        return float(state[0] * state[1]) - half

    escaped.direction, escaped.terminal = 1.0, not len(times)  # type: ignore[attr-defined]
    solution = solve_ivp(
        lambda t, state: velocity(state, beta(t), mode),
        (0.0, duration),
        start,
        method="LSODA",
        t_eval=times if len(times) else None,
        events=escaped,
        rtol=1e-8,
        atol=1e-13,
    )
    crossings = solution.t_events[0] if solution.t_events else np.empty(0)
    escape = float(crossings[0]) if len(crossings) else np.inf
    return ModePath(solution.y.T, 0.0 if start[0] * start[1] >= half else escape)


def uncentred_rates(
    strengths: np.ndarray,
    mean: np.ndarray,
    mean_outside: float,
    *,
    beta: float,
    variance: float,
    prior_variance: float,
    width: float,
) -> np.ndarray:
    """Growth rates near the origin when y = x reaches the encoder with its mean, and biases are learned.

    An encoder bias must follow every change of Wᵀx̄, and it follows at its own pace: modes that overlap with the mean
    leave more slowly. None changes sides of the water. The modes mix; rates are given in descending order.

    Parameters
    ----------
    strengths : ndarray of shape (m,)
    mean : ndarray of shape (m,)
        Fᵀx̄: the mean along each mode.
    mean_outside : float
        Squared length of the mean outside the modes.
    beta, variance, prior_variance, width : float
        β, η², η_enc² and σ².

    Returns
    -------
    ndarray of shape (m,)

    Notes
    -----
    Minus the lowest m eigenvalues of the Hessian in (U, W, b_e) of one latent, decoder bias at the mean; for mode k
    (1/η²) [[σ², −ζ²], [−ζ², cζ²]] plus (c/η²) q qᵀ on (W, b_e), q = (x̄, 1), c = βη²/η_enc².

    Examples
    --------
    >>> given = dict(beta=1.0, variance=1.0, prior_variance=1.0, width=1.0)
    >>> four = np.array([4.0])
    >>> [round(float(uncentred_rates(four, np.array([m]), 0.0, **given)[0]), 3) for m in (0.0, 5.0)]
    [1.772, 0.395]
    """
    m, cost = len(strengths), beta * variance / prior_variance
    hessian = np.zeros((2 * m + 2, 2 * m + 2))
    u, w = np.arange(m), np.arange(m, 2 * m)
    hessian[u, u], hessian[w, w] = width, cost * strengths
    hessian[u, w] = hessian[w, u] = -strengths
    reach = np.concatenate([np.zeros(m), mean, [np.sqrt(mean_outside), 1.0]])
    hessian += cost * np.multiply.outer(reach, reach)
    return -np.linalg.eigvalsh(hessian)[:m] / variance


def own_curvature(
    strengths: np.ndarray, gains: np.ndarray, tau: float, variance: float, prior_variance: float, width_speed: float
) -> np.ndarray:
    """Largest curvature of the loss in the three parameters of each mode where it lives, shape (m,).

    Gradient descent at a rate above 2 over any of them cannot settle there. Width learned; the three parameters are
    u, w and log σ (or log σ², at `width_speed` κ = ¼).

    Examples
    --------
    >>> own_curvature(np.array([4.0]), np.ones(1), 1.0, 1.0, 1.0, 1.0).round(3)
    array([4.332])
    """
    zeta = np.sqrt(strengths)
    u = np.sqrt(np.maximum(strengths - tau, 0.0) / prior_variance)
    block = np.zeros((len(strengths), 3, 3))
    block[:, 0, 0] = prior_variance
    block[:, 1, 1] = gains**2 * strengths / prior_variance
    block[:, 0, 1] = block[:, 1, 0] = gains * (zeta - 2 * tau / zeta)
    block[:, 0, 2] = block[:, 2, 0] = 2 * u * prior_variance * tau / strengths * np.sqrt(width_speed)
    block[:, 2, 2] = 2 * tau * width_speed
    return np.linalg.eigvalsh(block)[:, -1] / variance
