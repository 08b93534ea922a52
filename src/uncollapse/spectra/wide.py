"""Spectra of tables too wide for a d × d matrix: column sums exactly, modes through thin products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from uncollapse.data.blocks import Block, Rows, dense, is_sparse
from uncollapse.data.kinds import less, offset_of
from uncollapse.errors import DataError, warn
from uncollapse.spectra.allowed_values import checked, mapped, sizes_of
from uncollapse.spectra.counts import column_fit
from uncollapse.spectra.one_pass import nonfinite_error, overflow_error
from uncollapse.spectra.result import Options, Spectrum
from uncollapse.theory.counts import CountResiduals
from uncollapse.theory.krylov import gram_strengths, krylov_modes
from uncollapse.theory.modes import Basis

__all__ = ["wide_spectrum"]

FAR_MEAN = 10.0
"""Means of so many standard deviations are taken out of sparse columns entry by entry: centred implicitly they cost
their square in digits (1e6: 1.4e-3 of the strength; 10: 1e-14)."""

IN_CACHE = 2**17
"""Numbers whose mean and spread are taken together: in float64 they stay in the cache between the two."""

GRAM_ROUNDING = 1e-12
"""Strengths below this fraction of the largest are rounding when the n × n matrix is formed in float64."""


def wide_spectrum(rows: Rows, n_modes: int, options: Options, *, use_gram: bool) -> Spectrum:
    """Spectrum of `rows` without a d × d matrix; the energies are exact, the strengths carry an error bound.

    Parameters
    ----------
    rows : Rows
        Must be repeatable: the data are read several times.
    n_modes : int
        Modes to find; ignored with `use_gram`, which finds them all.
    options : Options
    use_gram : bool
        Form the n × n matrix of inner products of the rows; for tables of few rows.
    """
    if not rows.repeatable:
        raise DataError(f"{rows.name}: {rows.n_columns} columns need several passes; give a file, an array or a loader")
    rows, offset = _relative(rows, options)
    table = _sums(rows, options)
    d = len(table.mean)
    wanted = min(n_modes, d, table.n_samples - options.bias)
    find: Callable[[], Basis]
    if use_gram:
        centred = _centred(rows, table, options)
        strengths, weights = gram_strengths(centred, GRAM_ROUNDING)
        strengths = strengths * (table.n_samples / (table.n_samples - options.ddof))
        errors = np.full(len(strengths), GRAM_ROUNDING * strengths[:1].sum())
        find = partial(_gram_basis, centred, weights, strengths)
    else:
        modes = krylov_modes(lambda v: _product(rows, table, options, v), d, wanted)
        positive = modes.strengths > GRAM_ROUNDING * max(modes.strengths[0], 0.0)
        strengths, errors = modes.strengths[positive], modes.errors[positive]
        errors = errors + _rounding(d) * strengths[:1].sum()
        find = partial(_basis, modes.directions[:, : len(strengths)], strengths)
    return Spectrum(
        strengths=strengths,
        total_energy=float(table.energies.sum()),
        residual_energy=0.0,
        n_samples=table.n_samples,
        n_features=d,
        n_targets=d,
        centred=options.bias,
        likelihood=options.likelihood,
        n_constant=int((table.variances == 0).sum()),
        complete=use_gram or len(strengths) < wanted or wanted >= min(d, table.n_samples - options.bias),
        input_rank=len(strengths),
        strength_errors=errors,
        target_is_input=True,
        collapsed_loss=table.loss,
        input_scale=table.weights,
        target_scale=table.weights,
        mean_input=(table.mean + offset) * table.weights,
        mean_target=(table.mean + offset) * table.weights,
        find_basis=find,
        residuals=table.residuals,
    )


def _basis(directions: np.ndarray, strengths: np.ndarray) -> Basis:
    return Basis(directions, directions / np.sqrt(strengths))


def _gram_basis(centred: np.ndarray, weights: np.ndarray, strengths: np.ndarray) -> Basis:
    """The directions take as much memory as the rows, and twice the time of the strengths: only who asks pays."""
    return _basis(centred.T @ weights, strengths)


def _rounding(d: int) -> float:
    """Error of a product of d columns in float64, relative to the largest strength; implicit centring included."""
    return 4 * float(np.finfo(np.float64).eps) * math.sqrt(d) * (1 + FAR_MEAN**2)


def _relative(rows: Rows, options: Options) -> tuple[Rows, np.ndarray | float]:
    """The rows less an offset where their numbers do not fit a float64, and the offset; see `data.kinds`."""
    first = next(rows.blocks(), None)
    offset = None if first is None else offset_of(first)
    if offset is None or not options.bias or options.likelihood != "gaussian":
        return rows, 0.0
    with np.errstate(over="ignore", under="ignore"):  # a long double may hold what no float64 does
        mean = offset.astype(np.float64)
    if not np.isfinite(mean).all():
        raise overflow_error(rows.name)
    return replace(rows, blocks=lambda: (less(block, offset) for block in rows.blocks())), mean


@dataclass(frozen=True, eq=False)
class _Table:
    """Column sums of a table: raw mean and variance (of residuals: 0 and mean square), and the weight of each column.

    Rows are centred by s·level with s the size factors of the rows, or 1 and the raw means without any.
    """

    n_samples: int
    mean: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    energies: np.ndarray
    level: np.ndarray
    loss: float
    residuals: CountResiduals | None


@np.errstate(over="ignore", invalid="ignore", under="ignore")  # what overflows or vanishes is refused below
def _sums(rows: Rows, options: Options) -> _Table:
    """Mean and variance of every column in one pass, merged block by block (Chan, Golub & LeVeque 1983)."""
    n = n_dropped = 0
    mean, scatter = np.zeros(rows.n_columns or 0), np.zeros(rows.n_columns or 0)
    size, size_scatter, cross = 0.0, 0.0, np.zeros(rows.n_columns or 0)
    given = len(options.size_factors) if isinstance(options.size_factors, np.ndarray) else None
    for block, sizes, dropped in _clean(mapped(checked(rows, options), _same, n_sizes=given), options):
        m, n_dropped = block.shape[0], n_dropped + dropped
        if m == 0:
            continue
        block_mean, block_scatter, vanished = _block_sums(block)
        if vanished:
            raise overflow_error(rows.name)
        gap, share = block_mean - mean, n * m / (n + m)
        if sizes is not None:
            off, size_gap = sizes - sizes.mean(), float(sizes.mean()) - size
            cross = cross + block.T @ off + gap * (size_gap * share)
            size, size_scatter = size + size_gap * m / (n + m), size_scatter + off @ off + size_gap**2 * share
        mean = mean + gap * (m / (n + m))
        scatter = scatter + block_scatter + gap**2 * share
        n += m
    if n_dropped:
        warn(f"left out {n_dropped} rows with NaN or infinite values")
    options.check_rows(n)
    if not np.isfinite(scatter / n + mean**2).all():
        raise overflow_error(rows.name)
    table = _Table(n, mean, scatter / n, np.full(len(mean), float(options.scale)), scatter, mean, math.nan, None)
    return _weighed(table, options, size, cross / n, size_scatter / n)


def _weighed(table: _Table, options: Options, size: float, cross: np.ndarray, size_variance: float) -> _Table:
    """The table with the likelihood's weights and size factors (their mean, covariances and variance) put in."""
    n, mean, variances, weights, level = table.n_samples, table.mean, table.variances, table.weights, table.level
    loss, residuals = math.nan, None
    if options.likelihood != "gaussian":
        unit = size if isinstance(options.size_factors, str) else 1.0
        fit = column_fit(options, mean * options.scale, variances * options.scale**2, size / unit if size else 1.0)
        weights, loss = weights * fit.scale, fit.loss
        if options.size_factors is not None:
            level = mean / size
            variances = np.where(mean > 0, variances - 2 * level * cross + level**2 * size_variance, 0.0)
            mean = np.zeros(len(mean))  # E[y − sμ] = 0 by the choice of μ
            given = None if isinstance(options.size_factors, str) else options.size_factors
            at_one = level * options.scale * unit
            residuals = CountResiduals(at_one, fit.scale, np.zeros(len(mean)), given, unit, options.scale)
    energies = variances * n / (n - options.ddof) if options.bias else variances + mean**2
    return _Table(n, mean, variances, weights, energies * weights**2, level, loss, residuals)


def _same(block: Block, start: int) -> Block:
    return block


def _block_sums(block: Block) -> tuple[np.ndarray, np.ndarray, bool]:
    """Mean of each column, its sum of squares about it, and whether a column varies by less than squares can show."""
    m, d = block.shape
    if is_sparse(block):
        mean = np.bincount(block.indices, block.data, d) / m
        n_stored = np.bincount(block.indices, minlength=d)
        left = block.data - mean[block.indices]
        scatter = np.bincount(block.indices, left**2, d) + (m - n_stored) * mean**2
        varies = np.bincount(block.indices, left != 0, d) > 0
        return mean, scatter, bool((varies & (scatter == 0)).any())
    parts = np.array_split(block, max(1, min(d // 64, m * d // IN_CACHE)), axis=1)
    means, scatters, vanished = zip(*map(_column_sums, parts), strict=True)
    return np.concatenate(means), np.concatenate(scatters), any(vanished)


def _column_sums(block: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    shifted = block - block[0].astype(np.float64)  # exactly 0 in constant columns
    shift = shifted.mean(axis=0)
    shifted -= shift
    np.square(shifted, out=shifted)
    scatter = shifted.sum(axis=0)
    still = scatter == 0
    return block[0] + shift, scatter, bool(still.any() and (block[:, still] != block[0, still]).any())


def _clean(rows: Rows, options: Options) -> Iterator[tuple[Block, np.ndarray | None, int]]:
    """Blocks of finite rows, their size factors if there are any, and the number of rows left out of each."""
    n_seen = 0
    blocks = rows.blocks()
    for block in blocks:
        values = block.data if is_sparse(block) else block
        sizes = sizes_of(block, n_seen, options)
        n_seen, dropped = n_seen + block.shape[0], 0
        if not np.isfinite(values.sum(dtype=np.float64)):
            finite = np.isfinite(dense(block)).all(axis=1)
            if not options.drop_nonfinite:
                raise nonfinite_error(rows.name, dense(block), n_seen - block.shape[0], blocks)
            block, dropped = block[finite], int((~finite).sum())
            sizes = None if sizes is None else sizes[finite]
        yield block, sizes, dropped


def _product(rows: Rows, table: _Table, options: Options, v: np.ndarray) -> np.ndarray:
    """C v for the weighted covariance C, reading the data once.

    Sparse blocks stay sparse: the scores are centred instead of the rows, and since centred scores sum to zero over
    all the rows, Σ x(t − t̄) = Σ (x − x̄)(t − t̄). With size factors s the scores times s do not: their sum is taken out.
    Columns whose mean is many times their spread lose digits in that, and are as good as full: they are made dense.
    """
    weighted = table.weights[:, None] * v  # (d, b)
    total, sized = np.zeros_like(v), np.zeros(v.shape[1])
    far = (table.mean**2 > FAR_MEAN**2 * table.variances) & (options.bias and options.size_factors is None)
    near = ~far if far.any() else slice(None)  # a slice copies nothing
    level = table.level[near] @ weighted[near] if options.bias or options.size_factors is not None else 0.0
    for block, sizes, _ in _clean(rows, options):
        if not is_sparse(block):
            centred = _taken(block, sizes, table, options)
            total += centred.T @ (centred @ weighted)
            continue
        thin = block[:, near] if far.any() else block
        scores = thin @ weighted[near]
        scores -= level if sizes is None else np.multiply.outer(sizes, level)
        if sizes is not None:
            sized += sizes @ scores
        if far.any():
            full = block[:, far].toarray() - table.level[far]
            scores += full @ weighted[far]
            total[far] += full.T @ scores
        total[near] += thin.T @ scores
    total -= np.multiply.outer(table.level, sized)
    return table.weights[:, None] * total / (table.n_samples - options.ddof)


def _taken(
    block: np.ndarray, sizes: np.ndarray | None, table: _Table, options: Options, out: np.ndarray | None = None
) -> np.ndarray:
    """A dense block with its means taken out, in float64."""
    means: Any = table.level if options.bias else 0.0
    means = means if sizes is None else np.multiply.outer(sizes, table.level)
    taken: np.ndarray = np.subtract(block, means, out=out, dtype=np.float64)
    return taken


def _centred(rows: Rows, table: _Table, options: Options) -> np.ndarray:
    """The whole table in float64, its means taken out, each column times its weight."""
    whole, start = np.empty((table.n_samples, len(table.mean))), 0
    for block, sizes, _ in _clean(rows, options):
        stop = start + block.shape[0]
        _taken(dense(block), sizes, table, options, out=whole[start:stop])
        start = stop
    if (table.weights != 1).any():
        whole *= table.weights
    return whole
