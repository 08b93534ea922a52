"""The optimum of a linear VAE whose KL costs nothing up to a floor: free nats a latent, or free nats in all.

One level, Gaussian decoder of variance η², learned encoder variances, τ = βη². Everything is a function of τ, the
strengths ζ_i² (descending), the number of latents k and the floor. Costs are in units of η²: the loss is cost/η².

**A latent**, β Σ max(δ, KL_i). Latents whose KL is free share modes: n of them bring a signal-to-noise of
n(e^{2δ} − 1) in all, which is laid on the modes as water is, 1 + λ_i = ζ_i/√ν. Of the latents that pay, all but one
have a mode of their own at D_i = τ; one may be helped by the free ones.

**In all**, β max(Δ, Σ KL_i): reverse water-filling at the level τ' ≤ τ at which Σ ½ log(ζ_i²/τ') = Δ. The same optimum
has a capacity, γ|Σ KL_i − C|, with γ for β and C for Δ, and, with γ = ∞, a target KL.

Source: docs/theory.md, section 13 (ours); the objectives are those of Kingma et al. 2016, eq. 15; Burgess et al. 2018;
Hafner et al. 2021, sec. 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FreeOptimum", "balanced_weight", "free_each", "free_in_all", "level_of_rate"]


@dataclass(frozen=True, eq=False)
class FreeOptimum:
    """The optimum under a floor.

    Attributes
    ----------
    kl : ndarray of shape (k,)
        Of each latent, nats per sample, descending.
    distortion : ndarray of shape (m,)
        Energy of each mode that the reconstruction misses.
    n_paying : int
        Latents that carry more than is free; those of `free_in_all` all or none.
    level : float
        Strength from which on a mode is coded at all; a mode that free latents share has D = ζ√level. For
        `free_in_all`, τ'.
    cost : float
        Σ D/2 + τ Σ KL over the modes given: the loss, floor and all, times η².
    """

    kl: np.ndarray
    distortion: np.ndarray
    n_paying: int
    level: float
    cost: float


def free_each(tau: float, strengths: np.ndarray, n_latents: int, free: float) -> FreeOptimum:
    """The optimum of Σ D/2 + τ Σ max(δ, KL_i), `free` = δ nats for each latent. Cost O(m²) for m modes.

    Notes
    -----
    With p latents on modes of their own at D = τ, the other q = k − p share the modes that follow: one with a
    signal-to-noise of u − 1 ≥ e^{2δ} − 1, the rest with e^{2δ} − 1. Over m modes, with S the sum of their ζ and
    b = (q − 1)(e^{2δ} − 1) + m − 1, D = S²/(u + b), and the best u is e^{2δ} or the larger root of
    τ(u + b)² = S²u. The least cost over all p, m and u that are feasible is the optimum (docs/theory.md, section 13).

    Examples
    --------
    >>> best = free_each(1.0, np.array([4.0, 0.5, 0.1]), 3, 0.1)
    >>> best.kl.round(4), best.n_paying, best.distortion.round(3)
    (array([0.6818, 0.1   , 0.1   ]), 1, array([1.011, 0.358, 0.1  ]))
    """
    k = n_latents
    seen = strengths[:k][strengths[:k] > 0]
    beyond = float(strengths[len(seen) :].sum())
    if not len(seen):  # what is free buys nothing
        return FreeOptimum(np.full(k, free), strengths.astype(float), 0, 0.0, k * tau * free)
    zeta, floor, given = np.sqrt(seen), float(np.exp(2 * free)), float(np.expm1(2 * free))
    energies = np.append(np.cumsum(seen[::-1])[::-1], 0.0)  # of the modes from each one on
    best, own = (np.inf, 0, 1, floor), 0.0
    for p in range(len(seen)):
        if p and seen[p - 1] < tau * floor:
            break
        own += tau * (1 + float(np.log(seen[p - 1] / tau))) / 2 if p else 0.0
        sums, m = np.cumsum(zeta[p:]), np.arange(1, len(seen) - p + 1)
        b = (k - p - 1) * given + m - 1
        ratio = sums**2 / tau
        larger = ratio * (1 - 2 * b / ratio + np.sqrt(np.maximum(1 - 4 * b / ratio, 0.0))) / 2
        pays = (ratio >= 4 * b) & (larger > floor) & (larger <= seen[p] / tau * (1 + 1e-12))
        for us, feasible in ((np.full(len(m), floor), True), (np.where(pays, larger, floor), pays)):
            root = sums / (us + b)  # √ν
            costs = own + (sums * root + energies[p + m]) / 2 + tau * (np.log(us) / 2 + (k - p - 1) * free)
            costs = np.where(feasible & (zeta[p:] >= root), costs, np.inf)
            j = int(np.argmin(costs))
            if costs[j] < best[0]:
                best = (float(costs[j]), p, int(m[j]), float(us[j]))
    cost, p, shared, u = best
    among = slice(p, p + shared)
    reach = float(zeta[among].sum()) / (u + (k - p - 1) * given + shared - 1)
    distortion = strengths.astype(float)
    distortion[:p] = tau
    distortion[among] = zeta[among] * reach
    kl = np.concatenate([np.log(seen[:p] / tau) / 2, [np.log(u) / 2], np.full(k - p - 1, free)])
    return FreeOptimum(kl, distortion, p + int(u > floor), reach**2, cost + beyond / 2)


def free_in_all(tau: float, strengths: np.ndarray, n_latents: int, free: float) -> FreeOptimum:
    """The optimum of Σ D/2 + τ max(Δ, Σ KL_i), `free` = Δ nats for all latents together.

    Examples
    --------
    >>> best = free_in_all(1.0, np.array([4.0, 0.5, 0.1]), 3, np.log(4.0))
    >>> best.kl.round(4), round(best.level, 4)
    (array([1.213 , 0.1733, 0.    ]), 0.3536)
    """
    usable = strengths[:n_latents]
    level = min(tau, level_of_rate(usable, free))
    kl = np.zeros(n_latents)
    above = usable > level
    kl[: len(usable)][above] = np.log(usable[above] / level) / 2
    distortion = strengths.astype(float)
    distortion[: len(usable)][above] = level
    cost = float(distortion.sum()) / 2 + tau * (float(kl.sum()) if len(usable) else free)
    return FreeOptimum(kl, distortion, int(above.sum()) if level == tau else 0, level, cost)


def level_of_rate(strengths: np.ndarray, rate: float) -> float:
    """The water level at which reverse water-filling spends `rate` nats: Σ ½ log(ζ_i²/level) over modes above it.

    Source: Cover & Thomas 2006, Theorem 10.3.3.

    Examples
    --------
    >>> level_of_rate(np.array([4.0, 1.0]), np.log(4.0))
    0.5
    """
    alive = strengths[strengths > 0]
    if not len(alive):
        return np.inf
    logs = np.log(alive)
    p = np.arange(1, len(logs) + 1)
    levels = (np.cumsum(logs) - 2 * rate) / p
    enough = p[levels < logs] if rate > 0 else p[:1]
    return float(np.exp(levels[enough[-1] - 1]))


def balanced_weight(beta: float, prior_share: float) -> float:
    """The β that a KL balance comes to: α KL(sg q ‖ p) + (1 − α) KL(q ‖ sg p) moves q by (1 − α)β alone.

    Parameters
    ----------
    beta : float
        What multiplies the balance.
    prior_share : float
        α, the share whose gradient goes to the prior.

    Notes
    -----
    Source: docs/theory.md, section 13; Hafner et al. 2021, sec. 2.2, α = 0.8.

    Examples
    --------
    >>> round(balanced_weight(1.0, 0.8), 12)
    0.2
    """
    return (1 - prior_share) * beta
