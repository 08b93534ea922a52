"""Models of sequences in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncollapse.showing.noun import Card, number

if TYPE_CHECKING:
    from uncollapse.sequences.language import LanguageModel
    from uncollapse.sequences.result import SequenceEvaluation, SequenceVAE

__all__ = ["evaluation_card", "language_card", "vae_card"]

WORSE = 1.01
"""A loss on sequences held out that ends more than a hundredth above its lowest is worth a word."""


def evaluation_card(e: SequenceEvaluation) -> Card:
    """How many latents live, and what the model costs."""
    facts = (
        ("loss, nats per sequence", number(e.loss)),
        ("reconstruction", number(e.reconstruction)),
        ("KL", number(e.rate)),
        ("ELBO, nats per token", number(e.elbo_per_token)),
        ("sequences", f"{e.n_sequences:,}"),
    )
    return Card(f"{e.n_alive} of {len(e.kl)} latents {'is' if e.n_alive == 1 else 'are'} alive.", facts)


def vae_card(vae: SequenceVAE) -> Card:
    """How many latents live on sequences held out, and how it was trained."""
    e = evaluation_card(vae.held_out)
    s = vae.setup
    how = (
        ("decoder", f"{s.decoder.name}, width {s.decoder.width}"),
        ("encoder", s.encoder),
        ("β", number(s.beta)),
        ("epochs", f"{s.training.epochs:,}"),
        ("seconds", f"{vae.seconds:.1f}"),
    )
    there = vae.history["held_out"]
    best = int(there.argmin())
    line = f"The loss on sequences held out was lowest after epoch {best + 1} of {len(there)}: the model overfits."
    return Card(e.headline, (*e.facts, *how), (line,) if there[-1] > WORSE * there[best] else ())


def language_card(lm: LanguageModel) -> Card:
    """What the model costs on sequences held out."""
    facts = (
        ("nats per sequence held out", number(lm.nats)),
        ("nats per token", number(lm.nats_per_token)),
        ("best epoch", f"{int(lm.history['held_out'].argmin()) + 1} of {lm.training.epochs}"),
        ("width", f"{lm.shape.width:,}"),
        ("sequences", f"{lm.n_sequences:,}"),
        ("seconds", f"{lm.seconds:.1f}"),
    )
    return Card(f"A language model ({lm.shape.name}) of {lm.nats_per_token:.4g} nats per token.", facts)
