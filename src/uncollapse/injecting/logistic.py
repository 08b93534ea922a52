"""Mixtures of discretised logistics: the steps of PixelCNN++ and of many image decoders."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from uncollapse.checks import count
from uncollapse.errors import DataError

__all__ = ["DiscretisedLogistics"]

LEAST_LOG_SCALE = -7.0
"""Below it a logistic lies within one level, and its gradient is lost."""


class DiscretisedLogistics(Distribution):
    """A mixture of logistics, each summed over the interval of a level; the outermost levels take the tails.

    Parameters
    ----------
    logits, means, log_scales : Tensors of shape (n, …, K)
        Of K components at each step; values lie in [−1, 1].
    n_levels : int
        Of a pixel: 256 evenly spaced values from −1 to 1.

    Raises
    ------
    DataError
        Shapes that differ, fewer than 2 levels.

    Notes
    -----
    Source: Salimans et al., PixelCNN++, ICLR 2017, section 2.1.

    Examples
    --------
    >>> d = DiscretisedLogistics(torch.zeros(1, 2), torch.tensor([[-0.5, 0.5]]), torch.full((1, 2), -2.0), n_levels=4)
    >>> levels = torch.linspace(-1, 1, 4)[:, None]
    >>> bool((d.log_prob(levels).exp().sum() - 1).abs() < 1e-6)
    True
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, n_levels: int = 256) -> None:
        if not logits.shape == means.shape == log_scales.shape or logits.ndim < 2:
            raise DataError(
                f"logits, means and log-scales of one shape (n, …, components) are due, got {tuple(logits.shape)}, "
                f"{tuple(means.shape)}, {tuple(log_scales.shape)}"
            )
        self.logits, self.means, self.log_scales = logits, means, log_scales.clamp_min(LEAST_LOG_SCALE)
        self.n_levels = count(n_levels, "n_levels", least=2, error=DataError)
        super().__init__(logits.shape[:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of the level nearest to each value, nats, of the batch's shape."""
        half = 1.0 / (self.n_levels - 1)
        away = value[..., None] - self.means
        scale = torch.exp(-self.log_scales)
        upper, lower = scale * (away + half), scale * (away - half)
        # log(σ(u) − σ(l)) = log σ(u) + log σ(−l) + log(1 − e^{l−u}), which keeps its digits far out in the tails
        between = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        edge = 1.0 - half
        first, last = value[..., None] < -edge, value[..., None] > edge
        log_p = torch.where(first, F.logsigmoid(upper), torch.where(last, F.logsigmoid(-lower), between))
        return torch.logsumexp(torch.log_softmax(self.logits, -1) + log_p, -1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A level for each step."""
        shape = (*sample_shape, *self.logits.shape)
        noise = torch.rand(shape, device=self.logits.device).clamp_(1e-6, 1 - 1e-6)
        chosen = (self.logits - torch.log(-torch.log(noise))).argmax(-1, keepdim=True)
        mean, log_scale = (part.expand(shape).gather(-1, chosen)[..., 0] for part in (self.means, self.log_scales))
        u = torch.rand(mean.shape, device=mean.device).clamp_(1e-6, 1 - 1e-6)
        x = mean + log_scale.exp() * torch.logit(u)
        step = 2.0 / (self.n_levels - 1)
        return (((x + 1) / step).round().clamp_(0, self.n_levels - 1)) * step - 1
