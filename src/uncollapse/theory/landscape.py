"""Curvature of the linear latent variable model's loss at its stationary points.

At a stationary point each latent either carries one mode at its optimum or is dead. Push latent j towards a mode k that
no latent carries: decoder column by a F_k, encoder column by b g_k E_k. To second order the loss changes by ½ of

    (1/η²) (p a² − 2 g_k ζ_k a b + g_k² q b²),      p = η_enc²,  q = bar_j/η_enc²

where bar_j is ζ_i² if latent j carries mode i and the water level τ if it is dead. So a dead latent is a latent that
carries a mode exactly at the water, and the plane has a negative curvature iff ζ_k² > bar_j. The gain g_k is the
standard deviation of the input along the encoder's direction: ζ_k when the network reads x itself and y = x, 1 when it
reads whitened inputs. All other directions curve up, or are flat where two strengths are equal.

Sources: Wang & Ziyin 2022, App. E.5 (second derivatives, eqs. 103–106); docs/landscape.md for the latents that live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Planes", "loss_at", "morse_index", "origin_block", "planes", "shared_reach", "slide"]


@dataclass(frozen=True, eq=False)
class Planes:
    """The second-order form in planes (decoder, encoder), one per mode; every array has the same shape (m,).

    Attributes
    ----------
    lowest, highest : eigenvalues, nats per squared unit of the parameters
    decoder, encoder : unit eigenvector of the lowest one, the decoder's part positive
    """

    lowest: np.ndarray
    highest: np.ndarray
    decoder: np.ndarray
    encoder: np.ndarray


def planes(
    strengths: np.ndarray, gains: np.ndarray, decoder_cost: np.ndarray, encoder_cost: np.ndarray, variance: float
) -> Planes:
    """Eigenvalues and lowest direction of (1/η²) [[p, −gζ], [−gζ, g²q]] for each mode.

    Parameters
    ----------
    strengths, gains : ndarray of shape (m,)
        ζ² and g.
    decoder_cost, encoder_cost : ndarray of shape (m,)
        p and q; see the module. With an encoder width σ that is fixed, a dead latent has p = σ², q = τ/η_enc².
    variance : float
        η².

    Notes
    -----
    Wang & Ziyin 2022, eqs. 117 and 118, with the sign of the sentence after it put right (docs/errata.md, 4).

    Examples
    --------
    >>> one = np.ones(1)
    >>> planes(4 * one, one, one, one, 1.0).lowest  # 1 − ζ
    array([-1.])
    """
    p, q = np.broadcast_arrays(decoder_cost, gains**2 * encoder_cost)
    cross = gains * np.sqrt(strengths)
    half_gap = (p - q) / 2
    radius = np.hypot(half_gap, cross)
    high = (p + q) / 2 + radius
    # the product of the eigenvalues over the larger one keeps the digits of a mode just above the water
    lowest = gains**2 * (decoder_cost * encoder_cost - strengths) / high / variance
    angle = 0.5 * np.arctan2(cross, -half_gap)
    return Planes(lowest, high / variance, np.cos(angle), np.sin(angle))


def slide(curvature: np.ndarray, quartic: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """How far along a direction of negative curvature the loss is lowest, and by how much it falls there.

    Along (a F_k, b g_k E_k) the loss changes by exactly ½ C t² + (g_k a b)² t⁴/(2η²), so t² = −C η²/(2 (g_k a b)²).

    Parameters
    ----------
    curvature : ndarray of shape (m,)
        C, negative.
    quartic : ndarray of shape (m,)
        g a b: growth of the mode's decoder–encoder product per t².
    variance : float
        η².

    Examples
    --------
    >>> slide(np.array([-1.0]), np.array([0.5]), 1.0)  # −t²/2 + t⁴/8 is lowest at t² = 2
    (array([1.41421356]), array([0.5]))
    """
    return np.sqrt(-curvature * variance / 2) / np.abs(quartic), curvature**2 * variance / (8 * quartic**2)


def morse_index(strengths: np.ndarray, modes: Sequence[int], n_latents: int, tau: float) -> int:
    """Number of negative curvatures where the latents carry `modes` at their optimum.

    (d1 − |S|) #{j ∉ S : ζ_j² > τ} + #{(i, j) : i ∈ S, j ∉ S, ζ_j > ζ_i}: every dead latent can grow along every unused
    mode above water, and every living one can turn towards every stronger mode that is unused. 0 only at the global
    minimum.

    Examples
    --------
    >>> morse_index(np.array([4.0, 3.0, 2.0]), [1], 2, 2.5)  # the dead one grows along mode 0, the living turns to it
    2
    """
    used = strengths[list(modes)]
    unused = np.sort(np.delete(strengths, list(modes)))
    grow = (n_latents - len(used)) * int((unused > tau).sum())
    return grow + int((len(unused) - np.searchsorted(unused, used, side="right")).sum())


def shared_reach(zetas: np.ndarray, n_latents: int, tau: float) -> float:
    """h, the height that modes must exceed to be shared out evenly among k latents of one width σ = h η_enc/√τ.

    Besides the points where each latent carries one mode, the loss is stationary where k latents of one width carry
    m ≤ k modes, turned so that their k decoder columns have one length. With U and V as for a fixed width σ, the
    condition on that width is kτ/h² − k = Σ(ζ_m − h)/h; solved, h = 2kτ/(Σζ + √((Σζ)² + 4k(k − m)τ)). All of these
    points are saddles: turning the latents among themselves costs nothing and lets their widths differ.

    Source: docs/landscape.md; the idea is Lucas et al. 2019, proof of Theorem 1.

    Examples
    --------
    >>> shared_reach(np.array([2.0, 1.0]), 2, 1.0)  # two modes on two latents: τ over the mean ζ
    0.6666666666666666
    """
    k, total = n_latents, float(zetas.sum())
    return 2 * k * tau / (total + float(np.sqrt(total**2 + 4 * k * (k - len(zetas)) * tau)))


def origin_block(
    inputs: np.ndarray, cross: np.ndarray, *, beta: float, variance: float, prior_variance: float, width: float
) -> np.ndarray:
    """Hessian of the loss in one latent's (decoder column, encoder column), all parameters 0, for any input.

    (1/η²) [[σ² I, −E[y xᵀ]], [−E[x yᵀ], (βη²/η_enc²) E[x xᵀ]]]. The Hessian in all parameters repeats it for each
    latent, with 2β for the log σ of a learned width. Minus its eigenvalues are the rates at which a small
    start grows or decays under gradient flow; those that grow are as many as the modes above water.

    Parameters
    ----------
    inputs : ndarray of shape (d0, d0)
        E[x xᵀ], x as the network reads it.
    cross : ndarray of shape (d2, d0)
        E[y xᵀ].
    beta, variance, prior_variance, width : float
        β, η², η_enc², and σ² (η_enc² when it is learned).

    Returns
    -------
    ndarray of shape (d2 + d0, d2 + d0)

    Notes
    -----
    Wang & Ziyin 2022, eqs. 103–106 at 0, in W rather than in the whitened V.

    Examples
    --------
    >>> origin_block(np.eye(1), np.full((1, 1), 2.0), beta=1.0, variance=1.0, prior_variance=1.0, width=1.0)
    array([[ 1., -2.],
           [-2.,  1.]])
    """
    corner = width * np.eye(len(cross))
    return np.block([[corner, -cross], [-cross.T, beta * variance / prior_variance * inputs]]) / variance


def loss_at(
    decoder: np.ndarray,
    encoder: np.ndarray,
    widths: np.ndarray,
    strengths: np.ndarray,
    total_energy: float,
    *,
    beta: float,
    variance: float,
    prior_variance: float,
) -> np.ndarray:
    """The loss anywhere among the modes, nats per sample, without the decoder's normalising constant.

    (1/2η²) [T − Σζ² + ‖u vᵀ − diag ζ‖² + Σ_j σ_j² ‖u_j‖²] + (β/2) Σ_j [(‖v_j‖² + σ_j²)/η_enc² − 1 − log(σ_j²/η_enc²)].

    Parameters
    ----------
    decoder, encoder : ndarrays of shape (..., m, d1)
        u and v: U = F u, W = E v.
    widths : ndarray of shape (..., d1)
        σ_j².
    strengths, total_energy
        ζ² of the m modes, and T.

    Returns
    -------
    ndarray of shape (...)

    Notes
    -----
    Wang & Ziyin 2022, eq. 5, with the residual energy (docs/errata.md, 3).

    Examples
    --------
    >>> zero, four = np.zeros((1, 1)), np.array([4.0])
    >>> loss_at(zero, zero, np.ones(1), four, 4.0, beta=1.0, variance=1.0, prior_variance=1.0)  # T/2
    np.float64(2.0)
    """
    product = decoder @ np.swapaxes(encoder, -1, -2)
    missed = ((product - np.diag(np.sqrt(strengths))) ** 2).sum(axis=(-1, -2))
    missed = missed + total_energy - strengths.sum() + (decoder**2 * widths[..., None, :]).sum(axis=(-1, -2))
    kl = (encoder**2).sum(axis=(-1, -2)) / prior_variance
    kl = kl + (widths / prior_variance - 1 - np.log(widths / prior_variance)).sum(axis=-1)
    return (missed / variance + beta * kl) / 2
