"""Members that train side by side: their parameters, moments, random streams, and one epoch of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from uncollapse.forecasting.weights import Weights
from uncollapse.training.analytic import SecondMoments, analytic_terms, second_moments
from uncollapse.training.architecture import Architecture, initial, warm
from uncollapse.training.config import Setup
from uncollapse.training.data import Table
from uncollapse.training.losses import Terms, minimised, sampled_terms
from uncollapse.training.models import coefficients
from uncollapse.training.optimise import Optimiser, clip_each
from uncollapse.training.packed import Packed
from uncollapse.training.schedules import kl_weight, rate_factor

__all__ = ["Batches", "Stack"]

NOISE_ENTRIES = 2**14
"""Normal numbers drawn at once for each member: enough that the call costs nothing beside them, few enough that those
of a hundred members stay in the cache."""


class Batches:
    """What each step sees: for every member its own rows, in its own order, and its own noise."""

    def __init__(self, rows: Table | Packed, setup: Setup, n_latents: int) -> None:
        self.rows, self.n_latents = rows, n_latents
        self.n_rows = rows.n_rows
        self.size = min(setup.training.batch_size or self.n_rows, self.n_rows)
        self.n_steps = -(-self.n_rows // self.size)

    def epoch(self, generators: list[torch.Generator]) -> Iterator[tuple[Tensor, Tensor, Tensor | None, Tensor]]:
        """x, y, condition (M, B, ·) and noise (M, B, L) of each step; random numbers are the member's own."""
        rows, n_members = self.rows, len(generators)
        order = None
        if self.size < self.n_rows:
            order = torch.stack([torch.randperm(self.n_rows, generator=g, device=g.device) for g in generators])
        at_once = min(max(1, NOISE_ENTRIES // (self.size * self.n_latents)), self.n_steps)
        noise = torch.empty(n_members, at_once, self.size, self.n_latents, dtype=rows.dtype, device=rows.device)
        for step in range(self.n_steps):
            k = step % at_once
            if k == 0:
                for member, generator in enumerate(generators):
                    noise[member].normal_(generator=generator)
            start = step * self.size
            chosen = None if order is None else order[:, start : start + self.size]
            n = self.size if chosen is None else chosen.shape[1]
            yield *rows.take(chosen, generators), noise[:, k, :n]


class Stack:
    """Members trained as one program, each with the result of its own separate training.

    Parameters
    ----------
    setups : list of Setup
        Of one architecture and one way of training; neighbours share their learning rate.
    rows : Table or Packed
        On the device, in the precision of the training.
    starts : list of Weights or None
        Closed-form optimum of each member that starts warm.
    """

    def __init__(
        self, setups: list[Setup], a: Architecture, rows: Table | Packed, starts: list[Weights | None]
    ) -> None:
        device, dtype = rows.device, rows.dtype
        self.setups, self.architecture, self.rows = setups, a, rows
        self.training = setups[0].training
        self.generators, members = [], []
        for setup, start in zip(setups, starts, strict=True):
            # weights come from a generator of the CPU, so that they are the same on every device
            weights = torch.Generator().manual_seed(setup.training.seed)
            values = initial(a, setup.training.initial_decoder_variance, weights, dtype)
            members.append(values if start is None else warm(a, values, start))
            stream = int(torch.randint(2**62, (1,), generator=weights))
            self.generators.append(torch.Generator(device).manual_seed(stream))
        self._take_on({name: torch.stack([m[name] for m in members]).to(device) for name in members[0]}, None)
        self.batches = Batches(rows, setups[0], a.n_latents)
        self._moments: SecondMoments | None = None
        if self.training.estimator == "analytic" and isinstance(rows, Table):
            n_targets = 0 if rows.y is rows.x else a.n_targets
            self._moments = second_moments(rows.moments(), a.n_inputs, n_targets, device, dtype)

    @property
    def n_members(self) -> int:
        """Members still training."""
        return len(self.setups)

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return self.batches.n_steps if self._moments is None else self.training.steps_per_epoch

    def tensors(self) -> dict[str, Tensor]:
        """All that changes while training, first axis over members, except the count of steps."""
        streams = torch.stack([generator.get_state() for generator in self.generators])
        return {**self.parameters, **self.optimiser.moments, "streams": streams}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go back, or on, to what `tensors` gave."""
        with torch.no_grad():
            for name, value in {**self.parameters, **self.optimiser.moments}.items():
                value.copy_(tensors[name])
        for generator, state in zip(self.generators, tensors["streams"], strict=True):
            generator.set_state(state.clone())  # a row of a file need not be aligned as it is read there

    def keep(self, members: list[int]) -> None:
        """Go on with these members only; the others cost nothing any more."""
        self.setups = [self.setups[i] for i in members]
        self.generators = [self.generators[i] for i in members]
        at = torch.tensor(members, device=self.rows.device)
        moments = {n: v if n == "steps" else v.index_select(0, at) for n, v in self.optimiser.moments.items()}
        self._take_on({n: v.detach().index_select(0, at) for n, v in self.parameters.items()}, moments)

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, Terms, int]]:
        """Train one epoch; after each step what was minimised (M,), the terms, and the number of rows."""
        shared = self.training
        leaves = list(self.parameters.values())
        free_bits = shared.free_bits > 0
        n_steps = self.n_steps
        for step, (result, n) in enumerate(self._each_terms()):
            now = epoch + step / n_steps
            weight = kl_weight(shared.schedule, now)
            losses = minimised(result, self.coefficients, weight, free_bits=free_bits)
            gradients = torch.autograd.grad(losses.sum(), leaves)
            with torch.no_grad():
                if shared.clip is not None:
                    clip_each(gradients, shared.clip)
                self.optimiser.step(gradients, rate_factor(shared.epochs, shared.cooling, now))
            del gradients  # or they would stand beside the next ones
            yield losses.detach(), result, n

    def _each_terms(self) -> Iterator[tuple[Terms, int]]:
        a, p = self.architecture, self.parameters
        if self._moments is not None:
            for _ in range(self.n_steps):
                yield analytic_terms(a, p, self.coefficients, self._moments), self.rows.n_rows
            return
        for x, y, given, noise in self.batches.epoch(self.generators):
            with self._precision():
                result = sampled_terms(a, p, self.coefficients, x, y, given, noise)
            yield result, x.shape[1]

    def _precision(self) -> Any:
        if not self.training.mixed_precision:
            return nullcontext()
        return torch.autocast(self.rows.device.type, torch.bfloat16)

    def _take_on(self, parameters: dict[str, Tensor], moments: dict[str, Tensor] | None) -> None:
        self.parameters = {name: value.contiguous().requires_grad_() for name, value in parameters.items()}
        rates = [setup.training.learning_rate for setup in self.setups]
        self.optimiser = Optimiser(self.parameters, rates, self.training, moments)
        self.coefficients = coefficients(self.setups, self.architecture, self.rows.device, self.rows.dtype)
