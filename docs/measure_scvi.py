"""Diagnoses of SCVI on cells of six factors: `python docs/measure_scvi.py [SEED …]`; minutes for each seed.

Prints a line for each model, as docs/models.md has them. Needs scvi-tools.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "libraries"))
from planted_cells import cells, fitted

from uncollapse import diagnose

PLANTED = (
    ("nb", 1, 10, 1.0, 100),
    ("nb", 1, 2, 1.0, 100),
    ("poisson", 2, 10, 1.0, 100),
    ("poisson", 1, 2, 1.0, 100),
    ("zinb", 1, 10, 1.0, 100),
    ("zinb", 1, 2, 1.0, 100),
    ("nb", 2, 6, 40.0, 30),
    ("normal", 1, 10, 1.0, 150),
    ("normal", 1, 2, 1.0, 150),
)
"""Likelihood, batches, latents, weight of the KL, epochs."""


def main() -> None:
    """One line a model."""
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")  # the library's own
    print("| seed | likelihood | batches | latents | KL weight | cause | alive | asked for |\n|" + "---|" * 8)
    for seed in map(int, sys.argv[1:] or ["0"]):
        for likelihood, n_batches, n_latent, weight, epochs in PLANTED:
            adata = cells(seed, likelihood, n_batches=n_batches)
            d = diagnose(fitted(adata, likelihood, n_latent=n_latent, weight=weight, epochs=epochs))
            asked = d.remedies[0].change if d.remedies else "nothing"
            cause = f"{d.cause} ({d.confidence})"
            row = (seed, likelihood, n_batches, n_latent, f"{weight:g}", cause, d.measurement.n_alive, asked)
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
