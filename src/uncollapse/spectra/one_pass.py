"""Exact first and second moments of rows, in one pass, mergeable, numerically centred.

A block of rows is reduced to `Moments`, and two `Moments` merge into the moments of the union, so files, iterators,
cluster workers and bootstrap samples all go through the same two functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.blocks import Block, Rows, dense, is_dask, paired_blocks
from uncollapse.data.kinds import relative
from uncollapse.data.rows import as_rows
from uncollapse.errors import DataError, warn
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record

__all__ = ["Moments", "moments"]

PROBE_ROWS = 64
"""Rows averaged to guess a block's mean. The guess only has to be within some standard deviations of the mean:
what is left of it is corrected exactly, and 64 rows put it within 1/8 of one."""

FLOAT32_SAFE = (1e-15, 1e15)
"""Sizes of centred float32 values whose squares, summed over a block, neither vanish nor overflow in float32."""


SINGLE_COLUMNS = 64
"""Tables narrower than this are multiplied in float64 whatever they hold: it costs nothing there, and the kernels for
thin products add up to 2^15 float32 numbers one by one, which misses 1e-5 on data of few distinct values."""

NEEDLESS = 4.0
"""float64 means within so many standard deviations of 0 are left in the product: that inflates its rounding by at most
1 + 4², 1.2 of sixteen digits, and saves a copy of the block. float32 has no digit to spare: with two-valued columns,
means of one standard deviation left in cost 1.4e-4 of the largest strength, taken out 2e-6."""

AS_GOOD = 2.0
"""In float32 means are left in where the squares of those of the averaged rows are, in sum, within so many times what
chance alone makes of them: then 0 misses the means by no more than the guess itself does."""

TILE_ROWS = 256
"""Rows shifted and summed together: few enough to stay in the cache from the one to the other, and for a sum of float32
numbers to lose nothing that counts."""


@dataclass(frozen=True, eq=False, repr=False)
class Moments(Record, Noun):
    """Count, mean and centred second moments of the columns of [x | y].

    Attributes
    ----------
    n_samples : int
    mean : ndarray of shape (d,)
    scatter : ndarray of shape (d, d)
        Σ (row − mean)(row − mean)ᵀ, not divided by anything, float64.
    n_inputs : int
        The first `n_inputs` columns are x, the rest the target y; equal to d when the target is x itself.
    precision : float
        Unit roundoff of the arithmetic that formed the products (float32 data are multiplied in float32).
    n_dropped : int
        Rows left out because they held values that were not finite.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 8.0]])
    >>> both = moments(x[:1]) + moments(x[1:])
    >>> np.allclose(both.scatter, moments(x).scatter), both.n_samples
    (True, 3)
    """

    n_samples: int
    mean: np.ndarray
    scatter: np.ndarray
    n_inputs: int
    precision: float = float(np.finfo(np.float64).eps)
    n_dropped: int = 0

    @property
    def has_target(self) -> bool:
        """Whether y is something other than x."""
        return self.n_inputs < len(self.mean)

    def __add__(self, other: Moments) -> Moments:
        """Moments of the union of two disjoint sets of rows.

        Source: Chan, Golub & LeVeque, The American Statistician 37 (1983), eq. 2.1b, for matrices.
        """
        if (self.mean.shape, self.n_inputs) != (other.mean.shape, other.n_inputs):
            raise DataError(
                f"cannot merge moments of {self.n_inputs} + {len(self.mean) - self.n_inputs} columns with "
                f"{other.n_inputs} + {len(other.mean) - other.n_inputs}; both need the same input and target columns"
            )
        n = self.n_samples + other.n_samples
        precision, n_dropped = max(self.precision, other.precision), self.n_dropped + other.n_dropped
        if 0 in (self.n_samples, other.n_samples):
            full = self if self.n_samples else other
            return replace(full, precision=precision, n_dropped=n_dropped)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # what overflows is refused by who asks
            gap = other.mean - self.mean
            mean = self.mean + gap * (other.n_samples / n)
            scatter = np.multiply.outer(gap * (self.n_samples * other.n_samples / n), gap)
            scatter += self.scatter  # in place: new memory for each sum takes longer than the sum
            scatter += other.scatter
        return Moments(n, mean, scatter, self.n_inputs, precision, n_dropped)

    def scaled(self, factor: float | np.ndarray) -> Moments:
        """Moments of the rows times `factor`, a number or one per column."""
        factors = np.broadcast_to(np.asarray(factor, dtype=float), self.mean.shape)
        return replace(self, mean=self.mean * factors, scatter=self.scatter * np.multiply.outer(factors, factors))

    def second_moment(self, *, centred: bool = True, ddof: int = 0) -> np.ndarray:
        """Covariance of the columns, or E[row rowᵀ] when not `centred` (a model without biases), shape (d, d)."""
        covariance = self.scatter / (self.n_samples - ddof)
        return covariance if centred else covariance + np.multiply.outer(self.mean, self.mean)

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.spectra.words import moments_card

        return moments_card(self)


@np.errstate(under="ignore")  # what vanishes beside the largest moment is rounding
def moments(data: Any, target: Any = None, *, paired: bool = False, drop_nonfinite: bool = False) -> Moments:
    """Sum the first and second moments of `data`, exactly and in one pass.

    Parameters
    ----------
    data : array, memory map, sparse matrix, Dask array, iterable of blocks, DataLoader or Rows
        Rows are samples; trailing dimensions are flattened. Sparse matrices are made dense one block at a time.
    target : same kinds, optional
        What the decoder predicts; x itself when left out.
    paired : bool
        `data` is an iterable of pairs ``(x, y)``.
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values instead of refusing them.

    Returns
    -------
    Moments
        In float64 whatever comes in. Each block is shifted by a guess of its mean before it is multiplied, so a
        large mean costs no digits.

    Raises
    ------
    DataError
        Not numbers, not finite, empty, or input and target of different length.

    Examples
    --------
    >>> import numpy as np
    >>> m = moments(np.arange(12.0).reshape(4, 3) + 1e8)
    >>> m.second_moment()[0, 0]
    np.float64(11.25)
    """
    drop_nonfinite = checks.flag(drop_nonfinite, "drop_nonfinite", error=DataError)
    if is_dask(data):
        from uncollapse.spectra.dask_moments import dask_moments

        return without_dropped(dask_moments(data, target, drop_nonfinite)[0])
    return without_dropped(moments_of_blocks(as_rows(data, paired=paired), target, drop_nonfinite))


def without_dropped(total: Moments) -> Moments:
    """The same moments; rows that were left out are said."""
    if total.n_dropped:
        warn(f"left out {total.n_dropped} of {total.n_dropped + total.n_samples} rows with NaN or infinite values")
    return total


def moments_of_blocks(rows: Rows, target: Any, drop_nonfinite: bool) -> Moments:
    """The sum over the blocks of `rows`, walked in step with the target's."""
    walk = _walk(rows, target)
    blocks, offsets = relative(walk.blocks)
    return shifted_back(merged(each_block(replace(walk, blocks=blocks), drop_nonfinite), walk.name), offsets)


def shifted_back(moments: Moments, offsets: tuple[np.ndarray | None, ...]) -> Moments:
    """Moments of the rows from those of the rows less their offsets, one for [x], or for x and for y."""
    if all(offset is None for offset in offsets):
        return moments
    widths = [moments.n_inputs, len(moments.mean) - moments.n_inputs][: len(offsets)]
    with np.errstate(over="ignore", under="ignore"):  # a long double may hold what no float64 does
        whole = [np.zeros(d) if o is None else o.astype(np.float64) for o, d in zip(offsets, widths, strict=True)]
        mean = moments.mean + np.concatenate(whole)
    if not np.isfinite(mean).all():
        raise overflow_error("the data")
    return replace(moments, mean=mean)


def merged(parts: Iterator[Moments], name: str = "the data") -> Moments:
    """The moments of all parts together; `name` is what messages call the data."""
    first = next(parts, None)
    if first is None:
        raise DataError(f"{name}: empty, no rows came")
    return reduce(Moments.__add__, parts, first)


@dataclass(frozen=True)
class Walk:
    """Blocks as tuples of parts, (x,) or (x, y), with the name to use in messages."""

    name: str
    blocks: Iterator[tuple[Block, ...]]


def _walk(rows: Rows, target: Any) -> Walk:
    if target is None:
        return Walk(rows.name, rows.blocks() if rows.paired else ((block,) for block in rows.blocks()))
    if rows.paired:
        raise DataError(f"{rows.name}: pairs (x, y) already bring the target; drop the other one")
    target_rows = as_rows(target, "the target")
    return Walk(f"{rows.name} or {target_rows.name}", paired_blocks(rows, target_rows))


def each_block(walk: Walk, drop_nonfinite: bool, n_seen: int = 0) -> Iterator[Moments]:
    """Moments of each block; `n_seen` rows came before them."""
    room = _Room()
    for block in walk.blocks:
        parts = tuple(map(dense, block))
        result = _block_moments(parts, room)
        if result is None and drop_nonfinite:
            finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
            kept = tuple(part[finite] for part in parts)
            result = _block_moments(kept, room)
            if result is None:
                raise overflow_error(walk.name)
            result = replace(result, n_dropped=int((~finite).sum()))
        if result is None:
            raise nonfinite_error(walk.name, np.hstack(parts), n_seen, walk.blocks)
        n_seen += len(parts[0])
        yield result


class _Room:
    """Memory for shifted rows, kept from block to block: new pages cost as much as what is written to them."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def table(self, n: int, d: int, dtype: np.dtype[Any]) -> np.ndarray:
        """A table that holds anything, until the next one is asked for."""
        size = n * d * dtype.itemsize
        if len(self._bytes) < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size].view(dtype).reshape(n, d)


def _block_moments(parts: tuple[np.ndarray, ...], room: _Room) -> Moments | None:
    """Moments of one dense block of rows given as column groups (x,) or (x, y); None if any value is not finite.

    The rows are shifted by a guessed mean k, multiplied, and the error r of the guess is taken out again:
    Σ(x−k−r)(x−k−r)ᵀ = Σ(x−k)(x−k)ᵀ − n r rᵀ, where r is small, so nothing cancels.
    """
    n, widths = len(parts[0]), [part.shape[1] for part in parts]
    if n == 0:
        d = sum(widths)
        return Moments(0, np.zeros(d), np.zeros((d, d)), widths[0])
    single = sum(widths) >= SINGLE_COLUMNS and all(part.dtype in (np.float16, np.float32) for part in parts)
    result = _centred_products(parts, np.dtype(np.float32), room) if single else None
    return result or _centred_products(parts, np.dtype(np.float64), room)


def _centred_products(parts: tuple[np.ndarray, ...], dtype: np.dtype[Any], room: _Room) -> Moments | None:
    n, widths = len(parts[0]), [part.shape[1] for part in parts]
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        guess = _guessed_mean(np.hstack([part[:: max(1, n // PROBE_ROWS)] for part in parts]), dtype)
        centred, total = _shifted(parts, guess, room)  # (n, d), (d,)
        residue = total / n
        if not np.isfinite(residue).all():
            return None
        products = centred.T @ centred  # NumPy calls syrk: half the work of gemm
        variances = np.diagonal(products).astype(np.float64) / n
    vanished = not variances.any() and centred.any()
    if vanished or not np.isfinite(variances).all() or (dtype == np.float32 and not _fits_float32(variances)):
        return None
    with np.errstate(under="ignore"):
        scatter = np.multiply.outer(-n * residue, residue)
        scatter += products
    return Moments(n, guess + residue, scatter, widths[0], float(np.finfo(dtype).eps))


def _guessed_mean(probe: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A shift near the mean; exactly the value of columns that look constant; zeros where shifting is needless."""
    probe = probe.astype(np.float64)
    constant = (probe == probe[0]).all(axis=0)
    mean = np.where(constant, probe[0], probe.mean(axis=0))
    variances = probe.var(axis=0)
    needless = (np.abs(mean) <= NEEDLESS * np.sqrt(variances)).all()
    if dtype == np.float32:
        needless &= mean @ mean <= AS_GOOD * variances.sum() / len(probe)
    return np.zeros(len(mean), dtype) if needless else mean.astype(dtype)


def _shifted(parts: tuple[np.ndarray, ...], guess: np.ndarray, room: _Room) -> tuple[np.ndarray, np.ndarray]:
    """The block less the guess, and its column sums; the block itself where nothing is to be taken off."""
    n, d = len(parts[0]), len(guess)
    as_it_is = len(parts) == 1 and parts[0].dtype == guess.dtype and not guess.any()
    shifted = parts[0] if as_it_is else room.table(n, d, guess.dtype)
    columns = np.cumsum([0, *(part.shape[1] for part in parts)])
    total = np.zeros(d)
    for start in range(0, n, TILE_ROWS):
        tile = shifted[start : start + TILE_ROWS]
        for part, (left, right) in zip(() if as_it_is else parts, pairwise(columns), strict=False):
            rows = part[start : start + TILE_ROWS]
            np.subtract(rows, guess[left:right], out=tile[:, left:right], dtype=guess.dtype, casting="unsafe")
        total += np.add.reduce(tile, axis=0)
    return shifted, total


def _fits_float32(variances: np.ndarray) -> bool:
    low, high = FLOAT32_SAFE
    return bool(low < np.sqrt(variances.max()) < high)


def nonfinite_error(name: str, block: np.ndarray, n_seen: int, rest: Iterator[Any]) -> DataError:
    """Say how many values are not finite in this block and the `rest`, and where the first one is."""
    bad = ~np.isfinite(block)
    if not bad.any():
        return overflow_error(name)
    row, column = (int(index) for index in np.argwhere(bad)[0])
    count = int(bad.sum())
    for item in rest:
        count += sum(int((~np.isfinite(dense(part))).sum()) for part in (item if isinstance(item, tuple) else (item,)))
    return DataError(
        f"{name}: {count} value(s) are NaN or infinite, the first in row {n_seen + row}, column {column} "
        f"(counted from 0); repair them, or leave such rows out with drop_nonfinite=True (--drop-nonfinite)"
    )


def overflow_error(name: str) -> DataError:
    """Finite values whose squares are not, or vanish."""
    return DataError(
        f"{name}: values so large or so small that their squares leave the range of float64; rescale (--scale)"
    )
