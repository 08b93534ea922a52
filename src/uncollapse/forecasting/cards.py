"""What a forecast and its parts say of themselves in a few words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from uncollapse.forecasting.level_words import LEVEL_HEADINGS, level_rows
from uncollapse.forecasting.levels import MOST_LISTED
from uncollapse.forecasting.words import about_sequential, advice, limits, verdict
from uncollapse.showing.noun import MOST_ROWS, Card, number

if TYPE_CHECKING:
    from uncollapse.forecasting.certificate import Certificate
    from uncollapse.forecasting.intervals import Intervals
    from uncollapse.forecasting.keep import Keep
    from uncollapse.forecasting.levels import LevelForecast
    from uncollapse.forecasting.result import Forecast
    from uncollapse.forecasting.sequential import Sequential
    from uncollapse.forecasting.weights import Weights

__all__ = [
    "certificate_card",
    "forecast_card",
    "intervals_card",
    "keep_card",
    "level_card",
    "sequential_card",
    "weights_card",
]


def forecast_card(f: Forecast) -> Card:
    """The verdict, the advice, the main numbers and the levels."""
    facts = [
        ("latents alive", f"{f.n_alive} of {f.n_latents}"),
        ("water level", number(f.water_level)),
        ("complete collapse from β", number(f.critical_beta)),
    ]
    if f.exact:
        facts += [("KL, nats per sample", number(f.rate)), ("distortion", number(f.distortion))]
    if math.isfinite(f.loss):
        facts += [("loss, nats per sample", number(f.loss)), ("ELBO, nats per sample", number(f.elbo))]
    headings, rows = (LEVEL_HEADINGS, tuple(map(tuple, level_rows(f)))) if f.levels else ((), ())
    return Card(verdict(f), tuple(facts), tuple(advice(f)), headings, rows)


def keep_card(k: Keep) -> Card:
    """The limits, in the user's own loss where it is known."""
    names = {
        "beta": "β",
        "decoder_variance": "decoder variance",
        "water_level": "water level",
        "kl_weight": "kl_weight",
    }
    facts = tuple(
        (f"{name} below", number(getattr(k, key))) for key, name in names.items() if getattr(k, key) is not None
    )
    who = "1 latent stays" if k.n_alive == 1 else f"{k.n_alive} latents stay"
    return Card(f"{who} alive with {limits(k)}.", facts)


def intervals_card(i: Intervals) -> Card:
    """Where the number alive and the critical β would lie on another sample."""
    low, high = i.n_alive
    rows = tuple(
        (str(k), number(a), number(b)) for k, (a, b) in enumerate(i.critical_betas[:MOST_ROWS].tolist(), start=1)
    )
    alive = str(low) if low == high else f"{low} to {high}"
    return Card(
        f"On another sample of this size {alive} latents would live ({i.confidence:.0%} interval).",
        (("bootstrap samples", f"{i.n_samples:,}"),),
        headings=("mode", "critical β from", "to"),
        rows=rows,
    )


def level_card(level: LevelForecast) -> Card:
    """How many latents of the level live, and what each does."""
    listed = level.n_latents <= MOST_LISTED
    columns = (level.alive, level.carries_data, level.kl, level.variance_of_latent) if listed else ((),) * 4
    rows = zip(*(list(column[:MOST_ROWS]) for column in columns), strict=True)
    variance = level.variance if isinstance(level.variance, str) else number(level.variance)
    return Card(
        f"Level {level.level}: {level.n_alive} of {level.n_latents} latents alive.",
        (
            ("β", number(level.beta)),
            ("encoder variance", variance),
            ("KL, nats per sample", number(level.rate)),
        ),
        headings=("latent", "alive", "carries data", "KL, nats", "variance") if listed else (),
        rows=tuple(
            (str(i), _yes(alive), _yes(carries), number(kl), number(spread))
            for i, (alive, carries, kl, spread) in enumerate(rows, start=1)
        ),
    )


def weights_card(w: Weights) -> Card:
    """Shapes of the parameters, and how many latents they use."""
    used = int((w.decoder != 0).any(axis=0).sum())
    facts = [("decoder", _shape(w.decoder.shape)), ("encoder", _shape(w.encoder.shape))]
    facts += [("decoder variance", number(w.decoder_variance))]
    facts += [("levels above", str(len(w.upper)))] if w.upper else []
    facts += [] if w.decoder_condition is None else [("condition to output", _shape(w.decoder_condition.shape))]
    return Card(
        f"Optimal parameters of a linear VAE that uses {used} of its {w.decoder.shape[1]} latents.", tuple(facts)
    )


def certificate_card(c: Certificate) -> Card:
    """Whether optimisation agrees with the closed form."""
    if not c.holds:
        headline = "The closed form does not hold: optimisation found a lower loss."
    elif c.attained:
        headline = "The closed form holds: optimisation reached its loss and went no lower."
    else:
        headline = "Optimisation found no lower loss, but did not reach the closed form; try more starts."
    facts = (("closed form, nats per sample", f"{c.closed_form:.10g}"), ("best loss reached", f"{c.best_loss:.10g}"))
    return Card(headline, (*facts, ("relative gap", f"{c.gap:.2g}"), ("starts", str(c.n_starts))))


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def sequential_card(s: Sequential) -> Card:
    """The estimate, and each strength beside the linear one."""
    linear = s.forecast.spectrum.strengths
    facts = (
        ("rows of the sample", f"{s.n_rows:,}"),
        ("water level", number(s.forecast.water_level)),
        ("linear latents that earn", str(s.n_linear)),
    )
    rows = tuple(
        (str(i + 1), number(strength), number(float(linear[i])) if i < len(linear) else "")
        for i, strength in enumerate(s.strengths[:MOST_ROWS].tolist())
    )
    return Card(about_sequential(s), facts, headings=("latent", "strength left", "linear"), rows=rows)
