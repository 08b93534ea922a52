"""The training loop of sequences: epochs of Adam, cooled over the second half."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from uncollapse.errors import TrainingError
from uncollapse.sequences.settings import SequenceTraining
from uncollapse.training.schedules import rate_factor

__all__ = ["Loss", "descend"]

Loss = Callable[[Tensor, float], Tensor]
"""Mean nats per sequence of some rows, and the share of the training that is done → a scalar."""


def descend(
    modules: Iterable[nn.Module],
    training: SequenceTraining,
    n_rows: int,
    loss_of: Loss,
    after_epoch: Callable[[int], float],
) -> None:
    """Minimise `loss_of`; `after_epoch` is called with the number of epochs done, and gives the loss held out.

    Raises
    ------
    TrainingError
        The loss left the finite numbers.
    """
    parameters = [value for module in modules for value in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=training.learning_rate)
    generator = torch.Generator().manual_seed(training.seed)
    n_steps = math.ceil(n_rows / training.batch_size)
    for epoch in range(training.epochs):
        order = torch.randperm(n_rows, generator=generator)
        for step in range(n_steps):
            rows = order[step * training.batch_size : (step + 1) * training.batch_size]
            now = epoch + step / n_steps
            factor = rate_factor(training.epochs, training.cooling, now)
            optimiser.param_groups[0]["lr"] = training.learning_rate * factor
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(rows, now / training.epochs)
            _check(loss.item(), f"from step {step + 1} of epoch {epoch + 1} on", training)
            torch.autograd.backward(loss)
            if training.clip is not None:
                nn.utils.clip_grad_norm_(parameters, training.clip)
            optimiser.step()
        _check(after_epoch(epoch + 1), f"after epoch {epoch + 1}", training)


def _check(loss: float, when: str, training: SequenceTraining) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is not finite {when}; lower the learning rate from {training.learning_rate:g}, or clip the "
            "gradient"
        )
