"""Closed-form global optimum of linear VAEs with any number of levels, each level's width fixed or learned.

Model, for levels l = 1…L with z_0 = y (docs/theory.md section 4):

    q(z_l | z_{l−1}) = N(W_l z_{l−1}, Σ_l),   p(z_{l−1} | z_l) = N(U_l z_l, η² I),   p(z_L) = N(0, η_e² I)
    loss = −E log p(y | z_1) + β Σ_l β_l E KL(level l)

The optimum splits into one chain a mode. With t_l the variance of z_l on the chain (t_0 = ζ²), s_l = σ_l² its encoder
variance and ρ_l = s_l/t_l ∈ (0, 1] the share of it that is noise, the best U_l leaves t_{l−1}ρ_l of z_{l−1}, so with
β_0 = 1 and ρ_{L+1} = η²/η_e² one chain costs

    Σ_{l=0…L} ββ_l t_l ρ_{l+1}/(2η²) − Σ_l (ββ_l/2) log s_l + constants,

which is convex in (log t, log ρ). A learned level leaves ρ_l and t_l free of each other, so it cuts the chain. Between
cuts the cost is Σ_j exp(−(Y_j − Y_{j−1})) along Y_j = log t_j − C_j, C_j = Σ_{i≤j} log(ββ_{i−1}s_i/(2η²)), with t_j ≥
s_j: its minimum is the smallest concave path above the points (j, log s_j − C_j), a taut string. **A fixed level is
dead iff its point is a corner of that hull.** An end at a learned level may rise along slope −log(ββ_l/2), where its
latent lives.

| | slope of the string there | alive iff |
|---|---|---|
| data below, level 1 | starts at log ζ² | |
| fixed level | any, falling | the hull runs above its point |
| learned level, seen from below | not less than −log(ββ_l/2) | ρ_l < 1 |
| learned level, seen from above | not more than −log(ββ_l/2) | |
| prior of the top level | ends at log(2η_e²/(ββ_L)) | |

So the loss is bounded iff β_l does not fall from one learned level to the next learned one, and flat where it stays
equal.

Sources: Dang et al. 2024, Theorems 3 and 5 (two levels); the rest is derived in docs/hierarchy.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from uncollapse.theory.chain import Chain, ChainOptimum
from uncollapse.theory.taut_string import obstacles, taut_string

__all__ = ["critical_betas", "optimum_at", "water_levels"]

NO_SOURCE = -1e300
"""log ζ² of a latent without a mode: low enough that nothing is drawn towards it, and still finite."""

SLACK = 1e-12
"""A string closer than this to a point, relative to its height, touches it: heights are sums of logarithms, which
rounding moves by about 1e-15."""


def optimum_at(betas: np.ndarray, strengths: np.ndarray, chain: Chain) -> ChainOptimum:
    """The global optimum of each chain at each overall β; arrays of shape (n_betas, n_chains, L).

    Parameters
    ----------
    betas : ndarray of shape (n_betas,)
        What multiplies the weight of every level.
    strengths : ndarray of shape (n_chains,)
        ζ², descending; 0 for a chain of latents without a mode.
    chain : Chain
        Must have a minimum (`Chain.falling` is None). Where it is flat, the optimum of least variance is returned.

    Notes
    -----
    docs/hierarchy.md. Which mode goes with which latents: the strongest pass through the most levels.

    Examples
    --------
    One level is the ordinary linear VAE, with σ² = τ/ζ²:

    >>> one = Chain((1.0,), (None,), (2,), 1.0, 1.0)
    >>> optimum_at(np.array([1.0]), np.array([4.0, 0.5]), one).encoder_variance.ravel()
    array([0.25, 1.  ])
    """
    shape = (len(betas), len(strengths), chain.n_levels)
    log_t, log_rho = np.full(shape, np.nan), np.full(shape, np.nan)
    with np.errstate(divide="ignore"):
        log_source = np.where(strengths > 0, np.log(strengths), NO_SOURCE)
    for first, last, members in _runs(chain, len(strengths)):
        source = log_source[members] if first == 0 else np.full(members.stop - members.start, NO_SOURCE)
        solved = _solve_run(np.log(betas)[:, None], source[None, :], chain, first, last)
        log_t[:, members, first : last + 1], log_rho[:, members, first : last + 1] = solved
    return _read_off(strengths, chain, log_t, log_rho)


def water_levels(chain: Chain, n_chains: int) -> np.ndarray:
    """Strength above which each chain's latent of level 1 lives at β = 1, shape (n_chains,); ∞ where it has none.

    Every line from the data's end of the string to a later point sinks, at level 1, by as much as log β grows, so the
    water level is β times this whatever the levels above, and the critical β of a mode is ζ² over it
    (docs/hierarchy.md).

    Examples
    --------
    >>> water_levels(Chain((1.0,), (0.25,), (2,), 1.0, 1.0), 2)  # η²σ²/η_e²
    array([0.25, 0.25])
    >>> water_levels(Chain((1.0, 3.0), (None, None), (2, 2), 0.5, 1.0), 3)
    array([0.5, 0.5, inf])
    """
    levels = np.full(n_chains, np.inf)
    for first, last, members in _runs(chain, n_chains):
        if first == 0:
            levels[members] = _unit_water_level(chain, last)
    return levels


def critical_betas(strengths: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """ζ² over the water level at β = 1: the overall β at which each mode leaves level 1, shape (m,).

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        ζ².
    levels : ndarray of shape (n_chains,)
        From `water_levels`; a mode without a latent gets that of the first chain.

    Examples
    --------
    >>> critical_betas(np.array([4.0, 1.0]), np.array([0.5, np.inf]))
    array([8., 2.])
    """
    own: np.ndarray = levels[: len(strengths)]
    betas: np.ndarray = strengths / np.where(np.isfinite(own), own, levels[0])
    return betas


def _unit_water_level(chain: Chain, last: int) -> float:
    above = next((i for i in range(last + 1) if chain.variances[i] is None), last + 1)
    at_learned = np.log(chain.betas[above] / 2) if above <= last else np.inf
    if above == 0:
        return float(2 * chain.decoder_variance * np.exp(at_learned))
    heights = np.array(obstacles(np.zeros(()), chain, -1, above, last)[0])
    j = np.arange(2, len(heights) + 1)
    lines = (j * heights[0] - heights[1:]) / (j - 1)  # where the line to point j passes through point 1
    return float(np.exp(min(lines.min(), heights[0] + at_learned)))


def _runs(chain: Chain, n_chains: int) -> Iterator[tuple[int, int, slice]]:
    """Unbroken runs of levels (first, last) and the chains that have latents there."""
    edges = sorted({0, *(min(n, n_chains) for n in chain.n_latents), n_chains})
    for start, stop in pairwise(edges):
        has = [n > start for n in chain.n_latents]
        for level, present in enumerate(has):
            if present and (level == 0 or not has[level - 1]):
                last = next((j for j in range(level, chain.n_levels) if not has[j]), chain.n_levels) - 1
                yield level, last, slice(start, stop)


def _solve_run(
    log_beta: np.ndarray, log_source: np.ndarray, chain: Chain, first: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """log t and log ρ on levels first…last of chains that end there; arrays (n_betas, n_chains, levels)."""
    n_levels = last - first + 1
    shape = np.broadcast_shapes(log_beta.shape, log_source.shape)
    log_t, log_rho = np.empty((*shape, n_levels)), np.empty((*shape, n_levels))
    learned = [i for i in range(first, last + 1) if chain.variances[i] is None]
    for below, above in zip([first - 1, *learned], [*learned, last + 1], strict=True):
        string = taut_string(log_beta, log_source, chain, below, above, (first, last), shape)
        fixed = range(below + 1, above)
        for position, level in enumerate(fixed, start=1):
            height, point = string.hull[..., position], string.points[..., position]
            log_s = np.log(chain.variances[level] or np.nan)  # never None between learned levels
            is_alive = height > point + SLACK * (1 + np.abs(point))
            log_t[..., level - first] = np.where(is_alive, height + string.offsets[..., position], log_s)
            log_rho[..., level - first] = log_s - log_t[..., level - first]
        if below >= first:
            log_t[..., below - first] = string.hull[..., 0]
        if above <= last:
            height = string.hull[..., -1] + string.offsets[..., -1]
            log_rho[..., above - first] = np.where(height > SLACK, -height, 0.0)
    return log_t, log_rho


def _read_off(strengths: np.ndarray, chain: Chain, log_t: np.ndarray, log_rho: np.ndarray) -> ChainOptimum:
    """Gains, KL and distortion from the variances; what a level sees below is the data or the level's latent."""
    eta, t, rho = chain.decoder_variance, np.exp(log_t), np.exp(log_rho)
    source = np.broadcast_to(strengths, t.shape[:2])[..., None]
    below = np.concatenate([source, np.nan_to_num(t[..., :-1])], axis=-1)
    rho_above = np.concatenate([rho[..., 1:], np.full_like(source, eta / chain.prior_variance)], axis=-1)
    prior = np.where(np.arange(chain.n_levels) == chain.n_levels - 1, chain.prior_variance, eta)
    rho_above = np.where(np.isnan(rho_above), 1.0, rho_above)  # no latent above: the prior is N(0, η²)
    kl = t * rho_above / (2 * eta) - 0.5 * (log_t + log_rho - np.log(prior)) - 0.5
    moving = -np.expm1(log_rho)  # 1 − ρ, exact also when ρ is nearly one
    with np.errstate(divide="ignore", invalid="ignore"):
        encoder = np.sqrt(t * moving / _whitened(below))
        decoder = np.sqrt(below / t * moving)
    present = ~np.isnan(t)
    alive = present & (rho < 1)
    distortion = strengths * np.where(present[..., 0], rho[..., 0], 1.0)
    return ChainOptimum(
        alive=alive,
        variance=t,
        encoder_variance=t * rho,
        kl=kl,
        decoder_gain=np.where(alive, decoder, np.where(present, 0.0, np.nan)),
        encoder_gain=np.where(alive, encoder, np.where(present, 0.0, np.nan)),
        distortion=distortion,
    )


def _whitened(below: np.ndarray) -> np.ndarray:
    """Variances that the encoders see: level 1 reads scores of variance one."""
    return np.concatenate([np.ones_like(below[..., :1]), below[..., 1:]], axis=-1)
