"""How many latents a nonlinear network may need: an estimate from a sample of the rows, without training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.sample import sample_rows
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.showing.noun import Card, Noun, short
from uncollapse.showing.plain import plain
from uncollapse.spectra.sequential import sequential_strengths
from uncollapse.theory.earning import seen_to_earn

__all__ = ["Sequential", "sequential"]

N_ROWS = 2048
"""As many as a pilot trains on, so that the same latents would be seen to earn."""


@dataclass(frozen=True, eq=False, repr=False)
class Sequential(Noun):
    """Strengths of what is left once the latents before are known, and how many of them would be seen to earn.

    Attributes
    ----------
    forecast : Forecast
        The linear one.
    strengths : ndarray of shape (k,)
        Descending, in squared units of the data; the search ended at the first one that is not above the water level,
        or when every latent had one.
    n_rows : int
        Rows of the sample.
    """

    forecast: Forecast
    strengths: np.ndarray
    n_rows: int

    @property
    def n_alive(self) -> int:
        """Latents that a nonlinear network may need at the forecast's own water level; no more than it has."""
        return self._earning(self.strengths)

    @property
    def n_linear(self) -> int:
        """What the same rule counts among the linear strengths: latents seen to earn on so many rows."""
        return self._earning(self.forecast.spectrum.strengths)

    def _earning(self, strengths: np.ndarray) -> int:
        earning = seen_to_earn(strengths, self.forecast.water_level, self.n_rows)
        return min(int(earning.sum()), self.forecast.n_latents)

    @property
    def headline(self) -> str:
        """The estimate in one sentence, with how good it is."""
        from uncollapse.forecasting.words import about_sequential

        return about_sequential(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "n_alive": self.n_alive,
            "n_linear": self.n_linear,
            "n_latents": self.forecast.n_latents,
            "n_rows": self.n_rows,
            "water_level": self.forecast.water_level,
            "strengths": plain(self.strengths),
        }

    def card(self) -> Card:
        """The headline, the facts and the strengths: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import sequential_card

        return sequential_card(self)

    def __repr__(self) -> str:
        return short(self, n_alive=self.n_alive, n_linear=self.n_linear, n_rows=self.n_rows)


def sequential(
    data: Any, forecast: Forecast, *, n_rows: int = N_ROWS, seed: int = 0, drop_nonfinite: bool = False
) -> Sequential:
    """Estimate how many latents a nonlinear network needs, from a sample of the rows and without training.

    Parameters
    ----------
    data : array of shape (n, ...), sparse matrix, Rows, or anything else that `uncollapse.forecast` takes
    forecast : Forecast
        Of the same data: a Gaussian decoder of given variance, one level of latents, no target and no condition.
    n_rows : int
        Most rows taken, at random. Time grows with their cube: with 2,048 each latent found takes a tenth of a second
        or two.
    seed : int
        Of the sample.
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values.

    Returns
    -------
    Sequential

    Raises
    ------
    ObjectiveError
        For what is not covered: other likelihoods, a learned decoder variance, levels, fixed encoder variances, no
        biases, a target, a condition.
    DataError
        Rows that do not fit the forecast, or are not finite.

    Notes
    -----
    Source: docs/theory.md, section 7 (What is left). How near it comes to networks trained to their end:
    docs/training.md; networks of more than 20 latents were not tried. The KL of these strengths is no estimate of the
    network's. The linear count by the same rule (`n_linear`) was right as often on data that chose nothing.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> turn = np.random.default_rng(0).uniform(0, np.pi, 800)
    >>> rows = np.column_stack([3 * np.cos(turn), 3 * np.sin(turn)])
    >>> f = forecast(rows, beta=0.1)
    >>> f.n_alive, sequential(rows, f).n_alive  # half a circle: one number tells where on it a row is
    (2, 1)
    """
    f = checks.instance(forecast, "forecast", Forecast)
    refuse(f)
    n_rows = checks.count(n_rows, "n_rows", least=2, error=DataError)
    seed = checks.count(seed, "seed", most=2**32 - 1, error=DataError)
    drop_nonfinite = checks.flag(drop_nonfinite, "drop_nonfinite", error=DataError)
    x, _, _ = sample_rows(data, None, None, n_rows, seed, drop_nonfinite=drop_nonfinite)
    if x.shape[1] != f.spectrum.n_features:
        raise DataError(f"the data have {x.shape[1]} columns and the forecast {f.spectrum.n_features}")
    if len(x) < 2:
        raise DataError(f"only {len(x)} row(s) to learn from; an estimate needs two or more")
    with np.errstate(over="ignore", under="ignore"):
        x = np.asarray(x, dtype=np.float64) * f.spectrum.input_scale
    if not np.isfinite(x).all():
        raise DataError(
            "the data: NaN or infinite values; repair them, or leave such rows out with drop_nonfinite=True "
            "(--drop-nonfinite)"
        )
    largest = float(np.abs(x).max())
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0  # so that no square overflows
    level = max(f.water_level / unit / unit, np.finfo(float).tiny)
    with np.errstate(under="ignore"):
        strengths = sequential_strengths(x / unit, level, f.n_latents) * unit * unit
    return Sequential(f, strengths, len(x))


def refuse(f: Forecast) -> None:
    """Say what the estimate does not cover."""
    o, s = f.objective, f.spectrum
    why = None
    if s.likelihood != "gaussian":
        why = f"a Gaussian decoder, and this one is {s.likelihood}"
    elif o.levels:
        why = "one level of latents, and this objective has several"
    elif o.decoder_variance == "learned":
        why = "a decoder variance that is given, and this one is learned"
    elif o.encoder_variance != "learned":
        why = "encoder variances that are learned, and these are given"
    elif not o.bias:
        why = "a model with biases; leave out --no-bias (bias=False)"
    elif s.condition or not s.target_is_input:
        why = "data that are their own target, without a condition; see nonlinear_spectrum and nonlinear_residual"
    if why:
        raise ObjectiveError(f"the estimate for nonlinear networks (--nonlinear) needs {why}")
