"""λ of a transformer language model beside one epoch of its training: time and peak memory.

`python benchmarks/bench_injection.py [N_SEQUENCES]`. 6 layers, 256 wide, sequences of 128 tokens, batches of 32.
Both grow with the number of sequences, so 256 of them stand for 2,000. Each runs in a process of its own, whose peak is
read.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timing import Row
from uncollapse.injecting.measure import injection_spectrum

LENGTH, VOCABULARY, WIDTH, LAYERS, BATCH = 128, 64, 256, 6, 32


class Language(nn.Module):
    """Logits of the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.back = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """(n, T) → (n, T, V)."""
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        h = self.embed(x) + self.place(torch.arange(x.shape[1], device=x.device))
        out: Tensor = self.back(self.layers(h, mask=causal, is_causal=True))
        return out


def run(n_repeats: int, n_sequences: int = 256) -> list[Row]:
    """Rows of the table."""
    epoch, ours = (_alone(job, n_sequences) for job in (_epoch, _ours))
    what = f"λ of a {LAYERS}-layer, {WIDTH}-wide transformer, {n_sequences:,} × {LENGTH} tokens"
    return [
        Row(what, f"{ours[0]:.0f} s", f"one training epoch, {epoch[0]:.0f} s", ours[0] / epoch[0], "≤ 20"),
        Row("its peak memory", f"{ours[1]:.2f} GB", f"training, {epoch[1]:.2f} GB", ours[1] / epoch[1], "≤ 2"),
    ]


def _alone(job: Callable[[Any, np.ndarray], None], n_sequences: int) -> tuple[float, float]:
    """Seconds, and GB of a process of its own at its peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (job, n_sequences))


def _timed(job: Callable[[Any, np.ndarray], None], n_sequences: int) -> tuple[float, float]:
    torch.manual_seed(0)
    x = np.random.default_rng(0).integers(0, VOCABULARY, (n_sequences, LENGTH))
    model = Language()
    started = time.perf_counter()
    job(model, x)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _epoch(model: Any, x: np.ndarray) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for rows in torch.as_tensor(x).split(BATCH):
        loss = F.cross_entropy(model(rows)[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _ours(model: Any, x: np.ndarray) -> None:
    injection_spectrum(model, x)


if __name__ == "__main__":
    print("\n".join(map(str, run(1, *map(int, sys.argv[1:2])))))
