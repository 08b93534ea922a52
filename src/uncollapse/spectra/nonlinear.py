"""What a nonlinear encoder could keep alive: strengths of cross-validated predictions of the target.

A linear map that sees the conditional mean E[y|x] as its input finds every mode of Cov(E[y|x]), whose largest
eigenvalue is where complete collapse starts for networks of any shape (docs/thresholds.md). E[y|x] is unknown, so it is
replaced by out-of-fold predictions: an encoder can compute those, hence the lower limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import as_rows, dense
from uncollapse.errors import DataError, warn
from uncollapse.spectra.allowed_values import with_defaults
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.one_pass import nonfinite_error, overflow_error
from uncollapse.spectra.result import Options, Spectrum
from uncollapse.theory.likelihoods import Likelihood

__all__ = ["nonlinear_residual", "nonlinear_spectrum"]

FOLDS = 5
COMPONENTS = 20

WORTH_SAYING = 0.01
"""Share of the target's energy outside the predicted components from which a warning is given."""

ORDINARY = 1e60
"""Tables whose largest number lies between 1/1e60 and 1e60 are fitted as they are. Others are first multiplied by a
power of two, because regressors square and sum what they get."""

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
    folds_of = _CrossValidation.checked(regressor, folds, seed, n_components)
    scale = checks.number(scale, "scale", error=DataError)
    likelihood = cast(Likelihood, checks.one_of(likelihood, "likelihood", get_args(Likelihood), error=DataError))
    with_defaults(Options(likelihood=likelihood, dispersion=dispersion, size_factors=size_factors))
    x, y = _tables(data, target, "the data", drop_nonfinite)
    unit = _unit(y, "the target")
    predictions = folds_of.predictions(x, y / unit) * unit
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
    folds_of = _CrossValidation.checked(regressor, folds, seed, n_components)
    scale = checks.number(scale, "scale", error=DataError)
    x, y = _tables(condition, target, "the condition", drop_nonfinite)
    unit = _unit(y, "the target")
    left = y / unit - (y / unit).mean(axis=0)
    predictions = folds_of.predictions(x, left)
    predictions = predictions - predictions.mean(axis=0)
    left -= predictions @ np.linalg.lstsq(predictions, left, rcond=None)[0]
    return spectrum(left * unit, scale=scale)


def _tables(data: Any, target: Any, name: str, drop_nonfinite: bool) -> tuple[np.ndarray, np.ndarray]:
    drop_nonfinite = checks.flag(drop_nonfinite, "drop_nonfinite", error=DataError)
    x, y = _table(data, name), _table(target, "the target")
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} rows against {len(y)} of the target; they need one row each per sample")
    finite = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    if finite.all():
        return x, y
    if not drop_nonfinite:
        name, table = (name, x) if not np.isfinite(x).all() else ("the target", y)
        raise nonfinite_error(name, table, 0, iter(()))
    warn(f"left out {len(x) - int(finite.sum())} rows with NaN or infinite values")
    return x[finite], y[finite]


def _table(data: Any, name: str) -> np.ndarray:
    rows = as_rows(data, name)
    if not rows.repeatable or rows.paired:
        raise DataError(
            f"{rows.name}: cross-validation needs the whole table in memory, and this is read once, block by block; "
            f"pass an array"
        )
    with np.errstate(over="ignore", under="ignore"):  # what does not fit a float64 is refused as not finite
        blocks = [dense(block).astype(np.float64, copy=False) for block in rows.blocks()]
    if not blocks:
        raise DataError(f"{rows.name}: empty, no rows came")
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _unit(table: np.ndarray, name: str) -> float:
    """1 for a table of ordinary size, else the power of two that its largest number is a few times of."""
    largest = float(np.abs(table).max())
    if largest == 0 or 1 / ORDINARY <= largest <= ORDINARY:
        return 1.0
    if not 1e-300 <= largest <= 1e300:
        raise overflow_error(name)
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


@dataclass(frozen=True)
class _CrossValidation:
    """How components of y are predicted out of fold; see `nonlinear_spectrum`."""

    regressor: Any
    folds: int
    seed: int
    n_components: int

    @classmethod
    def checked(cls, regressor: Any, folds: Any, seed: Any, n_components: Any) -> _CrossValidation:
        if isinstance(regressor, type) or not (
            regressor is None or (hasattr(regressor, "fit") and hasattr(regressor, "predict"))
        ):
            raise DataError(f"regressor must be a scikit-learn regressor, such as SVR(), got {checks.shown(regressor)}")
        return cls(
            regressor,
            checks.count(folds, "folds", least=2, error=DataError),
            checks.count(seed, "seed", most=2**32 - 1, error=DataError),
            checks.count(n_components, "n_components", least=1, error=DataError),
        )

    def predictions(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Predictions of the leading components of y, by `regressor` and by ridge regression; shape (n, 2k)."""
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        if len(x) < 2 * self.folds:
            raise DataError(f"folds need two rows each, got {self.folds} folds for {len(x)} rows")
        x = x / _unit(x, "the input")
        scores = _leading_scores(y, self.n_components)
        split = KFold(self.folds, shuffle=True, random_state=self.seed)
        linear = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        parts = []
        # on a busy machine the threads of the trees wait for each other
        with threadpool_limits(1, user_api="openmp"), np.errstate(all="ignore"):
            for model in (self._per_component(), linear):
                try:
                    parts.append(np.asarray(cross_val_predict(model, x, scores, cv=split)).reshape(len(x), -1))
                except Exception as error:
                    name = type(self.regressor or model).__name__
                    reason = (str(error).splitlines() or [type(error).__name__])[0]
                    raise DataError(f"the regressor {name} cannot predict the target: {reason}") from error
        predictions = np.column_stack(parts)
        if not np.isfinite(predictions).all():
            raise DataError("the regressor predicts values that are not finite; use another one")
        return predictions

    def _per_component(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.multioutput import MultiOutputRegressor
        from sklearn.utils import get_tags

        if self.regressor is None:
            return MultiOutputRegressor(HistGradientBoostingRegressor(random_state=self.seed))
        try:
            many = get_tags(self.regressor).target_tags.multi_output
        except Exception:  # what has no tags is not known to predict several components at once
            many = False
        return self.regressor if many else MultiOutputRegressor(self.regressor)


def _leading_scores(y: np.ndarray, n_components: int) -> np.ndarray:
    """Scores of y on its leading principal components, null ones left out; shape (n, k)."""
    centred = y - y.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(y))
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = max(int((values > 1e-12 * values[0]).sum()), 1)
    left_out = float(values[n_components:].sum()) / max(float(values.sum()), np.finfo(float).tiny)
    if n_components < rank and left_out > WORTH_SAYING:
        warn(
            f"{n_components} of the target's {rank} components are predicted; modes in the other {left_out:.0%} of its "
            f"energy are not counted; raise n_components to see them"
        )
    return centred @ vectors[:, : min(n_components, rank)]
