"""A sweep of VAEs of sequences in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.injecting.words import doubts
from uncollapse.showing.noun import Card, number

if TYPE_CHECKING:
    from uncollapse.injecting.sweep_result import SequenceSweep

__all__ = ["HEADINGS", "card", "headline", "lost", "rows"]

HEADINGS = ("β", "latents", "β/λ", "alive", "KL", "loss", "gain", "alive, by λ", "gain, by λ")

WORTH_A_WORD = 0.01
"""Nats that a decoder learned while its VAEs were trained."""


def headline(sweep: SequenceSweep) -> str:
    """λ, and how many of the VAEs on each side of it came out as it says."""
    low, high = sweep.spectrum.interval
    n = len(sweep)
    lives = f"a latent lives below β = {sweep.spectrum.critical_beta:.3g} ({low:.3g} to {high:.3g})"
    done = [(beta, n) for beta, n in zip(sweep.columns["beta"], sweep.columns["n_alive"], strict=True) if n is not None]
    if not done:
        return f"No training of {n} came to its end; by λ {lives}."
    above, below = [n for beta, n in done if beta > high], [n for beta, n in done if beta < low]
    parts = []
    if below:
        parts.append(f"below that a latent lives in {sum(n > 0 for n in below)} of {len(below)} trainings")
    if above:
        parts.append(f"above it none lives in {sum(n == 0 for n in above)} of {len(above)}")
    if near := len(done) - len(below) - len(above):
        parts.append(f"{near} {'is' if near == 1 else 'are'} too near to say")
    return f"By λ {lives}; {', '.join(parts)}."


def lost(sweep: SequenceSweep) -> list[str]:
    """A line where trainings did not come to their end."""
    n = sum(status != "done" for status in sweep.columns["status"])
    return [f"{n} of {len(sweep)} trainings failed: see the table."] if n else []


def card(sweep: SequenceSweep) -> Card:
    """λ, what was counted, and a line for each VAE."""
    language, s = sweep.language, sweep.spectrum
    facts = (
        ("decoder", language.shape.name),
        ("nats per sequence without latents", number(language.nats)),
        ("λ, on those that train", f"{s.critical_beta:.3g} ± {s.errors[0]:.2g}"),
        ("trainings", str(len(sweep))),
    )
    return Card(headline(sweep), facts, (*lost(sweep), *_known(sweep), *doubts(s)), HEADINGS, tuple(rows(sweep)))


def _known(sweep: SequenceSweep) -> list[str]:
    """What the table alone does not say."""
    columns, low = sweep.columns, sweep.spectrum.interval[0]
    done = [i for i, status in enumerate(columns["status"]) if status == "done"]
    if not done:
        return []
    lines = [_best(sweep, max(done, key=lambda i: columns["elbo"][i]))]
    dead = [i for i in done if not columns["n_alive"][i]]
    if any(columns["beta"][i] < low for i in dead):
        lines.append(
            "Where none lives below λ, training stopped too early (near λ a latent grows slowly), or its encoder "
            "cannot tell: train longer, warm up (--schedule linear), or ask `uncollapse diagnose` (--keep-models)."
        )
    learned = float(np.mean([columns["gain"][i] for i in dead])) if dead else 0.0
    if learned > WORTH_A_WORD:
        lines.append(
            f"The decoder itself learned {learned:.2g} nats meanwhile, as trainings without a living latent show: take "
            "that off each gain."
        )
    return lines


def _best(sweep: SequenceSweep, i: int) -> str:
    """The best bound on log p(x), as losses at different weights cannot be compared."""
    bound, nats = -sweep.columns["elbo"][i], sweep.language.nats
    beside = f"{abs(bound - nats):.2g} nats {'above' if bound > nats else 'below'} the {nats:.4g} without latents"
    return (
        f"The best bound on −log p(x) is {bound:.4g} nats a sequence, at β = {sweep.columns['beta'][i]:.3g}: {beside}."
    )


def rows(sweep: SequenceSweep) -> list[tuple[str, ...]]:
    """A line for each VAE, by its number of latents and β."""
    names = ("n_latents", "beta", "seed", "n_alive", "rate", "loss", "gain", "forecast_n_alive", "forecast_gain")
    lines: list[tuple[str, ...]] = []
    for values in sorted(zip(*(sweep.columns[name] for name in names), strict=True), key=lambda line: line[:3]):
        n_latents, beta, _, n_alive, rate, loss, gain, by, worth = values
        lines.append(
            (f"{beta:.3g}", str(n_latents), f"{beta / sweep.spectrum.critical_beta:.2f}", _count(n_alive), _nats(rate),
             number(loss), _nats(gain), str(by), _nats(worth))
        )  # fmt: skip
    return lines


def _count(n: int | None) -> str:
    return "–" if n is None else str(n)


def _nats(value: Any) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.2g}"
