"""What a likelihood allows: its settings, and the values of the rows, which are checked as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Block, Rows, as_rows, dense, is_dask, is_sparse
from uncollapse.errors import DataError
from uncollapse.spectra.result import Options
from uncollapse.theory.likelihoods import SLACK

__all__ = ["COUNTS", "checked", "checked_inputs", "mapped", "sizes_of", "with_defaults"]

COUNTS = ("poisson", "negative-binomial", "categorical")

PER_COLUMN, PER_ROW = "a positive number, or one per column", "one positive number per row"

CHECKED_ENTRIES = 2**20
"""Entries checked at a time: the comparisons need a few copies of what they look at."""

MOST_COUNTS = 2**53
"""From here on a float is no longer one of all whole numbers."""


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
        values = checks.array(given, name, error=DataError, infinite=True)
    except DataError:
        raise DataError(f"{name} must be {wanted}, got {checks.shown(given)}") from None
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
    """Data and target; the values of the target are checked as they are read, and size factors stand beside them."""
    if options.likelihood == "gaussian":
        return data, target
    beside = isinstance(options.size_factors, np.ndarray)
    if is_dask(data) and not beside:
        if target is None or not is_dask(target):
            return (_checked_dask(data, options) if target is None else data), target
        return data, _checked_dask(target, options)
    rows = as_rows(data)
    other = None if target is None else as_rows(target, "the target")
    targets = checked(rows if other is None else other, options)
    if beside:
        targets = mapped(targets, partial(_beside, options.size_factors), extra=1, n_sizes=len(options.size_factors))
    return (targets, None) if other is None else (rows, targets)


def _beside(sizes: np.ndarray, block: Block, start: int) -> np.ndarray:
    return np.column_stack([dense(block), sizes[start : start + block.shape[0]]])


def mapped(rows: Rows, change: Callable[[Block, int], Block], *, extra: int = 0, n_sizes: int | None = None) -> Rows:
    """The same rows with each block (of the target, if they come in pairs) changed; `change` also gets its first row.

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
        with np.errstate(all="ignore"):
            empty = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel() == 0
        if empty.any():
            raise DataError(
                f"{name}: row {start + int(empty.argmax())} (counted from 0) holds no counts, so its size factor, the "
                f"row total, is 0; leave such rows out, as a model must"
            )


def _misfits(values: np.ndarray, options: Options) -> np.ndarray:
    with np.errstate(all="ignore"):  # what is not finite, or whose square is not, is refused with its own message
        scaled = values if options.scale == 1 and values.dtype.kind != "b" else values * options.scale
        if options.likelihood == "bernoulli":
            return np.asarray((scaled < -SLACK) | (scaled > 1 + SLACK))
        if scaled.dtype.kind in "ui":
            return np.asarray((scaled < 0) | (scaled > MOST_COUNTS))
        fraction = np.abs(scaled - np.rint(scaled))
        unfit = (scaled < -SLACK) | (fraction > SLACK * np.maximum(np.abs(scaled), 1.0))
        return np.asarray(unfit | (scaled > MOST_COUNTS))


def _misfit_error(name: str, row: int, column: int, value: float, options: Options) -> DataError:
    shown = f"{value:.6g}" if options.scale == 1 else f"{value:.6g} × {options.scale:g}"
    where = f"{name}: value {shown} in row {row}, column {column} (counted from 0)"
    if options.likelihood == "bernoulli":
        return DataError(f"{where}: Bernoulli data must not leave [0, 1]; rescale them (--scale), or use mse")
    if value * options.scale > MOST_COUNTS:
        return DataError(f"{where} is no count: from 2^53 on, floats skip whole numbers; give the raw counts")
    why = "is negative" if value * options.scale < 0 else "is not a whole number"
    return DataError(f"{where} {why}, and a {options.likelihood} likelihood needs counts; give the raw counts")


def sizes_of(block: Block, start: int, options: Options) -> np.ndarray | None:
    """Size factors of the rows of a block, shape (b,), in any unit; None if there are none."""
    if options.size_factors is None:
        return None
    if isinstance(options.size_factors, str):
        with np.errstate(all="ignore"):
            return np.asarray(block.sum(axis=1, dtype=np.float64)).ravel() * options.scale
    given: np.ndarray = options.size_factors[start : start + block.shape[0]]
    return given
