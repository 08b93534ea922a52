"""What a pilot trains, and what it keeps of each network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from uncollapse.bill.prune import earning
from uncollapse.bill.sample import FEWEST, make_sample
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import observe
from uncollapse.objective import Objective
from uncollapse.theory.loglikelihood import negative_log_likelihood

__all__ = ["Member", "Plan", "Trainer", "measured"]

EARNING_ROWS, EARNING_DRAWS = 768, 2
"""On which it is asked which latents earn."""


@dataclass(frozen=True)
class Plan:
    """One training of a pilot.

    Attributes
    ----------
    level : float
        Water level τ.
    seed : int
    manner : {"from below", "quiet", "usual"}
        With a KL warm-up, or at the full weight from the first step, to the end; or like the user's own.
    """

    level: float
    seed: int
    manner: Literal["from below", "quiet", "usual"]


@dataclass(frozen=True)
class Member:
    """What one network came to; KL and loss in nats per sample, the loss without its normalising constant."""

    n_earning: int
    n_alive: int
    kl: float
    loss: float


class Trainer(Protocol):
    """Whoever trains plans: stacks of our own networks, or a user's module one after the other."""

    @property
    def shape(self) -> str:
        """Of the network, in words."""
        ...

    def seconds(self, plans: Sequence[Plan]) -> float:
        """How long they will take, from the time of a few steps."""
        ...

    def train(self, plans: Sequence[Plan]) -> list[Member]:
        """Each plan's network, in their order."""
        ...


def measured(probe: Any, objective: Objective, x: Any, y: Any, given: Any) -> Member:
    """A trained network on rows.

    Parameters
    ----------
    probe : Probe
    objective : Objective
        As trained; its decoder variance is a number.
    x, y, given : ndarrays
        The rows; y is None where they are the target.
    """
    seen = observe(probe, x, y, given, n_rows=EARNING_ROWS)
    n_alive, kl = seen.measurement.n_alive, float(seen.measurement.kl.sum())
    loss = row_losses(probe, seen, objective).mean()
    if objective.likelihood == "gaussian":
        variance = float(objective.decoder_variance)
        loss -= negative_log_likelihood("gaussian", seen.y, seen.y, decoder_variance=variance).mean()
    if len(x) < FEWEST:  # too few to tell what earns, so all that live count
        return Member(n_alive, n_alive, kl, float(loss))
    sample = make_sample(probe, seen, objective, float(objective.decoder_variance), n_draws=EARNING_DRAWS)
    cut = len(sample) // 3
    earned = earning(sample.part(slice(0, cut)), sample.part(slice(cut, len(sample))), lambda: True)
    return Member(int(earned.earns.sum()), n_alive, kl, float(loss))
