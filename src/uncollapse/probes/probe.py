"""What every model is seen through: q(z|x) and the decoder's mean, whatever library it comes from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.errors import DataError
from uncollapse.objective import Objective
from uncollapse.posterior import Posterior, posterior

__all__ = ["Probe", "TorchProbe", "evaluating"]

DECODED_ROWS = 4096
"""Rows that go through a decoder at once."""


class Probe(Protocol):
    """A trained model, seen from outside: all that measuring and diagnosing ask of it.

    `objective` and `decoder_variance` are None where the model does not say them; they are then asked for, not guessed.
    """

    @property
    def name(self) -> str:
        """Of library and model, for messages."""

    @property
    def objective(self) -> Objective | None:
        """As trained."""

    @property
    def decoder_variance(self) -> float | None:
        """η² as it is now, where it is learned."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the model was read."""

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x) of rows of the data (n, d), with their condition (n, c) if there is one."""

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z] (n, d) in the data's own units, of latents of the lowest level (n, l)."""


@dataclass(frozen=True, eq=False)
class TorchProbe:
    """A PyTorch model: as `Probe`, and differentiable, so that it can be refined and trained further.

    Attributes
    ----------
    name : str
        Of library and model, for messages.
    module : Module
    mean_and_log_variance : callable (module, x, given) → (Tensor (B, …), Tensor (B, …))
        Of q(z|x), from rows (B, d) and conditions (B, c) or None.
    output : callable (module, z, given) → Tensor (B, …)
        E[y|z] in the data's units, from latents in the shape that the encoder gave them.
    objective : Objective or None
        As trained.
    decoder_variance : float or None
        η² as it is now, where it is learned; the objective's when that is a number.
    input_shape : tuple of int, optional
        Of one sample, if the module does not take rows: (1, 28, 28).
    dispersion : ndarray of shape (d,), optional
        r of a negative binomial decoder.
    notes : tuple of str
        What a user should know about how the model was read.
    """

    name: str
    module: nn.Module
    mean_and_log_variance: Callable[[nn.Module, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    output: Callable[[nn.Module, Tensor, Tensor | None], Tensor]
    objective: Objective | None = None
    decoder_variance: float | None = None
    input_shape: tuple[int, ...] | None = None
    dispersion: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x), in evaluation mode."""
        with evaluating(self.module):
            mean, log_variance = self.posterior(self.tensor(x), self.tensor(given))
        shape = tuple(mean.shape[1:])
        return replace(
            posterior(mean.flatten(1), log_variance=log_variance.flatten(1), where=self.name), latent_shape=shape
        )

    @torch.no_grad()
    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z], in evaluation mode, a block of rows at a time."""
        blocks = []
        with evaluating(self.module):
            for start in range(0, len(z), DECODED_ROWS):
                rows = slice(start, start + DECODED_ROWS)
                out = self.mean_of_target(self.tensor(z[rows]), self.tensor(None if given is None else given[rows]))
                blocks.append(out.double().cpu().numpy())
        return np.concatenate(blocks)

    def posterior(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance in the shape that the encoder gives them, differentiable."""
        shaped = x if self.input_shape is None else x.reshape(len(x), *self.input_shape)
        found: Any = self.mean_and_log_variance(self.module, shaped, given)
        if not isinstance(found, tuple | list) or len(found) < 2 or not all(torch.is_tensor(p) for p in found[:2]):
            raise DataError(f"{self.name}: the encoder gave {_described(found)}; a mean and a log-variance are due")
        mean, log_variance = found[0], found[1]
        if len(mean) != len(x):
            raise DataError(f"{self.name}: the encoder gave means of shape {tuple(mean.shape)} for {len(x)} rows")
        self._seen["latent"] = tuple(mean.shape[1:])
        return mean, log_variance

    def mean_of_target(self, z: Tensor, given: Tensor | None) -> Tensor:
        """E[y|z] (B, d) of latents (B, l), differentiable."""
        shape = self._seen.get("latent", tuple(z.shape[1:]))
        out = self.output(self.module, z.reshape(len(z), *shape), given)
        if not torch.is_tensor(out) or len(out) != len(z):
            raise DataError(f"{self.name}: the decoder gave {_described(out)} for {len(z)} rows of latents")
        return out.flatten(1)

    def copy(self) -> TorchProbe:
        """The same model with parameters of its own."""
        return replace(self, module=copy.deepcopy(self.module))

    def tensor(self, rows: Any) -> Any:
        """Rows on the model's device and in its precision."""
        if rows is None:
            return None
        like = next(iter(self.module.parameters()), torch.empty(0))
        return torch.as_tensor(np.ascontiguousarray(rows)).to(like.device, like.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout, batch norm by its running averages) inside, each part's own mode restored after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _described(found: Any) -> str:
    if torch.is_tensor(found):
        return f"one tensor of shape {tuple(found.shape)}"
    if isinstance(found, tuple | list):
        return f"{type(found).__name__} of {', '.join(_described(part) for part in found)}"
    return f"{type(found).__name__}"
