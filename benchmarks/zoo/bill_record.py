"""The record of the bill: does each line gain what it says, on rows that neither the model nor the bill has seen?

`python benchmarks/zoo/bill_record.py [N]` trains N models (330), makes the bill of each on its training rows, and takes
the gains again on rows held out from both: results/bill.csv, a line of a model each. `bill_page.py` makes the tables.
Seed 10 set no threshold.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings

from bill_models import BillCase, bill_cases, grown
from judge import Row, write_rows

from uncollapse.bill.sample import Sample, make_sample
from uncollapse.measure.decoder import measure_decoder, row_losses
from uncollapse.measure.observe import observe
from uncollapse.reviving.build import revive

__all__ = ["judged"]

SEED, N_MODELS = 10, 330


def main() -> None:
    """Run all, on every core."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N_MODELS
    rows: list[Row] = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for done, some in enumerate(pool.imap_unordered(judged, bill_cases(n, SEED)), start=1):
            rows += some
            if done % 20 == 0 or done == n:
                print(f"{done} of {n}", flush=True)
                order = ("data", "net", "level", "steps", "line")
                write_rows("bill.csv", sorted(rows, key=lambda row: [str(row[key]) for key in order]))


def judged(case: BillCase) -> list[Row]:
    """A row for each line that was tried, one for the whole model among them."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    probe, data, objective = grown(case)
    started = time.process_time()
    better = revive(probe, data.x, given=data.given, objective=objective, seed=case.seed)
    seconds = time.process_time() - started
    fresh = _fresh(probe, data.held_out, objective, case.seed)
    about = {
        "data": case.data, "net": case.net, "likelihood": objective.likelihood, "level": case.level,
        "steps": case.steps, "latents": case.latents, "seed": case.seed, "alive": better.alive_before,
        "earning": better.bill.n_earning, "cpu_seconds": round(seconds, 2),
    }  # fmt: skip
    rows = []
    for name, (added, over) in better.bill.models.items():
        line, again = better.bill.line(name), fresh.gain(added, over)
        assert line is not None
        rows.append({
            **about, "line": name, "claimed": int(line.counts), "gain": line.gain, "error": line.error,
            "predicted": line.predicted, "paths": added.n_paths, "fresh_gain": again.value, "fresh_error": again.error,
        })  # fmt: skip
    before, after = fresh.losses().mean(), fresh.losses().mean()
    if better.probe is not None:
        after = _own_loss(better.probe, data.held_out, objective)
        before = _own_loss(probe, data.held_out, objective)
    rows.append({
        **about, "line": "model", "claimed": int(better.better), "gain": better.gain, "error": better.gain_error,
        "predicted": None, "paths": None, "fresh_gain": before - after, "fresh_error": None,
    })  # fmt: skip
    return rows


def _fresh(probe: object, x: object, objective: object, seed: int) -> Sample:
    seen = observe(probe, x, n_rows=2048, seed=seed)  # type: ignore[arg-type]
    variance = measure_decoder(probe, seen, objective, n_draws=2).decoder_variance  # type: ignore[arg-type]
    return make_sample(probe, seen, objective, variance, seed=seed + 1)  # type: ignore[arg-type]


def _own_loss(probe: object, x: object, objective: object) -> float:
    """By the road that knows nothing of bills: the probe, encoded and decoded like any other."""
    seen = observe(probe, x, n_rows=2048)  # type: ignore[arg-type]
    return float(row_losses(probe, seen, objective, n_draws=8, seed=3).mean())  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
