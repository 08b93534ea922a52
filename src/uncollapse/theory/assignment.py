"""Which mode goes to which latent when some encoder variances are fixed and others learned.

A latent with fixed relative width ρ lowers 2η²·loss by (ζ − √τ ρ)₊² on a mode of strength ζ², one with a learned
width by ζ² − τ − τ log(ζ²/τ) where ζ² > τ (docs/theory.md section 1). The first is φ(ζ − √τρ) with φ convex, so among
fixed latents the largest ζ goes with the smallest ρ; but a learned latent may sit anywhere among them, since neither
gain rises faster than the other everywhere. With the learned latents alike, all that is open is which of the
strongest modes take one: an assignment problem that one pass over the modes solves exactly.
"""

from __future__ import annotations

import numpy as np

__all__ = ["critical_water_levels", "fixed_gain", "learned_gain", "lives", "pair_modes"]


def critical_water_levels(strengths: np.ndarray, rho: np.ndarray | float | None) -> np.ndarray:
    """ζ²/ρ² on a latent of fixed relative width, ζ² on one of learned width: the water level at which a mode dies.

    Source: Wang & Ziyin 2022, Corollary 1 (alive iff ζ > √τ ρ) and Corollary 2 (alive iff ζ² > τ).

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        ζ².
    rho : ndarray of shape (m,), float or None
        Relative width of each mode's latent, NaN where it is learned; None when all are.

    Returns
    -------
    ndarray of shape (m,)

    Examples
    --------
    >>> critical_water_levels(np.array([9.0, 4.0]), np.array([2.0, np.nan]))
    array([2.25, 4.  ])
    """
    if rho is None:
        return strengths
    water_level: np.ndarray = strengths / np.where(np.isnan(rho), 1.0, rho) ** 2
    return water_level


def lives(strengths: np.ndarray, rho: np.ndarray | float | None, tau: float) -> np.ndarray:
    """ζ² > τρ² on a latent of fixed relative width, ζ² > τ on one of learned width; bool of shape (m,).

    Source: as `critical_water_levels`.

    Examples
    --------
    >>> lives(np.array([9.0, 4.0]), np.array([2.0, np.nan]), 3.0)
    array([False,  True])
    """
    alive: np.ndarray = critical_water_levels(strengths, rho) > tau
    return alive


def fixed_gain(strengths: np.ndarray, tau: float, rho: np.ndarray | float) -> np.ndarray:
    """(ζ − √τ ρ)₊²: what a latent of fixed relative width takes off 2η²·loss, beyond the cost of its width.

    Source: Wang & Ziyin 2022, Corollary 1, eq. 11.

    Examples
    --------
    >>> fixed_gain(np.array([9.0, 1.0]), 4.0, 0.5)
    array([4., 0.])
    """
    gain: np.ndarray = np.maximum(np.sqrt(strengths) - np.sqrt(tau) * rho, 0.0) ** 2
    return gain


def learned_gain(strengths: np.ndarray, tau: float) -> np.ndarray:
    """ζ² − τ − τ log(ζ²/τ) above the water, 0 below: what a latent of learned width takes off 2η²·loss.

    Source: Wang & Ziyin 2022, Corollary 2, eq. 43.

    Examples
    --------
    >>> learned_gain(np.array([1.0, 0.5]), 1.0)
    array([0., 0.])
    """
    above = np.maximum(strengths, tau)
    gain: np.ndarray = above - tau - tau * np.log(above / tau)
    return gain


def pair_modes(strengths: np.ndarray, tau: float, rho: np.ndarray, n_learned: int) -> np.ndarray:
    """Relative width of the latent that each of the strongest modes takes at the optimum; NaN where it is learned.

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        ζ², descending.
    tau : float
        Water level.
    rho : ndarray of shape (n_fixed,)
        Relative widths σ/η_enc of the fixed latents, ascending.
    n_learned : int
        Latents with a learned width.

    Returns
    -------
    ndarray of shape (min(m, n_fixed + n_learned),)

    Notes
    -----
    Dynamic programme over modes and fixed latents used so far, O(m n_fixed). Which latents are left when there are
    fewer modes than latents is part of the choice: the narrowest fixed ones and as many learned ones as pay.

    Examples
    --------
    At τ = 1 a wide fixed latent (ρ = 2) is worth less to the strong mode than to none:

    >>> pair_modes(np.array([9.0, 4.0]), 1.0, np.array([2.0]), 1)
    array([nan,  2.])
    """
    m = min(len(strengths), len(rho) + n_learned)
    n_fixed = min(len(rho), m)
    used = np.arange(n_fixed + 1)
    best = np.where(used == 0, 0.0, -np.inf)
    took_fixed = np.zeros((m, n_fixed + 1), dtype=bool)
    learned = learned_gain(strengths[:m], tau)
    for i in range(m):
        with_fixed = np.full(n_fixed + 1, -np.inf)
        with_fixed[1:] = best[:-1] + fixed_gain(strengths[i], tau, rho[:n_fixed])
        with_learned = np.where(i - used < n_learned, best + learned[i], -np.inf)
        took_fixed[i] = with_fixed > with_learned
        best = np.maximum(with_fixed, with_learned)
    widths, j = np.full(m, np.nan), int(best.argmax())
    for i in reversed(range(m)):
        if took_fixed[i, j]:
            j -= 1
            widths[i] = rho[j]
    return _dead_in_order(widths, strengths[:m], tau, rho, n_learned)


def _dead_in_order(
    widths: np.ndarray, strengths: np.ndarray, tau: float, rho: np.ndarray, n_learned: int
) -> np.ndarray:
    """The same pairing with the dead modes, whose latents do not matter, on those that would come alive first."""
    is_learned = np.isnan(widths)
    dead = np.flatnonzero(~lives(strengths, widths, tau))
    if not len(dead):
        return widths
    living = np.setdiff1d(np.arange(len(widths)), dead)
    left = list(rho)
    for width in widths[living][~is_learned[living]]:
        left.remove(width)
    spare = [np.nan] * (n_learned - int(is_learned[living].sum()))
    ordered = sorted([*left, *spare], key=lambda width: 1.0 if np.isnan(width) else width)
    widths[dead] = ordered[: len(dead)]
    return widths
