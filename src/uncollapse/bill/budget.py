"""Seconds that may be spent, and whether some are left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["BUDGET", "Budget"]

BUDGET = 10.0
"""Seconds for what needs trials, on a model of a million weights on two cores."""


@dataclass(frozen=True)
class Budget:
    """Of one bill.

    Attributes
    ----------
    seconds : float
    """

    seconds: float = BUDGET
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def part(self, share: float) -> Budget:
        """A share of what is left, from now on."""
        return Budget(share * max(self.seconds - self.spent, 0.0))

    def left(self, share: float = 1.0) -> bool:
        """Whether less than a share of it is spent."""
        return self.spent < share * self.seconds
