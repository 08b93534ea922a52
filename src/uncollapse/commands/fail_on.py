"""`--fail-on`: the exit code of a diagnosis, for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from uncollapse.errors import ObjectiveError, shown

__all__ = ["FAILED", "FailOn", "causes_named", "fail_on"]

FAILED = 3
"""Exit code where the cause is one of those named; 1 and 2 are errors."""

ANY, HEALTHY = "any", "healthy"

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="CAUSES",
        help=f"Exit with code {FAILED} if the cause is one of these: objective,convention; or any but healthy: any.",
        rich_help_panel="The answer",
    ),
]


def causes_named(text: str | None, known: Iterable[str]) -> frozenset[str]:
    """The causes that a comma-separated list names; ``any`` names all but ``healthy``.

    Raises
    ------
    ObjectiveError
        A name that is no cause; the line lists them.

    Examples
    --------
    >>> sorted(causes_named("any", ["healthy", "slow", "capacity"]))
    ['capacity', 'slow']
    >>> causes_named("slwo", ["healthy", "slow"])
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: --fail-on: 'slwo' is no cause; name some of any, healthy, slow
    """
    causes = tuple(known)
    if text is None:
        return frozenset()
    named = {part.strip() for part in text.split(",")}
    odd = sorted(named - {ANY, *causes})
    if odd:
        raise ObjectiveError(f"--fail-on: {shown(odd[0])} is no cause; name some of {', '.join((ANY, *causes))}")
    return frozenset(named - {ANY} | (set(causes) - {HEALTHY} if ANY in named else set()))


def fail_on(cause: str, causes: frozenset[str]) -> None:
    """End the command with `FAILED`, and one line that says why, if the cause is one of these."""
    if cause in causes:
        typer.echo(f"uncollapse: --fail-on: the cause is {cause}", err=True)
        raise typer.Exit(FAILED)
