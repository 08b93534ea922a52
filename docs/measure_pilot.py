"""The pilot's time on MNIST: `python docs/measure_pilot.py FOLDER_OF_MNIST`; some minutes on two cores.

Prints the table of each water level, seconds, and the machine's load before and after.
"""

from __future__ import annotations

import os
import sys

from uncollapse import forecast
from uncollapse.data.sources import open_source
from uncollapse.piloting.pilot import pilot
from uncollapse.piloting.words import HEADINGS, pilot_rows


def main() -> None:
    """MNIST/255 with 16 latents, one hidden layer of 128 units, at the default grid."""
    rows = open_source(f"{sys.argv[1]}/train-images-idx3-ubyte.gz")
    f = forecast(rows, scale=1 / 255, n_latents=16)
    before = os.getloadavg()[0]
    result = pilot(rows, f, epochs=100)
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    n = result.n_alive.size + len(result.quiet_n_alive) + result.n_alive.shape[1]
    print(f"{n} networks: {result.seconds:.0f} s with {load}", flush=True)
    print(result.headline)
    print("\n".join("| " + " | ".join(row) + " |" for row in [list(HEADINGS), *pilot_rows(result)]), flush=True)


if __name__ == "__main__":
    main()
