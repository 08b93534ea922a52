"""How far a forecast would move on another sample of the same size: bootstrap intervals.

Only the leading modes are followed, in the span of their directions on the full sample: exact to first order in the
change of the moments. How samples are drawn: `uncollapse.forecasting.resampling`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import is_dask
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.forecasting.resampling import complete, finite_parts, replicates, scores_of, summed
from uncollapse.forecasting.result import Forecast
from uncollapse.showing.noun import Card, Noun

__all__ = ["Intervals", "bootstrap"]

MOST_SAMPLES = 100_000
"""Percentiles of so many samples have no error worth naming."""

SPARE_MODES, MOST_MODES = 32, 256
"""Modes followed beyond those alive, and at most: a k × k eigenproblem is solved for each bootstrap sample."""


@dataclass(frozen=True, eq=False, repr=False)
class Intervals(Noun):
    """Bootstrap intervals around a forecast.

    Attributes
    ----------
    confidence : float
        Probability that each interval aims to cover; "level" in JSON.
    critical_betas : ndarray of shape (k, 2)
        Lower and upper end for each of the leading modes.
    n_alive : tuple of two ints
        Range of the number of living latents at the forecast's objective; it holds the forecast's own number.
    n_samples : int
        Bootstrap samples drawn.
    """

    confidence: float
    critical_betas: np.ndarray
    n_alive: tuple[int, int]
    n_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "level": self.confidence,
            "n_bootstrap": self.n_samples,
            "n_alive": list(self.n_alive),
            "critical_beta": self.critical_betas[0].tolist() if len(self.critical_betas) else None,
            "critical_betas": self.critical_betas.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Intervals:
        """What `to_dict` gave, or JSON made of it."""
        try:
            low, high = values["n_alive"]
            ends = np.array(values["critical_betas"], dtype=float).reshape(-1, 2)
            return cls(values["level"], ends, (low, high), values["n_bootstrap"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"Intervals.from_dict needs the dict that to_dict gave: {error!r}") from None

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import intervals_card

        return intervals_card(self)


def bootstrap(
    data: Any,
    forecast: Forecast,
    target: Any = None,
    *,
    given: Any = None,
    paired: bool = False,
    n_samples: int = 200,
    confidence: float = 0.9,
    seed: int = 0,
    drop_nonfinite: bool = False,
) -> Intervals:
    """Percentile intervals for the critical β of each leading mode and for the number of living latents.

    Parameters
    ----------
    data, target, given, paired, drop_nonfinite
        The same as the forecast was made from; read once more.
    forecast : Forecast
    n_samples : int
        2 to 100,000.
    confidence : float
        Between 0 and 1.
    seed : int

    Returns
    -------
    Intervals

    Raises
    ------
    ObjectiveError
        A confidence outside (0, 1), or fewer than 2 samples.
    DataError
        Data of another shape than the forecast's, or another number of rows.

    Notes
    -----
    Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 13. Percentiles of sample strengths share the
    upward push that sampling noise gives to strengths, twice; so each interval reaches down to the same spread about
    the de-biased strength. How often it holds: docs/thresholds.md. With a
    condition its regression is held at the full sample's, whose change matters to second order only: it is a minimum.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((400, 3)) * [3.0, 1.0, 0.1]
    >>> bootstrap(x, forecast(x)).n_alive
    (1, 2)
    """
    checks.instance(forecast, "forecast", Forecast)
    n_samples = checks.count(n_samples, "n_samples", least=2, most=MOST_SAMPLES)
    confidence, seed = checks.number(confidence, "confidence"), checks.count(seed, "seed")
    if not 0 < confidence < 1:
        raise ObjectiveError(f"confidence must lie between 0 and 1, got {confidence:g}")
    paired, drop_nonfinite = checks.flag(paired, "paired"), checks.flag(drop_nonfinite, "drop_nonfinite")
    if forecast.spectrum.condition and given is None:
        raise DataError("the forecast has a condition; give it again (given=)")
    spectrum = forecast.spectrum
    if spectrum.condition and spectrum.condition.intercept is not None:
        raise DataError(f"no intervals are known for a condition with a {spectrum.likelihood} decoder; leave them out")
    k = min(spectrum.rank, max(forecast.n_alive + SPARE_MODES, 2), MOST_MODES)
    if k == 0:
        return Intervals(confidence, np.zeros((0, 2)), (0, 0), n_samples)
    rng = np.random.default_rng(seed)
    if is_dask(data):
        from uncollapse.forecasting.dask_shards import shards_on_dask

        whole = shards_on_dask(data, target, given, spectrum, k, seed, drop_nonfinite)
    else:
        parts = finite_parts(data, target, given, paired, drop_nonfinite, spectrum)
        whole = summed(scores_of(parts, spectrum, k), spectrum, k, rng)
    shards = complete(whole, spectrum)
    draws = rng.multinomial(len(shards.counts), np.full(len(shards.counts), 1 / len(shards.counts)), n_samples)
    critical, alive = [], []
    for strengths, energy in replicates(shards, draws, spectrum, k):
        beta, count = _outcome(forecast, strengths, energy)
        critical.append(beta)
        alive.append(count)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = _around(forecast, np.asarray(alive), tails)
    with np.errstate(all="ignore"):
        ends = _of_both(forecast, np.quantile(critical, [tails[0], 0.5, tails[1]], axis=0).T)
    return Intervals(confidence, ends, (int(low), int(high)), n_samples)


def _of_both(forecast: Forecast, quantiles: np.ndarray) -> np.ndarray:
    """Ends of the resamples, and of the same spread about the de-biased strengths: where n is not far above d the first
    lie too high, as the sample's own strengths do, and the second are right; elsewhere both are the same."""
    low, middle, high = quantiles.T
    strengths = forecast.spectrum.strengths.copy()
    strengths[: len(low)] = forecast.spectrum.debiased_strengths[: len(low)]
    centre = _outcome(forecast, strengths, forecast.spectrum.total_energy)[0][: len(low)]
    about = np.where(middle > 0, centre / np.where(middle > 0, middle, 1.0), 1.0)
    moved_low, moved_high = low * about, high * about
    return np.column_stack([np.fmin(low, moved_low), np.fmax(high, moved_high)])


def _around(forecast: Forecast, alive: np.ndarray, tails: list[float]) -> tuple[int, int]:
    """The spread of the counts, laid around the forecast's own count.

    A resample carries the noise of the sample twice, which moves all its counts to one side; another sample carries it
    once, as the forecast's own did. So the spread is that of the resamples, and the middle is the forecast's.
    """
    low, middle, high = np.quantile(alive, [tails[0], 0.5, tails[1]], method="inverted_cdf").astype(int)
    own, most = forecast.n_alive, forecast.n_usable
    return int(max(own + low - middle, 0)), int(max(min(own + high - middle, most), own))


def _outcome(forecast: Forecast, strengths: np.ndarray, energy: float) -> tuple[np.ndarray, int]:
    moved = replace(forecast.spectrum, strengths=strengths, total_energy=max(energy, float(strengths.sum())))
    there = replace(forecast, spectrum=moved)
    return there.critical_betas, there.n_alive
