"""Spectra of tables too wide for a d × d matrix: column sums exactly, modes through thin products."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uncollapse.data.rows import Block, Rows, dense, is_sparse
from uncollapse.errors import DataError, UncollapseWarning
from uncollapse.moments import nonfinite_error, overflow_error
from uncollapse.spectrum import Options, Spectrum
from uncollapse.theory.krylov import gram_modes, krylov_modes
from uncollapse.theory.likelihoods import bernoulli_entropy, bernoulli_scale
from uncollapse.theory.modes import Basis

__all__ = ["wide_spectrum"]

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
    table = _sums(rows, options)
    d = len(table.mean)
    wanted = min(n_modes, d, table.n_samples - options.bias)
    if use_gram:
        modes = gram_modes(_centred(rows, table, options), GRAM_ROUNDING)
        correction = table.n_samples / (table.n_samples - options.ddof)
        strengths, errors = modes.strengths * correction, modes.errors * correction
    else:
        modes = krylov_modes(lambda v: _product(rows, table, options, v), d, wanted)
        positive = modes.strengths > GRAM_ROUNDING * max(modes.strengths[0], 0.0)
        strengths, errors = modes.strengths[positive], modes.errors[positive]
    directions = modes.directions[:, : len(strengths)]
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
        collapsed_loss=bernoulli_entropy(table.mean * options.scale) if options.likelihood == "bernoulli" else math.nan,
        input_scale=table.weights,
        target_scale=table.weights,
        mean_input=table.mean * table.weights,
        mean_target=table.mean * table.weights,
        find_basis=lambda: Basis(directions, directions / np.sqrt(strengths)),
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """Column sums of a table: raw mean and variance, and the weight each column is multiplied by."""

    n_samples: int
    mean: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    energies: np.ndarray


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused below
def _sums(rows: Rows, options: Options) -> _Table:
    """Mean and variance of every column in one pass, merged block by block (Chan, Golub & LeVeque 1983)."""
    n = n_dropped = 0
    mean, scatter = np.zeros(rows.n_columns or 0), np.zeros(rows.n_columns or 0)
    for block, dropped in _clean(rows, options.drop_nonfinite):
        m, n_dropped = block.shape[0], n_dropped + dropped
        if m == 0:
            continue
        block_mean, block_scatter = _block_sums(block)
        gap = block_mean - mean
        mean = mean + gap * (m / (n + m))
        scatter = scatter + block_scatter + gap**2 * (n * m / (n + m))
        n += m
    if n_dropped:
        warnings.warn(f"left out {n_dropped} rows with NaN or infinite values", UncollapseWarning, stacklevel=4)
    if n < 2:
        raise DataError(f"only {n} row(s) to learn from; a spectrum needs two or more")
    second = scatter / n + mean**2
    if not np.isfinite(second).all():
        raise overflow_error(rows.name)
    weights = np.full(len(mean), options.scale)
    if options.likelihood == "bernoulli":
        weights = weights * bernoulli_scale(mean * options.scale, second * options.scale**2)
    energies = scatter / (n - options.ddof) if options.bias else second
    return _Table(n, mean, scatter / n, weights, energies * weights**2)


def _block_sums(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each column and its sum of squares about it."""
    m, d = block.shape
    if is_sparse(block):
        mean = np.bincount(block.indices, block.data, d) / m
        n_stored = np.bincount(block.indices, minlength=d)
        scatter = np.bincount(block.indices, (block.data - mean[block.indices]) ** 2, d)
        return mean, scatter + (m - n_stored) * mean**2
    shifted = block - block[0].astype(np.float64)  # exactly 0 in constant columns
    shift = shifted.mean(axis=0)
    return block[0] + shift, ((shifted - shift) ** 2).sum(axis=0)


def _clean(rows: Rows, drop_nonfinite: bool) -> Iterator[tuple[Block, int]]:
    """Blocks of finite rows, with the number of rows left out of each."""
    n_seen = 0
    blocks = rows.blocks()
    for block in blocks:
        values = block.data if is_sparse(block) else block
        n_seen, dropped = n_seen + block.shape[0], 0
        if not np.isfinite(values.sum(dtype=np.float64)):
            finite = np.isfinite(dense(block)).all(axis=1)
            if not drop_nonfinite:
                raise nonfinite_error(rows.name, dense(block), n_seen - block.shape[0], blocks)
            block, dropped = block[finite], int((~finite).sum())
        yield block, dropped


def _product(rows: Rows, table: _Table, options: Options, v: np.ndarray) -> np.ndarray:
    """C v for the weighted covariance C, reading the data once.

    Sparse blocks stay sparse: the scores are centred instead of the rows, and since centred scores sum to zero over
    all the rows, Σ x(s − s̄) = Σ (x − x̄)(s − s̄).
    """
    weighted = table.weights[:, None] * v  # (d, b)
    total = np.zeros_like(v)
    for block, _ in _clean(rows, options.drop_nonfinite):
        if is_sparse(block):
            scores = block @ weighted
            total += block.T @ (scores - table.mean @ weighted if options.bias else scores)
        else:
            centred = block - table.mean if options.bias else block.astype(np.float64)
            total += centred.T @ (centred @ weighted)
    return table.weights[:, None] * total / (table.n_samples - options.ddof)


def _centred(rows: Rows, table: _Table, options: Options) -> np.ndarray:
    whole = np.vstack([dense(block) for block, _ in _clean(rows, options.drop_nonfinite)]).astype(np.float64)
    if options.bias:
        whole -= table.mean
    whole *= table.weights
    return whole
