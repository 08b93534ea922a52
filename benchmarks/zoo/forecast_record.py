"""The forecasts' record on trained deep VAEs: first threshold, number alive (linear and pilot), KL and loss.

`python benchmarks/zoo/forecast_record.py [SEED]`, after residual_record.py, whose models it takes. Adds the pilot's
numbers to results/models-SEED.csv's water levels (pilot-SEED.csv), and finds where the first latent comes to life by
training below and above the forecast's first threshold (first-SEED.csv).
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from ensembles import LATENTS, NETWORKS, ROWS, grid, started
from judge import Row, write_rows
from residual_record import LEVELS
from sets import Data, load

from uncollapse import forecast
from uncollapse.piloting.pilot import pilot

NEAR = (0.8, 0.9, 0.95, 1.05, 1.1, 1.25)
FIRST_EPOCHS = 80


def main() -> None:
    """Write both tables."""
    warnings.simplefilter("ignore")
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    started_at, first, piloted = time.process_time(), [], []
    for name in LATENTS:
        data = load(name, seed)
        first += first_thresholds(data, seed)
        piloted += pilots(data, seed)
        write_rows(f"first-{seed}.csv", first)
        write_rows(f"pilot-{seed}.csv", piloted)
        print(f"{name}: {time.process_time() - started_at:.0f} s of processor", flush=True)


def first_thresholds(
    data: Data, seed: int, near: tuple[float, ...] = NEAR, epochs: int = FIRST_EPOCHS, nets: tuple[str, ...] = ()
) -> list[Row]:
    """Alive or not at levels about the forecast's first threshold (1), for each network, with a KL warm-up."""
    setups = grid(data, near, ((epochs, True),), seed + 1, nets)
    models = started(setups, data)
    names = [name for name in nets or NETWORKS for _ in near]
    return [
        {"data": data.name, "net": net, "level": near[i % len(near)], "alive": model.evaluate(data.x[:ROWS]).n_alive}
        for i, (net, model) in enumerate(zip(names, models, strict=True))
    ]


def pilots(data: Data, seed: int, levels: tuple[float, ...] = LEVELS) -> list[Row]:
    """What the default pilot says at each level: medians of its three seeds."""
    top = float(data.strengths()[0])
    rows = []
    for level in levels:
        f = forecast(data.x[:ROWS], beta=level * top, n_latents=LATENTS[data.name], likelihood=data.likelihood)
        result = pilot(data.x[:ROWS], f, n_levels=1, seed=seed + 100)
        constant = data.x.shape[1] / 2 * np.log(2 * np.pi) if f.exact else 0.0  # the models' losses have it
        middle = [sorted(part[result.here])[1] for part in (result.n_alive, result.kl, result.loss)]
        rows.append(
            {
                "data": data.name,
                "level": level,
                "alive": int(middle[0]),
                "kl": float(middle[1]),
                "loss": float(middle[2]) + constant,
            }
        )
    return rows


if __name__ == "__main__":
    main()
