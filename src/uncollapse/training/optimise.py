"""Adam and SGD on stacked parameters: one fused call for all members of the same learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from uncollapse.training.config import Training

__all__ = ["Optimiser", "clip_each"]

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Optimiser:
    """Moments of the gradients, stacked like the parameters, and the step.

    Parameters
    ----------
    parameters : dict of Tensor
        Leaves with a first axis over members; members of one learning rate must stand next to each other. With one
        rate for all, leaves of any shape.
    rates : sequence of float
        One per member.
    training : Training
        The rule, shared by all.
    moments : dict of Tensor, optional
        What `moments` was when an earlier training stopped.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        rates: Sequence[float],
        training: Training,
        moments: dict[str, Tensor] | None = None,
    ) -> None:
        self.training = training
        self.names = list(parameters)
        kinds = ("first", "second") if training.optimiser == "adam" else ("first",)
        self.moments = moments or {
            f"{kind}.{name}": torch.zeros_like(value) for kind in kinds for name, value in parameters.items()
        }
        if moments is None:
            self.moments["steps"] = torch.zeros(len(self.names), device=parameters[self.names[0]].device)
        self._steps = list(self.moments["steps"].unbind())
        self._groups = [self._views(parameters, rate, members) for rate, members in _runs(rates)]

    def step(self, gradients: Sequence[Tensor], factor: float = 1.0) -> None:
        """Move the parameters by one step, in place, at `factor` times each member's learning rate."""
        done = self.moments["steps"].clone() if len(self._groups) > 1 else None
        for rate, members, values, first, second in self._groups:
            mine = list(gradients) if members is None else [gradient[members] for gradient in gradients]
            if done is not None:
                self.moments["steps"].copy_(done)  # the call below counts, once for every group
            if self.training.optimiser == "adam":
                adam(values, mine, first, second, [], self._steps, fused=True, amsgrad=False, beta1=BETA1, beta2=BETA2,
                     lr=rate * factor, weight_decay=0.0, eps=EPS, maximize=False)  # fmt: skip
            else:
                sgd(values, mine, list(first), fused=False, foreach=True, weight_decay=0.0,
                    momentum=self.training.momentum, lr=rate * factor, dampening=0.0, nesterov=False,
                    maximize=False)  # fmt: skip

    def _views(
        self, parameters: dict[str, Tensor], rate: float, members: slice | None
    ) -> tuple[float, slice | None, list[Tensor], list[Tensor], list[Tensor]]:
        def views(values: list[Tensor]) -> list[Tensor]:
            return values if members is None else [value[members] for value in values]

        first = [self.moments[f"first.{name}"] for name in self.names]
        second = [self.moments[f"second.{name}"] for name in self.names if f"second.{name}" in self.moments]
        return rate, members, views([parameters[name].detach() for name in self.names]), views(first), views(second)


def clip_each(gradients: Sequence[Tensor], largest: float) -> None:
    """Shorten each member's gradient to a norm of at most `largest`, in place."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) if gradient.ndim > 1 else gradient.square()
                           for gradient in gradients])  # fmt: skip
    factor = (largest / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


def _runs(rates: Sequence[float]) -> Iterator[tuple[float, slice | None]]:
    """Learning rates and the neighbouring members that have them; None for all members."""
    if len(set(rates)) == 1:
        yield rates[0], None
        return
    start = 0
    for rate, group in groupby(rates):
        n = len(list(group))
        yield rate, slice(start, start + n)
        start += n
