"""Measurements in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.noun import MOST_ROWS, Card, number

if TYPE_CHECKING:
    from uncollapse.measure.decoder import DecoderMeasurement
    from uncollapse.measure.result import Measurement

__all__ = ["alive_words", "decoder_card", "measurement_card"]


def alive_words(n_alive: int, n_latents: int) -> str:
    """How many live, as the start of a sentence.

    Examples
    --------
    >>> alive_words(1, 4)
    '1 of 4 latents is alive'
    """
    return f"{n_alive} of {n_latents} latents {'is' if n_alive == 1 else 'are'} alive"


def measurement_card(m: Measurement) -> Card:
    """How many latents live, and the first of them."""
    facts = [("rows", f"{m.n_samples:,}"), ("active units", f"{m.n_active} of {m.n_latents}")]
    error = "" if m.rate_error is None else f" ± {m.rate_error:.2g} (sampled: the prior is no Gaussian of each latent)"
    facts += [("KL, nats per sample", number(m.rate) + error)]
    if m.mutual_information_at_most is not None:
        facts += [("mutual information at most", number(m.mutual_information_at_most))]
    if m.mean_rank is not None:
        facts += [("directions that the means use", number(m.mean_rank))]
    if len(m.level_kl) > 1:
        facts += [("KL of each level", ", ".join(number(float(level.sum())) for level in m.level_kl))]
    order = np.argsort(-m.kl, kind="stable")[:MOST_ROWS].tolist()
    rows = tuple(
        (str(i + 1), number(m.kl[i]), number(m.mean_variance[i]), "alive" if m.alive[i] else "collapsed") for i in order
    )
    return Card(
        f"{alive_words(m.n_alive, m.n_latents)}.",
        tuple(facts),
        headings=("latent", "KL from its own Gaussian" if m.sampled else "KL, nats", "Var of mean", "state"),
        rows=rows,
    )


def decoder_card(d: DecoderMeasurement) -> Card:
    """The bound and the information, with what they were measured on."""
    facts = [
        ("rows, draws each", f"{d.n_rows:,}, {d.n_draws}"),
        ("loss, nats per sample", number(d.loss)),
        ("KL, nats per sample", number(d.rate)),
        ("mutual information, nats", number(d.mutual_information)),
        ("squared error", number(d.misfit)),
        ("decoder variance", number(d.decoder_variance)),
    ]
    if d.importance_bound is not None:
        facts += [("importance bound", number(d.importance_bound))]
    return Card(f"ELBO {d.elbo:.6g} ± {d.elbo_error:.2g} nats per sample.", tuple(facts))
