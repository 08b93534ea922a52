"""q(z|x) of some rows, as any encoder gives it, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.theory.posterior import gaussian_kl

__all__ = ["MOST", "Posterior", "RowError", "SpreadError", "posterior"]


MOST = 1e140
"""Means, variances and KL up to which the sums of their squares over any number of rows are finite."""


class RowError(DataError):
    """Numbers that are unfit, and in which row; `at` says it again with that row's number in the whole data.

    Attributes
    ----------
    row : int
        From 0, in the block.
    """

    def __init__(self, before: str, row: int, after: str, number: int | None = None) -> None:
        super().__init__(f"{before}row {row if number is None else number}, counted from 0{after}")
        self.before, self.row, self.after, self.number = before, row, after, number

    def __reduce__(self) -> tuple[Any, ...]:
        return RowError, (self.before, self.row, self.after, self.number)

    def at(self, number: int) -> RowError:
        """The same, of a row of that number (from 0)."""
        return RowError(self.before, self.row, self.after, number)


LARGE = 20.0
"""Size of data from which on an odd spread is asked for their scale first."""


class SpreadError(DataError):
    """A spread that no encoder gives: of another kind than was said, or of data at another scale than the training's.

    Attributes
    ----------
    what, question : str
    """

    def __init__(self, what: str, question: str) -> None:
        super().__init__(what, question)
        self.what, self.question = what, question

    def __str__(self) -> str:
        return f"{self.what}; {self.question}"

    def of(self, x: np.ndarray) -> SpreadError:
        """The same, of these rows: where they are large, that comes first."""
        most = float(np.abs(x).max(initial=0.0))
        if most < LARGE:
            return self
        asked = f"the data reach {most:,.0f}: was the model trained on standardised columns, or on scaled data?"
        return SpreadError(self.what, f"{asked} If not, {self.question}")


@dataclass(frozen=True, eq=False)
class Posterior:
    """A diagonal Gaussian posterior on each row, with its prior.

    Attributes
    ----------
    mean, variance : ndarrays of shape (n, l)
        Several levels, from the data upwards, one after another; spatial latents flattened.
    prior_mean, prior_variance : float or ndarrays that broadcast to (n, l)
    kl : ndarray of shape (n, l)
        Nats, per row and latent.
    level_sizes : tuple of int
        Latents of each level; one level usually.
    latent_shape : tuple of int
        Shape of one row's latents before they were flattened: (l,), or (channels, height, width).
    beyond : ndarray of shape (n,) or None
        Of a prior that is no Gaussian of each latent: what each row's KL from it is above `kl`, which is then that from
        N(0, I); sampled.
    """

    mean: np.ndarray
    variance: np.ndarray
    prior_mean: np.ndarray | float
    prior_variance: np.ndarray | float
    kl: np.ndarray
    level_sizes: tuple[int, ...]
    latent_shape: tuple[int, ...]
    beyond: np.ndarray | None = None

    @property
    def row_kl(self) -> np.ndarray:
        """KL of all latents of each row, shape (n,)."""
        whole: np.ndarray = self.kl.sum(axis=1)
        return whole if self.beyond is None else whole + self.beyond

    @property
    def n_latents(self) -> int:
        """l, all levels."""
        return self.mean.shape[1]

    @property
    def lowest(self) -> slice:
        """Columns of the level that the decoder sees."""
        return slice(0, self.level_sizes[0])

    @property
    def knows_prior(self) -> bool:
        """Whether the density of z before the row is seen can be told: one level, and no prior that was not kept."""
        unknown = np.isnan(self.prior_variance).any() or np.isnan(self.prior_mean).any()
        return len(self.level_sizes) == 1 and not unknown and self.beyond is None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One z per row, shape (n, l)."""
        return self.mean + np.sqrt(self.variance) * rng.standard_normal(self.mean.shape)

    def __getitem__(self, rows: Any) -> Posterior:
        """Some of the rows."""
        prior_mean, prior_variance = (
            part[rows] if isinstance(part, np.ndarray) and part.ndim == 2 and len(part) == len(self.mean) else part
            for part in (self.prior_mean, self.prior_variance)
        )
        parts = (self.mean[rows], self.variance[rows], prior_mean, prior_variance, self.kl[rows])
        beyond = None if self.beyond is None else self.beyond[rows]
        return Posterior(*parts, self.level_sizes, self.latent_shape, beyond)


def posterior(
    mean: Any,
    *,
    log_variance: Any = None,
    variance: Any = None,
    std: Any = None,
    prior_mean: Any = 0.0,
    prior_variance: Any = 1.0,
    kl: Any = None,
    level_sizes: tuple[int, ...] = (),
    where: str = "the posterior",
) -> Posterior:
    """Check what an encoder gave for some rows.

    Parameters
    ----------
    mean : array_like of shape (n, l) or (n, channels, height, width)
        Trailing dimensions are flattened.
    log_variance, variance, std : array_like of the same shape, or one that broadcasts to it
        Exactly one of the three: of q(z|x), not of the decoder.
    prior_mean, prior_variance : array_like
        Standard normal when left out; per row for a conditional prior.
    kl : array_like of shape (n, l), optional
        Nats per row and latent, where the prior given the row is not Gaussian; computed when left out.
    level_sizes : tuple of int
        Latents of each level of a hierarchy, from the data upwards.
    where : str
        For messages.

    Raises
    ------
    DataError
        Not a mean and a variance of one shape, negative variances, a prior or KL that does not fit, or values that are
        not finite.

    Examples
    --------
    >>> posterior(np.zeros((2, 3)), log_variance=np.zeros((2, 3))).kl.sum()
    np.float64(0.0)
    """
    if not isinstance(where, str):
        raise DataError(f"where must be text for messages, got {checks.shown(where)}")
    means, shape = _flat(mean, where, "mean")
    given = {"log_variance": log_variance, "variance": variance, "std": std}
    named = [(name, value) for name, value in given.items() if value is not None]
    if len(named) != 1:
        got = " and ".join(name for name, _ in named) or "none"
        raise DataError(f"{where}: give one of log_variance, variance and std beside the mean, got {got}")
    name, value = named[0]
    spread, spread_shape = _flat(value, where, name.replace("_", "-"))
    if spread_shape != shape and spread.shape[1] != means.shape[1]:
        raise DataError(
            f"{where}: a mean of shape {(len(means), *shape)} beside a {name.replace('_', '-')} of shape "
            f"{(len(spread), *spread_shape)}; an encoder gives both for every latent"
        )
    if len(spread) not in (1, len(means)):
        raise DataError(f"{where}: {len(means)} rows of means and {len(spread)} of the {name.replace('_', '-')}")
    _finite(means, where, "mean")
    _finite(spread, where, name.replace("_", "-"))
    variances = np.broadcast_to(_variance(spread, name, where), means.shape)
    m0 = _prior(prior_mean, means, shape, f"{where}: the prior's mean")
    v0 = _prior(prior_variance, means, shape, f"{where}: the prior's variance")
    if (v0 <= 0).any():
        raise DataError(f"{where}: the prior's variance must be positive, got {v0.min():.4g}")
    for prior, what in ((m0, "prior's mean"), (v0, "prior's variance")):
        if np.abs(prior).max(initial=0.0) > MOST:
            raise DataError(f"{where}: the {what} is too large to be measured: {np.abs(prior).max():.4g}")
    if kl is None:
        with np.errstate(all="ignore"):  # what is too large is refused below, and what is too small is 0
            kls = gaussian_kl(means, variances, v0, m0)
        _moderate(means, where, "mean")
        _moderate(variances, where, "variance")
    else:
        kls, _ = _flat(kl, where, "KL")
        if kls.shape != means.shape:
            raise DataError(f"{where}: a KL of shape {kls.shape} beside means of shape {means.shape}; one each is due")
        _finite(kls, where, "KL")
    _moderate(kls, where, "KL")
    sizes = checks.counts(level_sizes, "level_sizes", least=1, error=DataError) or (means.shape[1],)
    if sum(sizes) != means.shape[1]:
        raise DataError(
            f"{where}: levels of {' + '.join(map(checks.shown, sizes[:9]))} latents, and {means.shape[1]} means a row"
        )
    return Posterior(means, variances, m0, v0, kls, sizes, shape)


def _flat(values: Any, where: str, what: str) -> tuple[np.ndarray, tuple[int, ...]]:
    array = _numbers(values)
    if array is None:
        raise DataError(f"{where}: the {what} is {checks.shown(values)}, not an array of real numbers")
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise DataError(f"{where}: the {what} has shape {array.shape}; one row a sample and one column a latent is due")
    return array.reshape(len(array), math.prod(array.shape[1:])), array.shape[1:]


def _numbers(values: Any) -> np.ndarray | None:
    """Real numbers in float64, those that are not finite among them; None of anything else."""
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.float() if str(values.dtype) == "torch.bfloat16" else values
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            return None  # a masked posterior is none
        array = np.asarray(values)
        if array.dtype.kind == "O":  # decimals and fractions are numbers
            flat = [checks.number(value, "an entry", error=DataError) for value in array.ravel()]
            array = np.array(flat, dtype=np.float64).reshape(array.shape)
    except Exception:  # a sparse, nested or meta tensor has no array, in as many ways
        return None
    if array.dtype.kind not in "fiu":
        return None
    with np.errstate(all="ignore"):
        return array.astype(np.float64)


def _prior(values: Any, means: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Of one number, one per latent or one per row and latent; spatial latents flattened."""
    numbers = _numbers(values)
    if numbers is None:
        raise DataError(f"{what} is {checks.shown(values)}, not one or more real numbers")
    prior = numbers
    try:
        if prior.shape == shape:
            prior = prior.reshape(-1)
        elif prior.shape[1:] == shape:
            prior = prior.reshape(len(prior), -1)
        np.broadcast_to(prior, means.shape)
    except ValueError:
        raise DataError(f"{what} has shape {numbers.shape}, which does not fit means of shape {means.shape}; give "
                        f"one number, one per latent, or one per row and latent") from None  # fmt: skip
    if not np.isfinite(prior).all():
        raise DataError(f"{what} is not finite")
    return prior


def _variance(spread: np.ndarray, name: str, where: str) -> np.ndarray:
    if name == "log_variance":
        with np.errstate(all="ignore"):
            values = np.exp(spread)
        if not np.isfinite(values).all():
            what = f"{where}: log-variances up to {spread.max():.4g} overflow"
            raise SpreadError(what, "are these variances already?")
        return np.maximum(values, np.finfo(float).tiny)
    if (spread < 0).any():
        row, column = np.argwhere(spread < 0)[0]
        raise RowError(
            f"{where}: negative {name} {spread[row, column]:.4g} (latent {column + 1}, ",
            int(row),
            "); is this the log-variance? Then say so (log_variance=...)",
        )
    with np.errstate(all="ignore"):
        return np.maximum(spread**2 if name == "std" else spread, np.finfo(float).tiny)


def _moderate(values: np.ndarray, where: str, what: str) -> None:
    """Refuse what is so large that its square, summed over rows, is not finite."""
    bad = ~(np.abs(values) <= MOST)
    if not bad.any():
        return
    row = int(np.argmax(bad.any(axis=1)))
    raise RowError(
        f"{where}: the {what} is too large to be measured in {int(bad.any(axis=1).sum())} of {len(values)} samples "
        f"(above {MOST:.0e} in latent {int(np.argmax(bad[row])) + 1}; first in ",
        row,
        "); the encoder overflows there",
    )


def _finite(values: np.ndarray, where: str, what: str) -> None:
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    rows, latents = np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0)) + 1
    shown = ", ".join(map(str, latents[:5])) + (", …" if len(latents) > 5 else "")
    raise RowError(
        f"{where}: the {what} is not finite for {len(rows)} of {len(values)} samples (latents {shown}; first in ",
        int(rows[0]),
        "); the encoder overflows there",
    )
