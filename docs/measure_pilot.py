"""Measure the table of docs/training.md: a pilot on MNIST/255. `python docs/measure_pilot.py FOLDER_OF_MNIST`."""

from __future__ import annotations

import sys
from dataclasses import replace

from uncollapse import forecast
from uncollapse.data.sources import open_source
from uncollapse.report.pilot import HEADINGS, pilot_rows
from uncollapse.training import Schedule
from uncollapse.training.pilot import HOW, pilot


def main() -> None:
    """Print it as Markdown."""
    rows = open_source(f"{sys.argv[1]}/train-images-idx3-ubyte.gz")
    f = forecast(rows, scale=1 / 255, n_latents=16)
    how = replace(HOW, epochs=40, schedule=Schedule("linear", warmup=20))
    found = pilot(rows, f, n_levels=6, n_rows=4096, training=how, progress=True)
    print(f"{found.seconds:.0f} s")
    print("\n".join("| " + " | ".join(row) + " |" for row in [list(HEADINGS), *pilot_rows(found)]))


if __name__ == "__main__":
    main()
