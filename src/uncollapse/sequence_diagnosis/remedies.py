"""What to change, with what each change brings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.injecting.words import MARGIN
from uncollapse.sequence_diagnosis.result import SequenceCause, SequenceRemedy
from uncollapse.sequences.settings import SequenceSetup

__all__ = ["Context", "Known", "held_cost", "latents", "remedies_of"]

MOST_OF_ONE = 0.85
"""Of a decoder that explains its sequences λ is 1, whatever was measured."""

LONGER = 4
"""Times as many epochs: a latent that begins at nothing grows at a rate that goes with λ/β − 1."""

SEES_ORDER = "gru"

LEAST_SHARE = 0.05
"""Of β: a weight below it is no remedy."""


@dataclass(frozen=True, eq=False)
class Context:
    """λ once the decoder sees less.

    Attributes
    ----------
    now, share : float
        Word dropout as it is, and that which was tried.
    threshold : InjectionSpectrum
        Of a copy that learned to do with it, on sequences that it did not learn from.
    """

    now: float
    share: float
    threshold: InjectionSpectrum


@dataclass(frozen=True, eq=False)
class Known:
    """What the remedies of a cause are made from.

    Attributes
    ----------
    beta : float
        Weight of the KL, as it is.
    threshold : InjectionSpectrum
        Of the decoder, as it is.
    told : float
        λ that the encoder tells; NaN where unknown.
    context : Context or None
    setup : SequenceSetup or None
        Of a model that was trained here.
    wanted : float
        KL that free bits are to hold, nats a sequence.
    """

    beta: float
    threshold: InjectionSpectrum
    told: float
    context: Context | None
    setup: SequenceSetup | None
    wanted: float


def remedies_of(cause: SequenceCause, k: Known) -> tuple[SequenceRemedy, ...]:
    """Those that fit the cause, most useful first."""
    if cause == "healthy":
        return ()
    if cause == "encoder-cannot-tell":
        return _for_encoder(k)
    if cause == "optimisation":
        return _for_training(k)
    weaker = [] if k.context is None else [_weaker(k, k.context)]
    if cause == "objective":
        return (_lower_weight(k), *weaker, _free_bits(k))
    return (*weaker, _lower_weight(k), *_window(k.setup), _free_bits(k))


def _lower_weight(k: Known) -> SequenceRemedy:
    """The weight at which training comes out of collapse soon."""
    t = k.threshold
    to = float(f"{min(MARGIN * t.critical_beta, MOST_OF_ONE) if t.explains_all else MARGIN * t.critical_beta:.3g}")
    n, nats = max(t.n_alive(to), 1), t.kl(to)
    why = f"{to / t.critical_beta:.2g} of λ: {latents(n)} can live then, with about {nats:.2g} nats of KL a sequence."
    return SequenceRemedy(f"β {k.beta:.3g} → {to:.3g}", why, t.critical_beta, n, nats)


def _free_bits(k: Known) -> SequenceRemedy:
    """KL held at a level, and what that costs."""
    cost = held_cost(k.threshold.critical_beta, k.beta, k.wanted)
    pays = f"costs about {cost:.2g}" if cost > 0 else f"gains about {-cost:.2g}"
    why = f"the KL of all latents then stays near that, and {pays} nats of loss a sequence at β = {k.beta:.3g}."
    return SequenceRemedy(
        f"free bits, {k.wanted:.3g} nat{'' if k.wanted == 1 else 's'} in all", why, None, None, k.wanted
    )


def latents(n: int) -> str:
    """How many, one at least.

    Examples
    --------
    >>> latents(0), latents(3)
    ('a latent', '3 latents')
    """
    return "a latent" if n <= 1 else f"{n} latents"


def held_cost(critical: float, beta: float, nats: float) -> float:
    """By how much the loss rises when one latent is held at a KL: βk − (λ/2)(1 − e^(−2k)), nats (section 9).

    Examples
    --------
    >>> held_cost(1.0, 1.0, 1.0).__round__(3)
    0.568
    >>> held_cost(4.0, 1.0, 0.5).__round__(3)  # it earns
    -0.764
    """
    return beta * nats - critical / 2 * (1 - math.exp(-2 * nats))


def _weaker(k: Known, context: Context) -> SequenceRemedy:
    t, before = context.threshold, k.threshold
    low, high = t.interval
    n, nats = t.n_alive(k.beta), t.kl(k.beta)
    if k.beta < low:
        after = f"at β = {k.beta:.3g} {latents(n)} can live then"
    elif k.beta < high:
        after = f"β = {k.beta:.3g} is then too near to say; take {MARGIN * t.critical_beta:.2g}"
    else:
        after = f"at β = {k.beta:.3g} none lives then either; it takes {MARGIN * t.critical_beta:.2g}"
    why = (
        f"λ goes from {before.critical_beta:.3g} to {t.critical_beta:.3g} ({low:.3g} to {high:.3g}), measured on a "
        f"copy that learned to do with it: {after}."
    )
    change = f"word dropout {context.now:.3g} → {context.share:.3g}"
    return SequenceRemedy(change, why, t.critical_beta, n, nats if k.beta < low else 0.0)


def _window(setup: SequenceSetup | None) -> tuple[SequenceRemedy, ...]:
    window = setup is not None and setup.decoder.kind == "window"
    now = setup.decoder.window if setup is not None and window else 4
    if now == 0:
        return ()
    why = f"not measured here; `uncollapse forecast TEXT --decoder window:{now // 2}` tells its λ."
    return (SequenceRemedy(f"a window of {now // 2} tokens", why),)


def _for_encoder(k: Known) -> tuple[SequenceRemedy, ...]:
    t, kind = k.threshold, None if k.setup is None else k.setup.encoder
    change = "an encoder that sees more (order, places)"
    if kind is not None:
        change = f"encoder {kind} → {SEES_ORDER}" if kind != SEES_ORDER else "a wider encoder"
    why = (
        f"it must tell more than β = {k.beta:.3g} of the {t.critical_beta:.3g} that the decoder lacks, and tells "
        f"{max(k.told, 0.0):.2g}; {latents(t.n_alive(k.beta))} can live once it does."
    )
    first = SequenceRemedy(change, why, t.critical_beta, t.n_alive(k.beta), t.kl(k.beta))
    to = MARGIN * k.told
    if to < LEAST_SHARE * k.beta:
        return (first,)
    why = f"{MARGIN} of what the encoder tells as it is."
    return first, SequenceRemedy(f"β {k.beta:.3g} → {to:.3g}", why, k.told, 1)


def _for_training(k: Known) -> tuple[SequenceRemedy, ...]:
    t = k.threshold
    found = [_lower_weight(k)] if k.beta > MARGIN * t.critical_beta else []
    n, nats = max(t.n_alive(k.beta), 1), t.kl(k.beta)
    why = f"latents grow while they cost nothing, and stay, as β = {k.beta:.3g} is below λ: {latents(n)} can live."
    found.append(SequenceRemedy("KL warm-up from 0, half of the steps", why, t.critical_beta, n, nats))
    longer = "train longer"
    if k.setup is not None:
        longer = f"epochs {k.setup.training.epochs} → {LONGER * k.setup.training.epochs}"
    why = f"λ/β is {t.critical_beta / k.beta:.3g}: a latent grows by itself, the slower the nearer that is to 1."
    return (*found, SequenceRemedy(longer, why, t.critical_beta, n, nats))
