"""What is true of every network: where the water level stands between the two thresholds of the data.

Source: docs/theory.md, section 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from uncollapse.spectra.global_threshold import GlobalThreshold

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["Zone", "about_zones", "global_threshold", "zone"]

Zone = Literal["alive", "between", "dead", "over-first"]

NEAR = 0.02
"""Share of the first threshold up to which the second is the same."""


def global_threshold(f: Forecast) -> GlobalThreshold:
    """That of the spectrum, where the objective is one that it holds for."""
    o = f.objective
    if o.levels:
        return GlobalThreshold(None, why_not="it is not known for levels")
    if o.encoder_variance != "learned":
        return GlobalThreshold(None, why_not="it is not known for given encoder variances")
    if o.decoder_variance == "learned":
        return GlobalThreshold(None, why_not="it is not known for a learned decoder variance")
    return f.spectrum.global_threshold


def zone(f: Forecast) -> Zone:
    """Where the water level stands; with levels and given widths, whether any latent lives."""
    if f.n_alive:
        return "alive"
    second = global_threshold(f).level
    if second is None:
        return "over-first"
    return "dead" if f.water_level >= second else "between"


def about_zones(f: Forecast) -> str:
    """The thresholds in a sentence or two; empty where the second is not known."""
    second, first = f.global_threshold, f.critical_beta * (f.water_level / f.objective.beta)
    if second.level is None or second.interval is None:
        return ""
    low, high = second.interval
    name = "water level" if f.exact else "β"
    if high <= first * (1 + NEAR):
        return (
            f"The two thresholds of these data are one: under {name} {first:.4g} a latent of any flexible network "
            f"lives at its optimum, and above it every network collapses."
        )
    text = (
        f"Two thresholds hold for any network: under {name} {first:.4g} a latent lives at the optimum; from "
        f"{second.level:.4g} ({low:.4g} to {high:.4g}) on collapse is best. Between them a network that starts quietly "
        f"collapses; one that comes from a lower weight, by a KL warm-up, may keep latents alive."
    )
    if f.zone != "between":
        return text
    gain = f.objective.beta * second.gain_at(f.water_level)
    return text + (f" Here a code of two values already gains {gain:.2g} nats a sample." if gain > 0 else "")
