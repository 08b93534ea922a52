"""The verdict in two sentences: where the loss leads, and where training stands."""

from __future__ import annotations

from uncollapse.diagnosis.causes import Finding
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.result import CAUSES
from uncollapse.measure.words import alive_words

__all__ = ["verdict"]


def verdict(facts: Facts, finding: Finding) -> str:
    """Both sentences; of a model that was given other data, or trained on another loss, that comes first."""
    sure = "" if finding.confidence == "high" else " (probably)"
    alive = alive_words(facts.n_alive, facts.n_latents)
    about = f"{alive}: {CAUSES[finding.cause]}{sure}{_also(finding)}."
    if facts.leads.n_alive == 0 and finding.cause in ("objective", "convention", "condition"):
        about = f"{alive}, as the loss asks{sure}{_also(finding)}."
    if facts.misread and finding.cause == "cannot-tell":
        about = (
            f"{alive}, as the encoder is read now, and that seems wrong: they would be at rest with a KL weight below "
            f"0, which no loss has. Are mean and spread the other way round, or is the spread of another kind?"
        )
    if facts.constant:
        about = about if facts.n_alive else f"{alive}, as they should be."
        return f"The data are constant: there is nothing to code. {about}"
    if finding.cause == "other-data":
        return f"{facts.fit.text} {about}"
    return f"{facts.leads.text} {_on_their_way(facts, finding) or about}"


def _on_their_way(f: Facts, finding: Finding) -> str:
    """Of a model whose loss asks for collapse while some of its latents still live."""
    if finding.cause not in ("objective", "convention", "condition"):
        return ""
    if f.dying and f.n_on_floor:
        n = f.n_on_floor
        many = f"{n} latents sit" if n > 1 else "1 latent sits"
        return f"{many} on the {f.free_bits:.3g} nats a latent that the loss leaves free: no more than that is bought."
    line = f.bill.line("collapsed")
    if not f.dying or f.n_alive <= f.leads.n_alive or line is None or not line.counts:
        return ""
    still = (
        "The latent that still lives is on its" if f.n_alive == 1 else f"The {f.n_alive} that still live are on their"
    )
    return f"{still} way out: a collapsed model costs {line.gain:.4g} ± {line.error:.2g} nats less{_also(finding)}."


def _also(finding: Finding) -> str:
    if not finding.secondary:
        return ""
    return "; besides, " + " and ".join(CAUSES[cause] for cause in finding.secondary)
