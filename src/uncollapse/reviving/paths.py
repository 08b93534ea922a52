"""The additions as a PyTorch module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.bill.additions import Additions
from uncollapse.objective import Objective

__all__ = ["Paths"]

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
        """Latents (B, l) with the constants in their places."""
        own = z[:, : len(self.constants)]
        return torch.where(self.constants.isnan(), own, self.constants.nan_to_num())

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
        return torch.exp((mean.clamp_min(LEAST).log() + added).clamp_max(MOST_LOG))

    def _score(self, x: Tensor, decoded: Tensor) -> Tensor:
        if self.likelihood != "negative-binomial" or self.dispersion is None:
            return x - decoded
        return (x - decoded) / (1 + decoded / self.dispersion)
