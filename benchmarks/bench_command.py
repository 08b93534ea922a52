"""Curves, import and the whole command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from timing import Row, medians
from uncollapse import forecast, spectrum


def run(n_repeats: int) -> list[Row]:
    """Seconds, each against its limit."""
    rng = np.random.default_rng(0)
    f = forecast(spectrum(rng.standard_normal((2000, 784)) * np.geomspace(5, 0.1, 784)))
    learned = forecast(f.spectrum, decoder_variance="learned", n_latents=100)
    betas = np.geomspace(1e-3, 100, 100_000)
    command = shutil.which("uncollapse", path=str(Path(sys.executable).parent)) or "uncollapse"
    calls = {
        "100,000 values of β on 784 modes": (lambda: f.curves(betas), 0.5),
        "the same, decoder variance learned": (lambda: learned.curves(betas), 0.5),
        "`import uncollapse`": (lambda: _process(sys.executable, "-c", "import uncollapse"), 0.15),
        "`import numpy`, for comparison": (lambda: _process(sys.executable, "-c", "import numpy"), None),
        "`uncollapse --help`": (lambda: _process(command, "--help"), 0.3),
        "`uncollapse forecast digits --json -`": (lambda: _process(command, "forecast", "digits", "--json", "-"), 1.5),
    }
    times = medians({name: call for name, (call, _) in calls.items()}, n_repeats)
    return [
        Row(name, f"{times[name]:.3f} s", "seconds", times[name], f"< {limit}" if limit else "")
        for name, (_, limit) in calls.items()
    ]


def _process(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
