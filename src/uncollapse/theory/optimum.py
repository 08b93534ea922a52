"""Closed-form global optimum of the linear latent variable model, for one β or for many at once.

Everything is a function of the strengths ζ_i² (descending), the total energy T, and the relative encoder widths
ρ_i = σ_i/η_enc (``None`` when the encoder variance is learned). Water level: τ = β s, with s = η_dec² the decoder
variance, given or learned. The modes alive are always the first p, so sums over them are prefix sums.

| | alive iff | KL_i (nats) | distortion D_i | λ_i² (decoder) | θ_i² (encoder) |
|---|---|---|---|---|---|
| σ_i learned | ζ_i² > τ | ½ log(ζ_i²/τ) | τ | (ζ_i² − τ)/η_enc² | η_enc²(ζ_i² − τ)/ζ_i² |
| σ_i fixed | h_i > 0 | ½ ρ_i h_i/√τ + k_i | √τ ρ_i ζ_i | √τ h_i/(ρ_i η_enc²) | ρ_i η_enc² h_i/√τ |

with h_i = ζ_i − √τ ρ_i, and k_i = ½(ρ_i² − 1 − log ρ_i²), which a latent of fixed width costs whether it lives or
not. A dead mode leaves D_i = ζ_i². The loss is Σ D/(2s) + β Σ KL.

Sources: Wang & Ziyin 2022, Theorem 2, Proposition 2, Corollary 2 and Appendix D; docs/theory.md section 1, with errata
2 (the largest ζ goes with the smallest σ) and 3 (T counts the residual energy).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from uncollapse.theory.critical import critical_betas, decoder_variances, energy_left

__all__ = [
    "ModeOptimum",
    "Totals",
    "at_modes",
    "fixed_width_kl",
    "joined",
    "summed",
    "totals",
]


@dataclass(frozen=True, eq=False)
class ModeOptimum:
    """What each mode does at one optimum; every array has shape (m,).

    Attributes
    ----------
    alive : bool
    kl : nats per sample, averaged over the data
    distortion : energy of the mode that the reconstruction misses
    encoder_std : σ_i; NaN for a mode that no latent carries
    decoder_gain, encoder_gain : λ_i and θ_i, singular values of U and of V = Φ^{1/2}PᵀW
    """

    alive: np.ndarray
    kl: np.ndarray
    distortion: np.ndarray
    encoder_std: np.ndarray
    decoder_gain: np.ndarray
    encoder_gain: np.ndarray


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums over modes at each of several values of β; every array has the shape of ``betas``.

    Attributes
    ----------
    n_alive : int
    decoder_variance : s, given or optimal; 0 where the loss has no lower bound
    water_level : τ = β s
    rate : Σ KL, nats per sample
    distortion : E‖y − ŷ‖² over latent noise and data
    loss : nats per sample, without the decoder's normalising constant
    elbo : nats per sample with it: −loss − (d2/2) log(2π s), the β-weighted evidence lower bound
    """

    n_alive: np.ndarray
    decoder_variance: np.ndarray
    water_level: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    loss: np.ndarray
    elbo: np.ndarray


def totals(
    betas: np.ndarray,
    strengths: np.ndarray,
    total_energy: float,
    n_targets: int,
    *,
    decoder_variance: float | None,
    rho: np.ndarray | None,
    n_usable: int,
    width_kl: float = 0.0,
) -> Totals:
    """Optimum at every β: number alive, rate, distortion, loss. Cost O(m + n log m) for n values of β.

    Parameters
    ----------
    betas : ndarray of shape (n,)
    strengths, total_energy, n_targets, decoder_variance, rho
        As in `critical_betas`.
    n_usable : int
        Modes that have a latent: min(number of latents, m).
    width_kl : float
        KL of the fixed widths of all latents (see `fixed_width_kl`).

    Notes
    -----
    Wang & Ziyin 2022, Corollary 2 (eq. 43) with T for Σ ζ²; docs/theory.md section 1 (reverse water-filling).

    Examples
    --------
    >>> both = totals(np.array([0.5, 2.0]), np.array([4.0, 1.0]), 5.0, 2, decoder_variance=1.0, rho=None, n_usable=2)
    >>> both.n_alive, both.distortion
    (array([2, 1]), array([1., 3.]))
    """
    critical = critical_betas(strengths, total_energy, n_targets, decoder_variance, rho)[:n_usable]
    p = n_usable - np.searchsorted(critical[::-1], betas, side="right")
    if decoder_variance is None:
        s = decoder_variances(betas, p, strengths, total_energy, n_targets, rho)
    else:
        s = np.full(len(betas), decoder_variance)
    tau = betas * s
    left = energy_left(strengths, total_energy)[p]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if rho is None:
            rate = 0.5 * (_prefix(np.log(strengths))[p] - np.where(p > 0, p * np.log(tau), 0.0))
            distortion = left + p * tau
        else:
            products, squares = _prefix(np.sqrt(strengths) * rho)[p], _prefix(rho**2)[p]
            rate = 0.5 * (products / np.sqrt(tau) - squares) + width_kl
            distortion = left + np.sqrt(tau) * products
    return summed(betas, p, s, rate, distortion, n_targets)


def summed(
    betas: np.ndarray,
    n_alive: np.ndarray,
    s: np.ndarray,
    rate: np.ndarray,
    distortion: np.ndarray,
    n_targets: int,
    *,
    weighted_rate: np.ndarray | None = None,
    water_level: np.ndarray | None = None,
) -> Totals:
    """Loss and ELBO from rate and distortion: E‖y − ŷ‖²/(2s) + β KL; the `weighted_rate` counts levels' own weights.

    Source: docs/theory.md section 1; Wang & Ziyin 2022, eq. 4.
    """
    tau = betas * s if water_level is None else water_level
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        loss = np.where(
            s > 0, distortion / (2 * s) + betas * (rate if weighted_rate is None else weighted_rate), -np.inf
        )
        elbo = np.where(s > 0, -loss - n_targets / 2 * np.log(2 * np.pi * s), np.inf)
    return Totals(n_alive, s, tau, rate, distortion, loss, elbo)


def joined(parts: list[Totals]) -> Totals:
    """Totals of a sweep that was computed in pieces."""
    return Totals(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Totals)))


def at_modes(
    tau: float, strengths: np.ndarray, *, rho: np.ndarray | None, n_usable: int, alive: np.ndarray, prior_std: float
) -> ModeOptimum:
    """What each mode does at water level `tau`, when the first `n_usable` have a latent and those `alive` live.

    A NaN in `rho` stands for a latent whose width is learned; None for learned widths throughout.

    Notes
    -----
    Wang & Ziyin 2022, eqs. 8 and 17–19; docs/theory.md section 1.

    Examples
    --------
    >>> alive = np.array([True, False])
    >>> at_modes(1.0, np.array([4.0, 0.5]), rho=None, n_usable=2, alive=alive, prior_std=1.0).encoder_std
    array([0.5, 1. ])
    """
    zeta, root = np.sqrt(strengths), np.sqrt(tau)
    carried = np.arange(len(strengths)) < n_usable
    is_learned = np.full(len(strengths), True) if rho is None else np.isnan(rho)
    width = np.ones(len(strengths)) if rho is None else np.where(is_learned, 1.0, rho)
    with np.errstate(divide="ignore", over="ignore"):
        above, height = np.maximum(strengths - tau, 0.0), np.maximum(zeta - root * width, 0.0)
        idle_kl, idle_std = fixed_width_kl(width), width
        kl = np.where(is_learned, 0.5 * np.log(strengths / tau), 0.5 * width * height / root + idle_kl)
        reached = np.where(is_learned, tau, root * width * zeta)
        std = np.where(is_learned, root / zeta, width)
        decoder2 = np.where(is_learned, above, root * height / width)
        encoder2 = np.where(is_learned, above / strengths, width * height / root)
    return ModeOptimum(
        alive=alive,
        kl=np.where(alive, kl, np.where(carried, idle_kl, 0.0)),
        distortion=np.where(alive, reached, strengths),
        encoder_std=np.where(carried, np.where(alive, std, idle_std) * prior_std, np.nan),
        decoder_gain=np.where(alive, np.sqrt(decoder2), 0.0) / prior_std,
        encoder_gain=np.where(alive, np.sqrt(encoder2), 0.0) * prior_std,
    )


def fixed_width_kl(rho: np.ndarray) -> np.ndarray:
    """½(ρ² − 1 − log ρ²): nats that a latent of fixed relative width ρ costs even when its mean is constant.

    Source: Wang & Ziyin 2022, eq. 5 (the term called ℓ_var).

    Examples
    --------
    >>> fixed_width_kl(np.array([1.0]))
    array([0.])
    """
    return 0.5 * (rho**2 - 1 - 2 * np.log(rho))


def _prefix(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, …, m values, shape (m + 1,)."""
    return np.concatenate([[0.0], np.cumsum(values)])
