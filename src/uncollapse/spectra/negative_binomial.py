"""The negative binomial with size factors: its collapsed fit, from rows that are read several times.

Here the weight of an entry, 1/(1 + sμ/r), depends on its row, so no moments of the counts suffice: the column means μ
are found by Newton's method, one pass each, and the spectrum is then that of the rows of residuals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from uncollapse.data.rows import Block, Rows, as_rows, dense, paired_blocks
from uncollapse.errors import DataError, warn
from uncollapse.spectra.allowed_values import checked, mapped, sizes_of
from uncollapse.spectra.counts import inverse_of_dispersion
from uncollapse.spectra.one_pass import nonfinite_error, overflow_error
from uncollapse.spectra.result import Options
from uncollapse.theory.counts import CountResiduals, count_fisher_information, count_mean_cost, count_score

__all__ = ["RowFit", "fit_rows"]

TOLERANCE = 1e-9
"""Newton's last step in log μ. Convergence is quadratic, so what is left is rounding."""

MOST_PASSES = 30
"""From the Poisson fit four to six passes do; a step is cut to a factor e, so that far starts cannot overshoot."""

PIECE_ENTRIES = 2**17
"""Entries worked on at a time: some ten arrays of this size are alive at once, and whole blocks would take 1 GB."""

Pairs = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Walks the finite rows: counts (b, d) and size factors (b,)."""


@dataclass(frozen=True, eq=False)
class RowFit:
    """Collapsed fit of a negative binomial with size factors.

    Attributes
    ----------
    inputs : tuple of (Rows, Rows or None)
        Data and target, with residuals in place of the counts.
    loss : float
        Nats per sample of a decoder that ignores z.
    residuals : CountResiduals
    """

    inputs: tuple[Rows, Rows | None]
    loss: float
    residuals: CountResiduals


@np.errstate(all="ignore")  # what leaves the range of float64 is refused below
def fit_rows(rows: Rows, target: Any, options: Options) -> RowFit:
    """Maximum-likelihood column means at the given (or moment) dispersions, and rows mapped to residuals.

    Raises
    ------
    DataError
        Rows that can be read only once, values that are no counts, size factors of the wrong length.
    """
    other = None if target is None else as_rows(target, "the target")
    for source in (rows, other):
        if source is not None and not source.repeatable:
            raise DataError(
                f"{source.name}: a negative binomial with size factors needs several passes; give a file, an array or "
                f"a loader"
            )
    targets = rows if other is None else other
    level, alpha, unit = _start(partial(_walk, rows, other, checked(targets, options), options), options)
    pairs = partial(_scaled, partial(_walk, rows, other, targets, options), unit)
    if not (np.isfinite(level).all() and np.isfinite(alpha).all() and math.isfinite(unit)):
        raise overflow_error(targets.name)
    level, information, loss = _newton(pairs, level, alpha)
    scale = np.where(information > 0, 1 / np.sqrt(np.where(information > 0, information, 1.0)), 0.0)
    if not (np.isfinite(level).all() and np.isfinite(scale).all() and math.isfinite(loss)):
        raise overflow_error(targets.name)
    sizes = options.size_factors if isinstance(options.size_factors, np.ndarray) else None
    residuals = CountResiduals(level, scale, alpha, sizes, unit, options.scale)

    def change(block: Block, start: int) -> np.ndarray:
        result = np.empty(block.shape)
        for piece in _pieces(*block.shape):
            with np.errstate(all="ignore"):  # values that are not finite are refused by who sums the rows
                result[piece] = residuals(dense(block[piece]), start + piece.start)
        return result

    taken = mapped(targets, change)
    return RowFit((taken, None) if other is None else (rows, taken), loss, residuals)


def _walk(rows: Rows, other: Rows | None, targets: Rows, options: Options) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Counts and size factors (row totals as they are) of the rows that are kept."""
    n_sizes = len(options.size_factors) if isinstance(options.size_factors, np.ndarray) else None
    targets = mapped(targets, lambda block, _: block, n_sizes=n_sizes)
    pairs: Iterator[Any] = targets.blocks() if other is None else paired_blocks(rows, targets)
    start = 0
    for item in pairs:
        parts = tuple(map(dense, item if isinstance(item, tuple) else (item,)))
        finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
        if not (finite.all() or options.drop_nonfinite):
            raise nonfinite_error(targets.name, np.hstack(parts), start, pairs)
        sizes = sizes_of(parts[-1], start, options)
        assert sizes is not None
        start += len(parts[0])
        for piece in _pieces(*parts[-1].shape):
            kept = finite[piece]
            yield parts[-1][piece][kept].astype(np.float64) * options.scale, sizes[piece][kept]


def _pieces(n: int, d: int) -> Iterator[slice]:
    """Cuts a block into pieces small enough to stay in the processor's cache with all that is computed from them."""
    step = max(1, PIECE_ENTRIES // d)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _scaled(pairs: Pairs, unit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((y, sizes / unit) for y, sizes in pairs())


def _start(pairs: Pairs, options: Options) -> tuple[np.ndarray, np.ndarray, float]:
    """The Poisson fit μ = Σy/Σs, α = 1/r, and the unit of the size factors (mean row total, or 1)."""
    sums: list[Any] = [0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for y, s in pairs():
        block = (len(y), y.sum(axis=0), s.sum(), s @ y, (y**2).sum(axis=0), s @ s)
        sums = [total + part for total, part in zip(sums, block, strict=True)]
    if sums[0] < 2:
        raise DataError(f"only {sums[0]} row(s) to learn from; a spectrum needs two or more")
    unit = float(sums[2] / sums[0]) if isinstance(options.size_factors, str) else 1.0
    mean, size, cross, square, size_square = (part / sums[0] for part in sums[1:])
    level = mean / size
    residual = square - 2 * level * cross + level**2 * size_square
    alpha = inverse_of_dispersion(options, mean, residual, float(size), float(size_square))
    return level * unit, np.array(alpha), unit


def _newton(pairs: Callable[[], Any], level: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """μ where each column's score vanishes (it falls in log μ: one root), D there, and the loss."""
    for _ in range(MOST_PASSES):
        n, loss = 0, 0.0
        score, information = np.zeros(len(level)), np.zeros(len(level))
        log_level = np.log(np.where(level > 0, level, 1.0))
        for y, s in pairs():
            fitted = np.multiply.outer(s, level)
            n += len(y)
            score += count_score(y, fitted, alpha).sum(axis=0)
            information += count_fisher_information(y, fitted, alpha).sum(axis=0)
            loss += float(count_mean_cost(y, fitted, alpha).sum() - (y @ log_level).sum())
        step = np.divide(score, information, out=np.zeros(len(level)), where=information > 0)
        if np.abs(step).max() <= TOLERANCE:
            return level, information / n, loss / n
        level = level * np.exp(np.clip(step, -1, 1))
    warn(
        f"the column means of the negative binomial moved by {np.abs(step).max():.1g} in the last of {MOST_PASSES} "
        f"passes; the strengths are that uncertain"
    )
    return level, information / n, loss / n
