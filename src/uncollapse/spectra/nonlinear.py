"""What a nonlinear encoder could keep alive: strengths of cross-validated predictions of the target.

A linear map that sees the conditional mean E[y|x] as its input finds every mode of Cov(E[y|x]), whose largest
eigenvalue is where complete collapse starts for networks of any shape (docs/thresholds.md). E[y|x] is unknown, so it is
replaced by out-of-fold predictions: an encoder can compute those, hence the lower limit.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from uncollapse.data.rows import as_rows, dense
from uncollapse.errors import DataError, UncollapseWarning
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.one_pass import nonfinite_error
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.likelihoods import Likelihood

__all__ = ["nonlinear_residual", "nonlinear_spectrum"]

FOLDS = 5
COMPONENTS = 20

WORTH_SAYING = 0.01
"""Share of the target's energy outside the predicted components from which a warning is given."""

PENALTIES = tuple(10.0**power for power in range(-2, 6))
"""Ridge penalties tried, on inputs of unit variance: from none to speak of to more than any table of 10^5 rows asks."""


def nonlinear_spectrum(
    data: Any,
    target: Any,
    *,
    regressor: Any = None,
    folds: int = FOLDS,
    seed: int = 0,
    n_components: int = COMPONENTS,
    scale: float = 1.0,
    likelihood: Likelihood = "gaussian",
    dispersion: Any = None,
    size_factors: Any = None,
    drop_nonfinite: bool = False,
) -> Spectrum:
    """Mode strengths that a nonlinear encoder could keep alive: an estimate of the spectrum of Cov(E[y|x]), from below.

    The leading principal components of y are predicted from x out of fold, once by `regressor` and once by ridge
    regression, and those predictions are the input of the ordinary `spectrum`. Apart from sampling noise the result is
    a lower limit: an encoder can compute the predictions, and no function of x explains more than E[y|x] does.

    Parameters
    ----------
    data : array of shape (n, ...), sparse matrix, Rows, or anything that can be read more than once
        x, what the encoder sees. Held in memory.
    target : same kinds
        y, what the decoder predicts.
    regressor : scikit-learn regressor, optional
        `HistGradientBoostingRegressor` by default, one per component.
    folds : int
        Each row is predicted by models that saw the other folds only. Rows are shuffled, so near-duplicates of a row
        (frames of one film, repeated measurements) leak into its prediction; leave them out first.
    seed : int
        Of the shuffling and of the default regressor.
    n_components : int
        Components of y predicted; a mode outside them is not counted, and a warning says how much energy is.
    scale, likelihood, dispersion, size_factors, drop_nonfinite
        As in `spectrum`.

    Returns
    -------
    Spectrum
        Its inputs are the predictions, `2 * n_components` columns at most, not the columns of `data`.

    Raises
    ------
    DataError
        Data read only once, rows that do not match, fewer rows than two a fold, or values that are not finite.

    Notes
    -----
    Source: docs/theory.md section 1 with E[y|x] as input; docs/thresholds.md measures that the threshold is there, and
    why ridge predictions are added: trees alone lose part of a linear relation. The columns of x themselves would
    overfit (100 columns of noise and 500 rows add 0.2 of the noise variance). A fit of y on k columns adds about
    k/n of the residual energy per component of y, as in any regression.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1, 1, (600, 2))
    >>> y = 10 * x[:, :1] ** 2 + 0.1 * rng.standard_normal((600, 1))  # no linear trace of x in y
    >>> bool(spectrum(x, y).strengths[0] < 0.2), bool(8 < nonlinear_spectrum(x, y).strengths[0] < 10)
    (True, True)
    """
    x, y = _tables(data, target, "the data", drop_nonfinite)
    predictions = _out_of_fold(x, y, regressor, folds, seed, n_components)
    return spectrum(
        predictions, y, scale=scale, likelihood=likelihood, dispersion=dispersion, size_factors=size_factors
    )


def nonlinear_residual(
    condition: Any,
    target: Any,
    *,
    regressor: Any = None,
    folds: int = FOLDS,
    seed: int = 0,
    n_components: int = COMPONENTS,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
) -> Spectrum:
    """Mode strengths of y − E[y|x]: what is left for the latents when the decoder is nonlinear in the condition x.

    The conditional mean is estimated as in `nonlinear_spectrum`, so the strengths approach those of E[Cov(y|x)] from
    above: what the regression missed counts as left over. For a Gaussian likelihood.

    Parameters
    ----------
    condition : array of shape (n, ...), sparse matrix, Rows, or anything that can be read more than once
        x, what the decoder sees beside the latents.
    target : same kinds
        y, what it predicts.
    regressor, folds, seed, n_components, scale, drop_nonfinite
        As in `nonlinear_spectrum`.

    Returns
    -------
    Spectrum
        Of the residual, which is its own target.

    Raises
    ------
    DataError
        As in `nonlinear_spectrum`.

    Notes
    -----
    Source: docs/theory.md section 1 with the residual as data. These are mean strengths. Where Cov(y|x) changes with
    x, a nonlinear decoder may use a latent for some x only, and complete collapse then starts at the largest eigenvalue
    of Cov(y|x) over all x, above the first strength given here (docs/thresholds.md, measured).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1, 1, (600, 1))
    >>> y = 10 * x**2 + rng.standard_normal((600, 1))
    >>> bool(nonlinear_residual(x, y).strengths[0] < 1.5)
    True
    """
    x, y = _tables(condition, target, "the condition", drop_nonfinite)
    predictions = _out_of_fold(x, y, regressor, folds, seed, n_components)
    predictions = predictions - predictions.mean(axis=0)
    left = y - y.mean(axis=0)
    left -= predictions @ np.linalg.lstsq(predictions, left, rcond=None)[0]
    return spectrum(left, scale=scale)


def _tables(data: Any, target: Any, name: str, drop_nonfinite: bool) -> tuple[np.ndarray, np.ndarray]:
    x, y = _table(data, name), _table(target, "the target")
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} rows against {len(y)} of the target; they need one row each per sample")
    finite = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    if finite.all():
        return x, y
    if not drop_nonfinite:
        name, table = (name, x) if not np.isfinite(x).all() else ("the target", y)
        raise nonfinite_error(name, table, 0, iter(()))
    _warn(f"left out {len(x) - int(finite.sum())} rows with NaN or infinite values")
    return x[finite], y[finite]


def _table(data: Any, name: str) -> np.ndarray:
    rows = as_rows(data, name)
    if not rows.repeatable or rows.paired:
        raise DataError(
            f"{rows.name}: cross-validation needs the whole table in memory, and this is read once, block by block; "
            f"pass an array"
        )
    blocks = [dense(block).astype(np.float64, copy=False) for block in rows.blocks()]
    if not blocks:
        raise DataError(f"{rows.name}: empty, no rows came")
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _out_of_fold(x: np.ndarray, y: np.ndarray, regressor: Any, folds: int, seed: int, n_components: int) -> np.ndarray:
    """Predictions of the leading components of y, by `regressor` and by ridge regression; shape (n, 2k)."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if folds < 2 or len(x) < 2 * folds:
        raise DataError(f"folds must be 2 or more with two rows each, got {folds} folds for {len(x)} rows")
    if n_components < 1:
        raise DataError(f"n_components must be 1 or more, got {n_components}")
    scores = _leading_scores(y, n_components)
    split = KFold(folds, shuffle=True, random_state=seed)
    linear = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    models = (_per_component(regressor, seed), linear)
    with threadpool_limits(1, user_api="openmp"):  # on a busy machine the trees' threads wait for each other
        parts = [np.asarray(cross_val_predict(model, x, scores, cv=split)) for model in models]
    return np.column_stack(parts)


def _leading_scores(y: np.ndarray, n_components: int) -> np.ndarray:
    """Scores of y on its leading principal components, null ones left out; shape (n, k)."""
    centred = y - y.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(y))
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = max(int((values > 1e-12 * values[0]).sum()), 1)
    left_out = float(values[n_components:].sum()) / max(float(values.sum()), np.finfo(float).tiny)
    if n_components < rank and left_out > WORTH_SAYING:
        _warn(
            f"{n_components} of the target's {rank} components are predicted; modes in the other {left_out:.0%} of its "
            f"energy are not counted; raise n_components to see them"
        )
    return centred @ vectors[:, : min(n_components, rank)]


def _per_component(regressor: Any, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.utils import get_tags

    if regressor is None:
        return MultiOutputRegressor(HistGradientBoostingRegressor(random_state=seed))
    return regressor if get_tags(regressor).target_tags.multi_output else MultiOutputRegressor(regressor)


def _warn(message: str) -> None:
    warnings.warn(message, UncollapseWarning, stacklevel=4)
