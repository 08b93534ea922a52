"""Facts → sentences with their numbers, each under a short and stable name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from uncollapse.diagnosis.conventions import reduction_behind
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.result import Evidence
from uncollapse.diagnosis.thresholds import N_ERRORS
from uncollapse.measure.words import alive_words

__all__ = ["evidence_of"]


def evidence_of(f: Facts) -> Iterator[Evidence]:
    """All of it, in no order of weight."""
    return chain(_of_counts(f), _of_losses(f), _of_data(f), _of_trials(f), _of_encoder(f), _of_levels(f))


def _of_counts(f: Facts) -> Iterator[Evidence]:
    expected, level, r = f.forecast.n_alive, f.water_level, f.decoder.residual
    earning = f.bill.n_earning
    also = "" if earning is None or earning == f.n_alive else f", {earning} of them earn their KL"
    yield Evidence(
        "alive",
        f.n_alive,
        expected,
        f"{alive_words(f.n_alive, f.n_latents)}{also}; a linear VAE would have {expected}.",
    )
    below = r.top + N_ERRORS * r.error < level
    side = "above" if f.should_live else "below" if below else "about at"
    yield Evidence(
        "top_residual",
        r.top,
        level,
        f"The strongest direction of what the reconstruction misses has strength {r.top:.4g} ± {r.error:.2g}, {side} "
        f"the water level {level:.4g}.",
    )
    path = f.bill.line("path")
    if f.should_live and path is not None and not f.waking_pays:
        yield Evidence(
            "waking",
            path.gain,
            None,
            f"Yet all that linear paths for dead latents gain is {path.gain:.3g} ± {path.error:.2g} nats, "
            f"{path.gain / f.scale:.2%} of what there is to gain.",
        )
    yield Evidence(
        "worth_having",
        f.n_worth,
        f.n_latents,
        f"At this water level {f.n_worth} latents are worth having; the model has {f.n_latents}.",
    )


def _of_losses(f: Facts) -> Iterator[Evidence]:
    word = "more" if f.gap > 0 else "less"
    costs = f"{abs(f.gap):.4g} ± {f.gap_error:.2g} nats {word} than"
    costs = "as much as" if abs(f.gap) < max(f.gap_error, 5e-4) else costs
    collapsed = not (f.forecast.exact and not f.forecast.objective.levels and f.forecast.n_alive)
    collapsed |= f.measurement.sampled
    baseline = "a collapsed model" if collapsed else "the best linear VAE"
    yield Evidence("linear_gap", f.gap, 0.0, f"The model costs {costs} {baseline} on the same rows.")
    w = f.weight
    if w is not None and w.known:
        than = "no loss has one below 0" if f.misread else f"the loss that was stated has {w.stated:.3g}"
        yield Evidence(
            "implied_weight",
            w.weight,
            w.stated,
            f"The living latents are at rest with a KL weight of {w.weight:.3g} ± {w.error:.2g}; {than}.",
        )


def _of_data(f: Facts) -> Iterator[Evidence]:
    level = f.water_level
    yield Evidence("data_fit", f.fit.r_squared, 0.0, f.fit.text)
    strengths = f.forecast.critical_levels
    if len(strengths):
        top = float(strengths.max())
        side = "under" if top <= level else "above"
        yield Evidence(
            "strongest_mode",
            top,
            level,
            f"The strongest mode of the data ({top:.4g}) stands {side} the water level {level:.4g}{_as_known(f, top)}.",
        )
    second = f.leads.global_threshold
    if second is not None:
        side = "under" if f.leads.zone == "between" else "above"
        yield Evidence(
            "second_threshold",
            second,
            level,
            f"Collapse is the best of all solutions from {second:.4g} on; the water level {level:.4g} lies {side} it.",
        )
    if f.forecast.spectrum.condition is not None and f.forecast.without_condition is not None:
        without, condition = f.forecast.without_condition, f.forecast.spectrum.condition
        share = 1 - f.forecast.spectrum.total_energy / condition.energy if condition.energy else 0.0
        yield Evidence(
            "condition",
            f.forecast.n_alive,
            without.n_alive,
            f"The condition explains {share:.0%} of the target; without it {without.n_alive} latents would live, with "
            f"it {f.forecast.n_alive}.",
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


def _as_known(f: Facts, top: float) -> str:
    """How well the sample knows its strongest mode, where that leaves open on which side of the water it stands."""
    if not f.unsure_mode or f.strongest is None:
        return ""
    unit = top / float(f.forecast.critical_betas.max())
    low, high = (unit * end for end in f.strongest)
    return f"; {f.forecast.spectrum.n_samples:,} rows put it between {low:.3g} and {high:.3g} (90 %)"


def _of_trials(f: Facts) -> Iterator[Evidence]:
    if f.reach is not None:
        yield Evidence("reach", f.reach.shown, None, f.reach.text)
    if f.continued is not None:
        c = f.continued
        alone = "" if c.decoder_gain is None else f"; steps of the decoder alone lower it by {c.decoder_gain:.4g}"
        yield Evidence(
            "continued",
            c.gain,
            0.0,
            f"{c.n_steps} more steps of training lower the loss by {c.gain:.4g} ± {c.gain_error:.2g} nats on rows that "
            f"they do not see, and change the number alive from {c.alive_before} to {c.alive_after}{alone}.",
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


def _of_encoder(f: Facts) -> Iterator[Evidence]:
    m = f.measurement
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


def _of_levels(f: Facts) -> Iterator[Evidence]:
    m = f.measurement
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
