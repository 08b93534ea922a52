"""A cause → what to change, in the user's own convention, with the number alive that it should give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from uncollapse.diagnosis.causes import Finding
from uncollapse.diagnosis.conventions import reduction_behind
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.result import Plan, Remedy
from uncollapse.diagnosis.thresholds import OUT_OF_RANGE
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.recommend import MARGIN, with_most_energy
from uncollapse.objective import Objective

__all__ = ["remedies_for"]


def remedies_for(facts: Facts, finding: Finding) -> tuple[Remedy, ...]:
    """What to change, most useful first."""
    remedies = _remedies(facts, finding)
    if facts.forecast.objective.levels:  # what trains a probed model again knows one level
        return tuple(replace(remedy, plan=None) for remedy in remedies)
    return tuple(remedies)


def _remedies(f: Facts, finding: Finding) -> Iterator[Remedy]:
    o, cause = f.forecast.objective, finding.cause
    if f.misread and cause == "cannot-tell":
        yield Remedy(
            "say how the encoder is to be read: which output is the mean, and what the other is (--spread)",
            None,
            "Read as it is now, its latents would be at rest with a KL weight below 0. What follows from the loss and "
            "the data alone holds; what is said of the model does not.",
        )
        return
    if cause == "convention":
        reduction = reduction_behind(f.forecast)
        assert reduction is not None
        plan = Plan(_at_level(o, f.forecast.water_level / reduction.factor))
        yield Remedy(reduction.change, reduction.n_alive, "It takes the factor out of the water level.", plan)
    if f.constant and cause == "rightly-dead":
        yield Remedy("give data that vary, or leave it", None, "Every column is the same in all rows.")
        return
    if cause in ("objective", "convention", "condition", "cannot-tell"):
        yield from _lower_water(f)
        if f.leads.zone == "between":
            yield from _from_below(f)
    if cause == "condition":
        yield Remedy(
            "drop columns from the condition, or from what the decoder sees of it",
            None,
            "Latents can carry only what the condition leaves.",
        )
    if cause in ("optimisation", "encoder-lags", "slow"):
        yield from _train_on(f, cause)
    if cause == "encoder-stuck":
        yield Remedy(
            "take the clamp or softplus off the encoder's log-variance, and look for dead units before it",
            f.forecast.n_alive,
            "A linear VAE has so many alive with a free encoder variance.",
        )
    if cause == "capacity":
        worth = f.n_worth
        yield Remedy(f"latents {f.n_latents} → {worth}", worth, "So many modes stand above water and noise.")
    if cause in ("rightly-dead", "healthy") and f.n_dead:
        why = "The dead ones cost nothing and " + ("could gain next to nothing." if f.should_live else "lose nothing.")
        yield Remedy(f"latents {f.n_latents} → {f.n_alive}, or leave them", f.n_alive, why)
        yield from _lower_water(f)
    if cause == "over-alive":
        yield from _raise_water(f)
    if cause == "decoder-limited" and f.reach is not None:
        r = f.reach
        change = f"let the decoder's output reach the data: it spans {r.rank} of {r.n_targets} dimensions"
        if r.outside > OUT_OF_RANGE:
            change = f"take off what holds the output between {r.low:.3g} and {r.high:.3g}, or scale the data into it"
        why = "No training of this decoder brings it; a linear path beside it does at once (revive)."
        yield Remedy(change, None, why)
    if cause == "other-data":
        scale = f.fit.scale
        change = "give the data as the training saw them" if scale is None else f"give the data {scale}"
        yield Remedy(change, None, "All other numbers here are of data that the model does not know.")
    if cause == "other-loss" and f.weight is not None:
        yield Remedy(
            f"diagnose again with the loss as it was trained: its KL weight seems to be "
            f"{max(f.weight.weight, 0.0):.3g}",
            None,
            f"Its KL is {f.measurement.rate:.3g} nats in all, {f.measurement.rate / max(f.n_alive, 1):.2g} a living "
            f"latent: free nats? Or a warm-up that did not end, a coefficient that is not applied, another prior?",
        )
    if cause == "hierarchy":
        yield Remedy(
            "drop the upper level, or lower its β below the lower level's",
            None,
            "At equal β an upper level can carry nothing that the lower one does not (docs/hierarchy.md).",
        )


def _from_below(f: Facts) -> Iterator[Remedy]:
    o, level = f.forecast.objective, f.water_level
    gain = o.beta * f.forecast.global_threshold.gain_at(level)
    yield Remedy(
        "warm up the KL weight from 0 over the first half of training",
        None,
        "Between the two thresholds of the data collapse is stable and not best: latents that come from a lower weight "
        "can stay alive, with a lower loss.",
        Plan(o, fresh=True, warm_up=0.5),
        gain if gain > 0 else None,
    )


def _lower_water(f: Facts) -> Iterator[Remedy]:
    if f.forecast.objective.decoder_variance == "learned":
        yield from _other_weight(f, at_least_alive=min(f.usable, f.forecast.n_keepable))
        return
    target = None if f.forecast.objective.levels else with_most_energy(f.forecast, f.n_latents)
    if target is None:
        return
    n, level = target
    if level < f.forecast.water_level:
        at = _at_level(f.forecast.objective, level)
        alive = replace(f.forecast, objective=at).n_alive
        why = f"It puts the water level at {level:.3g}, half the strength of mode {n}."
        yield Remedy(_in_words(f.forecast.objective, level), alive, why, Plan(at))
    o = f.forecast.objective
    if f.forecast.exact and o.decoder_variance != "learned" and not o.levels and o.beta <= 1:
        free = replace(o, decoder_variance="learned", loss=None, beta=1.0)
        learned = replace(f.forecast, objective=free)
        if not learned.ill_posed and not learned.flat and learned.n_alive > f.forecast.n_alive:
            why = f"Its optimum, {learned.decoder_variance:.3g}, puts the water level there by itself."
            yield Remedy("learn the decoder variance, at β = 1", learned.n_alive, why, Plan(free))


def _other_weight(f: Facts, at_least_alive: int) -> Iterator[Remedy]:
    """Another β where a learned decoder variance sets the water level: one that keeps just so many latents alive."""
    o = f.forecast.objective
    if at_least_alive < 1 or o.levels:
        return
    beta = f.forecast.keep(at_least_alive).beta
    # half-way, on a logarithmic scale, to where one more would live: noise must not
    more = at_least_alive < f.forecast.n_keepable
    beta *= (f.forecast.keep(at_least_alive + 1).beta / beta) ** 0.5 if more else MARGIN
    at = replace(o, beta=beta, loss=None)
    optimum = replace(f.forecast, objective=at)
    if not optimum.ill_posed and not optimum.flat:
        variance, water = optimum.decoder_variance, optimum.water_level
        why = f"The decoder variance is then {variance:.3g}, and the water level {water:.3g}."
        yield Remedy(f"β {o.beta:.3g} → {beta:.3g}", optimum.n_alive, why, Plan(at))


def _raise_water(f: Facts) -> Iterator[Remedy]:
    if f.forecast.objective.decoder_variance == "learned":
        yield from _other_weight(f, at_least_alive=f.usable)
        return
    s = f.forecast.spectrum
    weakest = s.strengths[s.above_noise].min(initial=np.inf)
    # on the edge itself the noise's strongest modes are at their threshold, where latents die slowly
    level = float(np.sqrt(s.noise.edge * weakest)) if np.isfinite(weakest) else 2 * float(s.noise.edge)
    at = _at_level(f.forecast.objective, level)
    alive = replace(f.forecast, objective=at).n_alive
    why = "It puts the water between the edge of sampling noise and the weakest mode above it: none codes noise."
    yield Remedy(_in_words(f.forecast.objective, level), alive, why, Plan(at))


def _train_on(f: Facts, cause: str) -> Iterator[Remedy]:
    o, at_least, gain = f.forecast.objective, _within_reach(f), _to_gain(f)
    if cause == "slow":
        plan = Plan(o, fresh=False, warm_up=0.0, longer=2.0)
        yield Remedy("train longer", at_least, "The loss is still falling.", plan, gain)
    if cause == "encoder-lags":
        why = "The decoder can already use more than the encoder says: several steps of it for each of the decoder's."
        plan = Plan(o, fresh=False, warm_up=0.0)
        yield Remedy("train on from here, the encoder first of all", at_least, why, plan, gain)
    yield Remedy(
        "warm up the KL weight from 0 over the first half of training",
        at_least,
        "Latents that come to the threshold alive stay; those that start dead under a full KL may never wake.",
        Plan(o, fresh=True, warm_up=0.5),
        gain,
    )
    if cause == "optimisation":
        yield Remedy(
            "go on from here with the KL weight taken back to 0 and raised again",
            at_least,
            "A warm restart opens the dead latents along the strongest directions of what the reconstruction misses.",
            Plan(o, fresh=False, warm_up=0.5),
            gain,
        )


def _to_gain(f: Facts) -> float | None:
    """What the best of the models that a training could become gains, less twice its error."""
    names = ("linear", "path", "q", "both", "revived")
    gains = [line.gain - 2 * line.error for line in f.bill.lines if line.name in names]
    return max(gains, default=None)


def _within_reach(f: Facts) -> int:
    """Latents alive once training is done: those that the residual test wants, as far as the linear optimum goes."""
    at_optimum = min(f.n_latents, f.forecast.n_alive)
    if not (f.n_dead and f.should_live):
        return at_optimum
    more = max(f.decoder.residual.n_above(f.water_level), 1)
    return min(f.n_latents, max(f.n_alive + 1, min(f.n_alive + more, at_optimum)))


def _at_level(o: Objective, level: float) -> Objective:
    """The same objective with the water elsewhere, through the KL weight."""
    loss = None if o.loss is None else o.loss.with_kl_weight(o.loss.kl_weight_for(level))
    variance = 1.0 if o.decoder_variance == "learned" else o.decoder_variance
    return replace(o, beta=level / float(variance), loss=loss)


def _in_words(o: Objective, level: float) -> str:
    if o.loss is not None:
        return f"kl_weight {o.loss.kl_weight:.3g} → {o.loss.kl_weight_for(level):.3g}"
    if o.decoder_variance == "learned":
        raise ObjectiveError("a learned decoder variance sets the water level itself")
    beta = level / float(o.decoder_variance)
    words = f"β {o.beta:.3g} → {beta:.3g}"
    if o.likelihood == "gaussian" and o.beta == 1:
        words += f" (or decoder variance {float(o.decoder_variance):.3g} → {level / o.beta:.3g})"
    return words
