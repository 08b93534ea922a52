"""Peak memory of an ensemble beside parameters, optimiser state and activations counted by hand.

`python benchmarks/bench_memory.py`; each measurement is a process of its own, since peaks never fall.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from timing import Row

MEMBERS, WIDTHS, N_LATENTS, BATCH, N_ROWS = 40, (784, 512, 256), 16, 128, 1024


def run() -> list[Row]:
    """Growth of the peak resident memory while a stack trains, over the count by hand."""
    peaks = json.loads(subprocess.run([sys.executable, __file__, "measure"], capture_output=True, check=True).stdout)
    ratio = peaks["grown"] / peaks["counted"]
    what = f"{MEMBERS} members of 784-512-256, 16 latents, batch {BATCH}"
    return [Row(what, f"{peaks['grown'] / 2**20:.0f} MB", f"{peaks['counted'] / 2**20:.0f} MB by hand", ratio, "≤ 1.3")]


def counted() -> int:
    """Bytes: weights, their gradients and two moments of Adam; and every layer's output with its gradient."""
    d, h, k = WIDTHS
    encoder = d * h + h + h * k + k + k * 2 * N_LATENTS + 2 * N_LATENTS
    decoder = N_LATENTS * k + k + k * h + h + h * d + d
    outputs = 2 * (h + k) + 2 * N_LATENTS + N_LATENTS + d
    return 4 * MEMBERS * (4 * (encoder + decoder) + 2 * BATCH * (outputs + d))


def peak() -> int:
    """Peak resident bytes of this process alone; `getrusage` would begin at those of the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def measure() -> None:
    """Train a few steps of a warm process's first stack and print what the peak grew by."""
    import torch

    from uncollapse import Objective
    from uncollapse.training import Network, Setup, Training, train_all

    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal((N_ROWS, WIDTHS[0])).astype(np.float32)
    network = Network(hidden=WIDTHS[1:])
    setups = [
        Setup(Objective(n_latents=N_LATENTS), network, Training(epochs=1, seed=i, batch_size=BATCH))
        for i in range(MEMBERS)
    ]
    train_all(setups[:1], x, stack=1)
    before = peak()
    train_all(setups, x, stack=MEMBERS)
    print(json.dumps({"grown": peak() - before, "counted": counted()}))


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure()
    else:
        for row in run():
            print(row)
