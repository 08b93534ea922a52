"""A diagnosis of a VAE of sequences as one HTML file."""

from __future__ import annotations

from uncollapse.report.page import rendered
from uncollapse.report.sweep_page import panels_apart
from uncollapse.sequence_diagnosis.result import CAUSES, SequenceDiagnosis
from uncollapse.sequence_diagnosis.words import QUESTIONS, card, promise, questions, said

__all__ = ["sequence_diagnosis_page"]

SHOWN = {"directions": "What the decoder leaves for a latent to say", "latents": "What each latent carries and earns"}


def sequence_diagnosis_page(d: SequenceDiagnosis, source: str) -> str:
    """The whole page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    d : SequenceDiagnosis
    source : str
        What the sequences were called.
    """
    told = card(d)
    return rendered(
        "sequence_diagnosis.html.j2",
        source=source,
        name=d.name,
        verdict=told.headline,
        cause=f"{CAUSES[d.cause][0].upper()}{CAUSES[d.cause][1:]}",
        confidence=d.confidence,
        remedies=[(remedy.change, promise(remedy), remedy.why) for remedy in d.remedies],
        questions=questions(d),
        question_headings=QUESTIONS,
        facts=told.facts,
        headings=told.headings,
        rows=told.rows,
        n_latents=len(d.kl),
        notes=said(d),
        **panels_apart(d.figure(), SHOWN),
    )
