"""Spectra, conditions and moments in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncollapse.showing.noun import MOST_ROWS, Card, number

if TYPE_CHECKING:
    from uncollapse.spectra.one_pass import Moments
    from uncollapse.spectra.result import Condition, Spectrum

__all__ = ["condition_card", "moments_card", "spectrum_card"]


def spectrum_card(s: Spectrum) -> Card:
    """How many modes, how many of them above noise, and the strongest."""
    rows = zip(s.strengths[:MOST_ROWS], s.debiased_strengths[:MOST_ROWS], s.above_noise[:MOST_ROWS], strict=True)
    n = int(s.above_noise.sum())
    modes = f"{s.rank} {'mode' if s.rank == 1 else 'modes'}" + ("" if s.complete else " computed")
    facts = [
        ("rows and columns", f"{s.n_samples:,} × {s.n_features:,}"),
        ("likelihood", s.likelihood),
        ("total energy", number(s.total_energy)),
        ("edge of sampling noise", number(s.noise.edge)),
    ]
    if not s.target_is_input:
        facts += [("targets", f"{s.n_targets:,}"), ("residual energy", number(s.residual_energy))]
    if s.condition:
        facts += [("condition", f"{s.condition.n_columns:,} columns")]
    return Card(
        f"{modes}, {n} above sampling noise.",
        tuple(facts),
        headings=("mode", "strength", "noise taken out", "above noise"),
        rows=tuple(
            (str(i), number(strength), number(clean), "yes" if above else "no")
            for i, (strength, clean, above) in enumerate(rows, start=1)
        ),
    )


def condition_card(c: Condition) -> Card:
    """What the condition explains."""
    facts = [("energy without it", number(c.energy)), ("strongest mode without it", number(_first(c)))]
    if len(c.explained):
        facts += [("explained along the strongest mode", f"{c.explained[0]:.1%}")]
    return Card(
        f"A condition of {_count(c.n_columns, 'column')}, with {_count(c.rank, 'direction')} of its own.", tuple(facts)
    )


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _first(c: Condition) -> float:
    return float(c.strengths_without[0]) if len(c.strengths_without) else 0.0


def moments_card(m: Moments) -> Card:
    """How many rows and columns were summed."""
    energy = float(m.scatter.trace()) / m.n_samples if m.n_samples else 0.0
    facts = [
        ("inputs", f"{m.n_inputs:,}"),
        ("targets", f"{len(m.mean) - m.n_inputs:,}" if m.has_target else "the input"),
    ]
    facts += [("mean squared distance from the mean", number(energy)), ("rows left out", f"{m.n_dropped:,}")]
    return Card(f"First and second moments of {m.n_samples:,} rows.", tuple(facts))
