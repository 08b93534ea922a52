"""Facts → one principal cause, and what else is at fault. The order of the questions is the argument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse.diagnosis.evidence import evidence_of
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.leads import Reason
from uncollapse.diagnosis.result import Cause, Confidence, Evidence
from uncollapse.diagnosis.thresholds import DONE_SHARE, FAR_SHARE, LAG_SHARE, LEAD, MOVED, N_ERRORS, SLOW_SHARE, WELL
from uncollapse.measure.result import ALIVE_NATS

__all__ = ["Finding", "find_cause"]


@dataclass(frozen=True)
class Finding:
    """The principal cause and how sure it is, and what else is at fault.

    Attributes
    ----------
    cause : str
    confidence : {"high", "low"}
    evidence : tuple of Evidence
        What decided comes first.
    secondary : tuple of str
        Other causes whose test fits too.
    """

    cause: Cause
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    secondary: tuple[Cause, ...] = ()


Named = tuple[Cause, Confidence]


def find_cause(facts: Facts) -> Finding:
    """Make the tests in their order: the first that fits gives the principal cause, the others are named beside it."""
    fitting = [named for test in _TESTS if (named := test(facts)) is not None]
    cause, confidence = fitting[0] if fitting else _sound(facts)
    if facts.measurement.sampled or (facts.another_weight and cause in _OF_THE_LOSS):
        confidence = "low"
    if facts.dying and facts.near_collapse:  # the jitter of a collapsed model's biases is no fault
        fitting = [named for named in fitting if named[0] not in ("slow", "encoder-lags", "optimisation")]
    if cause == "other-loss" or facts.misread:  # whatever else is said holds for another loss or another encoder
        fitting = fitting[:1]
    if facts.constant and cause == "rightly-dead":
        fitting = fitting[:1]
    beside = tuple(dict.fromkeys(other for other, sure in fitting[1:] if other != cause and sure == "high"))
    evidence = list(evidence_of(facts))
    names = ("implied_weight", *_DECISIVE[cause]) if facts.misread else _DECISIVE[cause]
    own = [item for item in evidence if item.name in names]
    order = {name: i for i, name in enumerate(names)}
    rest = [item for item in evidence if item.name not in order]
    return Finding(cause, confidence, (*sorted(own, key=lambda item: order[item.name]), *rest), beside)


def _constant(f: Facts) -> Named | None:
    """Data that never change leave nothing to code, and whatever else is behind is no collapse."""
    return ("rightly-dead", "high") if f.constant and not f.n_alive else None


def _other_data(f: Facts) -> Named | None:
    if f.fit.scale is not None:
        return "other-data", "low" if f.fit.still else "high"
    # an encoder that is stuck or lags, and latents on their way out, reconstruct worse than nothing, too
    if not f.fit.other or _stuck(f) is not None or f.dying or f.at_rest or _decoder_knows(f):
        return None
    return "other-data", "low"


def _decoder_knows(f: Facts) -> bool:
    """Whether its decoder shows these data, with a better q."""
    return f.refined is not None and f.refined.r_squared > WELL


def _stuck(f: Facts) -> Named | None:
    if not f.encoder_odd or (f.continued is not None and not f.continued.encoder_odd):
        return None
    if f.continued is None or f.continued.cut_short:
        return "encoder-stuck", "low"
    held = f.constant_mean.any() or f.continued.encoder_moved < MOVED or not _continuing(f)
    return ("encoder-stuck", "high") if held else None


def _codes_noise(f: Facts) -> Named | None:
    return ("over-alive", "high") if f.under_noise and f.n_noise > 0 else None


def _misread(f: Facts) -> Named | None:
    return ("cannot-tell", "low") if f.misread else None


def _other_loss(f: Facts) -> Named | None:
    """Living latents are at rest with one and the same weight, lower than the stated one: another loss was trained.

    A higher one has other reasons too: widths that are held up, a training that has hardly begun.
    """
    if not f.another_weight or f.weight is None or f.weight.weight > f.weight.stated:
        return None
    return "other-loss", "low"


def _as_asked(f: Facts) -> Named | None:
    """The loss itself asks for collapse: by the condition, by a reduction, or by the weight."""
    if not (f.n_dead or f.leads.n_alive < f.n_latents) or not f.dying:
        return None
    leads = f.leads
    known = not f.unsure_mode and (f.settled or f.n_alive == leads.n_alive)
    confidence: Confidence = "high" if known else "low"
    causes: dict[Reason, Cause] = {"condition": "condition", "reduction": "convention", "noise": "cannot-tell"}
    cause = causes.get(leads.because, "objective")
    return cause, "low" if cause == "cannot-tell" else confidence


def _idle_level(f: Facts) -> Named | None:
    if not f.forecast.levels or any(level.n_alive > 0 for level in f.forecast.levels[1:]):
        return None
    idle = all((level < ALIVE_NATS).all() for level in f.measurement.level_kl[1:])
    return "hierarchy", "high" if idle else "low"


def _sound(f: Facts) -> Named:
    """Nothing is behind: as many alive as the network can use, or more wanted than there are."""
    if f.n_dead == 0:
        if f.n_worth <= f.n_latents:
            return "healthy", "low" if f.n_log_modes is not None and f.should_live else "high"
        return ("capacity", "high") if f.should_live else ("healthy", "high" if f.settled else "low")
    confidence: Confidence = "high" if f.settled else "low"
    if f.n_alive == 0:
        return "cannot-tell", "low"
    fewer = f.n_alive < min(f.n_latents, f.forecast.n_alive) and not f.should_live
    return ("rightly-dead" if fewer else "healthy"), confidence


def _unfinished(f: Facts) -> Named | None:
    """The model is not at an optimum: which part of it is behind? None if nothing is, beyond an optimiser's jitter."""
    missing = f.n_dead > 0 and f.should_live and f.waking_pays and (f.n_log_modes is None or f.n_alive < f.n_worth)
    if f.continued is None:
        return ("optimisation", "low") if missing or f.worse_than_linear else None
    r, c, continuing = f.refined, f.continued, _continuing(f)
    better_q = r is not None and f.counts(r.gain, r.gain_error, LAG_SHARE) and r.gain > LEAD * c.gain
    # of a collapsed encoder no decoder learns anything, so that it is done says nothing there
    of_decoder = np.inf if c.decoder_gain is None else c.decoder_gain
    decoder_done = continuing and f.n_alive > 0 and of_decoder < DONE_SHARE * c.gain
    decoder_done = decoder_done and r is not None and r.gain > max(DONE_SHARE * c.gain, N_ERRORS * r.gain_error)
    if better_q or decoder_done:
        return "encoder-lags", "high"
    sure: Confidence = "low" if c.cut_short else "high"
    if f.reach is not None and f.reach.limited and not (continuing and c.gain > LEAD * f.gap):
        return "decoder-limited", "high"
    if continuing:
        return "slow", sure
    if missing:
        return "optimisation", sure
    return ("optimisation", "low") if f.gap > FAR_SHARE * f.scale and f.worse_than_linear else None


def _continuing(f: Facts) -> bool:
    return f.continued is not None and f.counts(f.continued.gain, f.continued.gain_error, SLOW_SHARE)


_TESTS = (_constant, _other_data, _stuck, _codes_noise, _misread, _other_loss, _as_asked, _unfinished, _idle_level)
"""The order is the argument: is there anything to code; are these the data; is what the encoder gives sound; do latents
code noise; was the encoder read rightly; was another loss trained; what the loss itself asks for comes before how far
training is."""

_OF_THE_LOSS: tuple[Cause, ...] = ("healthy", "rightly-dead", "capacity", "objective", "convention", "condition")
"""What is said of the stated loss, and is worth little where another was trained."""

_DECISIVE: dict[Cause, tuple[str, ...]] = {
    "healthy": ("alive", "top_residual", "waking", "linear_gap"),
    "objective": ("strongest_mode", "second_threshold", "alive", "top_residual"),
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
    "decoder-limited": ("reach", "top_residual", "linear_gap", "continued"),
    "other-data": ("data_fit", "linear_gap", "alive"),
    "other-loss": ("implied_weight", "alive", "refined"),
    "cannot-tell": ("top_residual", "alive", "linear_gap"),
}
