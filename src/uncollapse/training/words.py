"""Trained models in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncollapse.showing.noun import Card, number

if TYPE_CHECKING:
    from uncollapse.training.result import Evaluation, Trained

__all__ = ["evaluation_card", "trained_card"]


def evaluation_card(e: Evaluation) -> Card:
    """How many latents live, and what the model costs."""
    facts = [("loss, nats per sample", number(e.loss)), ("ELBO", number(e.elbo)), ("KL", number(e.rate))]
    facts += [("misfit", number(e.misfit)), ("decoder variance", number(e.decoder_variance))]
    facts += [] if e.importance_bound is None else [("importance bound", number(e.importance_bound))]
    how = "from second moments, exactly" if e.exact else "from samples of z"
    return Card(
        f"{e.n_alive} of {len(e.kl)} latents {'is' if e.n_alive == 1 else 'are'} alive.", (*facts, ("computed", how))
    )


def trained_card(t: Trained) -> Card:
    """How training ended."""
    last = {name: float(values[-1]) for name, values in t.history.items() if len(values)}
    facts = [("epochs", f"{t.n_epochs:,}"), ("seconds", f"{t.seconds:.1f}")]
    names = {"loss": "loss of the last epoch, nats per sample", "elbo": "ELBO", "kl": "KL", "n_alive": "latents alive"}
    facts += [(words, number(last[name])) for name, words in names.items() if name in last]
    facts += [("why", t.message)] if t.message else []
    ends = {"finished": "ran to its last epoch", "plateau": "ended on a plateau", "failed": "failed"}
    return Card(f"Training {ends[t.status]}.", tuple(facts))
