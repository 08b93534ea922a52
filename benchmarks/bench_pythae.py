"""One epoch of an MLP VAE beside pythae's own trainer on the same network and data.

pythae is not a dependency: `pip install pythae==0.1.2` into the environment first. `python benchmarks/bench_pythae.py`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from statistics import median

import numpy as np
import torch
from torch import nn

from timing import Row
from uncollapse import Objective
from uncollapse.training import Network, Setup, Training, train_all

N_ROWS, WIDTHS, N_LATENTS = 10_240, (512, 256), 16


def run(n_repeats: int) -> list[Row]:
    """Wall-clock seconds of one epoch each, in turn, start-up of the trainer included on both sides."""
    logging.disable(logging.CRITICAL)
    x = np.random.default_rng(0).standard_normal((N_ROWS, 784)).astype(np.float32)
    ours, theirs = [], []
    for repeat in range(n_repeats + 1):
        pair = _seconds(lambda: _ours(x)), _seconds(lambda: _pythae(x))
        if repeat:
            ours.append(pair[0])
            theirs.append(pair[1])
    ratio = median(theirs) / median(ours)
    what = f"one epoch of 784-512-256, 16 latents, batch 128, {N_ROWS:,} rows"
    return [Row(what, f"{median(ours):.2f} s", "pythae 0.1.2's trainer", ratio, "≥ 1.5, times faster")]


def _seconds(call: object) -> float:
    start = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - start


def _ours(x: np.ndarray) -> None:
    setup = Setup(Objective(n_latents=N_LATENTS), Network(hidden=WIDTHS), Training(epochs=1))
    train_all([setup], x)


def _pythae(x: np.ndarray) -> None:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(784, WIDTHS[0]), nn.ReLU(), nn.Linear(*WIDTHS), nn.ReLU())
            self.mean, self.spread = nn.Linear(WIDTHS[1], N_LATENTS), nn.Linear(WIDTHS[1], N_LATENTS)

        def forward(self, batch: torch.Tensor) -> ModelOutput:
            h = self.body(batch)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.spread(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            layers = [nn.Linear(N_LATENTS, WIDTHS[1]), nn.ReLU(), nn.Linear(*WIDTHS[::-1]), nn.ReLU()]
            self.body = nn.Sequential(*layers, nn.Linear(WIDTHS[0], 784))

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.body(z))

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(
            folder, num_epochs=1, per_device_train_batch_size=128, learning_rate=1e-3, no_cuda=True
        )
        model = VAE(VAEConfig(input_dim=(784,), latent_dim=N_LATENTS), Encoder(), Decoder())
        data = BaseDataset(torch.from_numpy(x), torch.ones(len(x)))
        BaseTrainer(model, train_dataset=data, training_config=config).train()


if __name__ == "__main__":
    for row in run(5):
        print(row)
