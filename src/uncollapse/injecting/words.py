"""An injection spectrum in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.injecting.result import N_ERRORS
from uncollapse.showing.noun import Card, number
from uncollapse.theory.path import linear_path

if TYPE_CHECKING:
    from uncollapse.injecting.result import InjectionSpectrum

__all__ = ["HEADINGS", "MARGIN", "UNTRAINED", "advice", "card", "doubts", "headline"]

HEADINGS = ("direction", "λ", "± error", "own Fisher", "KL at β", "gain at β")

UNTRAINED = 0.05
"""Nats of a constant vector from which the decoder counts as not trained to its end."""

MARGIN = 0.85
"""A weight at which training comes out of collapse soon: nearer to λ a latent grows slowly (docs/sequences.md)."""

POOR = 0.5
"""Share of λ − β that an encoder must tell."""


def headline(s: InjectionSpectrum) -> str:
    """The answer."""
    low, high = s.interval
    where = f"A latent added at {s.place} lives below β = {s.critical_beta:.3g} ({low:.3g} to {high:.3g})"
    n, at = s.n_alive(), f"at β = {s.beta:.3g}"
    if s.beta >= high:
        return f"{where}; {at} collapse is stable, to second order."
    if n == 0 or s.beta > low:
        return f"{where}; {at} it is too near to say."
    can = "one can" if n == 1 else f"up to {n} can"
    gain = f"{max(s.measured_worth, 0.0):.2g} ± {s.measured_error:.1g} of {s.nats:.4g} nats a sample"
    if not _gains(s):
        return f"{where}, so {can} live {at}. No gain beyond its error was measured: {gain}."
    return f"{where}, so {can} live {at}, and {'gains' if n == 1 else 'gain'} at least {gain}."


def _gains(s: InjectionSpectrum) -> bool:
    """Whether what was measured stands out of its error."""
    return s.measured_worth > N_ERRORS * s.measured_error


def advice(s: InjectionSpectrum) -> list[str]:
    """What to do, or to know."""
    lines = []
    if s.explains_all:
        lines.append(
            "The decoder explains its sequences: λ is about 1 within its error, as of a perfect decoder, so at β = 1 "
            f"a latent has next to nothing to say. Weaken the decoder's context (shorter window, word dropout), or "
            f"take β = {min(MARGIN * s.critical_beta, 0.9):.2g}."
        )
    elif s.beta > MARGIN * s.critical_beta:
        lines.append(f"Take β = {MARGIN * s.critical_beta:.2g} or less: near λ a latent grows slowly.")
    elif not _gains(s):
        lines.append("A dead latent here need not be stuck: there is nothing to gain that stands out of the error.")
    else:
        lines.append("The weight leaves room: a dead latent here is stuck, or its encoder cannot tell what is of use.")
    if s.beta >= s.interval[1]:
        lines.append(
            "That is no proof that none lives: above λ a latent can still pay, up to a second threshold. It did in "
            "most decoders without a context that were tried, at 1.05 and 1.2 λ (docs/sequences.md)."
        )
    if s.told is not None and s.told[0] - s.beta < POOR * max(s.critical_beta - s.beta, 0.0):
        lines.append(
            f"The encoder cannot tell: its features carry λ = {s.told[0]:.3g} of {s.critical_beta:.3g}. Give it more "
            "to see (each token in its place, a recurrent or convolutional encoder)."
        )
    return [*lines, *doubts(s), *(f"{note[0].upper()}{note[1:]}." for note in s.notes)]


def doubts(s: InjectionSpectrum) -> list[str]:
    """What speaks against λ being that of the end of training."""
    lines = []
    if s.offset_gain > UNTRAINED:
        lines.append(
            f"The decoder is not trained to its end: one constant vector for all gains {s.offset_gain:.2g} nats. Train "
            "it further first; until then λ is not that of the end."
        )
    if not s.calibrated:
        lines.append(
            f"Over the decoder's own Fisher information λ is {s.fisher[0]:.3g}: the decoder is not calibrated given "
            "its context. Train it further, or on more sequences, first; until then λ is not that of the end."
        )
    return lines


def card(s: InjectionSpectrum) -> Card:
    """The answer, what to do, and each direction."""
    facts = (
        ("decoder", s.decoder),
        ("samples", f"{s.n_samples:,}, {s.n_steps:,} steps"),
        ("nats per sample", number(s.nats)),
        ("nats per step", number(s.nats * s.n_samples / max(s.n_steps, 1))),
        ("numbers of the vector", f"{s.width:,}, {len(s.strengths):,} of which it notices"),
    )
    return Card(headline(s), facts, tuple(advice(s)), HEADINGS, _rows(s))


def _rows(s: InjectionSpectrum) -> tuple[tuple[str, ...], ...]:
    path = linear_path(np.maximum(s.held_out, 0.0), s.beta, s.beta)
    return tuple(
        (str(i + 1), f"{s.held_out[i]:.3g}", f"{s.errors[i]:.2g}", f"{s.fisher[i]:.3g}", f"{path.kl[i]:.2g}",
         f"{path.gain[i]:.2g}")
        for i in range(len(s.held_out))
    )  # fmt: skip
