"""VAEs trained on another loss than the stated one: what the implied weight should tell apart.

Each is stated as ½·squared error/η² + KL with the water at a tenth of the strongest mode; FAULTS says what was trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from bill_models import OwnVAE
from plants import asked
from sets import Data, load
from torch import Tensor

from uncollapse import Objective
from uncollapse.probes.examples import module_probe
from uncollapse.probes.probe import TorchProbe

__all__ = ["FAULTS", "SETS", "Fault", "faulty"]

SETS = ("lowrank", "curved", "digits", "mnist14")
LATENTS, BATCH, RATE, LEVEL = 6, 128, 2e-3, 0.1
FLOOR = 12.0
"""Nats in all that cost nothing: twice what these models pay at the stated loss, so that the floor binds."""

Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of mean, log-variance and a draw of z, each (B, l)."""


@dataclass(frozen=True)
class Fault:
    """What was trained in place of the stated loss.

    Attributes
    ----------
    penalty : callable
        In place of the mean KL.
    weight : float or None
        Of the KL, as a share of the stated one; None where the penalty is no multiple of the KL.
    relu : bool
        Whether the log-variance goes through a ReLU.
    """

    penalty: Penalty
    weight: float | None
    relu: bool = False


def kl_of(mean: Tensor, log_variance: Tensor, z: Tensor) -> Tensor:
    """Mean KL from N(0, I), nats a row."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def _times(share: float) -> Penalty:
    return lambda mean, log_variance, z: share * kl_of(mean, log_variance, z)


def _floor(mean: Tensor, log_variance: Tensor, z: Tensor) -> Tensor:
    return kl_of(mean, log_variance, z).clamp_min(FLOOR)


def _total_correlation(mean: Tensor, log_variance: Tensor, z: Tensor) -> Tensor:
    """KL plus five times the total correlation, by the batch (Chen et al. 2018, minibatch-weighted)."""
    log_q = _log_normal(z[:, None], mean[None], log_variance[None])  # (B, B, l)
    n = math.log(len(z))
    joint = log_q.sum(2).logsumexp(1) - n
    alone = (log_q.logsumexp(1) - n).sum(1)
    return kl_of(mean, log_variance, z) + 5.0 * (joint - alone).mean()


def _mixture(mean: Tensor, log_variance: Tensor, z: Tensor) -> Tensor:
    """KL from a mixture of two normals at ±2 in every latent, by one draw."""
    zero = torch.zeros_like(z)
    prior = torch.logaddexp(_log_normal(z, zero + 2, zero), _log_normal(z, zero - 2, zero)) - math.log(2)
    return (_log_normal(z, mean, log_variance) - prior).sum(1).mean()


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * ((z - mean).square() / log_variance.exp() + log_variance + math.log(2 * math.pi))


FAULTS: dict[str, Fault] = {
    "none": Fault(kl_of, 1.0),
    "squared error summed over the batch": Fault(_times(1 / BATCH), 1 / BATCH),
    "coefficient 0.2 never said": Fault(_times(0.2), 0.2),
    "coefficient 4 never said": Fault(_times(4.0), 4.0),
    "KL multiplied by 0": Fault(_times(0.0), 0.0),
    "max(KL, 12 nats)": Fault(_floor, None),
    "total correlation added": Fault(_total_correlation, None),
    "mixture prior": Fault(_mixture, None),
    "ReLU on the log-variance": Fault(kl_of, 1.0, relu=True),
}


class Faulty(OwnVAE):
    """With a ReLU on the log-variance, if so asked."""

    relu = False

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        mean, log_variance = super().encode(x)
        return mean, torch.relu(log_variance) if self.relu else log_variance


def faulty(name: str, data_set: str, seed: int, steps: int) -> tuple[TorchProbe, Data, Objective]:
    """Train one: its probe, its data, and the objective that is stated."""
    data, fault = load(data_set, seed), FAULTS[name]
    stated = asked(data, LATENTS, LEVEL, as_variance=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: Any = Faulty(data.x.shape[1], LATENTS, "residual", "gaussian")
        module.relu = fault.relu
        rows = torch.as_tensor(data.x, dtype=torch.float32)
        optimiser = torch.optim.Adam(module.parameters(), lr=RATE)
        slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, steps)
        for _ in range(steps):
            x = rows[torch.randint(len(rows), (BATCH,))]
            mean, log_variance = module.encode(x)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            misfit = (module.decode(z) - x).square().sum(1).mean() / (2 * float(stated.decoder_variance))
            optimiser.zero_grad()
            (misfit + fault.penalty(mean, log_variance, z)).backward()
            optimiser.step()
            slower.step()
    return replace(module_probe(module, spread="log_variance"), objective=stated), data, stated
