"""Facts → one cause, with the evidence for it. The order of the questions is the argument:

is what the encoder puts out sound; do the living latents code anything but noise; does the objective itself want so
few; is training behind, in the encoder or as a whole, or is a latent dead that should live; can an upper level help;
would more latents help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uncollapse.diagnosis.conventions import reduction_behind
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.result import Cause, Confidence, Evidence
from uncollapse.diagnosis.thresholds import DONE_SHARE, FAR_SHARE, FEW, LAG_SHARE, LEAD, MOVED, N_ERRORS, SLOW_SHARE
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.measure.words import alive_words

__all__ = ["Finding", "find_cause"]


@dataclass(frozen=True)
class Finding:
    """One cause and how sure it is."""

    cause: Cause
    confidence: Confidence
    evidence: tuple[Evidence, ...]


def find_cause(facts: Facts) -> Finding:
    """Make the tests in their order; the first that fits gives the cause."""
    cause, confidence = _cause(facts)
    own = [item for item in _evidence(facts) if item.name in _DECISIVE[cause]]
    order = {name: i for i, name in enumerate(_DECISIVE[cause])}
    rest = [item for item in _evidence(facts) if item.name not in order]
    return Finding(cause, confidence, (*sorted(own, key=lambda item: order[item.name]), *rest))


def _cause(f: Facts) -> tuple[Cause, Confidence]:
    if f.encoder_odd and (f.continued is None or f.continued.encoder_odd):
        if f.continued is None:
            return "encoder-stuck", "low"
        if f.constant_mean.any() or f.continued.encoder_moved < MOVED or not _continuing(f):
            return "encoder-stuck", "high"
    if f.under_noise and f.n_noise > 0:
        return "over-alive", "high"
    few = f.forecast.n_alive < max(1.0, FEW * f.usable)
    if f.n_dead and few and f.n_alive <= max(f.forecast.n_alive, 1) and not f.should_live:
        return _as_asked(f)
    unfinished = _unfinished(f)
    if unfinished is not None:
        return unfinished
    if f.forecast.levels and all(level.n_alive == 0 for level in f.forecast.levels[1:]):
        idle = all((level < ALIVE_NATS).all() for level in f.measurement.level_kl[1:])
        return "hierarchy", "high" if idle else "low"
    if f.n_dead == 0:
        if f.forecast.n_worth_having <= f.n_latents:
            return "healthy", "high"
        return ("capacity", "high") if f.should_live else ("healthy", "high" if f.settled else "low")
    confidence: Confidence = "high" if f.settled else "low"
    if f.n_alive == 0:
        return "cannot-tell", "low"
    return ("rightly-dead" if f.n_alive < min(f.n_latents, f.forecast.n_alive) else "healthy"), confidence


def _unfinished(f: Facts) -> tuple[Cause, Confidence] | None:
    """The model is not at an optimum: which part of it is behind? None if nothing is, beyond an optimiser's jitter."""
    missing = f.n_dead > 0 and f.should_live
    if f.continued is None:
        return ("optimisation", "low") if missing or f.worse_than_linear else None
    r, c, continuing = f.refined, f.continued, _continuing(f)
    better_q = r is not None and _counts(f, r.gain, r.gain_error, LAG_SHARE) and r.gain > LEAD * c.gain
    # of a collapsed encoder no decoder learns anything, so that it is done says nothing there
    decoder_done = continuing and f.n_alive > 0 and c.decoder_gain < DONE_SHARE * c.gain
    decoder_done = decoder_done and r is not None and r.gain > N_ERRORS * r.gain_error
    if better_q or decoder_done:
        return "encoder-lags", "high"
    if continuing:
        return "slow", "high"
    if missing:
        return "optimisation", "high"
    return ("optimisation", "low") if f.gap > FAR_SHARE * f.scale and f.worse_than_linear else None


def _continuing(f: Facts) -> bool:
    return f.continued is not None and _counts(f, f.continued.gain, f.continued.gain_error, SLOW_SHARE)


def _counts(f: Facts, gain: float, error: float, share: float) -> bool:
    return gain > max(share * f.scale, f.negligible, N_ERRORS * error)


def _as_asked(f: Facts) -> tuple[Cause, Confidence]:
    """The global optimum itself is collapsed: by the condition, by a reduction, or by the weight."""
    confidence: Confidence = "high" if f.settled or f.n_alive == f.forecast.n_alive else "low"
    without = f.forecast.without_condition
    if without is not None and without.n_alive > max(f.forecast.n_alive, FEW * f.usable):
        return "condition", confidence
    if reduction_behind(f.forecast) is not None:
        return "convention", confidence
    if f.usable == 0:
        return "cannot-tell", "low"
    return "objective", confidence


_DECISIVE: dict[Cause, tuple[str, ...]] = {
    "healthy": ("alive", "top_residual", "linear_gap"),
    "objective": ("strongest_mode", "alive", "top_residual"),
    "convention": ("reduction", "strongest_mode", "alive"),
    "condition": ("condition", "strongest_mode", "alive"),
    "capacity": ("alive", "top_residual", "worth_having"),
    "optimisation": ("top_residual", "linear_gap", "continued", "refined"),
    "rightly-dead": ("top_residual", "alive", "linear_gap"),
    "slow": ("continued", "top_residual", "linear_gap"),
    "encoder-stuck": ("one_variance", "too_wide", "constant_mean", "alive"),
    "encoder-lags": ("refined", "linear_gap", "continued"),
    "over-alive": ("noise", "water_and_noise", "alive"),
    "hierarchy": ("upper_levels", "alive", "top_residual"),
    "cannot-tell": ("top_residual", "alive", "linear_gap"),
}


def _evidence(f: Facts) -> Iterator[Evidence]:
    m, r, level = f.measurement, f.decoder.residual, f.water_level
    expected = f.forecast.n_alive
    yield Evidence(
        "alive",
        f.n_alive,
        expected,
        f"{alive_words(f.n_alive, f.n_latents)}; a linear VAE would have {expected}.",
    )
    side = "above" if f.should_live else "below" if f.settled else "about at"
    yield Evidence(
        "top_residual",
        r.top,
        level,
        f"The strongest direction of what the reconstruction misses has strength {r.top:.4g} ± {r.error:.2g}, {side} "
        f"the water level {level:.4g}.",
    )
    word = "more" if f.gap > 0 else "less"
    costs = f"{abs(f.gap):.4g} ± {f.gap_error:.2g} nats {word} than"
    costs = "as much as" if abs(f.gap) < max(f.gap_error, 5e-4) else costs
    baseline = "the best linear VAE" if f.forecast.exact and not f.forecast.objective.levels else "a collapsed model"
    yield Evidence(
        "linear_gap",
        f.gap,
        0.0,
        f"The model costs {costs} {baseline} on the same rows.",
    )
    strengths = f.forecast.critical_levels
    if len(strengths):
        top = float(strengths.max())
        side = "under" if top <= level else "above"
        yield Evidence(
            "strongest_mode",
            top,
            level,
            f"The strongest mode of the data ({top:.4g}) stands {side} the water level {level:.4g}.",
        )
    yield Evidence(
        "worth_having",
        f.forecast.n_worth_having,
        f.n_latents,
        f"At this water level {f.forecast.n_worth_having} latents are worth having; the model has {f.n_latents}.",
    )
    if f.continued is not None:
        c = f.continued
        yield Evidence(
            "continued",
            c.gain,
            0.0,
            f"{c.n_steps} more steps of training lower the loss by {c.gain:.4g} ± {c.gain_error:.2g} nats on rows that "
            f"they do not see, and change the number alive from {c.alive_before} to {c.alive_after}; "
            f"steps of the decoder alone lower it by {c.decoder_gain:.4g}.",
        )
    if f.refined is not None:
        before, after = float(f.refined.kl_before.sum()), float(f.refined.kl_after.sum())
        yield Evidence(
            "refined",
            f.refined.gain,
            0.0,
            f"A better q for each row, with the decoder as it is, gains {f.refined.gain:.4g} ± "
            f"{f.refined.gain_error:.2g} nats and takes the KL from {before:.4g} to {after:.4g}.",
        )
    if f.one_variance:
        value = float(m.variance.mean())
        yield Evidence(
            "one_variance",
            value,
            None,
            f"Every posterior variance is {value:.4g}, whatever the latent and the row, though it is learned.",
        )
    if f.too_wide.any():
        n, value = int(f.too_wide.sum()), float(m.variance[f.too_wide].min())
        yield Evidence(
            "too_wide",
            value,
            f.forecast.objective.prior_variance,
            f"{n} latent(s) move with the data, yet their posterior variance stays at {value:.4g} or above, no "
            f"narrower than the prior: something holds it up (a softplus on log σ, a clamp).",
        )
    if f.constant_mean.any():
        n, value = int(f.constant_mean.sum()), float(m.kl[f.constant_mean].sum())
        yield Evidence(
            "constant_mean",
            value,
            0.0,
            f"{n} latent(s) pay {value:.4g} nats of KL and say nothing: their means are the same for every row (dead "
            f"units, a saturated layer).",
        )
    if f.forecast.spectrum.condition is not None and f.forecast.without_condition is not None:
        without, condition = f.forecast.without_condition, f.forecast.spectrum.condition
        share = 1 - f.forecast.spectrum.total_energy / condition.energy if condition.energy else 0.0
        yield Evidence(
            "condition",
            expected,
            without.n_alive,
            f"The condition explains {share:.0%} of the target; without it {without.n_alive} latents would live, with "
            f"it {expected}.",
        )
    reduction = reduction_behind(f.forecast)
    if reduction is not None:
        yield Evidence("reduction", reduction.factor, 1.0, reduction.text)
    noise = f.forecast.spectrum.noise
    if f.under_noise:
        yield Evidence(
            "water_and_noise",
            level,
            noise.variance,
            f"The water level {level:.4g} lies far below the noise variance of the data, {noise.variance:.4g}.",
        )
    if f.n_noise:
        yield Evidence(
            "noise",
            f.n_noise,
            0,
            f"{f.n_noise} of the {f.n_alive} living latents have no mode above the edge of sampling noise "
            f"({noise.edge:.4g}): they code noise.",
        )
    if len(m.level_kl) > 1:
        kls = ", ".join(f"{level.sum():.4g}" for level in m.level_kl)
        alive = ", ".join(str(level.n_alive) for level in f.forecast.levels)
        yield Evidence(
            "upper_levels",
            float(m.level_kl[-1].sum()),
            None,
            f"KL of the levels from the data up: {kls} nats; at the optimum of the linear hierarchy {alive} latents of "
            f"them live.",
        )
