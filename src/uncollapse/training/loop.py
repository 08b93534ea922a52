"""The one training loop: epochs of a stack, its history, and when each member stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from uncollapse.measure.result import ALIVE_NATS
from uncollapse.progress import OnEpoch
from uncollapse.training.architecture import Architecture
from uncollapse.training.config import Setup
from uncollapse.training.losses import LOG_2PI
from uncollapse.training.models import Parameters
from uncollapse.training.result import Trained
from uncollapse.training.schedules import kl_weight
from uncollapse.training.stack import Stack

__all__ = ["COLUMNS", "Member", "Run"]

COLUMNS = ("loss", "elbo", "reconstruction", "misfit", "kl", "n_alive", "decoder_variance", "kl_weight")

Stop = Literal["finished", "plateau", "failed"]


@dataclass
class Member:
    """What the loop remembers of one member: rows of its history, and how long its loss has not fallen."""

    index: int
    rows: list[list[float]]
    latent_kl: list[np.ndarray]
    best: float = math.inf
    since: int = 0
    seconds: float = 0.0

    def result(
        self,
        setup: Setup,
        a: Architecture,
        parameters: Parameters,
        status: Stop,
        message: str,
        epochs: int | None = None,
    ) -> Trained:
        """With these parameters, and the history of the first `epochs`; of all when left out."""
        rows = np.array(self.rows[:epochs]).reshape(-1, len(COLUMNS))
        history = {"epoch": np.arange(1, len(rows) + 1)} | {
            name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(COLUMNS)
        }
        latent_kl = np.array(self.latent_kl[:epochs]).reshape(-1, a.n_latents)
        return Trained(setup, a, parameters, history, latent_kl, status, message, self.seconds)


class Run:
    """A stack on its way through the epochs.

    Parameters
    ----------
    stack : Stack
    indices : list of int
        What the caller calls each member.
    on_stop : callable
        Told of each member as it stops: its index and the result.
    """

    def __init__(self, stack: Stack, indices: list[int], on_stop: Callable[[int, Trained], None]) -> None:
        self.stack, self.on_stop = stack, on_stop
        self.members = [Member(index, [], []) for index in indices]
        self.epoch = 0

    def go(self, on_epoch: OnEpoch | None = None, after_epoch: Callable[[Run], None] | None = None) -> None:
        """Train until every member has stopped; `after_epoch` is called while some still train."""
        self._release({})  # a training that goes on may have nothing left to do
        while self.members:
            self._one_epoch(on_epoch)
            if after_epoch is not None and self.members:
                after_epoch(self)

    def trained(self, position: int, status: Stop = "finished", message: str = "") -> Trained:
        """The member at this place of the stack as a result, in its present state."""
        member, stack = self.members[position], self.stack
        parameters = {name: value[position].detach().cpu().clone() for name, value in stack.parameters.items()}
        return member.result(stack.setups[position], stack.architecture, parameters, status, message)

    def _one_epoch(self, on_epoch: OnEpoch | None) -> None:
        stack, started = self.stack, time.perf_counter()
        last_good = {name: value.detach().clone() for name, value in stack.parameters.items()}
        losses = torch.empty(stack.n_steps, stack.n_members, device=stack.rows.device, dtype=stack.rows.dtype)
        sums = torch.zeros(stack.n_members, 2 + stack.architecture.n_latents, device=losses.device, dtype=losses.dtype)
        n_rows = 0
        for step, (loss, result, n) in enumerate(stack.steps(self.epoch)):
            losses[step] = loss
            sums.add_(
                torch.cat([result.reconstruction[:, None], result.misfit[:, None], result.kl], 1).detach(), alpha=n
            )
            n_rows += n
        variance = result.decoder_variance.detach()
        averages, variances = (sums / n_rows).double().cpu().numpy(), variance.double().cpu().numpy()
        seconds = (time.perf_counter() - started) / stack.n_members
        failures = self._failures(losses, variances, last_good)
        del last_good  # before results are copied: memory is what limits a stack
        self.epoch += 1
        for position, member in enumerate(self.members):
            member.seconds += seconds
            if position not in failures:
                self._note(position, member, averages[position], float(variances[position]))
        if on_epoch is not None:
            now = np.array([member.rows[-1] for member in self.members if member.rows] or [[math.nan] * len(COLUMNS)])
            elbo, kl, n_alive = (float(now[:, COLUMNS.index(name)].mean()) for name in ("elbo", "kl", "n_alive"))
            on_epoch(self.epoch, elbo, kl, n_alive)
        self._release(failures)

    def _note(self, position: int, member: Member, averages: np.ndarray, variance: float) -> None:
        setup, a = self.stack.setups[position], self.stack.architecture
        reconstruction, misfit, kl = float(averages[0]), float(averages[1]), averages[2:]
        weights = self.stack.coefficients.kl_weights[position].double().cpu().numpy()
        loss = reconstruction + float(weights @ kl)
        weight = kl_weight(setup.training.schedule, self.epoch)
        elbo = -reconstruction - constant(a, variance) - float(kl.sum())
        n_alive = float((kl > ALIVE_NATS).sum())
        member.rows.append([loss, elbo, reconstruction, misfit, float(kl.sum()), n_alive, variance, weight])
        member.latent_kl.append(kl.copy())  # a view of the tensor's memory would split the heap, 0.1 MB an epoch
        if self.epoch >= setup.training.schedule.end:
            if loss < member.best - setup.training.min_delta * abs(member.best) or math.isinf(member.best):
                member.best, member.since = loss, 0
            else:
                member.since += 1

    def _release(self, failures: dict[int, str]) -> None:
        """Hand over the members that have stopped, and go on with the rest."""
        going = []
        for position, member in enumerate(self.members):
            t = self.stack.setups[position].training
            if position in failures:
                self.on_stop(member.index, self.trained(position, "failed", failures[position]))
            elif t.patience is not None and member.since >= t.patience:
                self.on_stop(member.index, self.trained(position, "plateau"))
            elif self.epoch >= t.epochs:
                self.on_stop(member.index, self.trained(position))
            else:
                going.append(position)
        if going and len(going) < len(self.members):
            self.stack.keep(going)
        self.members = [self.members[position] for position in going]

    def _failures(self, losses: Tensor, variances: np.ndarray, last_good: dict[str, Tensor]) -> dict[int, str]:
        """Members whose loss or parameters left the finite numbers, set back to where the epoch began, and why."""
        totals = [value.detach().flatten(1).sum(1) if value.ndim > 1 else value.detach()
                  for value in self.stack.parameters.values()]  # fmt: skip
        fine = torch.isfinite(losses).all(0) & torch.isfinite(torch.stack(totals)).all(0)
        if bool(fine.all()):
            return {}
        result = {}
        for position in torch.nonzero(~fine).flatten().tolist():
            setup = self.stack.setups[position]
            run = losses[:, position].double().cpu().numpy()
            bad = np.flatnonzero(~np.isfinite(run))
            step = int(bad[0]) if len(bad) else len(run) - 1
            largest = self.stack.rows.largest()
            why = likely_cause(setup, self.stack.architecture, run[:step], self.epoch, variances[position], largest)
            result[position] = f"the loss is not finite from step {step + 1} of epoch {self.epoch + 1} on; likely {why}"
            with torch.no_grad():
                for name, value in self.stack.parameters.items():
                    value[position] = last_good[name][position]
                for name, value in self.stack.optimiser.moments.items():
                    if name != "steps":
                        value[position] = 0.0  # a training that failed is not gone on with
        return result


def constant(a: Architecture, variance: float) -> float:
    """What a Gaussian decoder's −log p has beyond the reconstruction term."""
    if a.likelihood != "gaussian":
        return 0.0
    return a.n_targets / 2 * (LOG_2PI + (math.log(variance) if a.decoder_variance == "fixed" else 0.0))


def likely_cause(setup: Setup, a: Architecture, before: np.ndarray, epoch: int, variance: float, largest: float) -> Any:
    """The most common reason for a loss that was like this before it became infinite or NaN."""
    rate = setup.training.learning_rate
    grew = len(before) > 1 and before[-1] > before[0] + 9 * abs(before[0])
    if a.decoder_variance != "fixed" and not variance > 1e-6 and not grew:
        return (
            f"the learned decoder variance ran to 0: such an objective may have no minimum (uncollapse forecast "
            f"tells); fix the decoder variance, raise beta above {setup.objective.beta:g}, or use fewer latents"
        )
    if largest > 1e6:
        return f"data too large for this precision (up to {largest:.3g}); rescale them (--scale)"
    if grew:
        return (
            f"a learning rate of {rate:g} is too large: the loss grew from {before[0]:.4g} to {before[-1]:.4g} before"
        )
    return f"one step that overshot; lower the learning rate from {rate:g}, or clip the gradient"
