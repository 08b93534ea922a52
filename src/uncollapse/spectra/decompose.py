"""Data → Spectrum: chooses how to find the modes, by the shape of the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, get_args

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Rows, as_rows, is_dask
from uncollapse.errors import DataError, warn
from uncollapse.spectra.allowed_values import checked_inputs, with_defaults
from uncollapse.spectra.conditional import conditional_spectrum
from uncollapse.spectra.conditional_likelihood import conditional_likelihood_spectrum
from uncollapse.spectra.counts import fit_moments
from uncollapse.spectra.dask_moments import dask_moments
from uncollapse.spectra.global_threshold import SampledRows, Search
from uncollapse.spectra.negative_binomial import fit_rows
from uncollapse.spectra.one_pass import Moments, moments, overflow_error, without_dropped
from uncollapse.spectra.result import Options, Spectrum
from uncollapse.spectra.wide import wide_spectrum
from uncollapse.theory import modes
from uncollapse.theory.likelihoods import Likelihood
from uncollapse.theory.modes import Basis

__all__ = ["spectrum"]

MANY_FEATURES = 20_000
"""From here on a d × d matrix (3.2 GB) is not formed unless the number of rows makes an n × n one small."""

SHORT_ROWS = 4_000
"""Up to so many rows, and fewer than half as many as features, the n × n matrix gives every mode in seconds."""

DEFAULT_MODES = 100
"""Modes found when a table is too wide for all of them and nobody said how many."""

SINGLE = 1e-8
"""Between the unit roundoffs of float64 (2e-16) and float32 (1e-7)."""

ENERGY_ROUNDING = 16
"""Residual energies within this many tolerances of the total are rounding: y is a linear function of x."""


@np.errstate(under="ignore")  # what vanishes beside the largest strength is rounding
def spectrum(
    data: Any,
    target: Any = None,
    *,
    given: Any = None,
    paired: bool = False,
    n_modes: int | None = None,
    bias: bool = True,
    ddof: int = 0,
    scale: float = 1.0,
    likelihood: Likelihood = "gaussian",
    drop_nonfinite: bool = False,
    dispersion: Any = None,
    size_factors: Any = None,
) -> Spectrum:
    """Mode strengths of a data set.

    Parameters
    ----------
    data : Moments, array, memory map, sparse matrix, Dask array, iterable of blocks, DataLoader or Rows
        Anything that `moments` takes, or its result.
    target : same kinds, optional
        What the decoder predicts; the data themselves when left out.
    given : same kinds, or True, optional
        The condition of a conditional VAE, which encoder and decoder both see: the modes are those of what its
        regression leaves of the data. True when `data` are pairs or moments of condition and data, in this order.
    paired : bool
        `data` is an iterable of pairs ``(x, y)``.
    n_modes : int, optional
        Find only that many leading modes, by a block Krylov method that forms no d × d matrix and reads the data
        several times. All modes by default, or 100 from 20,000 features on.
    bias : bool
        False for a model without biases: strengths of uncentred second moments.
    ddof : int
        Divide by ``n - ddof``; 0 is the average a loss takes, 1 is what `sklearn.decomposition.PCA` takes.
    scale : float
        Multiply the data (and target) by this first, as a loader that divides by 255 does.
    likelihood : {"gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"}
        Of the decoder: "bernoulli" for values in [0, 1] and cross-entropy, the last three for counts (log link;
        categorical: rows of counts over categories, or one-hot). Beyond Gaussian the strengths are in units of β and
        only the first threshold is exact (docs/theory.md section 5).
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values instead of refusing them.
    dispersion : float, array of shape (n_targets,), or "estimated"
        r of a negative binomial with variance μ + μ²/r (its inverse dispersion, θ). "estimated", the default, takes r
        of each column from its variance, and Poisson where a column is not overdispersed.
    size_factors : array of shape (n_samples,), or "total"
        What the decoder's mean is multiplied by in each row, in the order of the rows; "total" for the row totals over
        their mean. 1 by default. A categorical decoder always has the row totals.

    Raises
    ------
    DataError
        See `moments`; and values outside [0, 1] for "bernoulli", or negative or fractional for counts.

    Warns
    -----
    UncollapseWarning
        Constant columns, fewer rows than features, no mode at all; a condition that is redundant, or has as many
        independent columns as there are rows, so that it explains any data exactly.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((1000, 3)) * [3.0, 1.0, 0.1]
    >>> s = spectrum(x, bias=False)
    >>> s.rank, bool(abs(s.strengths.sum() - s.total_energy) < 1e-12)
    (3, True)
    """
    n_modes = None if n_modes is None else checks.count(n_modes, "n_modes", least=1, error=DataError)
    paired = checks.flag(paired, "paired", error=DataError)
    options = with_defaults(_options(bias, ddof, scale, likelihood, drop_nonfinite, dispersion, size_factors))
    bias, ddof, drop_nonfinite = options.bias, options.ddof, options.drop_nonfinite
    weighs_rows = likelihood == "negative-binomial" and size_factors is not None
    if given is not None:
        return _warned(_given(data, target, given, paired, options), n_modes)
    if isinstance(data, Moments):
        if target is not None or paired or drop_nonfinite:
            raise DataError("moments are summed already; give target, paired and drop_nonfinite to moments()")
        if weighs_rows or isinstance(options.size_factors, np.ndarray):
            raise DataError("moments are summed already, and these size factors are needed row by row; give the rows")
        return _warned(_from_moments(data, options), n_modes)
    rows = _with_width(as_rows(data, paired=paired), target)
    if weighs_rows:
        fit = fit_rows(rows, target, options)
        result = spectrum(*fit.inputs, paired=rows.paired, n_modes=n_modes, ddof=ddof, drop_nonfinite=drop_nonfinite)
        return replace(result, likelihood=likelihood, collapsed_loss=fit.loss, residuals=fit.residuals)
    sampled = None
    if target is None and not rows.paired and options.bias:
        sizes = options.size_factors
        sampled = SampledRows(rows, sizes if isinstance(sizes, np.ndarray) else None)
        rows = sampled.rows
    if target is None and not rows.paired and _is_wide(rows, n_modes):
        wide = wide_spectrum(rows, n_modes or DEFAULT_MODES, options, use_gram=_is_short(rows, n_modes))
        return _warned(_searchable(wide, sampled, options))
    _check_width(rows)
    inputs = checked_inputs(data if is_dask(data) else rows, target, options)
    if sampled is not None and is_dask(inputs[0]):
        summed, brought = dask_moments(*inputs, drop_nonfinite, sampled.places())
        sampled.bring(brought)
        summed = without_dropped(summed)
    else:
        summed = moments(*inputs, drop_nonfinite=drop_nonfinite)
    return _warned(_searchable(_from_moments(summed, options), sampled, options), n_modes)


def _searchable(result: Spectrum, sampled: SampledRows | None, options: Options) -> Spectrum:
    """The same, with what looks for the second threshold among the rows of a sample."""
    if sampled is None or not result.rank:
        return result
    total, first = isinstance(options.size_factors, str), float(result.strengths[0])
    search = Search(sampled, options.likelihood, options.scale, total, options.dispersion, first)
    return replace(result, find_global=search)


def _given(data: Any, target: Any, given: Any, paired: bool, options: Options) -> Spectrum:
    """The conditional spectrum, from a condition and data, or from joint sums or pairs of them."""
    if target is not None:
        raise DataError("give a target or a condition, not both: a conditional VAE decodes the data themselves")
    if options.likelihood != "gaussian":
        return _given_of_likelihood(data, given, paired, options)
    is_joint = paired or isinstance(data, Moments)
    if is_joint != (given is True):
        raise DataError("given=True goes with pairs or moments of condition and data; else give the condition itself")
    if isinstance(data, Moments):
        if not data.has_target:
            raise DataError("these moments hold no condition; take them with moments(condition, data)")
        return conditional_spectrum(data, options)
    if not is_joint and is_dask(data) != is_dask(given):
        raise DataError("a Dask array needs a Dask condition too; wrap it with dask.array.from_array")
    if not is_dask(data):
        data = as_rows(data, paired=paired)
        given = None if is_joint else as_rows(given, "the condition")
        for rows in (data, given):
            _check_width(rows)
    first, second = (data, None) if is_joint else (given, data)
    return conditional_spectrum(moments(first, second, drop_nonfinite=options.drop_nonfinite), options)


def _given_of_likelihood(data: Any, given: Any, paired: bool, options: Options) -> Spectrum:
    """With the scores and the Fisher information of the likelihood, about its own fit to the condition."""
    if paired or given is True or isinstance(data, Moments):
        raise DataError(
            f"a condition of a {options.likelihood} decoder is needed row by row: give the data, and the condition as "
            f"given="
        )
    rows, condition = as_rows(data), as_rows(given, "the condition")
    for one in (rows, condition):
        _check_width(one)
    settings = {name: getattr(options, name) for name in ("scale", "likelihood", "drop_nonfinite", "dispersion")}
    settings["size_factors"] = None if options.likelihood == "categorical" else options.size_factors
    return conditional_likelihood_spectrum(condition, rows, options, spectrum(rows, **settings))


def _check_width(rows: Rows | None) -> None:
    if rows is not None and rows.n_columns is not None and rows.n_columns >= MANY_FEATURES:
        raise DataError(
            f"{rows.name}: {rows.n_columns} features, with a target or condition or read only once, need a matrix of "
            f"that size squared; reduce them below {MANY_FEATURES}, or give a file or an array"
        )


def _with_width(rows: Rows, target: Any) -> Rows:
    """The same rows with the number of columns known, which takes a look at the first block of an iterable."""
    if rows.n_columns is not None or rows.paired or target is not None:
        return rows
    blocks = rows.blocks()
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{rows.name}: empty, no rows came")
    known = replace(rows, n_columns=first.shape[1])
    if rows.repeatable:
        return known
    return replace(known, blocks=lambda: chain([first], blocks))


def _is_wide(rows: Rows, n_modes: int | None) -> bool:
    d = rows.n_columns
    if d is None:
        return False
    return rows.repeatable and (d >= MANY_FEATURES or n_modes is not None or _is_short(rows, n_modes))


def _is_short(rows: Rows, n_modes: int | None) -> bool:
    n, d = rows.n_rows, rows.n_columns
    return n_modes is None and n is not None and d is not None and 2 * n < d and n <= SHORT_ROWS


def _from_moments(raw: Moments, options: Options) -> Spectrum:
    options.check_rows(raw.n_samples)
    fit = None
    if options.likelihood != "gaussian":
        raw, fit = fit_moments(raw, options)
    split, d = raw.n_inputs, len(raw.mean)
    inputs, targets = slice(0, split), slice(split if raw.has_target else 0, d)
    factors = np.full(d, float(options.scale))
    if fit:
        factors[targets] *= fit.scale
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        joint = raw.scaled(factors)
    matrix = joint.second_moment(centred=options.bias, ddof=options.ddof)
    tolerance = 4 * joint.precision * np.sqrt(d)
    energy = float(np.trace(matrix[targets, targets]))
    n_constant = int((np.diagonal(raw.scatter)[targets] == 0).sum())
    if not np.isfinite(matrix).all() or (energy == 0 and n_constant < targets.stop - targets.start):
        raise overflow_error("the data")
    find: Callable[[int], Basis]
    if joint.has_target:
        a, yx = matrix[inputs, inputs], matrix[targets, inputs]
        strengths, input_rank = modes.regression_strengths(a, yx, tolerance)
        residual = energy - float(strengths.sum())
        residual = residual if residual > ENERGY_ROUNDING * tolerance * energy else 0.0
        find = partial(modes.regression_basis, a, yx, tolerance)
    else:
        strengths, residual = modes.autoencoder_strengths(matrix, tolerance), 0.0
        input_rank = len(strengths)
        find = partial(modes.autoencoder_basis, matrix)
    room = min(split - n_constant, raw.n_samples - options.bias)
    # float32 products cannot tell a weak mode from none; in float64 what is left out is rounding
    complete = joint.has_target or raw.precision < SINGLE or len(strengths) >= room
    if not complete and len(strengths):
        warn(
            f"float32 data show strengths down to {tolerance * strengths[0]:.2g} only; weaker modes than the "
            f"{len(strengths)} listed may exist; pass float64 data to see them"
        )
    return Spectrum(
        n_constant=n_constant,
        input_rank=input_rank,
        complete=complete,
        strengths=strengths,
        total_energy=energy,
        residual_energy=residual,
        n_samples=joint.n_samples,
        n_features=split,
        n_targets=targets.stop - targets.start,
        centred=options.bias,
        likelihood=options.likelihood,
        strength_errors=np.full(len(strengths), tolerance * strengths[0] if len(strengths) else 0.0),
        target_is_input=not joint.has_target,
        collapsed_loss=fit.loss if fit else math.nan,
        input_scale=factors[inputs],
        target_scale=factors[targets],
        mean_input=joint.mean[inputs],
        mean_target=joint.mean[targets],
        find_basis=partial(find, len(strengths)),
        residuals=fit.residuals if fit else None,
    )


def _warned(result: Spectrum, n_modes: int | None = None) -> Spectrum:
    if n_modes is not None and n_modes < result.rank:
        result = result.leading(n_modes)
    s = result
    if s.n_constant and s.total_energy > 0:
        columns = "columns" if s.target_is_input else "target columns"
        cost = (
            "but they count as dimensions and pull a learned decoder variance down"
            if s.likelihood == "gaussian"
            else "so no latent carries them"
        )
        warn(
            f"{s.n_constant} of {s.n_targets} {columns} are constant: they hold no mode, {cost}; drop them unless "
            f"your model decodes them"
        )
    if s.condition and s.condition.energy > 0:
        return s  # its own checks have spoken
    if s.total_energy == 0 or s.rank == 0:
        warn("no mode has any strength: the target is constant, or unrelated to the input; every latent collapses")
    elif not s.target_is_input and s.n_samples <= s.input_rank + 1:
        warn(
            f"{s.n_samples} rows against {s.n_features} input features: a linear map fits any target exactly, so these "
            f"strengths are upper limits; use more rows or fewer features"
        )
    elif s.target_is_input and s.n_samples <= s.n_features:
        warn(
            f"{s.n_samples} rows against {s.n_features} features: at most {s.n_samples - s.centred} modes can be "
            f"seen, and their strengths are pushed up by sampling noise; those without it are "
            f"debiased_strengths (with --json, debiased_strength of each mode)"
        )
    return s


def _options(
    bias: bool, ddof: int, scale: float, likelihood: str, drop_nonfinite: bool, dispersion: Any, size_factors: Any
) -> Options:
    """The options checked, as plain values."""
    scale = checks.number(scale, "scale", error=DataError, wanted="a finite number other than 0")
    if scale == 0:
        raise DataError("scale must be a finite number other than 0, got 0")
    options = Options(
        checks.flag(bias, "bias", error=DataError),
        checks.count(ddof, "ddof", error=DataError),
        scale,
        checks.one_of(likelihood, "likelihood", get_args(Likelihood), error=DataError),  # type: ignore[arg-type]
        checks.flag(drop_nonfinite, "drop_nonfinite", error=DataError),
        dispersion,
        size_factors,
    )
    if options.ddof and not options.bias:
        raise DataError("ddof corrects for a fitted mean, and without biases none is fitted; leave it at 0")
    return options
