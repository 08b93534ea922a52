"""A small VAE in PyTorch that takes the weights of one in another framework, and data on which one latent dies."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

__all__ = ["N_FEATURES", "N_HIDDEN", "N_LATENTS", "SHAPES", "Twin", "rows"]

N_FEATURES, N_HIDDEN, N_LATENTS = 6, 12, 3

SHAPES = {
    "hidden": (N_FEATURES, N_HIDDEN), "mean": (N_HIDDEN, N_LATENTS), "log_variance": (N_HIDDEN, N_LATENTS),
    "back": (N_LATENTS, N_HIDDEN), "out": (N_HIDDEN, N_FEATURES),
}  # fmt: skip


def rows(rng: np.random.Generator, n: int = 600) -> np.ndarray:
    """Two modes far above the water level of 1, and nothing else that is."""
    axes = np.linalg.qr(rng.standard_normal((N_FEATURES, 4)))[0]
    return (rng.standard_normal((n, 4)) * [3.0, 2.2, 0.4, 0.3] @ axes.T).astype("float32")


class Twin(nn.Module):
    """6 → 12 → 3 → 12 → 6, with tanh between; layers by the names of `SHAPES`."""

    def __init__(self, weights: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        for name, (kernel, bias) in weights.items():
            layer = nn.Linear(*SHAPES[name])
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(np.array(kernel)).T)
                layer.bias.copy_(torch.tensor(np.array(bias)))
            setattr(self, name, layer)

    def encode(self, x):
        h = torch.tanh(self.hidden(x))
        return self.mean(h), self.log_variance(h)

    def decode(self, z):
        return self.out(torch.tanh(self.back(z)))
