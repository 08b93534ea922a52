"""A diagnosis in sentences."""

from __future__ import annotations

from uncollapse.diagnosis.result import Diagnosis, Remedy, Trial
from uncollapse.diagnosis.tables import baseline_name, latent_headings, latents, measured, number
from uncollapse.showing.noun import MOST_ROWS, Card

__all__ = ["about_bill", "about_trial", "diagnosis_card", "facts", "finding", "promise", "readable", "reading"]


def finding(d: Diagnosis) -> str:
    """The cause with its confidence.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> finding(SimpleNamespace(cause="rightly-dead", confidence="high"))
    'Cause: rightly-dead (high confidence).'
    """
    return f"Cause: {d.cause} ({d.confidence} confidence)."


def promise(remedy: Remedy) -> str:
    """What a remedy brings, and where that is known from; the text that follows its change.

    Examples
    --------
    >>> promise(Remedy("β 4 → 1", 1, ""))
    ': 1 latent can live (linear count).'
    >>> promise(Remedy("train longer", 3, "", gain=2.0))
    ': 2 nats or more to gain, and 3 latents can live (linear count).'
    >>> promise(Remedy("other data", None, ""))
    '.'
    """
    n = remedy.expected_alive
    parts = [] if remedy.gain is None else [f"{number(remedy.gain)} nats or more to gain"]
    if n is not None:
        parts.append(f"{n} latent{'' if n == 1 else 's'} can live (linear count)")
    return f": {', and '.join(parts)}." if parts else "."


def about_trial(trial: Trial) -> str:
    """What came of a remedy: the loss first."""
    t, promised = trial, trial.remedy.expected_alive
    expected = "" if promised is None or promised == t.alive_after else f" ({promised} by the linear count)"
    whose = "the loss" if t.same_loss else "its own loss"
    return (
        f"Tried: {t.remedy.change} takes {whose} from {number(t.loss_before)} to {number(t.loss_after)} nats per "
        f"sample, and the number alive from {t.alive_before} to {t.alive_after}{expected}."
    )


def about_bill(d: Diagnosis) -> str:
    """What stands above the bill's table."""
    n = next(line.n_rows for line in d.bill.lines)
    return (
        f"Better models that exist, with what each gains on {n:,} rows that did not help to find it (nats per sample; "
        f"they overlap, so do not add them up):"
    )


def facts(d: Diagnosis, source: str) -> str:
    """All numbers in a line or two."""
    m, c = d.measurement, d.decoder
    parts = [
        f"{d.name} on {source}: {m.n_samples:,} rows",
        f"{d.n_alive} of {m.n_latents} latents alive, {m.n_active} active",
        f"KL {number(m.rate)} nats, mutual information {number(c.mutual_information)} by sampling"
        + ("" if m.mutual_information_at_most is None else f", at most {number(m.mutual_information_at_most)}"),
        f"ELBO {number(c.elbo, 5)} ± {number(c.elbo_error)}",
    ]
    if d.linear_gap is not None:
        parts.append(f"loss {d.linear_gap:+.3g} nats against {baseline_name(d)}'s")
    if c.tuned_decoder_variance is not None:
        best = f", best for its error {number(c.tuned_decoder_variance)}"
        parts.append(f"decoder variance {number(c.decoder_variance)}{best}")
    return "; ".join(parts) + "."


def reading(d: Diagnosis) -> list[str]:
    """What the figures and tables do not say."""
    m, c = d.measurement, d.decoder
    notes = []
    if c.n_rows < m.n_samples:
        notes.append(
            f"KL and active units are those of all {m.n_samples:,} rows; the bounds, the information and the residual "
            f"those of {c.n_rows:,} of them, with their sampling error."
        )
    notes.append(
        "The forecast's latents are those of a linear VAE at its global optimum. A deep network may pack several modes "
        "into one latent. So judge a dead latent by what the reconstruction misses, not by the count."
    )
    return notes if d.forecast.exact else [*notes, "For this decoder the forecast's KL is an estimate."]


def readable(text: str) -> str:
    """Text from outside without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def diagnosis_card(d: Diagnosis) -> Card:
    """The verdict, the cause, the remedies, what was measured, and each latent."""
    n_levels = len(d.measurement.level_kl)
    remedies = tuple(f"{remedy.change}{promise(remedy)} {remedy.why}".strip() for remedy in d.remedies)
    rows = tuple(tuple(row.cells(n_levels)) for row in latents(d)[:MOST_ROWS])
    headings = tuple(latent_headings(n_levels))
    return Card(f"{d.verdict} {finding(d)}", tuple(measured(d)), remedies, headings, rows)
