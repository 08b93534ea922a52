"""Counts, and other values with a likelihood beyond Gaussian: what is checked, and how they become residuals.

Three roads, by what the likelihood asks. Without size factors every column has one weight, and nothing else changes.
With size factors, Poisson and categorical residuals are a linear map of [y | s]: second moments of one pass suffice.
The negative binomial with size factors weighs each entry by its row, so rows are mapped, in a later pass: dispersed.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from uncollapse.data.rows import Block, Rows, as_rows, dense, is_dask, is_sparse
from uncollapse.errors import DataError
from uncollapse.spectra.one_pass import Moments
from uncollapse.spectra.result import Options
from uncollapse.theory import likelihoods
from uncollapse.theory.likelihoods import SLACK, CountResiduals

__all__ = [
    "COUNTS",
    "ColumnFit",
    "checked",
    "checked_inputs",
    "column_fit",
    "fit_moments",
    "mapped",
    "sizes_of",
    "with_defaults",
]

COUNTS = ("poisson", "negative-binomial", "categorical")

PER_COLUMN, PER_ROW = "a positive number, or one per column", "one positive number per row"

CHECKED_ENTRIES = 2**20
"""Entries checked at a time: the comparisons need a few copies of what they look at."""


@dataclass(frozen=True, eq=False)
class ColumnFit:
    """What a collapsed decoder leaves.

    Attributes
    ----------
    scale : ndarray of shape (d,)
        D^{-1/2} of each column.
    loss : float
        Nats per sample.
    residuals : CountResiduals or None
        With size factors.
    """

    scale: np.ndarray
    loss: float
    residuals: CountResiduals | None = None


def with_defaults(options: Options) -> Options:
    """The same options with `dispersion` and `size_factors` checked and in one form, arrays where given as such."""
    name, r, s = options.likelihood, options.dispersion, options.size_factors
    if r is not None and name != "negative-binomial":
        raise DataError(f"dispersion belongs to a negative-binomial likelihood, and this one is {name}; leave it out")
    if s is not None and name not in COUNTS:
        raise DataError(f"size factors belong to counts, and the likelihood is {name}; leave them out")
    if name != "gaussian" and not options.bias:
        raise DataError(
            f"a {name} decoder without biases does not collapse to the mean; no threshold is known, keep the biases"
        )
    if name == "negative-binomial":
        r = "estimated" if r is None else _positive_numbers(r, "dispersion", PER_COLUMN, "estimated")
    if name == "categorical":
        if s is not None and not (isinstance(s, str) and s == "total"):
            raise DataError("the size factors of a categorical likelihood are the row totals; leave them out")
        s = "total"
    elif s is not None:
        s = _positive_numbers(s, "size_factors", PER_ROW, "total")
        if not isinstance(s, str) and s.ndim == 0:
            raise DataError(f'size_factors must be one positive number per row, or "total", got {float(s):g}')
    return replace(options, dispersion=r, size_factors=s)


def _positive_numbers(given: Any, name: str, wanted: str, word: str) -> Any:
    wanted = f'{wanted}, or "{word}"'
    if isinstance(given, str):
        if given != word:
            raise DataError(f"{name} must be {wanted}, got {given!r}")
        return given
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be {wanted}, got {type(given).__name__}") from None
    values = values.ravel() if values.ndim == 2 and 1 in values.shape else values
    if values.ndim > 1:
        raise DataError(f"{name} must be {wanted}, got an array of shape {values.shape}")
    largest = np.inf if name == "dispersion" else np.finfo(float).max  # an infinite r is a Poisson column
    bad = ~((values > 0) & (values <= largest))
    if bad.any():
        where = f" at index {int(bad.argmax())}" if values.ndim else ""
        raise DataError(f"{name} must be {wanted}, got {np.atleast_1d(values)[int(bad.argmax())]:g}{where}")
    return values


def checked_inputs(data: Any, target: Any, options: Options) -> tuple[Any, Any]:
    """Data and target with the values of what is decoded checked as they are read, and given size factors beside it."""
    if options.likelihood == "gaussian":
        return data, target
    beside = isinstance(options.size_factors, np.ndarray)
    if is_dask(data) and not beside:
        if target is None or not is_dask(target):
            return (_checked_dask(data, options) if target is None else data), target
        return data, _checked_dask(target, options)
    rows = as_rows(data)
    other = None if target is None else as_rows(target, "the target")
    decoded = checked(rows if other is None else other, options)
    if beside:
        decoded = mapped(decoded, partial(_beside, options.size_factors), extra=1, n_sizes=len(options.size_factors))
    return (decoded, None) if other is None else (rows, decoded)


def _beside(sizes: np.ndarray, block: Block, start: int) -> np.ndarray:
    return np.column_stack([dense(block), sizes[start : start + block.shape[0]]])


def mapped(rows: Rows, change: Callable[[Block, int], Block], *, extra: int = 0, n_sizes: int | None = None) -> Rows:
    """The same rows with each block (of the target, if they come in pairs) changed; `change` is told its first row.

    `n_sizes` is the number of size factors given, which must be the number of rows.
    """
    if n_sizes is not None and rows.n_rows is not None and rows.n_rows != n_sizes:
        raise _wrong_length(rows, n_sizes, str(rows.n_rows))

    def blocks() -> Iterator[Block]:
        start = 0
        for item in rows.blocks():
            block = item[1] if rows.paired else item
            end = start + block.shape[0]
            if n_sizes is not None and end > n_sizes:
                raise _wrong_length(rows, n_sizes, f"{end} or more")
            changed = change(block, start)
            yield (item[0], changed) if rows.paired else changed
            start = end
        if n_sizes is not None and start != n_sizes:
            raise _wrong_length(rows, n_sizes, str(start))

    width = rows.n_columns if rows.n_columns is None else rows.n_columns + extra
    return replace(rows, blocks=blocks, n_columns=width)


def _wrong_length(rows: Rows, n_sizes: int, n_rows: str) -> DataError:
    return DataError(f"{n_sizes} size factors for {n_rows} rows of {rows.name}; give one per row")


def checked(rows: Rows, options: Options) -> Rows:
    """The same rows; a value that the likelihood cannot have is refused as it is read."""
    if options.likelihood == "gaussian":
        return rows

    def check(block: Block, start: int) -> Block:
        check_block(block, start, rows.name, options)
        # size factors are taken out by subtraction, for which float32 has no digit to spare
        single = options.size_factors is not None and block.dtype.kind == "f" and block.dtype.itemsize < 8
        return block.astype(np.float64) if single else block

    return mapped(rows, check)


def _checked_dask(array: Any, options: Options) -> Any:
    if array.ndim < 2 or 0 in array.shape or any(size != size for size in array.shape):
        return array  # moments() says what is wrong with it

    def check(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        check_block(block, block_info[0]["array-location"][0][0], "the Dask array", options)
        return block

    table = array.reshape(len(array), -1).rechunk({1: -1})
    return table.map_blocks(check, dtype=array.dtype, meta=np.empty((0, 0), array.dtype))


def check_block(block: Block, start: int, name: str, options: Options) -> None:
    """Refuse the first value of a block that no Bernoulli or count likelihood gives; NaN is left to others.

    Raises
    ------
    DataError
        Names row, column and value; or a row without counts where its total is its size factor.
    """
    entries = block.data if is_sparse(block) else block
    step = CHECKED_ENTRIES if is_sparse(block) else max(1, CHECKED_ENTRIES // block.shape[1])
    for at in range(0, len(entries), step):
        values = entries[at : at + step]
        bad = _misfits(values, options)
        if bad.any():
            first = np.argwhere(bad)[0]
            value = float(values[tuple(first)])
            index = int(first[0]) + at
            if is_sparse(block):
                row, column = int(np.searchsorted(block.indptr, index, side="right")) - 1, int(block.indices[index])
            else:
                row, column = index, int(first[1])
            raise _misfit_error(name, start + row, column, value, options)
    if isinstance(options.size_factors, str):
        empty = np.asarray(block.sum(axis=1)).ravel() == 0
        if empty.any():
            raise DataError(
                f"{name}: row {start + int(empty.argmax())} (counted from 0) holds no counts, so its size factor, the "
                f"row total, is 0; leave such rows out, as a model must"
            )


def _misfits(values: np.ndarray, options: Options) -> np.ndarray:
    scaled = values if options.scale == 1 and values.dtype.kind != "b" else values * options.scale
    with np.errstate(invalid="ignore"):
        if options.likelihood == "bernoulli":
            return np.asarray((scaled < -SLACK) | (scaled > 1 + SLACK))
        if scaled.dtype.kind in "ui":
            return np.asarray(scaled < 0)
        fraction = np.abs(scaled - np.rint(scaled))
        return np.asarray((scaled < -SLACK) | (fraction > SLACK * np.maximum(np.abs(scaled), 1.0)))


def _misfit_error(name: str, row: int, column: int, value: float, options: Options) -> DataError:
    shown = f"{value:.6g}" if options.scale == 1 else f"{value:.6g} × {options.scale:g}"
    where = f"{name}: value {shown} in row {row}, column {column} (counted from 0)"
    if options.likelihood == "bernoulli":
        return DataError(f"{where}: Bernoulli data must not leave [0, 1]; rescale them (--scale), or use mse")
    why = "is negative" if value * options.scale < 0 else "is not a whole number"
    return DataError(f"{where} {why}, and a {options.likelihood} likelihood needs counts; give the raw counts")


def sizes_of(block: Block, start: int, options: Options) -> np.ndarray | None:
    """Size factors of the rows of a block, shape (b,), in any unit; None if there are none."""
    if options.size_factors is None:
        return None
    if isinstance(options.size_factors, str):
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(block.sum(axis=1, dtype=np.float64)).ravel() * options.scale
    given: np.ndarray = options.size_factors[start : start + block.shape[0]]
    return given


def column_fit(options: Options, mean: np.ndarray, variance: np.ndarray, mean_size: float = 1.0) -> ColumnFit:
    """D^{-1/2} and the loss of a collapsed decoder from the means and variances of columns (not used with sizes)."""
    if options.likelihood == "bernoulli":
        return ColumnFit(likelihoods.bernoulli_scale(mean, variance + mean**2), likelihoods.bernoulli_entropy(mean))
    _check_moments(mean, variance, options)
    if options.likelihood == "categorical":
        return ColumnFit(likelihoods.count_scale(mean), likelihoods.categorical_entropy(mean))
    alpha: np.ndarray | float = 0.0
    if options.likelihood == "negative-binomial":
        alpha = inverse_of_dispersion(options, mean, variance)
    return ColumnFit(likelihoods.count_scale(mean, alpha), likelihoods.count_loss(mean, alpha, mean_size))


def inverse_of_dispersion(
    options: Options,
    mean: np.ndarray,
    residual_square: np.ndarray,
    mean_size: float = 1.0,
    mean_square_size: float = 1.0,
) -> np.ndarray:
    """α = 1/r of each column, given or by the method of moments."""
    if isinstance(options.dispersion, str):
        return 1 / likelihoods.inverse_dispersion(mean, residual_square, mean_size, mean_square_size)
    if options.dispersion.ndim and len(options.dispersion) != len(mean):
        raise DataError(
            f"{len(options.dispersion)} dispersions for {len(mean)} columns; give one number, or one per column decoded"
        )
    return np.broadcast_to(1 / options.dispersion, mean.shape)


def _check_moments(mean: np.ndarray, variance: np.ndarray, options: Options) -> None:
    """What is left to check when only moments are known: counts are ≥ 0 and y² ≥ y."""
    second = variance + mean**2
    outside = (mean < -SLACK) | (second < mean - SLACK * np.maximum(mean, 1.0))
    if outside.any():
        column = int(outside.argmax())
        raise DataError(
            f"column {column} has mean {mean[column]:.4g} and mean square {second[column]:.4g}, which counts cannot "
            f"have, and a {options.likelihood} likelihood needs them; give the raw counts"
        )


def fit_moments(raw: Moments, options: Options) -> tuple[Moments, ColumnFit]:
    """Moments of counts → moments of their residuals in the same units (unchanged without size factors), and the fit.

    Given size factors are the last column of `raw`, and taken out; row totals are sums of the others.
    """
    start, stop = (raw.n_inputs if raw.has_target else 0), len(raw.mean)
    beside = isinstance(options.size_factors, np.ndarray)
    targets = slice(start, stop - beside)
    mean, variance = raw.mean[targets] * options.scale, _variances(raw)[targets] * options.scale**2
    if options.size_factors is None:
        return raw, column_fit(options, mean, variance)
    coefficients = np.zeros(stop)
    coefficients[-1 if beside else targets] = 1.0
    size = float(coefficients @ raw.mean)
    if not size > 0:
        raise DataError("no row holds any counts, so there are no size factors; look at the data first")
    if not beside:
        coefficients, size = coefficients / size, 1.0
    level = np.zeros(stop)
    level[targets] = raw.mean[targets] / size
    fit = column_fit(options, mean, variance, size)
    sizes, unit = (options.size_factors, 1.0) if beside else (None, float(mean.sum()))
    residuals = CountResiduals(
        level[targets] * options.scale, fit.scale, np.zeros(len(mean)), sizes, unit, options.scale
    )
    scatter = likelihoods.rank_one_residual(raw.scatter, coefficients, level)
    kept, centre = slice(0, targets.stop), raw.mean.copy()
    centre[targets] = 0.0  # E[y − sμ] = 0 by the choice of μ
    before, after = (np.diagonal(matrix)[targets] @ fit.scale**2 for matrix in (raw.scatter, scatter))
    taken = replace(
        raw,
        mean=centre[kept],
        scatter=scatter[kept, kept],
        n_inputs=min(raw.n_inputs, targets.stop),
        precision=raw.precision
        * max(1.0, float(before / max(after, np.finfo(float).tiny))),  # what cancelled is rounding
    )
    return taken, replace(fit, residuals=residuals)


def _variances(raw: Moments) -> np.ndarray:
    return np.diagonal(raw.scatter) / raw.n_samples
