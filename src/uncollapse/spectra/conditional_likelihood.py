"""Condition and data of any likelihood → the Spectrum of what a generalised linear model of the condition leaves.

The second variation at collapse, with scores and Fisher information given the condition (docs/theory.md, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import gammaln

from uncollapse.data.rows import Rows, dense, paired_blocks
from uncollapse.errors import DataError
from uncollapse.spectra.allowed_values import checked, sizes_of
from uncollapse.spectra.result import Condition, Options, Spectrum
from uncollapse.theory import modes
from uncollapse.theory.counts import inverse_dispersion
from uncollapse.theory.glm import conditional_mean, newton_step, newton_sums, sum_of
from uncollapse.theory.link import natural_of_mean
from uncollapse.theory.loglikelihood import entry_information, negative_log_likelihood, score

__all__ = ["conditional_likelihood_spectrum"]

MOST_STEPS, ENOUGH = 30, 1e-7
"""Newton's steps, and the largest change of a coefficient at which they end."""

MOST_NUMBERS = 2**27
"""Of all columns' information matrices together, 1 GiB."""

Block = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Design (b, p), counts or values (b, d), and sizes (b,)."""


class _Table:
    """Pairs of condition and data, walked several times; the condition whitened, with a column of ones."""

    def __init__(self, given: Rows, data: Rows, options: Options) -> None:
        self.given, self.data, self.options = given, checked(data, options), options
        for rows in (given, data):
            if not rows.repeatable:
                raise DataError(f"{rows.name}: is walked several times here; pass an array, a file or a DataLoader")
        self._first_pass()

    def _first_pass(self) -> None:
        n, sums, squares, y_sum, y_square, sizes = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for c, y, s in self._pairs():
            n += len(y)
            sums, squares = sums + c.sum(axis=0), squares + c.T @ c
            y_sum, y_square = y_sum + y.sum(axis=0), y_square + (y**2).sum(axis=0)
            sizes += 0.0 if s is None else float(s.sum())
        self.options.check_rows(n)
        self.n_rows = n
        self.condition_mean = np.asarray(sums) / n
        covariance = np.asarray(squares) / n - np.multiply.outer(self.condition_mean, self.condition_mean)
        self.whitening = modes.whitening(covariance, 1e-10)
        self.mean, self.variance = np.asarray(y_sum) / n, np.asarray(y_square) / n - (np.asarray(y_sum) / n) ** 2
        self.mean_size = sizes / n if sizes else 1.0
        p = self.whitening.shape[1] + 1
        if p * p * len(self.mean) > MOST_NUMBERS:
            raise DataError(
                f"{self.given.name}: {p - 1} directions of a condition for {len(self.mean)} columns need too much "
                f"memory with a {self.options.likelihood} decoder; give fewer columns of either"
            )

    def _pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        start = 0
        for c_block, y_block in paired_blocks(self.given, self.data):
            sizes = sizes_of(y_block, start, self.options)
            start += y_block.shape[0]
            c = np.asarray(dense(c_block), dtype=np.float64)
            y = np.asarray(dense(y_block), dtype=np.float64) * self.options.scale
            finite = np.isfinite(c).all(axis=1) & np.isfinite(y).all(axis=1)
            if not finite.all() and not self.options.drop_nonfinite:
                row = start - len(y) + int((~finite).argmax())
                raise DataError(
                    f"{self.data.name}: row {row} (counted from 0) or its condition is not finite; drop such rows "
                    f"(--drop-nonfinite)"
                )
            yield c[finite], y[finite], None if sizes is None else np.asarray(sizes)[finite]

    def blocks(self) -> Iterator[Block]:
        """Design, data and sizes; those of counts over their mean, the totals of categories as they are."""
        totals = self.options.likelihood == "categorical"
        for c, y, s in self._pairs():
            design = np.column_stack([np.ones(len(y)), (c - self.condition_mean) @ self.whitening])
            yield design, y, s if s is None or totals else s / self.mean_size


def conditional_likelihood_spectrum(given: Rows, data: Rows, options: Options, without: Spectrum) -> Spectrum:
    """The strengths of what the condition leaves, in units of β.

    Parameters
    ----------
    given, data : Rows
        Walked some ten times.
    options : Options
    without : Spectrum
        Of the data alone.
    """
    table = _Table(given, data, options)
    r: Any = np.inf
    coefficients = _fitted(table, replace(options, likelihood="poisson") if _overdispersed(options) else options, r)
    if _overdispersed(options):
        r = _dispersion(table, coefficients)
        coefficients = _fitted(table, options, r, coefficients)
    n, information, scatter, energy, loss = table.n_rows, 0.0, 0.0, 0.0, 0.0
    for design, y, sizes in table.blocks():
        mean = conditional_mean(options.likelihood, design, coefficients, sizes)
        information = information + entry_information(options.likelihood, mean, r).sum(axis=0)
        g = score(options.likelihood, y, mean, r)
        scatter = scatter + g.T @ g
        alone = np.broadcast_to(table.mean, y.shape) if sizes is None else _alone(options, table, sizes)
        energy = energy + score(options.likelihood, y, alone, r).T @ score(options.likelihood, y, alone, r)
        constant = 0.0 if options.likelihood in ("bernoulli", "categorical") else gammaln(y + 1).sum()
        loss += float(negative_log_likelihood(options.likelihood, y, mean, dispersion=r).sum() - constant)
    mean_information = np.asarray(information) / n
    scale = np.where(mean_information > 1e-12, 1 / np.sqrt(np.maximum(mean_information, 1e-12)), 0.0)
    matrix, whole = (np.asarray(part) / n * np.multiply.outer(scale, scale) for part in (scatter, energy))
    tolerance = 1e-12 * np.sqrt(len(scale))
    strengths = modes.autoencoder_strengths(matrix, tolerance)
    find = partial(modes.autoencoder_basis, matrix, len(strengths))
    directions = find().decoder
    without_condition = np.einsum("dm,de,em->m", directions, whole, directions)
    regression = (table.whitening @ coefficients[1:]).T
    sized = isinstance(options.size_factors, np.ndarray)
    return Spectrum(
        strengths=strengths, total_energy=float(np.trace(matrix)), residual_energy=0.0, n_samples=n,
        n_features=len(scale), n_targets=len(scale), centred=True, likelihood=options.likelihood,
        n_constant=int((table.variance <= 0).sum()), input_rank=len(strengths), complete=True,
        strength_errors=np.full(len(strengths), tolerance * float(strengths[0]) if len(strengths) else 0.0),
        target_is_input=True, collapsed_loss=loss / n, input_scale=scale * options.scale,
        target_scale=scale * options.scale, mean_input=table.mean * scale, mean_target=table.mean * scale,
        find_basis=find,
        condition=Condition(
            n_columns=len(table.condition_mean), rank=table.whitening.shape[1], energy=float(np.trace(whole)),
            explained=np.clip(1 - strengths / np.maximum(without_condition, 1e-300), 0.0, 1.0),
            strengths_without=without.strengths, regression=regression, mean=table.condition_mean,
            intercept=coefficients[0] - (np.log(table.mean_size) if sized else 0.0),
        ),
    )  # fmt: skip


def _overdispersed(options: Options) -> bool:
    return options.likelihood == "negative-binomial"


def _alone(options: Options, table: _Table, sizes: np.ndarray) -> np.ndarray:
    """The collapsed mean without a condition, with the rows' sizes."""
    share = table.mean / table.mean.sum() if options.likelihood == "categorical" else table.mean
    return np.multiply.outer(sizes, share)


def _fitted(table: _Table, options: Options, r: Any, start: np.ndarray | None = None) -> np.ndarray:
    likelihood, p = options.likelihood, table.whitening.shape[1] + 1
    coefficients = start
    if coefficients is None:
        coefficients = np.zeros((p, len(table.mean)))
        coefficients[0] = natural_of_mean(likelihood, table.mean[None])[0]
    for _ in range(MOST_STEPS):
        sums = [newton_sums(likelihood, y, design, coefficients, s, r) for design, y, s in table.blocks()]
        new = newton_step(coefficients, sum_of(sums))
        change = float(np.abs(new - coefficients).max())
        coefficients = new
        if change < ENOUGH:
            break
    return coefficients


def _dispersion(table: _Table, coefficients: np.ndarray) -> np.ndarray:
    """r of each column: given, or by moments about the Poisson fit."""
    given = table.options.dispersion
    d = coefficients.shape[1]
    if not isinstance(given, str):
        return np.broadcast_to(np.asarray(given, dtype=float), (d,))
    first, square, missed = np.zeros(d), np.zeros(d), np.zeros(d)
    for design, y, sizes in table.blocks():
        mean = conditional_mean("poisson", design, coefficients, sizes)
        first, square, missed = first + mean.sum(0), square + (mean**2).sum(0), missed + ((y - mean) ** 2).sum(0)
    n = table.n_rows
    ratio = (square / n) / np.maximum(first / n, 1e-300) ** 2
    return np.asarray(inverse_dispersion(first / n, missed / n) * ratio)
