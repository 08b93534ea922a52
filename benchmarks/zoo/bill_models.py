"""Models for the record of the bill: data × network × water level × length of training, and own modules among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from planted import NETS
from plants import asked, settled
from sets import Data, load
from torch import Tensor, nn

from uncollapse.probes.examples import module_probe
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import retrain

__all__ = ["BillCase", "bill_cases", "grown"]

SETS_USED = ("lowrank", "curved", "rare", "tumours", "binary", "counts", "overdispersed", "topics", "digits", "mnist14")
LEVELS, LENGTHS = (0.03, 0.1, 0.3, 0.7), (60, 300, 1200)
OWN = ("residual", "layer norm")


@dataclass(frozen=True)
class BillCase:
    """One model of the record."""

    data: str
    net: str
    level: float
    steps: int
    latents: int
    seed: int


def bill_cases(n: int, seed: int) -> Iterator[BillCase]:
    """So many, drawn from the whole grid without repetition."""
    rng = np.random.default_rng([seed, 7])
    nets = ("linear", "tanh", "silu", "relu", "2 relu", *OWN)
    pairs = [(d, net) for d in SETS_USED for net in nets] + [("mnist14", "conv")]
    grid = [(d, net, level, steps) for d, net in pairs for level in LEVELS for steps in LENGTHS]
    for i in rng.permutation(len(grid))[:n]:
        d, net, level, steps = grid[i]
        yield BillCase(d, net, level, steps, int(rng.choice([4, 8, 16])), seed)


def grown(case: BillCase) -> tuple[TorchProbe, Data, Any]:
    """Train one: its probe, its data, its objective."""
    data = load(case.data, case.seed)
    if case.net in OWN:
        return _own(case, data)
    steps = min(case.steps, 300) if case.net == "conv" else case.steps
    how: dict[str, Any] = {"latents": case.latents, "level": case.level, "steps": steps, "warm": False}
    planted = settled(data, case.seed, network=NETS[case.net], **how)
    return planted.probe, data, planted.objective


def _own(case: BillCase, data: Data) -> tuple[TorchProbe, Data, Any]:
    objective = asked(data, case.latents, case.level)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        module = OwnVAE(data.x.shape[1], case.latents, case.net, objective.likelihood)
    probe = replace(module_probe(module, spread="log_variance"), objective=objective)
    if objective.likelihood == "negative-binomial":
        probe = replace(probe, dispersion=np.full(data.x.shape[1], 4.0))
    after = retrain(probe, data.x, data.x, objective=objective, n_steps=case.steps, learning_rate=2e-3, seed=case.seed)
    return after, data, objective


class Block(nn.Module):
    """A layer with a way around it, or one that is normalised."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = nn.Linear(width, width), kind
        self.norm = nn.LayerNorm(width) if kind == "layer norm" else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        """The block's output, as wide as its input."""
        out = torch.relu(self.norm(self.layer(h)))
        return h + out if self.kind == "residual" else out


class OwnVAE(nn.Module):
    """A user's module, as `encode` and `decode`."""

    def __init__(self, n_columns: int, n_latents: int, kind: str, likelihood: str) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.encoder = nn.Sequential(nn.Linear(n_columns, 48), Block(48, kind), Block(48, kind))
        self.heads = nn.Linear(48, 2 * n_latents)
        self.decoder = nn.Sequential(nn.Linear(n_latents, 48), Block(48, kind), Block(48, kind))
        self.out = nn.Linear(48, n_columns)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        x = torch.log1p(x) if self.likelihood in ("poisson", "negative-binomial", "categorical") else x
        mean, log_variance = self.heads(self.encoder(x)).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z]."""
        out = self.out(self.decoder(z))
        if self.likelihood == "gaussian":
            return out
        if self.likelihood == "categorical":
            return torch.softmax(out, 1)
        return torch.sigmoid(out) if self.likelihood == "bernoulli" else torch.exp(out.clamp_max(12.0))
