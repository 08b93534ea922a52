"""A diagnosis of a VAE of sequences in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.injecting.words import doubts
from uncollapse.measure.words import alive_words
from uncollapse.sequence_diagnosis.remedies import latents
from uncollapse.sequence_diagnosis.result import SequenceRemedy
from uncollapse.showing.noun import MOST_ROWS, Card, number

if TYPE_CHECKING:
    from uncollapse.sequence_diagnosis.result import SequenceDiagnosis

__all__ = ["HEADINGS", "QUESTIONS", "card", "headline", "promise", "questions", "said"]

HEADINGS = ("latent", "KL", "earns", "± error", "state")

QUESTIONS = ("question", "measured", "answer")


def headline(d: SequenceDiagnosis) -> str:
    """The answer: how many live, and why not more."""
    t = d.spectrum
    low, high = t.interval
    alive, at = alive_words(d.n_alive, len(d.kl)), f"β = {d.beta:.3g}"
    if d.n_alive and not d.n_earning:
        alive += ", and none earns its KL" if d.n_alive > 1 else ", and does not earn its KL"
    lives = f"a latent lives below β = {t.critical_beta:.3g} ({low:.3g} to {high:.3g})"
    likely = "" if d.confidence == "high" else " (probably)"
    if d.cause == "healthy":
        many = "" if d.n_earning == d.n_alive else f"{d.n_earning} of them "
        earn = "earns" if d.n_earning == 1 else "earn"
        return f"{alive}: nothing is wrong; {many}{earn} {d.earned[d.alive].sum():.3g} nats a sequence beyond {at}."
    if d.cause == "objective":
        stands = "is above that" if d.beta >= high else "is too near to that"
        return f"{alive}: the objective does not let them live{likely}. Here {lives}; {at} {stands}."
    if d.cause == "decoder-explains":
        return (
            f"{alive}: the decoder explains its sequences by their own past{likely}. λ is {t.critical_beta:.3g} "
            f"({low:.3g} to {high:.3g}), and that of a perfect decoder is 1; at {at} a latent has nothing to say."
        )
    if d.cause == "encoder-cannot-tell":
        return (
            f"{alive}: the encoder cannot tell what is of use{likely}. Here {lives}, of which the encoder tells "
            f"{max(d.told, 0.0):.2g}, less than {at}."
        )
    return (
        f"{alive}: training is stuck, or stopped too early{likely}. Here {lives}; at {at} "
        f"{latents(t.n_alive(d.beta))} can live, worth {t.worth(d.beta):.2g} nats a sequence, and the encoder can tell."
    )


def card(d: SequenceDiagnosis) -> Card:
    """The answer, what to change, what was measured, and each latent."""
    s = d.spectrum
    by = "own features" if d.known_features else "means and counts of tokens"
    facts = [
        ("model", d.name),
        ("cause", f"{d.cause} ({d.confidence} confidence)"),
        ("sequences", f"{s.n_samples:,}, {s.n_steps:,} tokens"),
        ("loss, nats per sequence", number(d.loss)),
        ("reconstruction", number(d.reconstruction)),
        ("KL", number(d.rate)),
        ("alive, and earning", f"{d.n_alive}, {d.n_earning} of {len(d.kl)}"),
        ("β", number(d.beta)),
        (f"λ at {s.place}", _with_error(d.spectrum)),
        ("λ that its encoder tells", f"{number(d.told)}, by its {by}"),
    ]
    if d.other is not None:
        facts.append((f"λ at {d.other.place}", _with_error(d.other)))
    remedies = [f"{remedy.change}: {remedy.why}" for remedy in d.remedies]
    return Card(d.headline, tuple(facts), (*remedies, *said(d)), HEADINGS, _rows(d))


def said(d: SequenceDiagnosis) -> list[str]:
    """What else is to be known: of how it was measured, and what speaks against it."""
    lines = [f"{note[0].upper()}{note[1:]}." for note in d.notes]
    if not d.spectrum.by_curvature[0]:
        lines.append("The curvature is too noisy here: λ is over the decoder's own Fisher information.")
    elif not d.n_alive:
        lines += doubts(d.spectrum)
    return lines


def promise(remedy: SequenceRemedy) -> str:
    """What a change brings in numbers, as the end of a sentence; empty where none is known.

    Examples
    --------
    >>> promise(SequenceRemedy("β 4 → 2", "because", critical_beta=2.5, expected_alive=3, nats=0.4))
    ' (λ 2.5, about 3 alive, 0.4 nats of KL)'
    """
    parts = []
    if remedy.critical_beta is not None:
        parts.append(f"λ {remedy.critical_beta:.3g}")
    if remedy.expected_alive is not None:
        parts.append(f"about {remedy.expected_alive} alive")
    if remedy.nats is not None:
        parts.append(f"{remedy.nats:.2g} nats of KL")
    return f" ({', '.join(parts)})" if parts else ""


def questions(d: SequenceDiagnosis) -> list[tuple[str, str, str]]:
    """The questions that lead to the cause, in their order, with what was measured for each."""
    s, (low, high) = d.spectrum, d.spectrum.interval
    at = f"β = {d.beta:.3g}"
    lives = "yes" if d.beta < low else "no" if d.beta >= high else "too near to say"
    tells = "not measured" if np.isnan(d.told) else "yes" if d.told > d.beta else "no"
    return [
        ("Does a latent live, and earn its KL?", f"{d.n_alive} alive, {d.n_earning} earning, of {len(d.kl)}",
         "yes" if d.n_earning else "no"),
        ("Does the decoder explain its sequences by itself?", f"λ = {s.critical_beta:.3g} ({low:.3g} to {high:.3g}); "
         "1 if perfect", "yes" if s.explains_all else "no"),
        (f"Can a latent live at {at}?", f"{at} against λ", lives),
        (f"Can the encoder tell more than {at}?", f"it tells {number(d.told)} of {s.critical_beta:.3g}", tells),
    ]  # fmt: skip


def _with_error(t: InjectionSpectrum) -> str:
    return f"{t.critical_beta:.3g} ± {t.errors[0]:.2g}"


def _rows(d: SequenceDiagnosis) -> tuple[tuple[str, ...], ...]:
    order = np.argsort(-d.kl, kind="stable")[:MOST_ROWS]
    return tuple(
        (str(j + 1), f"{d.kl[j]:.2g}", f"{d.earned[j]:.2g}", f"{d.earned_errors[j]:.1g}",
         "alive" if d.alive[j] else "dead")
        for j in order
    )  # fmt: skip
