"""A VAE in a file with a loss below it, as text; written, read, and what was found."""

from __future__ import annotations

import numpy as np
import torch

from seeds import SEED
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

__all__ = ["MODEL", "PLAIN", "SUM", "found_in"]

MODEL = """
import torch
from torch import nn
from torch.nn import functional as F


def klds(mu, logvar):
    return 0.5 * (mu ** 2 + logvar.exp() - 1 - logvar).sum(1)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(12, 6), nn.Linear(3, 5)
        self.back = nn.Linear(3, 12)

    def encode(self, x):
        mu, logvar = self.net(x).chunk(2, 1)
        return mu, logvar

    def decode(self, z):
        return self.back(z)

    def sample(self, mu, logvar):
        return mu + torch.randn_like(mu) * (0.5 * logvar).exp()

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = self.sample(mu, logvar)
        return {returns}
"""

PLAIN = "self.decode(z), mu, logvar"

SUM = "(((recon - x) ** 2).sum(1) + 4 * klds(mu, logvar)).mean()"


def found_in(tmp_path, text, run=None, *, binary=False):
    """What is found in a file of this text; `run` is as much of it as makes the class, where the whole trains."""
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    space: dict = {}
    exec((run or text).replace("{returns}", "0"), space)
    torch.manual_seed(SEED)
    torch.save(space["VAE"]().state_dict(), tmp_path / "mine.pth")
    x = np.random.default_rng(SEED).standard_normal((40, 12))
    x = np.round(x > 0) if binary else x
    return infer(tmp_path / "mine.pth", x, said=Said(model=str(file)))
