"""Counts, and other values whose likelihood is not Gaussian: how their moments become moments of residuals.

There are three cases. Without size factors every column has one weight, and nothing else changes. With size factors,
Poisson and categorical residuals are a linear map of [y | s], so second moments of one pass suffice. The negative
binomial with size factors weighs each entry by its row, so its rows are mapped in a later pass: negative_binomial.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from uncollapse.errors import DataError
from uncollapse.spectra.one_pass import Moments
from uncollapse.spectra.result import Options
from uncollapse.theory import counts, likelihoods
from uncollapse.theory.counts import CountResiduals
from uncollapse.theory.likelihoods import SLACK

__all__ = ["ColumnFit", "column_fit", "fit_moments", "inverse_of_dispersion"]


@dataclass(frozen=True, eq=False)
class ColumnFit:
    """A decoder that has collapsed to the mean: the weight of each column, and the loss.

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


def column_fit(options: Options, mean: np.ndarray, variance: np.ndarray, mean_size: float = 1.0) -> ColumnFit:
    """D^{-1/2} and the loss of a collapsed decoder from the means and variances of columns (not used with sizes)."""
    if options.likelihood == "bernoulli":
        return ColumnFit(likelihoods.bernoulli_scale(mean, variance + mean**2), likelihoods.bernoulli_entropy(mean))
    _check_moments(mean, variance, options)
    if options.likelihood == "categorical":
        return ColumnFit(counts.count_scale(mean), likelihoods.categorical_entropy(mean))
    alpha: np.ndarray | float = 0.0
    if options.likelihood == "negative-binomial":
        alpha = inverse_of_dispersion(options, mean, variance)
    return ColumnFit(counts.count_scale(mean, alpha), counts.count_loss(mean, alpha, mean_size))


def inverse_of_dispersion(
    options: Options,
    mean: np.ndarray,
    residual_square: np.ndarray,
    mean_size: float = 1.0,
    mean_square_size: float = 1.0,
) -> np.ndarray:
    """α = 1/r of each column, given or by the method of moments."""
    if isinstance(options.dispersion, str):
        return 1 / counts.inverse_dispersion(mean, residual_square, mean_size, mean_square_size)
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
    scatter = counts.rank_one_residual(raw.scatter, coefficients, level)
    kept, centre = slice(0, targets.stop), raw.mean.copy()
    centre[targets] = 0.0  # E[y − sμ] = 0 by the choice of μ
    before, after = (np.diagonal(matrix)[targets] @ fit.scale**2 for matrix in (raw.scatter, scatter))
    with np.errstate(over="ignore"):  # one column has no residual of its total: all of it is rounding
        cancelled = max(1.0, float(before / max(after, np.finfo(float).tiny)))
    taken = replace(
        raw,
        mean=centre[kept],
        scatter=scatter[kept, kept],
        n_inputs=min(raw.n_inputs, targets.stop),
        precision=raw.precision * cancelled,
    )
    return taken, replace(fit, residuals=residuals)


def _variances(raw: Moments) -> np.ndarray:
    return np.diagonal(raw.scatter) / raw.n_samples
