"""What a forecast means, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from uncollapse.forecasting.level_words import about_condition, about_levels, levels_verdict
from uncollapse.forecasting.zones import about_zones

if TYPE_CHECKING:
    from uncollapse.forecasting.intervals import Intervals
    from uncollapse.forecasting.keep import Keep
    from uncollapse.forecasting.result import Forecast
    from uncollapse.forecasting.sequential import Sequential

__all__ = ["about_nonlinear", "about_sequential", "advice", "caveats", "limits", "verdict", "water"]

GOOD = "within one of the trained number in 3 of 4 networks, docs/training.md"
"""The estimate for nonlinear networks, on the data of that page that chose nothing."""


def verdict(forecast: Forecast, intervals: Intervals | None = None) -> str:
    """The answer in one sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> verdict(forecast(x))
    '1 of the 2 modes of the data stands above the water level τ = 1, so up to 1 latent will live; the others collapse.'
    >>> verdict(forecast(x, n_latents=2))
    '1 of 2 latents will live; the other collapses, because its mode lies under the water level τ = 1.'
    """
    f = forecast
    if f.status == "ill-posed":
        return f"This objective is ill-posed: {f.ill_posed}."
    if f.levels and f.spectrum.rank:
        return levels_verdict(f)
    if f.flat:
        return f"The optimum is not unique: {f.flat}."
    if f.spectrum.rank == 0 and f.spectrum.condition and f.spectrum.condition.energy:
        return "Complete collapse, whatever the loss: the condition explains the data, so nothing is left to code."
    if f.spectrum.rank == 0:
        return "Complete collapse, whatever the loss: the data hold no mode for a latent to carry."
    level = f"the water level {water(f)}"
    if f.status == "complete":
        why = f"because the strongest mode ({f.critical_levels.max():.4g}) does not stand above {level}"
        if f.zone == "between":
            return f"Collapse, of any network that starts quietly, {why}; a KL warm-up may keep latents alive."
        return f"Complete collapse: every latent will die, {why}."
    spread = ""
    if intervals is not None and intervals.n_alive[0] != intervals.n_alive[1]:
        spread = f" ({intervals.n_alive[0]} to {intervals.n_alive[1]} on another sample)"
    about = "" if f.exact else "about "
    n, total = f.n_alive, f.n_latents
    if f.objective.n_latents is None:
        if not f.spectrum.complete and n == total:
            return f"At least {n} latents could live{spread}: all {n} modes that were computed stand above {level}."
        modes = f"{total} modes of the data" if f.spectrum.complete else f"{total} strongest modes"
        stand = "stands" if n == 1 else "stand"
        will = f"so up to {_latents(n)} will live{spread}; the others collapse"
        return f"{about.capitalize()}{n} of the {modes} {stand} above {level}, {will}."
    if n == total:
        which = "The only latent" if n == 1 else f"All {n} latents"
        return f"{which} will live{spread}: each carries a mode that stands above {level}."
    idle = total - n
    others = "the other collapses" if idle == 1 else f"the other {idle} collapse"
    if n == f.n_usable:
        why = "there is no mode left for it" if idle == 1 else "there is no mode left for them"
    else:
        why = f"its mode lies under {level}" if idle == 1 else f"their modes lie under {level}"
    return f"{about.capitalize()}{n} of {total} latents will live{spread}; {others}, because {why}."


def _latents(n: int) -> str:
    return "1 latent" if n == 1 else f"{n} latents"


def _are(n: int) -> str:
    return _latents(n) + (" is" if n == 1 else " are")


def advice(forecast: Forecast) -> list[str]:
    """What to change, most useful first; each a sentence."""
    return [*filter(None, [about_condition(forecast)]), *about_levels(forecast), *_advice(forecast)]


def caveats(forecast: Forecast) -> list[str]:
    """What the numbers do not say."""
    notes = [
        "A mode is a direction of the data. A latent lives if the strength of its mode stands above the water level, "
        + ("τ = β × decoder variance." if forecast.exact else "β.")
    ]
    if not forecast.spectrum.rank:
        return notes
    if forecast.objective.levels:
        notes.append("β in the advice is the overall weight, which multiplies that of every level.")
    if forecast.exact:
        known = "Exact for linear encoders and decoders at their global optimum."
    else:
        known = (
            f"That collapse is stable from β = {forecast.critical_beta:.4g} on is exact. The number alive is an "
            "estimate: no closed form of the loss is known while latents live, and KL and σ are those of a Gaussian "
            "decoder of the same spectrum."
        )
    notes.append(f"{known} {_beyond_linear(forecast)}")
    return notes


def _beyond_linear(f: Forecast) -> str:
    at = f"β = {f.critical_beta:.4g}"
    if f.spectrum.condition:
        return (
            "A decoder nonlinear in the condition can explain more of the data, or use a latent for some conditions "
            "only, so collapse can start earlier or later (--nonlinear)."
        )
    if not f.spectrum.target_is_input:
        return f"A nonlinear encoder can use more of its input, so collapse starts at {at} or above (--nonlinear)."
    counted = "The number alive of a deep network may differ: it packs several modes into one latent, or gets stuck."
    start = about_zones(f) or f"For deep networks collapse is stable from {at} on; a better optimum may exist."
    return f"{start} {counted}"


def limits(keep: Keep) -> str:
    """`Keep` in words: the user's own weight if known, else β and decoder variance."""
    if keep.kl_weight is not None:
        return f"kl_weight below {_floor(keep.kl_weight)}"
    if keep.decoder_variance is None:
        return f"β below {_floor(keep.beta)}"
    return f"β below {_floor(keep.beta)} (or decoder variance below {_floor(keep.decoder_variance)})"


def water(forecast: Forecast) -> str:
    """The water level as a formula with its value."""
    if not forecast.exact:
        return f"β = {forecast.objective.beta:.4g}"
    learned = forecast.objective.decoder_variance == "learned"
    return f"τ = {forecast.water_level:.4g}" + (" (decoder variance at its optimum)" if learned else "")


def _advice(f: Forecast) -> Iterator[str]:
    n, usable = f.n_alive, f.n_keepable
    if f.n_usable == 0 and f.spectrum.condition and f.spectrum.condition.energy:
        yield "Drop columns from the condition if latents are to carry anything."
        return
    if f.n_usable == 0:
        yield "Look at the data first: the target is constant, or no linear function of the input predicts it."
        return
    if f.ill_posed and f.objective.levels:
        return  # the reason says what to change
    if f.ill_posed or (f.flat and not f.levels):
        yield (
            "Fix the decoder variance at the noise you accept, use fewer latents than modes, or raise β above "
            f"{f.spectrum.n_targets / f.n_usable:.4g}."
        )
        return
    earning = min(usable, int(f.spectrum.above_noise.sum()))
    if n == 0 < earning:
        yield f"To let a first latent live: {limits(f.keep(1))}."
    if 0 < n < earning:
        where = " on level 1" if f.levels else ""
        yield f"To keep one more alive{where} ({n + 1}): {limits(f.keep(n + 1))}."
    if n + 1 < earning and f.objective.n_latents is not None:
        who = f"all {usable}" if earning == usable else f"all {earning} whose modes stand above sampling noise"
        yield f"To keep {who} alive: {limits(f.keep(earning))}."
    if 0 < n == usable:
        who = "The latents of level 1" if f.levels else "They"
        yield f"{who} stay alive for any {limits(f.keep(n))}."
    if earning == n < usable:
        yield _only_noise(f)
    yield from _about_worth(f)


def _only_noise(f: Forecast) -> str:
    """No weight is named that would wake a latent only to code noise."""
    which = "the strongest mode" if f.n_alive == 0 else "the next mode"
    lower = "weight of the KL" if f.objective.loss else "β"
    return f"A lower {lower} would only code noise: {which} lies under {_edge(f)}."


def _about_worth(f: Forecast) -> Iterator[str]:
    """How many latents are worth having: one for each mode above the water and above sampling noise."""
    n, worth = f.n_alive, f.n_worth_having
    noisy = n - int(f.spectrum.above_noise[:n].sum())
    if worth > f.n_latents:
        spare = worth - f.n_latents
        yield (
            f"At this water level {worth} latents are worth having, one for each mode above it and above sampling "
            f"noise; {spare} of these modes {'has' if spare == 1 else 'have'} none."
        )
    elif worth < n and noisy == n:
        whose = "the mode of the one that lives lies" if n == 1 else f"the modes of all {n} lie"
        yield f"No latent is worth having: {whose} under {_edge(f)}."
    elif worth < n:
        others = "the mode of the other lies" if noisy == 1 else f"the modes of the other {noisy} lie"
        yield f"{_are(worth)} worth having: {others} under {_edge(f)}."
    elif 0 < worth < f.n_latents and f.objective.n_latents is not None:
        yield f"At this water level {_are(worth)} worth having; more would be collapsed."


def _edge(f: Forecast) -> str:
    return f"the edge of sampling noise ({f.spectrum.noise.edge:.4g})"


def _floor(value: float) -> str:
    """Four significant digits, rounded down, because a limit must be stayed below."""
    text = f"{value:.4g}"
    if float(text) > value:
        text = f"{value - 0.5 * 10.0 ** (_exponent(value) - 3):.4g}"
    return text


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def about_nonlinear(linear: Forecast, nonlinear: Forecast) -> str:
    """How many latents a network nonlinear in its input could keep alive, beside the linear count."""
    there, here = nonlinear.critical_beta, linear.critical_beta
    if linear.spectrum.condition:
        return (
            f"With a decoder that is nonlinear in the condition {nonlinear.n_alive} would live where the linear one "
            f"has {linear.n_alive}: cross-validated regression leaves a strongest mode of {_top(nonlinear)}, least "
            f"squares {_top(linear)}."
        )
    if nonlinear.n_alive < linear.n_alive:
        return (
            f"Cross-validated regression, linear and nonlinear, keeps {nonlinear.n_alive} alive where least squares "
            f"says {linear.n_alive}: the linear strengths are partly overfit."
        )
    return (
        f"A nonlinear encoder could keep {nonlinear.n_alive} alive (the linear one {linear.n_alive}): complete "
        f"collapse starts at β = {there:.4g} or above, where the linear strengths say {here:.4g}."
    )


def about_sequential(s: Sequential) -> str:
    """How many latents a nonlinear network may need, beside the linear count, and how good the estimate is."""
    n, linear = s.n_alive, s.forecast.n_alive
    about = f"about {_latents(n)}" if n else "none"
    if n == linear:
        text = f"A nonlinear network may need as many: {about}"
    elif linear > n >= s.n_linear:
        text = f"Of these, {about} would be seen to earn on so many rows, and a nonlinear network may need no fewer"
    else:
        text = f"A nonlinear network may need {'fewer' if n < linear else 'more'}: {about}"
    return f"{text} (an estimate from {s.n_rows:,} rows without training; {GOOD})."


def _top(f: Forecast) -> str:
    return f"{f.spectrum.strengths[0]:.4g}" if f.spectrum.rank else "0"
