"""Seconds that may be spent, and whether some are left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["BUDGET", "Budget"]

BUDGET = 10.0
"""Seconds for what needs trials, on a model of a million weights on two cores."""


WAIT = 5.0
"""A second of waiting, for a busy machine or a model behind a network, is a fifth of a second of the budget: what a
trial shows hangs on its steps, and these should not become fewer because other programs run."""


@dataclass(frozen=True)
class Budget:
    """Of one bill.

    Attributes
    ----------
    seconds : float
        In which this process works; where it must wait, as many as five times so long go by.
    began, worked : float
        `time.monotonic` and `time.process_time` at the start.
    """

    seconds: float = BUDGET
    began: float = field(default_factory=time.monotonic)
    worked: float = field(default_factory=time.process_time)

    @property
    def spent(self) -> float:
        """Seconds of work since the start."""
        passed = time.monotonic() - self.began
        return max(min(passed, time.process_time() - self.worked), passed / WAIT)

    def part(self, share: float) -> Budget:
        """A share of what is left, from now on."""
        return Budget(share * max(self.seconds - self.spent, 0.0))

    def left(self, share: float = 1.0) -> bool:
        """Whether less than a share of it is spent."""
        return self.spent < share * self.seconds
