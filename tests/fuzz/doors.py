"""Every door of the package, by name: a strategy of attempts at it, and its share of a long run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from fuzz.answers import counts_of_any_kind, forecasts, posteriors
from fuzz.command_lines import command_lines
from fuzz.damaged_files import files
from fuzz.odd_models import odd_models
from fuzz.outcomes import BAD, Attempt, Outcome, judged
from fuzz.settings_given import odd_settings, plain_settings
from fuzz.tables import containers, numbers, odd_data

__all__ = ["DOORS", "Door", "lines", "tried"]


@dataclass(frozen=True)
class Door:
    """Attempts of one kind, and how many of 1,000 inputs of a long run are of it."""

    attempts: Callable[[], SearchStrategy[Attempt]]
    share: int


DOORS = {
    "containers": Door(containers, 200),
    "odd data": Door(odd_data, 100),
    "any floats": Door(numbers, 150),
    "odd settings": Door(odd_settings, 200),
    "plain settings": Door(plain_settings, 60),
    "forecasts": Door(forecasts, 60),
    "posteriors": Door(posteriors, 60),
    "likelihoods": Door(counts_of_any_kind, 90),
    "files": Door(files, 40),
    "command lines": Door(command_lines, 25),
    "models": Door(odd_models, 15),
}


def tried(door: Door, n: int, start: int) -> tuple[Counter[str], list[tuple[str, Outcome]]]:
    """Counts of outcomes over `n` attempts from the seed `start`, and every bad one in words."""
    counts: Counter[str] = Counter()
    bad: list[tuple[str, Outcome]] = []

    @seed(start)
    @settings(
        max_examples=n, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(door.attempts())
    def go(attempt: Attempt) -> None:
        outcome = judged(attempt)
        counts[outcome.kind] += 1
        if outcome.kind in BAD:
            bad.append((attempt.what, outcome))

    go()
    return counts, bad


def lines(bad: list[tuple[str, Outcome]]) -> Iterator[str]:
    """Each bad outcome on a line, alike ones once."""
    seen = set()
    for what, outcome in bad:
        if (outcome.kind, outcome.why[:60]) not in seen:
            seen.add((outcome.kind, outcome.why[:60]))
            yield f"{outcome.kind}: {what}: {outcome.why}"
