"""Measure the tables of docs/training.md: a pilot on MNIST/255 as it is, and one of twice as many epochs.

`python docs/measure_pilot.py FOLDER_OF_MNIST`: some three minutes on one core.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from uncollapse import forecast
from uncollapse.data.sources import open_source
from uncollapse.piloting.pilot import HOW, pilot
from uncollapse.piloting.words import HEADINGS, pilot_rows
from uncollapse.training import Schedule


def main() -> None:
    """Print them as Markdown, with seconds and the machine's load before and after."""
    rows = open_source(f"{sys.argv[1]}/train-images-idx3-ubyte.gz")
    f = forecast(rows, scale=1 / 255, n_latents=16)
    for how in (HOW, replace(HOW, epochs=2 * HOW.epochs, schedule=Schedule("linear", warmup=HOW.epochs))):
        before = os.getloadavg()[0]
        result = pilot(rows, f, training=how)
        load = f"load {before:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"{how.epochs} epochs, {result.n_alive.size} networks: {result.seconds:.0f} s with {load}", flush=True)
        print(f"{os.times().user:.0f} s of processor time since the start", flush=True)
        print("\n".join("| " + " | ".join(row) + " |" for row in [list(HEADINGS), *pilot_rows(result)]), flush=True)


if __name__ == "__main__":
    main()
