"""A sweep through joblib's Ray back end beside one process: `python benchmarks/sweep_on_ray.py`, with Ray installed.

Prints the versions, the seconds of both, and how far their losses are apart.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from uncollapse import Objective
from uncollapse.training import Network, Setup, Training, grid, sweep


def main() -> None:
    """Eight trainings of a small network."""
    import ray
    import torch

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    x = np.random.default_rng(0).standard_normal((200, 3)) * [3.0, 1.0, 0.1]
    base = Setup(Objective(n_latents=3), network=Network(hidden=(4,)), training=Training(epochs=3))
    setups = grid(base, beta=(0.5, 1, 2, 4), seeds=2)
    losses, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for backend in ("ray", None):
            began = time.perf_counter()
            losses[backend] = sweep(x, setups, Path(folder) / str(backend), backend=backend)["loss"]
            seconds[backend] = time.perf_counter() - began
    apart = np.abs(np.subtract(losses["ray"], losses[None])).max()
    print(f"Ray {ray.__version__}, PyTorch {torch.__version__}: {len(setups)} trainings, losses {apart:.2g} apart")
    print(f"Ray: {seconds['ray']:.1f} s; one process: {seconds[None]:.1f} s")


if __name__ == "__main__":
    main()
