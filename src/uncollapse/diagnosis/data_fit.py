"""Are these the data that the model was trained on? Asked first: all else depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.diagnosis.thresholds import ABSURD, FAR_LATENTS, LEARNED, PAID_FOR_NOTHING, STILL, WELL
from uncollapse.errors import UncollapseError
from uncollapse.measure.posterior import Posterior
from uncollapse.measure.protocol import RAISED
from uncollapse.measure.result import ALIVE_NATS, Measurement
from uncollapse.theory.loglikelihood import misfit

__all__ = ["DataFit", "data_fit", "r_squared"]

ROWS = 256
"""Rows that each other scale is tried on."""

LEAST_R_SQUARED = 0.2
"""Share of the variance that the model must explain at another scale for that scale to be named."""

ROUNDING = 1e-3
"""Share that single precision may cost a reconstruction of numbers far too large."""

SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "divided by 255": lambda x: x / 255,
    "multiplied by 255": lambda x: x * 255,
    "divided by 16": lambda x: x / 16,
    "multiplied by 16": lambda x: x * 16,
    "taken from [0, 1] to [-1, 1]": lambda x: 2 * x - 1,
    "taken from [-1, 1] to [0, 1]": lambda x: (x + 1) / 2,
    "taken from [0, 255] to [-1, 1]": lambda x: x / 127.5 - 1,
    "taken from [-1, 1] to [0, 255]": lambda x: (x + 1) * 127.5,
}
"""How loaders of images and tables change what they load."""

STANDARDISED = "standardised, each column less its mean and over its standard deviation"
"""How tables are changed before a training."""


@dataclass(frozen=True)
class DataFit:
    """How well the reconstruction follows the data.

    Attributes
    ----------
    r_squared : float
        Share of the variance that it explains; below 0 it is worse than the constant mean.
    scale : str or None
        What to do to the data so that the model explains them, in words.
    r_squared_then : float
        At that scale.
    still : bool
        Whether the model is collapsed at that scale, so that it explains nothing there, and pays nothing.
    far : bool
        Whether the posteriors lie far outside the prior, as those of a trained model do on other data.
    rate : float
        KL in nats, which a model that is worse than the constant mean pays for nothing.
    learned : float
        Variance of the decoder's output over draws of the prior, as a share of the data's.
    """

    r_squared: float
    scale: str | None = None
    r_squared_then: float = 0.0
    still: bool = False
    far: bool = False
    rate: float = 0.0
    learned: float = np.inf

    @property
    def other(self) -> bool:
        """Whether these are not the data that it was trained on."""
        worse = self.r_squared < 0 and self.rate > PAID_FOR_NOTHING and self.learned > LEARNED
        return self.scale is not None or worse or (self.r_squared < WELL and self.far)

    @property
    def text(self) -> str:
        """The sentence."""
        share = f"R² = {self.r_squared:.3g}"
        worse = f"The reconstruction is worse than the constant mean ({share})"
        if self.r_squared >= 0:
            worse = f"The reconstruction explains {self.r_squared:.0%} of the variance"
        if self.still:
            return (
                f"{worse}, at a KL of {self.rate:.3g} nats; with the data {self.scale}, no latent lives and it shows "
                f"their mean: it seems to have been trained on those, and is collapsed."
            )
        if self.scale is not None:
            return f"{worse}; with the data {self.scale} it explains {self.r_squared_then:.0%} of their variance."
        if self.other:
            beside = "the posteriors lie far outside the prior" if self.far else f"its KL is {self.rate:.3g} nats"
            return f"{worse}, and {beside}: are these the data it was trained on, columns in the same order?"
        return f"{worse}."


def r_squared(y: np.ndarray, mean: np.ndarray) -> float:
    """Share of the variance of y that a reconstruction explains; 0 where y is constant.

    Parameters
    ----------
    y, mean : ndarrays of shape (n, d)

    Examples
    --------
    >>> y = np.array([[0.0], [2.0]])
    >>> r_squared(y, y), r_squared(y, np.ones((2, 1)))
    (1.0, 0.0)
    """
    total = float(misfit(y, np.broadcast_to(y.mean(axis=0), y.shape)).mean())
    return 1 - float(misfit(y, mean).mean()) / total if total > 0 else 0.0


def data_fit(
    probe: Any,
    x: np.ndarray,
    y: np.ndarray,
    given: np.ndarray | None,
    q: Posterior,
    measurement: Measurement,
    *,
    prior_variance: float = 1.0,
    seed: int = 0,
) -> DataFit:
    """Look at the reconstruction, and at other scales of the data where it is worse than nothing, or where posteriors
    lie so far out that no training put them there.

    Parameters
    ----------
    probe : Probe
    x, y : ndarrays of shape (n, d0), (n, d)
    given : ndarray of shape (n, c) or None
    q : Posterior
        Of these rows.
    measurement : Measurement
    prior_variance : float
    seed : int
        Of draws of the prior.
    """
    decoded = _decoded(probe, q, given)
    share = r_squared(y, decoded)
    living = measurement.alive
    spread = (measurement.mean_variance + measurement.aggregate_mean**2 + measurement.variance)[living]
    away = float(np.median(spread)) if living.any() and not measurement.sampled else 0.0
    far = away > FAR_LATENTS
    fit = DataFit(share, far=far, rate=measurement.rate)
    if y is not x or (share >= 0 and away < ABSURD):
        return fit
    some = slice(0, ROWS)
    condition = None if given is None else given[some]
    tried = [(*_at(probe, change(x[some]), condition), words) for words, change in SCALES.items()]
    still = False
    if share < 0:
        own, out, quiet = _at(probe, _standardised(x)[some], condition)
        tried.append((own, out, quiet, STANDARDISED))
        still = quiet and own > -STILL and measurement.rate > PAID_FOR_NOTHING
    moved = r_squared(y, decoded + (y - decoded).mean(axis=0))  # what is only shifted is not scaled
    least = LEAST_R_SQUARED + max(moved, 0.0) if share < 0 else share - ROUNDING
    within = [(then, words) for then, out, _, words in tried if share < 0 or not out]
    best, named = max(within, default=(-np.inf, ""))
    if best >= least:
        return replace(fit, scale=named, r_squared_then=best)
    if still:
        return replace(fit, scale=STANDARDISED, r_squared_then=own, still=True)
    if share >= 0 or measurement.sampled:
        return fit
    return replace(fit, learned=_learned(probe, q, condition, y, prior_variance, seed))


def _learned(
    probe: Any, q: Posterior, given: np.ndarray | None, y: np.ndarray, prior_variance: float, seed: int
) -> float:
    """Variance of the decoder's output over draws of the prior, as a share of the data's."""
    shape = q.mean[:ROWS, q.lowest].shape
    z = np.random.default_rng(seed).normal(scale=prior_variance**0.5, size=shape).astype(q.mean.dtype)
    shown = np.asarray(probe.decode(z, given), dtype=np.float64).reshape(len(z), -1)
    return float(shown.var(axis=0).sum() / y.var(axis=0).sum())


def _decoded(probe: Any, q: Posterior, given: np.ndarray | None) -> np.ndarray:
    """The reconstruction at the posterior's mean, (n, d)."""
    return np.asarray(probe.decode(q.mean[:, q.lowest], given), dtype=np.float64).reshape(len(q.mean), -1)


def _standardised(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    result: np.ndarray = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return result


def _at(probe: Any, x: np.ndarray, given: np.ndarray | None) -> tuple[float, bool, bool]:
    """R² on changed rows, whether the posteriors lie far out, and whether no latent lives; minus infinity where the
    model does not take them."""
    try:
        with np.errstate(all="ignore"):
            q = probe.encode(x, given)
            share = r_squared(x, _decoded(probe, q, given))
            spread = np.square(q.mean[:, q.lowest]).mean(axis=0) + q.variance[:, q.lowest].mean(axis=0)
            quiet = bool((q.kl.mean(axis=0) < ALIVE_NATS).all())
    except (UncollapseError, *RAISED):
        return -np.inf, True, False
    return (share if np.isfinite(share) else -np.inf), not float(np.median(spread)) < FAR_LATENTS, quiet
