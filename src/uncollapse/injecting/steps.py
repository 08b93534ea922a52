"""What a decoder says of each step given its past: log-probabilities, and draws from the decoder itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from uncollapse.errors import DataError

__all__ = ["Steps", "as_steps", "shift_of"]


class Steps(Protocol):
    """The distributions of all steps of a batch, each given the true past (teacher forcing)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Σ_t log p(value_t | past), (n,); padding counts for nothing."""
        ...

    def sample(self) -> Tensor:
        """A draw of every step, each given the *true* past, so that the steps' scores are uncorrelated."""
        ...


@dataclass(frozen=True, eq=False)
class CategoricalSteps:
    """Tokens: logits (n, T, V) and which steps count (n, T)."""

    logits: Tensor
    mask: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """See `Steps`."""
        n, t, vocabulary = self.logits.shape
        cost = F.cross_entropy(self.logits.reshape(-1, vocabulary), value.reshape(-1), reduction="none")
        return -(cost.view(n, t) * self.mask).sum(1)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """See `Steps`; by Gumbel's maximum, which needs no table of cumulated probabilities."""
        noise = torch.rand_like(self.logits).clamp_(min=torch.finfo(self.logits.dtype).tiny)
        return (self.logits.detach() - torch.log(-torch.log(noise))).argmax(-1)


@dataclass(frozen=True, eq=False)
class DistributionSteps:
    """Any `torch.distributions.Distribution` whose first axis is the batch."""

    distribution: Any
    mask: Tensor | None

    def log_prob(self, value: Tensor) -> Tensor:
        """See `Steps`."""
        terms: Tensor = self.distribution.log_prob(value)
        if self.mask is not None and terms.shape[:2] == self.mask.shape:
            terms = terms * self.mask.reshape(*self.mask.shape, *[1] * (terms.ndim - 2))
        return terms.flatten(1).sum(1) if terms.ndim > 1 else terms

    @torch.no_grad()
    def sample(self) -> Tensor:
        """See `Steps`."""
        drawn: Tensor = self.distribution.sample()
        return drawn


def as_steps(out: Any, x: Tensor, mask: Tensor | None, shift: int) -> tuple[Steps, Tensor]:
    """What a decoder gave → its steps, and what stands at each of them.

    Parameters
    ----------
    out : Tensor (n, T, V) of logits, an object with `logits`, or a torch Distribution
    x : Tensor
        What was decoded: tokens (n, T), or numbers of any shape.
    mask : Tensor (n, T) of bool, optional
    shift : int
        1 where the logits of a step are those of the next token; see `shift_of`.

    Raises
    ------
    DataError
        Something else, or logits that do not fit the tokens.
    """
    if isinstance(out, torch.distributions.Distribution):
        return DistributionSteps(out, mask), x
    logits = _logits(out)
    if logits is None or logits.ndim != 3 or x.ndim != 2 or len(logits) != len(x):
        what = tuple(out.shape) if torch.is_tensor(out) else type(out).__name__
        raise DataError(
            f"the decoder gives {what}; logits (sequences, steps, vocabulary) or a torch.distributions.Distribution of "
            f"the steps is due"
        )
    if int(x.max()) >= logits.shape[-1]:
        raise DataError(f"token {int(x.max())} is outside of the decoder's vocabulary of {logits.shape[-1]}")
    mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    n_steps = x.shape[1] - shift
    logits = logits[:, :n_steps]
    if logits.shape[1] != n_steps:
        raise DataError(f"the decoder gives logits of {logits.shape[1]} steps for {x.shape[1]} tokens")
    return CategoricalSteps(logits, mask[:, shift:]), x[:, shift:]


def shift_of(run: Callable[[Tensor], Any], x: Tensor) -> int:
    """Whether a decoder's logits at a step are of that step's token (0) or of the next (1), told by changing a token.

    Raises
    ------
    DataError
        It sees tokens that are to come.
    """
    if x.is_floating_point() or x.ndim != 2 or x.shape[1] < 3:
        return 0
    before = run(x)
    if isinstance(before, torch.distributions.Distribution):
        return 0
    logits, at = _logits(before), x.shape[1] // 2
    if logits is None or logits.ndim != 3:
        return 0  # `as_steps` says what is wrong
    if logits.shape[1] == x.shape[1] - 1:
        return 1
    other = x.clone()
    other[:, at] = (other[:, at] + 1) % min(int(x.max()) + 1, logits.shape[-1])
    after = _logits(run(other))
    assert after is not None
    scale = float(logits.abs().max()) or 1.0
    moved = ((after - logits).abs().amax((0, 2)) > 1e-6 * scale).nonzero().flatten()
    first = int(moved[0]) if len(moved) else math.inf
    if first < at:
        raise DataError(
            f"the decoder is not causal: another token at step {at + 1} changes its logits at step {int(first) + 1}"
        )
    return 1 if first == at else 0


def _logits(out: Any) -> Tensor | None:
    found = getattr(out, "logits", out)
    if isinstance(found, tuple | list) and found:
        found = found[0]
    return found if torch.is_tensor(found) else None
