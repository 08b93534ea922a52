"""Bootstrap samples of a spectrum from one pass over the data.

Rows are dealt at random to shards; a bootstrap sample draws shards with replacement and merges their moments, so the
data are read once whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from uncollapse.data.rows import Rows, as_rows, dense, paired_blocks
from uncollapse.errors import DataError
from uncollapse.spectra.result import Spectrum

__all__ = ["Shards", "complete", "finite_parts", "replicates", "scores_of", "summed"]

N_SHARDS = 128
"""Standard errors from 128 shards are themselves uncertain by 1/√(2·127) = 6 %; fewer shards cost accuracy, more cost
memory (one k × k matrix each)."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Sums over the rows of each shard: counts (G,), scores (G, q), their products (G, q, q), energies (G,)."""

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    energies: np.ndarray

    def __add__(self, other: Shards) -> Shards:
        """Sums over the rows of both, shard by shard."""
        return Shards(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


def scores_of(
    parts: Iterator[tuple[np.ndarray, ...]], spectrum: Spectrum, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of the rows' scores on the leading modes, (b, q), and of their energies ‖y − ȳ‖², (b,)."""
    decoder, encoder = spectrum.basis.decoder[:, :k], spectrum.basis.encoder[:, :k]
    shift_y, shift_x = spectrum.mean_target * spectrum.centred, spectrum.mean_input * spectrum.centred
    n_inputs = spectrum.condition.n_columns if spectrum.condition else spectrum.n_features
    for block in parts:
        if (block[0].shape[1], block[-1].shape[1]) != (n_inputs, spectrum.n_targets):
            raise DataError(f"the data have {block[0].shape[1]} columns and the forecast {n_inputs}")
        y = block[-1] if spectrum.residuals else block[-1] * spectrum.target_scale - shift_y
        if spectrum.condition:
            x = block[0] * spectrum.target_scale[0] - spectrum.condition.mean * spectrum.centred
            y = y - x @ spectrum.condition.regression.T
        scores = y @ decoder
        if not spectrum.target_is_input:
            scores = np.hstack([(block[0] * spectrum.input_scale - shift_x) @ encoder, scores])
        yield scores, np.einsum("ij,ij->i", y, y)


def finite_parts(
    data: Any, target: Any, given: Any, paired: bool, drop_nonfinite: bool, spectrum: Spectrum, n_seen: int = 0
) -> Iterator[tuple[np.ndarray, ...]]:
    """Blocks of rows as (x,), (x, y) or (condition, data); counts with size factors as their residuals."""
    if given is not None and given is not True:
        data, target = as_rows(given, "the condition"), as_rows(data)
    for parts in _blocks(as_rows(data, paired=paired), target):
        finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts]) if drop_nonfinite else ...
        if spectrum.residuals and parts[-1].shape[1] == spectrum.n_targets:
            parts = (*parts[:-1], spectrum.residuals(parts[-1], n_seen))
        n_seen += len(parts[-1])
        yield tuple(part[finite] for part in parts)


def _blocks(rows: Rows, target: Any) -> Iterator[tuple[np.ndarray, ...]]:
    if target is not None:
        pairs = paired_blocks(rows, as_rows(target, "the target"))
        return (tuple(map(dense, pair)) for pair in pairs)
    return (tuple(map(dense, block)) if rows.paired else (dense(block),) for block in rows.blocks())


def summed(
    scored: Iterator[tuple[np.ndarray, np.ndarray]], spectrum: Spectrum, k: int, rng: np.random.Generator
) -> Shards:
    """Sums over rows that are dealt to the shards at random."""
    q, n_shards = k if spectrum.target_is_input else 2 * k, min(N_SHARDS, spectrum.n_samples)
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
    return Shards(counts, sums, products, energies)


def complete(shards: Shards, spectrum: Spectrum) -> Shards:
    """The shards that have rows, once all rows of the data are in.

    Raises
    ------
    DataError
        Fewer or more rows than the forecast saw.
    """
    if shards.counts.sum() != spectrum.n_samples:
        raise DataError(
            f"{int(shards.counts.sum())} rows came where the forecast saw {spectrum.n_samples}; give the same data "
            f"again (an iterator can be read only once)"
        )
    kept = shards.counts > 0
    return Shards(*(getattr(shards, item.name)[kept] for item in fields(shards)))


def replicates(shards: Shards, draws: np.ndarray, spectrum: Spectrum, k: int) -> Iterator[tuple[np.ndarray, float]]:
    """Strengths of the leading modes and total energy on each bootstrap sample."""
    n_shards, q = shards.sums.shape
    flat = shards.products.reshape(n_shards, q * q)
    for draw in draws:
        n = float(draw @ shards.counts)
        mean = draw @ shards.sums / n * spectrum.centred
        moment = (draw @ flat).reshape(q, q) / n - np.multiply.outer(mean, mean)
        shift = mean[-k:] @ mean[-k:]  # the part of the mean's energy that lies in the followed modes
        energy = float(draw @ shards.energies) / n - shift
        yield _strengths(moment, spectrum, k), energy


def _strengths(moment: np.ndarray, spectrum: Spectrum, k: int) -> np.ndarray:
    if spectrum.target_is_input:
        values = np.linalg.eigvalsh(moment)[::-1]
    else:
        a, fg = moment[:k, :k], moment[k:, :k]
        # a draw can hold too few different rows for a full covariance
        values = np.linalg.eigvalsh(fg @ np.linalg.pinv(a, hermitian=True) @ fg.T)[::-1]
    return np.maximum(values, np.finfo(float).eps * max(values[0], 0.0))
