"""How far a forecast would move on another sample of the same size: bootstrap intervals.

Rows are dealt at random to shards; a bootstrap sample draws shards with replacement and merges their moments, so the
data are read once whatever the number of samples. Only the leading modes are followed, in the span of their directions
on the full sample: exact to first order in the change of the moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.errors import DataError
from uncollapse.forecasting.result import Forecast
from uncollapse.spectra.result import Spectrum

__all__ = ["Intervals", "bootstrap"]

N_SHARDS = 128
"""Standard errors from 128 shards are themselves uncertain by 1/√(2·127) = 6 %; fewer shards cost accuracy, more cost
memory (one k × k matrix each)."""

SPARE_MODES, MOST_MODES = 32, 256
"""Modes followed beyond those alive, and at most: a k × k eigenproblem is solved for each bootstrap sample."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Bootstrap intervals around a forecast.

    Attributes
    ----------
    level : float
        Probability that each interval aims to cover.
    critical_betas : ndarray of shape (k, 2)
        Lower and upper end for each of the leading modes.
    n_alive : tuple of two ints
        Range of the number of living latents at the forecast's objective.
    n_samples : int
        Bootstrap samples drawn.
    """

    level: float
    critical_betas: np.ndarray
    n_alive: tuple[int, int]
    n_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "level": self.level,
            "n_bootstrap": self.n_samples,
            "n_alive": list(self.n_alive),
            "critical_beta": self.critical_betas[0].tolist() if len(self.critical_betas) else None,
            "critical_betas": self.critical_betas.tolist(),
        }


def bootstrap(
    data: Any,
    forecast: Forecast,
    target: Any = None,
    *,
    given: Any = None,
    paired: bool = False,
    n_samples: int = 200,
    level: float = 0.9,
    seed: int = 0,
    drop_nonfinite: bool = False,
) -> Intervals:
    """Percentile intervals for the critical β of each leading mode and for the number of living latents.

    Parameters
    ----------
    data, target, given, paired, drop_nonfinite
        The same as the forecast was made from; read once more.
    forecast : Forecast
    n_samples : int
    level : float
        Between 0 and 1.
    seed : int

    Returns
    -------
    Intervals

    Raises
    ------
    DataError
        A level outside (0, 1), fewer than 2 samples, or data of another shape than the forecast's.

    Notes
    -----
    Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 13. Percentiles of sample strengths share the
    upward push that sampling noise gives to strengths near the noise edge; the de-biased strengths do not. With a
    condition its regression is held at the full sample's, whose change matters to second order only: it is a minimum.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((400, 3)) * [3.0, 1.0, 0.1]
    >>> bootstrap(x, forecast(x)).n_alive
    (1, 2)
    """
    if forecast.spectrum.condition and given is None:
        raise DataError("the forecast has a condition; give it again (given=)")
    if not 0 < level < 1 or n_samples < 2:
        raise DataError(f"need a level between 0 and 1 and 2 or more samples, got {level} and {n_samples}")
    found = forecast.spectrum
    k = min(found.rank, max(forecast.n_alive + SPARE_MODES, 2), MOST_MODES)
    if k == 0:
        return Intervals(level, np.zeros((0, 2)), (0, 0), n_samples)
    rng = np.random.default_rng(seed)
    parts = _finite_parts(data, target, given, paired, drop_nonfinite, found)
    shards = _shards(_scores(parts, found, k), found, k, rng)
    draws = rng.multinomial(len(shards.counts), np.full(len(shards.counts), 1 / len(shards.counts)), n_samples)
    critical, alive = [], []
    for strengths, energy in _replicates(shards, draws, found, k):
        beta, count = _outcome(forecast, strengths, energy)
        critical.append(beta)
        alive.append(count)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(alive, tails, method="inverted_cdf")
    return Intervals(level, np.quantile(critical, tails, axis=0).T, (int(low), int(high)), n_samples)


@dataclass(frozen=True, eq=False)
class _Shards:
    """Sums over the rows of each shard: counts (G,), scores (G, q), their products (G, q, q), energies (G,)."""

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    energies: np.ndarray


def _scores(
    parts: Iterator[tuple[np.ndarray, ...]], found: Spectrum, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of the rows' scores on the leading modes, (b, q), and of their energies ‖y − ȳ‖², (b,)."""
    decoder, encoder = found.basis.decoder[:, :k], found.basis.encoder[:, :k]
    shift_y, shift_x = found.mean_target * found.centred, found.mean_input * found.centred
    n_inputs = found.condition.n_columns if found.condition else found.n_features
    for block in parts:
        if (block[0].shape[1], block[-1].shape[1]) != (n_inputs, found.n_targets):
            raise DataError(f"the data have {block[0].shape[1]} columns and the forecast {n_inputs}")
        y = block[-1] if found.residuals else block[-1] * found.target_scale - shift_y
        if found.condition:
            x = block[0] * found.target_scale[0] - found.condition.mean * found.centred
            y = y - x @ found.condition.regression.T
        scores = y @ decoder
        if not found.target_is_input:
            scores = np.hstack([(block[0] * found.input_scale - shift_x) @ encoder, scores])
        yield scores, np.einsum("ij,ij->i", y, y)


def _finite_parts(
    data: Any, target: Any, given: Any, paired: bool, drop_nonfinite: bool, found: Spectrum
) -> Iterator[tuple[np.ndarray, ...]]:
    """Blocks of rows as (x,), (x, y) or (condition, data); counts with size factors as their residuals."""
    if given is not None and given is not True:
        data, target = as_rows(given, "the condition"), as_rows(data)
    n_seen = 0
    for parts in _blocks(as_rows(data, paired=paired), target):
        finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts]) if drop_nonfinite else ...
        if found.residuals and parts[-1].shape[1] == found.n_targets:
            parts = (*parts[:-1], found.residuals(parts[-1], n_seen))
        n_seen += len(parts[-1])
        yield tuple(part[finite] for part in parts)


def _blocks(rows: Rows, target: Any) -> Iterator[tuple[np.ndarray, ...]]:
    if target is not None:
        pairs = paired_blocks(rows, as_rows(target, "the target"))
        return (tuple(map(dense, pair)) for pair in pairs)
    return (tuple(map(dense, block)) if rows.paired else (dense(block),) for block in rows.blocks())


def _shards(
    scored: Iterator[tuple[np.ndarray, np.ndarray]], found: Spectrum, k: int, rng: np.random.Generator
) -> _Shards:
    q, n_shards = k if found.target_is_input else 2 * k, min(N_SHARDS, found.n_samples)
    counts, energies = np.zeros(n_shards), np.zeros(n_shards)
    sums, products = np.zeros((n_shards, q)), np.zeros((n_shards, q, q))
    for scores, energy in scored:
        shard_of = rng.integers(n_shards, size=len(scores))
        if not np.isfinite(energy).all():
            raise DataError("the data hold NaN or infinite values; leave such rows out with drop_nonfinite=True")
        for shard in np.unique(shard_of):
            mine = scores[shard_of == shard]
            counts[shard] += len(mine)
            energies[shard] += energy[shard_of == shard].sum()
            sums[shard] += mine.sum(axis=0)
            products[shard] += mine.T @ mine
    if counts.sum() != found.n_samples:
        raise DataError(
            f"{int(counts.sum())} rows came where the forecast saw {found.n_samples}; give the same data again (an "
            f"iterator can be read only once)"
        )
    kept = counts > 0
    return _Shards(counts[kept], sums[kept], products[kept], energies[kept])


def _replicates(shards: _Shards, draws: np.ndarray, found: Spectrum, k: int) -> Iterator[tuple[np.ndarray, float]]:
    """Strengths of the leading modes and total energy on each bootstrap sample."""
    n_shards, q = shards.sums.shape
    flat = shards.products.reshape(n_shards, q * q)
    for draw in draws:
        n = float(draw @ shards.counts)
        mean = draw @ shards.sums / n * found.centred
        moment = (draw @ flat).reshape(q, q) / n - np.multiply.outer(mean, mean)
        shift = mean[-k:] @ mean[-k:]  # the part of the mean's energy that lies in the followed modes
        energy = float(draw @ shards.energies) / n - shift
        yield _strengths(moment, found, k), energy


def _strengths(moment: np.ndarray, found: Spectrum, k: int) -> np.ndarray:
    if found.target_is_input:
        values = np.linalg.eigvalsh(moment)[::-1]
    else:
        a, fg = moment[:k, :k], moment[k:, :k]
        # a draw can hold too few different rows for a full covariance
        values = np.linalg.eigvalsh(fg @ np.linalg.pinv(a, hermitian=True) @ fg.T)[::-1]
    return np.maximum(values, np.finfo(float).eps * max(values[0], 0.0))


def _outcome(forecast: Forecast, strengths: np.ndarray, energy: float) -> tuple[np.ndarray, int]:
    moved = replace(forecast.spectrum, strengths=strengths, total_energy=max(energy, float(strengths.sum())))
    there = replace(forecast, spectrum=moved)
    return there.critical_betas, there.n_alive
