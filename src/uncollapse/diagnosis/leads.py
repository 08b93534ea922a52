"""Where the loss leads, from the data and the loss alone, whatever the training did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from uncollapse.diagnosis.conventions import reduction_behind
from uncollapse.diagnosis.thresholds import FEW
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.zones import Zone

__all__ = ["Leads", "Reason", "leads_of"]

Reason = Literal["weight", "reduction", "condition", "hierarchy", "noise", "none"]


@dataclass(frozen=True)
class Leads:
    """How many latents can live at this loss.

    Attributes
    ----------
    n_alive : int
        At most; the count of the best linear VAE.
    n_latents : int
        Of the lowest level.
    because : {"weight", "reduction", "condition", "hierarchy", "noise", "none"}
        What keeps the others dead; "none" where all can live.
    exact : bool
        Whether the count is that of the model itself; else it is that of a linear VAE and is called so.
    dies : bool
        Whether the loss asks for collapse, of all latents or nearly all.
    text : str
        The sentence.
    zone : {"alive", "between", "dead", "over-first"}
        Where the water level stands between the two thresholds; see `Forecast.zone`.
    global_threshold : float or None
        The second of them.
    """

    n_alive: int
    n_latents: int
    because: Reason
    exact: bool
    dies: bool
    text: str
    zone: Zone = "over-first"
    global_threshold: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "n_alive": self.n_alive,
            "n_latents": self.n_latents,
            "because": self.because,
            "exact": self.exact,
            "every_latent_dies": self.n_alive == 0 and self.zone != "between",
            "zone": self.zone,
            "global_threshold": self.global_threshold,
            "text": self.text,
        }


def leads_of(forecast: Forecast, n_latents: int, *, linear: bool = False) -> Leads:
    """The first of the two questions.

    Parameters
    ----------
    forecast : Forecast
        Of the data at the model's objective.
    n_latents : int
        Of the lowest level.
    linear : bool
        Whether the model itself is a linear VAE with a Gaussian decoder, so that the count is exact.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 3)) * [3.0, 2.0, 1.0]
    >>> leads_of(forecast(x, beta=20.0, n_latents=2), 2).text
    'At this loss every latent dies: the strongest mode, 8.638, lies under the water level 20.'
    """
    f = forecast
    n = min(f.n_alive, n_latents)
    usable = min(n_latents, int(f.spectrum.above_noise.sum()))
    dies = n == 0 or n < FEW * usable
    because = _because(f, n, n_latents, usable, dies)
    zone: Zone = "alive" if n else f.zone
    if linear and f.exact and zone == "between":
        zone = "dead"  # a linear VAE has one threshold
    second = None if n else f.global_threshold.level
    text = _sentence(f, n, n_latents, because, dies, linear) if zone != "between" else _between(f, second)
    return Leads(n, n_latents, because, linear and f.exact, dies, text, zone, second)


def _because(f: Forecast, n: int, n_latents: int, usable: int, dies: bool) -> Reason:
    if f.objective.levels and all(level.n_alive == 0 for level in f.levels[1:]):
        return "hierarchy"
    if n == n_latents:
        return "none"
    if dies:
        without = f.without_condition
        if without is not None and without.n_alive > max(n, FEW * usable):
            return "condition"
        if reduction_behind(f) is not None:
            return "reduction"
        return "noise" if usable == 0 else "weight"
    return "noise" if n >= usable else "weight"


def _sentence(f: Forecast, n: int, n_latents: int, because: Reason, dies: bool, linear: bool) -> str:
    whose = "" if linear else " (counted for a linear VAE)"
    if n == n_latents:
        return f"At this loss {f'all {n} latents' if n > 1 else 'the latent'} can live{whose}."
    if n:
        of = "1 latent" if n == 1 else f"{n} latents"
        return f"At this loss at most {of} of {n_latents} can live{whose}."
    why = _under(f)
    about = {
        "condition": " The condition explains the target.",
        "reduction": " The reduction of the loss puts it there.",
    }.get(because, "")
    return f"At this loss {'every latent dies' if n_latents > 1 else 'the latent dies'}{why}.{about}"


def _between(f: Forecast, second: float | None) -> str:
    return (
        f"At this loss a network that starts quietly loses every latent{_under(f)}. One that comes from a lower weight "
        f"can keep some, up to {second:.4g}."
    )


def _under(f: Forecast) -> str:
    """Where the strongest mode stands."""
    if not len(f.critical_levels) or f.objective.levels:
        return ""
    top, level = float(f.critical_levels.max()), f.water_level
    if top > level:
        return ""
    return f": the strongest mode, {top:.4g}, lies under the water level {level:.4g}"
