"""Where each mode dies: the critical β, with the decoder variance given or learned, and the learned variance itself.

Source: Wang & Ziyin 2022, Theorems 2 and 4, with the residual energy counted in T (docs/errata.md, 3); docs/theory.md
section 1.
"""

from __future__ import annotations

import numpy as np

from uncollapse.theory.assignment import critical_water_levels

__all__ = ["RESIDUAL_ROUNDING", "critical_betas", "decoder_variances", "energy_left"]

RESIDUAL_ROUNDING = 1e-9
"""Energy outside the modes below this fraction of the total is rounding (sums of eigenvalues against a trace agree to
about 1e-12 in float64, 1e-9 when float32 data were multiplied in float32)."""


def critical_betas(
    strengths: np.ndarray,
    total_energy: float,
    n_targets: int,
    decoder_variance: float | None,
    rho: np.ndarray | None,
) -> np.ndarray:
    """β at which each mode dies: mode i is alive iff β is below it (and a latent is left for it).

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        ζ², descending.
    total_energy : float
    n_targets : int
        d2.
    decoder_variance : float or None
        None when it is learned.
    rho : ndarray of shape (m,) or None
        Relative widths of the latents paired with the modes, ascending; None when learned.

    Returns
    -------
    ndarray of shape (m,)
        Descending. Decoder variance fixed: ζ²/(s ρ²). Learned: d2 ζ_p²/(T_p + p ζ_p²), or with fixed widths
        d2/(r_p (T_p r_p + Σ_{i≤p} ζ_i ρ_i)), r = ρ/ζ, where T_p = T − Σ_{i≤p} ζ_i².

    Notes
    -----
    Wang & Ziyin 2022, Theorem 2 and Theorem 4 (eq. 58, T in place of Σ ζ²). The last form: the loss in u = 1/√s is
    T u²/2 − ½ Σ(ζ_i u − √β ρ_i)₊² − d2 log u, whose derivative rises with u; mode p is alive iff that derivative is
    still negative where the mode enters, at u = √β r_p.

    Examples
    --------
    >>> critical_betas(np.array([4.0, 1.0]), 5.0, 2, 0.5, None)
    array([8., 2.])
    """
    if decoder_variance is not None:
        return critical_water_levels(strengths, rho) / decoder_variance
    left = energy_left(strengths, total_energy)[1:]
    if rho is None:
        return n_targets * strengths / (left + np.arange(1, len(strengths) + 1) * strengths)
    ratio = rho / np.sqrt(strengths)
    return n_targets / (ratio * (left * ratio + np.cumsum(np.sqrt(strengths) * rho)))


def decoder_variances(
    betas: np.ndarray,
    n_alive: np.ndarray,
    strengths: np.ndarray,
    total_energy: float,
    n_targets: int,
    rho: np.ndarray | None,
) -> np.ndarray:
    """Optimal decoder variance with the first p = `n_alive` modes alive; 0 where it wants to vanish (ill-posed).

    Widths learned: s = T_p/(d2 − β p). Fixed: with u = 1/√s, T_p u² + u √β Σ_{i≤p} ζ_i ρ_i = d2.

    Notes
    -----
    Wang & Ziyin 2022, Theorem 4, with the residual energy counted in T (errata 3). For fixed widths, see
    `critical_betas`.

    Examples
    --------
    >>> decoder_variances(np.array([1.0]), np.array([1]), np.array([4.0, 1.0]), 5.0, 2, None)
    array([1.])
    """
    left = energy_left(strengths, total_energy)[n_alive]
    if rho is None:
        room = n_targets - betas * n_alive
        return np.divide(left, room, out=np.zeros_like(left), where=(left > 0) & (room > 0))
    linear = np.sqrt(betas) * np.concatenate([[0.0], np.cumsum(np.sqrt(strengths) * rho)])[n_alive]
    # the root u of left u² + linear u = d2, in the form that stays finite as left → 0
    root = np.divide(2 * n_targets, linear + np.sqrt(linear**2 + 4 * left * n_targets))
    return 1 / root**2


def energy_left(strengths: np.ndarray, total_energy: float) -> np.ndarray:
    """T_p = T − Σ_{i≤p} ζ_i² for p = 0…m, summed from the small end so that nothing cancels."""
    beyond = total_energy - float(strengths.sum())
    beyond = beyond if beyond > RESIDUAL_ROUNDING * total_energy else 0.0
    return beyond + np.concatenate([np.cumsum(strengths[::-1])[::-1], [0.0]])
