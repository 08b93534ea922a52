"""The questions that lead to the cause, in their order."""

from __future__ import annotations

import math

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.injecting.words import MARGIN, UNTRAINED
from uncollapse.sequence_diagnosis.result import Confidence, SequenceCause

__all__ = ["cause_of"]

CLOSE = 0.1
"""Share of λ − β within which what the encoder tells is too near to β to be sure."""

BEHIND = 0.1
"""Share of the KL to be expected below which latents that live count as still growing. That KL is of second order, and
λ is then of a decoder that leans on its latents, so no more than a wide gap says anything."""


def cause_of(
    beta: float,
    n_earning: int,
    rate: float,
    spectrum: InjectionSpectrum,
    told: float,
    *,
    known_features: bool = True,
) -> tuple[SequenceCause, Confidence]:
    """The principal cause, and whether the numbers are clear.

    Parameters
    ----------
    beta : float
    n_earning : int
        Latents that are alive and without which the loss rises.
    rate : float
        KL of all latents, nats a sequence.
    spectrum : InjectionSpectrum
        Of the decoder without its latents.
    told : float
        λ that the encoder's features tell; NaN where it was not measured.
    known_features : bool

    Notes
    -----
    A latent that lives and earns settles it, unless it carries next to nothing of what it can: it is on its way. Then
    whether one can live (β against λ): a decoder whose λ is 1 leaves nothing at β = 1, whatever the objective; where λ
    or β is more, it is the weight. That is sure only where the decoder explains its sequences: a right one is best
    without latents at any β from 1 on (p_v/p has mean 1, so its power 1/β has less), and another may have latents that
    beat collapse above λ, as they did in docs/sequences.md. Then whether the encoder can tell (what it tells takes the
    place of λ; docs/theory.md, section 12). What is left is the training.
    """
    t = spectrum
    low, high = t.interval
    if n_earning:
        behind = beta < low and told > beta and rate < BEHIND * t.kl(beta)
        return ("optimisation", "low") if behind else ("healthy", "high")
    unsure = spectrum.offset_gain > UNTRAINED or not spectrum.calibrated
    if t.explains_all and MARGIN * t.critical_beta < beta <= 1:
        return "decoder-explains", "low" if unsure else "high"
    if beta >= low:
        return "objective", "high" if t.explains_all and beta >= high and not unsure else "low"
    if not math.isnan(told) and told <= beta:
        near = beta - told < CLOSE * (t.critical_beta - beta)
        return "encoder-cannot-tell", "low" if unsure or near or not known_features else "high"
    return "optimisation", "low" if unsure else "high"
