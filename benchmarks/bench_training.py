"""Training: members side by side against one by one, the step's overhead against a bare loop, analytic steps against n.

Both sides of every ratio run in turn in one process; data preparation is outside, as it is the same for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn

from timing import Row, medians
from uncollapse import Objective
from uncollapse.training import Network, Setup, Training
from uncollapse.training.data import table
from uncollapse.training.ensemble import best_size, train_all
from uncollapse.training.fit import prepared
from uncollapse.training.stack import Stack


def run(n_repeats: int) -> list[Row]:
    """Ratios of medians."""
    rng = np.random.default_rng(0)
    return [_many_small(rng, n_repeats), _twenty_wide(rng, n_repeats), _bare_loop(rng, n_repeats), _analytic(rng)]


def _setups(n_members: int, network: Network, n_latents: int, epochs: int = 1) -> list[Setup]:
    betas = np.linspace(0.1, 4, n_members)
    return [
        Setup(Objective(beta=float(beta), n_latents=n_latents), network, Training(epochs=epochs, seed=i))
        for i, beta in enumerate(betas)
    ]


def _many_small(rng: np.random.Generator, n_repeats: int) -> Row:
    x = table(rng.standard_normal((2560, 5)).astype(np.float32))
    setups = _setups(100, Network(hidden=(8,)), 5)
    times = medians(
        {"stack": lambda: train_all(setups, x, stack=100), "alone": lambda: train_all(setups, x, stack=1)},
        max(1, n_repeats // 2),
    )
    ratio = times["alone"] / times["stack"]
    return Row("100 members of 5-8-5, one epoch", f"{times['stack']:.3f} s", "one by one", ratio, "≥ 15, times faster")


def _twenty_wide(rng: np.random.Generator, n_repeats: int) -> Row:
    x = table(rng.standard_normal((2560, 784)).astype(np.float32))
    setups = _setups(20, Network(hidden=(256,)), 16)
    rows, a = prepared(setups[0], x, "cpu")
    size = best_size(setups, a, rows)
    times = medians(
        {"chosen": lambda: train_all(setups, x, device="cpu"), "alone": lambda: train_all(setups, x, stack=1)},
        max(1, n_repeats // 3),
    )
    ratio = times["alone"] / times["chosen"]
    name = f"20 members of 784-256-16, stacks of {size} chosen, the choice counted"
    return Row(name, f"{times['chosen']:.2f} s", "one by one", ratio, "≥ 0.95, times faster")


class Bare(nn.Module):
    """784-512-256-16 and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 32))
        self.decoder = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Reconstruction, mean, log-variance."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def bare_epoch(model: Bare, optimiser: torch.optim.Optimizer, x: torch.Tensor) -> None:
    """The least that anyone writes."""
    for chosen in torch.randperm(len(x)).split(128):
        batch = x[chosen]
        output, mean, log_variance = model(batch)
        kl = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum()
        loss = (0.5 * nn.functional.mse_loss(output, batch, reduction="sum") + kl) / len(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _bare_loop(rng: np.random.Generator, n_repeats: int) -> Row:
    x = table(rng.standard_normal((5120, 784)).astype(np.float32))
    network = Network(hidden=(512, 256))
    rows, a = prepared(_setups(1, network, 16)[0], x, "cpu")
    stack, model = Stack(_setups(1, network, 16), a, rows, [None]), Bare()
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: [0 for _ in stack.steps(0)],
        "bare": lambda: bare_epoch(model, optimiser, rows.x),
    }
    times = medians(calls, n_repeats)
    ratio = times["ours"] / times["bare"]
    return Row(
        "one 784-512-256-16, one epoch", f"{times['ours']:.2f} s", "bare PyTorch loop, fused Adam", ratio, "≤ 1.05"
    )


def _analytic(rng: np.random.Generator) -> Row:
    def seconds_per_step(n: int) -> float:
        x = table(rng.standard_normal((n, 100)))
        setup = Setup(Objective(n_latents=10), training=Training(estimator="analytic", steps_per_epoch=200))
        rows, a = prepared(setup, x, "cpu")
        stack = Stack([setup], a, rows, [None])
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in stack.steps(0):
                pass
            times.append(time.perf_counter() - start)
        return median(times) / stack.n_steps

    few, many = seconds_per_step(1_000), seconds_per_step(200_000)
    return Row("analytic step, 200,000 × 100", f"{many * 1e3:.2f} ms", "1,000 × 100", many / few, "1: n costs nothing")


if __name__ == "__main__":
    for row in run(5):
        print(row)
