"""How the weight of the KL term grows during training, and how the learning rate falls at its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from uncollapse.checks import count, non_negative, one_of, positive
from uncollapse.errors import ObjectiveError
from uncollapse.showing.noun import Settings

__all__ = ["Schedule", "ScheduleKind", "kl_weight", "rate_factor"]

ScheduleKind = Literal["constant", "linear", "cyclical", "tanh"]

TANH_STEEPNESS = 3.0
"""tanh(3) = 0.995: the last step of the warm-up then changes the weight by half a per cent."""


@dataclass(frozen=True, repr=False)
class Schedule(Settings):
    """What multiplies β at each time of a training.

    Attributes
    ----------
    kind : {"constant", "linear", "cyclical", "tanh"}
        ``linear`` and ``tanh`` rise once from `start` to 1 over `warmup` epochs and stay there; ``cyclical`` repeats a
        period of `warmup` epochs `cycles` times, rising linearly in the first half of each (Fu et al. 2019, eq. 6-7).
    warmup : float
        Epochs; not used by ``constant``.
    start : float
        Weight at the start, in [0, 1].
    cycles : int
        Of a ``cyclical`` schedule; after the last one the weight stays at 1.

    Examples
    --------
    >>> ramp = Schedule("linear", warmup=10)
    >>> [kl_weight(ramp, epoch) for epoch in (0, 5, 20)]
    [0.0, 0.5, 1.0]
    """

    kind: ScheduleKind = "constant"
    warmup: float = 10.0
    start: float = 0.0
    cycles: int = 4

    def __post_init__(self) -> None:
        one_of(self.kind, "the kind of a KL schedule", get_args(ScheduleKind))
        wanted = "a positive number of epochs"
        object.__setattr__(self, "warmup", positive(self.warmup, "a schedule's warmup", wanted=wanted))
        start = non_negative(self.start, "a schedule's start", wanted="a number from 0 to 1")
        if start > 1:
            raise ObjectiveError(f"a schedule's start must be a number from 0 to 1, got {start:g}")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "cycles", count(self.cycles, "a schedule's cycles", least=1, most=2**53))

    @property
    def end(self) -> float:
        """Epoch from which on the weight is 1."""
        if self.kind == "constant":
            return 0.0
        return self.warmup * (self.cycles if self.kind == "cyclical" else 1)


def kl_weight(schedule: Schedule, epoch: float) -> float:
    """Weight in [0, 1] at `epoch`, which may be a fraction.

    Examples
    --------
    >>> kl_weight(Schedule("cyclical", warmup=4, cycles=2), 5)
    0.5
    """
    if epoch >= schedule.end:
        return 1.0
    done = epoch / schedule.warmup
    if schedule.kind == "tanh":
        done = math.tanh(TANH_STEEPNESS * done) / math.tanh(TANH_STEEPNESS)
    elif schedule.kind == "cyclical":
        done = min(1.0, 2 * (done % 1))
    return schedule.start + (1 - schedule.start) * done


def rate_factor(epochs: int, cooling: float, epoch: float) -> float:
    """What multiplies the learning rate at `epoch`, which may be a fraction: 1, then linearly to 0 at `epochs`.

    Examples
    --------
    >>> [rate_factor(10, 4, epoch) for epoch in (0, 6, 7.5, 9)]
    [1.0, 1.0, 0.625, 0.25]
    """
    return min(1.0, max(0.0, (epochs - epoch) / cooling)) if cooling else 1.0
