"""Linear VAEs with given weights as PyTorch modules: models whose health is known without any training."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from uncollapse import Weights
from uncollapse.objective import Objective
from uncollapse.probes.probe import TorchProbe


class Linear(nn.Module):
    """Encoder mean, log-variance and decoder of a linear VAE, float64."""

    def __init__(self, w: Weights) -> None:
        super().__init__()
        d0, k = w.encoder.shape
        self.encoder, self.decoder = nn.Linear(d0, k), nn.Linear(k, len(w.decoder))
        self.log_variance = nn.Parameter(torch.tensor(2 * np.log(w.encoder_std)))
        self.double()
        with torch.no_grad():
            self.encoder.weight.copy_(torch.tensor(w.encoder.T.copy()))
            self.encoder.bias.copy_(torch.tensor(w.encoder_bias))
            self.decoder.weight.copy_(torch.tensor(w.decoder.copy()))
            self.decoder.bias.copy_(torch.tensor(w.decoder_bias))
        zero = np.zeros((1, 1))
        given = w.encoder_condition is not None
        self.of_condition = torch.tensor(w.encoder_condition if given else zero)
        self.to_target = torch.tensor(w.decoder_condition if given else zero)

    def reset_parameters(self) -> None:
        """Small fresh weights."""
        for layer in (self.encoder, self.decoder):
            nn.init.normal_(layer.weight, std=0.1)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.log_variance)


def encode(m: Linear, x: torch.Tensor, given: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance."""
    mean = m.encoder(x) if given is None else m.encoder(x) + given @ m.of_condition
    return mean, m.log_variance.expand_as(mean)


def decode(m: Linear, z: torch.Tensor, given: torch.Tensor | None) -> torch.Tensor:
    """Mean of y."""
    return m.decoder(z) if given is None else m.decoder(z) + given @ m.to_target.T


def linear_probe(w: Weights, objective: Objective | None) -> TorchProbe:
    """Seen through a probe."""
    return TorchProbe("a linear VAE", Linear(w), encode, decode, objective=objective)
