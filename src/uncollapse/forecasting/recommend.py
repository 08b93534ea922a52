"""Which weight, width and number of latents to take: recommended settings for three aims, each with what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from uncollapse import checks
from uncollapse.errors import ObjectiveError, warn
from uncollapse.showing.noun import Card, Noun, number
from uncollapse.showing.plain import Record

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["HEADINGS", "Recommended", "recommend", "recommended_rows", "with_most_energy"]

MARGIN = 0.5
"""The water at half the strength of the weakest mode that should live: near its threshold a mode grows slowly."""

ENERGY = 0.95
"""Share of the energy of all modes above noise, of the aim that leaves out the weakest of them."""

BUDGET = 10.0
"""Nats of KL where nobody says, and the objective itself spends none."""

HEADINGS = ("aim", "latents", "water", "set", "KL", "left")


@dataclass(frozen=True, repr=False)
class Recommended(Record, Noun):
    """Settings for one aim; KL and distortion are those of the best linear VAE.

    Attributes
    ----------
    aim : str
    n_latents : int
    water_level : float
    beta : float
        At the objective's own decoder variance.
    kl_weight : float or None
        In the user's own loss, where it is known.
    kl : float
        Nats per sample.
    distortion : float or None
        Share of the data's energy that the reconstruction leaves; None for a likelihood other than Gaussian.
    """

    aim: str
    n_latents: int
    water_level: float
    beta: float
    kl_weight: float | None
    kl: float
    distortion: float | None

    @property
    def setting(self) -> str:
        """What to set, in the user's own words."""
        return f"β {self.beta:.3g}" if self.kl_weight is None else f"kl_weight {self.kl_weight:.3g}"

    def card(self) -> Card:
        """The settings, and what they cost."""
        facts = [("KL, nats per sample", number(self.kl)), ("water level", number(self.water_level))]
        facts += [] if self.distortion is None else [("left of the energy", f"{self.distortion:.1%}")]
        return Card(f"{self.aim}: {self.n_latents} latents, {self.setting}.", tuple(facts))


def recommend(f: Forecast, kl_budget: float | None = None) -> tuple[Recommended, ...]:
    """Settings for three aims: the strongest modes alive, those with 95 % of the energy above noise; the best
    reconstruction at so many nats of KL; and every mode above noise, but no latent that codes noise.

    Parameters
    ----------
    f : Forecast
        One level, a decoder variance that is given, learned encoder variances.
    kl_budget : float, optional
        Nats; what the forecast itself spends when left out, or 10 where it spends none.

    Raises
    ------
    ObjectiveError
        For another objective.

    Warns
    -----
    UncollapseWarning
        No mode stands above noise; nothing is recommended then.

    Examples
    --------
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 4)) * [3.0, 2.0, 0.3, 0.3]
    >>> [(one.n_latents, round(one.water_level, 2)) for one in recommend(forecast(x), kl_budget=1.0)]
    [(2, 1.75), (2, 2.11), (2, 0.61)]
    """
    o, s = f.objective, f.spectrum
    if o.levels or o.decoder_variance == "learned" or o.encoder_variance != "learned":
        raise ObjectiveError("settings are recommended for one level of latents, a decoder variance that is given and "
                             "learned encoder variances")  # fmt: skip
    worth = int(s.above_noise.sum())
    if worth == 0:
        warn("no mode stands above sampling noise, so no setting is recommended")
        return ()
    levels = f.critical_levels
    weakest = float(levels[worth - 1])
    edge = float(s.noise.edge)
    n, level = with_most_energy(f, s.rank) or (worth, MARGIN * weakest)
    wide = replace(f, n_latents=max(s.rank, 1), objective=replace(o, n_latents=None))
    budget = checks.positive(kl_budget, "kl_budget") if kl_budget is not None else _own_budget(f)
    return (
        _at(f, f"modes with {ENERGY:.0%} of energy live", level, n),
        _at_budget(f, wide, budget),
        _at(f, "none codes noise", math.sqrt(edge * weakest) if 0 < edge < weakest else MARGIN * weakest, worth),
    )


def with_most_energy(f: Forecast, most: int) -> tuple[int, float] | None:
    """How many modes carry 95 % of the energy above noise, of the strongest so many, and the water level that keeps
    them; None if no mode stands above noise.

    Parameters
    ----------
    f : Forecast
        One level.
    most : int
    """
    strengths = f.spectrum.strengths[f.spectrum.above_noise][:most]
    if not len(strengths):
        return None
    carried = strengths.cumsum() / strengths.sum()
    n = min(int((carried < ENERGY).sum()) + 1, len(strengths))
    return n, MARGIN * float(f.critical_levels[: len(strengths)][n - 1])


def recommended_rows(all_of_them: tuple[Recommended, ...]) -> list[list[str]]:
    """A line for each aim."""
    return [
        [one.aim, str(one.n_latents), f"{one.water_level:.4g}", one.setting, f"{one.kl:.3g}",
         "" if one.distortion is None else f"{one.distortion:.1%}"]
        for one in all_of_them
    ]  # fmt: skip


def _own_budget(f: Forecast) -> float:
    rate = float(f.at_beta.rate[0])
    return rate if math.isfinite(rate) and rate > 0 else BUDGET


def _at_budget(f: Forecast, wide: Forecast, budget: float) -> Recommended:
    """The lowest water that so many nats can pay for, with as many latents as then live."""
    variance = _variance(f)
    top = float(f.critical_levels.max())

    def over(log_level: float) -> float:
        return float(wide.curves(np.array([math.exp(log_level) / variance])).rate[0]) - budget

    low = math.log(top) - 1.0
    while over(low) < 0 and low > math.log(top) - 200:
        low -= 1.0
    level = math.exp(brentq(over, low, math.log(top), xtol=1e-10)) if over(low) > 0 else math.exp(low)
    alive = int(wide.curves(np.array([level / variance])).n_alive[0])
    return _at(f, f"best picture at {budget:.3g} nats", level, max(alive, 1))


def _at(f: Forecast, aim: str, level: float, n_latents: int) -> Recommended:
    variance = _variance(f)
    totals = replace(f, n_latents=n_latents, objective=replace(f.objective, n_latents=n_latents)).curves(
        np.array([level / variance])
    )
    loss, energy = f.objective.loss, f.spectrum.total_energy
    left = float(totals.distortion[0]) / energy if f.exact and energy > 0 else None
    weight = None if loss is None else float(loss.kl_weight_for(level))
    return Recommended(aim, n_latents, level, level / variance, weight, float(totals.rate[0]), left)


def _variance(f: Forecast) -> float:
    return float(f.objective.decoder_variance) if f.exact else 1.0
