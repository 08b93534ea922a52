"""How long must a network train before its number alive is that of the end?

`python benchmarks/zoo/pilot_record.py [SEED [PLAN …]]`: 60 networks (5 data sets, 4 architectures, 3 water levels),
each trained to the end (1,200 epochs with a KL warm-up, cooled over the last 500) and by every shorter plan of
`PLANS`, from other initial weights; the number alive by KL and by earning, KL and loss of each: results/pilots.csv.
Seed 1000 chose the pilot's plan among a dozen; the record is of seed 21. Plans that are named are made anew, the
others kept.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from dataclasses import replace
from itertools import product

from judge import Row, read_rows, write_rows
from sets import load

from uncollapse import Objective
from uncollapse.bill.prune import earning
from uncollapse.bill.sample import make_sample
from uncollapse.measure.observe import observe
from uncollapse.piloting.pilot import to_the_end
from uncollapse.probes.own import own_probe
from uncollapse.training import Network, Schedule, Setup, Trained, Training, train_all

SEED, CALIBRATION = 21, 1000
SETS = ("digits", "lowrank", "curved", "rare", "mnist14")
NETWORKS = {
    "tanh 128": Network(hidden=(128,), activation="tanh"),
    "relu 128-64": Network(hidden=(128, 64)),
    "silu 64": Network(hidden=(64,), activation="silu"),
    "relu 64-64-64": Network(hidden=(64, 64, 64)),
}
LEVELS, LATENTS, ROWS, STACK = (0.08, 0.25, 0.6), 20, 2048, 6
PLANS: dict[str, Training | None] = {
    "end": Training(epochs=1200, cooling=500, learning_rate=2e-3, schedule=Schedule("linear", warmup=300)),
    "again": None,
    "pilot": None,
    "30 constant": Training(epochs=30, learning_rate=2e-3, schedule=Schedule("linear", warmup=15)),
    "100 cooled": Training(epochs=100, cooling=50, learning_rate=2e-3, schedule=Schedule("linear", warmup=40)),
}


def main() -> None:
    """Run all, on every core."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    named, place = sys.argv[2:] or list(PLANS), "pilots-calibration.csv" if seed == CALIBRATION else "pilots.csv"
    rows: list[Row] = [row for row in read_rows(place) if row["plan"] not in named] if sys.argv[2:] else []
    jobs = [(name, net, plan, seed) for name, net, plan in product(SETS, NETWORKS, named)]
    jobs.sort(key=lambda job: job[2] not in ("end", "again"))
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for some in pool.imap_unordered(judged, jobs):
            rows += some
            write_rows(place, rows)


def judged(job: tuple[str, str, str, int]) -> list[Row]:
    """A row for each water level."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, net, plan, seed = job
    data = load(name, seed)
    x = data.x[:ROWS]
    top = float(data.strengths()[0])
    unit = float((x.var(axis=0).mean()) ** -0.5)  # as the pilot scales, so that one learning rate suits
    setups = [
        Setup(Objective(beta=level * top * unit**2, n_latents=LATENTS), NETWORKS[net], _seeded(plan, len(x), seed, i))
        for i, level in enumerate(LEVELS)
    ]
    started = time.process_time()
    models = train_all(setups, x * unit, device="cpu", stack=STACK)
    seconds = (time.process_time() - started) / len(models)
    return [
        {"data": name, "net": net, "level": level, "plan": plan, **_counted(model, x * unit), "seconds": seconds}
        for level, model in zip(LEVELS, models, strict=True)
    ]


def _seeded(name: str, n_rows: int, seed: int, i: int) -> Training:
    plan = PLANS["end" if name == "again" else name] or to_the_end(n_rows)
    return replace(plan, seed=1000 * seed + i + (0 if name == "end" else 500))


def _counted(model: Trained, x: object) -> Row:
    probe = own_probe(model)
    seen = observe(probe, x, n_rows=2048)
    sample = make_sample(probe, seen, model.setup.objective, 1.0)
    cut = len(sample) // 3
    earned = earning(sample.part(slice(0, cut)), sample.part(slice(cut, len(sample))), lambda: True)
    kl = seen.measurement.kl
    return {
        "alive": int((kl > 0.01).sum()),
        "earning": earned.n_earning,
        "kl": float(kl.sum()),
        "loss": float(sample.losses().mean()),
    }


if __name__ == "__main__":
    main()
