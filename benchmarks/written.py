"""A loss as somebody wrote it, with what is true of it, and the list of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LOSSES", "D", "K", "Written", "kl", "written"]

D, K = 12, 4
LOSSES: list[Written] = []


@dataclass(frozen=True)
class Written:
    """One loss, and what is true of it.

    Attributes
    ----------
    function : callable
    source : str
        In whose manner.
    level : float or None
        Water level, or β of another likelihood, at 12 features and 4 latents; None where none is known.
    says : str
        Words that the reading must have.
    shape : tuple of int
    settings : dict
    total : str or None
    """

    function: Callable[..., Any]
    source: str
    level: float | None
    says: str = ""
    shape: tuple[int, ...] = (D,)
    settings: dict[str, Any] = field(default_factory=dict)
    total: str | None = None


def written(source: str, level: float | None, says: str = "", **more: Any) -> Callable[[Any], Any]:
    """Put a loss into the list."""

    def keep(function: Any) -> Any:
        LOSSES.append(Written(function, source, level, says, **more))
        return function

    return keep


def kl(mu: Any, logvar: Any) -> Any:
    """½Σ(μ² + σ² − 1 − log σ²) of each row."""
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)
