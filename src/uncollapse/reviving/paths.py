"""The additions as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.bill.additions import Additions
from uncollapse.objective import Objective

__all__ = ["Paths", "paths_like"]

LEAST, MOST_LOG = 1e-6, 60.0
"""As in `theory.link`, for float32."""


class Paths(nn.Module):
    """The additions as parameters and buffers: what paths read is fixed, what they weigh can be trained.

    Parameters
    ----------
    additions : Additions
    objective : Objective
    like : Tensor
        Of the model, for device and precision.
    """

    features: Tensor
    centre: Tensor
    limit: Tensor
    constants: Tensor
    slots: Tensor
    dispersion: Tensor | None

    def __init__(self, additions: Additions, objective: Objective, like: Tensor) -> None:
        super().__init__()
        a = additions
        self.likelihood = objective.likelihood
        self.prior_variance = float(objective.prior_variance)
        self.reads_residual = a.reads_residual

        def tensor(values: Any) -> Tensor:
            return torch.as_tensor(values).to(like.device, like.dtype)

        self.offset = nn.Parameter(tensor(a.offset))
        self.directions = nn.Parameter(tensor(a.directions))
        self.amplitude = nn.Parameter(tensor(a.amplitude))
        self.log_variance = nn.Parameter(tensor(a.variance).log())
        for name in ("features", "centre", "limit"):
            self.register_buffer(name, tensor(getattr(a, name)))
        self.register_buffer("constants", tensor(a.constants))
        self.register_buffer("slots", torch.as_tensor(a.slots).to(like.device))
        r = a.dispersion
        self.register_buffer("dispersion", None if r is None else tensor(r))

    def held(self, z: Tensor) -> Tensor:
        """Latents, (B, l) or in any shape, with the constants in their places and the new ones left out."""
        own = z.flatten(1)[:, : len(self.constants)]
        held = torch.where(self.constants.isnan(), own, self.constants.nan_to_num())
        return held.reshape(z.shape) if held.numel() == z.numel() else held

    def encoded(
        self, mean: Tensor, log_variance: Tensor, x: Tensor, decode: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """`posterior` of latents in any shape, where `decode` is the model's own; in that shape if none is new."""
        decoded = decode(self.held(mean)).flatten(1) if self.reads_residual and len(self.slots) else None
        parts = self.posterior(mean.flatten(1), log_variance.flatten(1), x.flatten(1), decoded)
        first, second = (part.reshape(mean.shape) if part.numel() == mean.numel() else part for part in parts)
        return first, second

    def added(self, output: Tensor, z: Tensor) -> Tensor:
        """The decoder's output at the latents held, with offset and paths added, in its own shape."""
        return self.decoded(output.flatten(1), z.flatten(1)).reshape(output.shape)

    def posterior(self, mean: Tensor, log_variance: Tensor, x: Tensor, decoded: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, l + new) from the model's own (B, l), the rows, and the decoder at the mean."""
        dead = ~self.constants.isnan()
        prior = torch.full_like(log_variance, self.prior_variance).log()
        mean, log_variance = mean.masked_fill(dead, 0.0), torch.where(dead, prior, log_variance)
        if not len(self.slots):
            return mean, log_variance
        read = x if decoded is None else self._score(x, decoded)
        u = read @ self.features.T - self.centre
        of_paths = torch.maximum(torch.minimum(u, self.limit), -self.limit) * self.amplitude
        widths = self.log_variance.expand_as(of_paths)
        taken, new = self.slots >= 0, self.slots < 0
        at = self.slots[taken].expand(len(mean), -1)
        mean = mean.scatter(1, at, of_paths[:, taken])
        log_variance = log_variance.scatter(1, at, widths[:, taken])
        return torch.cat([mean, of_paths[:, new]], 1), torch.cat([log_variance, widths[:, new]], 1)

    def decoded(self, mean: Tensor, z: Tensor) -> Tensor:
        """The decoder's mean (B, d) with offset and paths added, of latents (B, l + new)."""
        n_own = len(self.constants)
        new = self.slots < 0
        at = self.slots.clone()
        at[new] = n_own + torch.arange(int(new.sum()), device=at.device)
        added = self.offset + z[:, at] @ self.directions
        if self.likelihood == "gaussian":
            return mean + added
        if self.likelihood == "bernoulli":
            return torch.sigmoid(torch.logit(mean, eps=LEAST) + added)
        output = (mean.clamp_min(LEAST).log() + added).clamp_max(MOST_LOG)
        if self.likelihood == "categorical":
            return torch.softmax(output, 1) * mean.sum(1, keepdim=True)
        return torch.exp(output)

    def _score(self, x: Tensor, decoded: Tensor) -> Tensor:
        if self.likelihood == "categorical":
            decoded = decoded / decoded.sum(1, keepdim=True) * x.sum(1, keepdim=True)
        if self.likelihood != "negative-binomial" or self.dispersion is None:
            return x - decoded
        return (x - decoded) / (1 + decoded / self.dispersion)


def paths_like(module: nn.Module, additions: Additions, objective: Objective) -> Paths:
    """On the device of a module, and in its precision."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return Paths(additions, objective, like)
