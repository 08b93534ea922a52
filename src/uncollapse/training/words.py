"""Pilots and trained models in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uncollapse.showing.noun import Card, number

if TYPE_CHECKING:
    from uncollapse.training.pilot import Pilot
    from uncollapse.training.result import Evaluation, Trained

__all__ = ["HEADINGS", "about_pilot", "evaluation_card", "pilot_card", "pilot_rows", "trained_card"]

HEADINGS = ("water level", "alive", "linear", "KL, nats", "linear", "loss", "linear")


def about_pilot(p: Pilot) -> str:
    """The answer at the objective's own water level, with its spread over seeds."""
    alive, kl = p.n_alive[p.here], p.kl[p.here]
    linear = int(p.linear.n_alive[p.here])
    shape = "-".join(map(str, (p.forecast.spectrum.n_features, *p.network.hidden)))
    return (
        f"Pilot: of {p.n_latents} latents {_spread(alive)} live in small networks ({shape}, {p.n_rows:,} rows, "
        f"{len(alive)} seeds) with {_range(kl)} nats of KL; the linear forecast says {linear} with "
        f"{float(p.linear.rate[p.here]):.3g}."
    )


def pilot_rows(p: Pilot) -> list[list[str]]:
    """A line for each water level, the highest first; the objective's own is marked."""
    linear = p.linear
    rows = []
    for i, level in enumerate(p.water_levels):
        mark = " ←" if i == p.here else ""
        loss = f"{linear.loss[i]:.4g}" if p.forecast.exact else ""
        rows.append(
            [
                f"{level:.4g}{mark}",
                _spread(p.n_alive[i]),
                str(int(linear.n_alive[i])),
                _range(p.kl[i]),
                f"{linear.rate[i]:.3g}",
                f"{np.median(p.loss[i]):.4g}",
                loss,
            ]
        )
    return rows


def _spread(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"


def pilot_card(p: Pilot) -> Card:
    """The answer at the objective's own water level, and each level."""
    facts = (("rows", f"{p.n_rows:,}"), ("hidden units", "-".join(map(str, p.network.hidden)) or "none"))
    rows = tuple(tuple(row) for row in pilot_rows(p))
    return Card(about_pilot(p), (*facts, ("seconds", f"{p.seconds:.0f}")), headings=HEADINGS, rows=rows)


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
