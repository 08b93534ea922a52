"""The record of the implied weight: what does a model say of the KL weight that it was trained with?

`python benchmarks/zoo/weight_record.py [SEED]` writes results/weight.csv: sound models of every likelihood, trained
short and long, and each fault of `weight_models.py`. Seed 1000 set the thresholds (results/weight-calibration.csv);
the record is of seed 17. `weight_page.py` makes the tables.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from bill_models import BillCase, bill_cases, grown
from judge import Row, write_rows
from weight_models import FAULTS, SETS, faulty

from uncollapse.bill.sample import make_sample
from uncollapse.bill.weight import ImpliedWeight, implied_weight
from uncollapse.measure.decoder import measure_decoder
from uncollapse.measure.observe import observe
from uncollapse.objective import Objective

__all__ = ["judged"]

SEED, CALIBRATION, N_SOUND = 17, 1000, 120
STEPS = 2500


def main() -> None:
    """Run all, on every core."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    rows: list[Row] = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        rows.extend(pool.imap_unordered(judged, _cases(seed)))
    rows.sort(key=lambda row: [str(row[key]) for key in ("fault", "data", "net", "level", "steps")])
    write_rows("weight-calibration.csv" if seed == CALIBRATION else "weight.csv", rows)


def _cases(seed: int) -> Iterator[Any]:
    yield from bill_cases(N_SOUND, seed)
    for name in FAULTS:
        for data_set in SETS:
            yield name, data_set, seed


def judged(case: BillCase | tuple[str, str, int]) -> Row:
    """One model, and the weight that its latents imply."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if isinstance(case, BillCase):
        probe, data, objective = grown(case)
        about = {"fault": "sound", "net": case.net, "level": case.level, "steps": case.steps, "true": 1.0}
    else:
        name, data_set, seed = case
        probe, data, objective = faulty(name, data_set, seed, STEPS)
        about = {"fault": name, "net": "residual", "level": 0.1, "steps": STEPS, "true": FAULTS[name].weight}
    w = _implied(probe, data.x, objective)
    ratio = w.weight / w.stated if w.known else None
    by_means = np.nanmedian(w.by_means) / w.stated if w.known and np.isfinite(w.by_means).any() else None
    return {
        **about, "data": data.name, "likelihood": objective.likelihood, "latents": len(w.values), "implied": ratio,
        "error": w.error / w.stated if w.known else None, "spread": w.spread if w.known else None,
        "by_means": by_means, "at_rest": int(w.at_rest),
    }  # fmt: skip


def _implied(probe: Any, x: Any, objective: Objective) -> ImpliedWeight:
    seen = observe(probe, x, n_rows=2048)
    variance = measure_decoder(probe, seen, objective, n_draws=2).decoder_variance
    return implied_weight(make_sample(probe, seen, objective, variance).parts[0])


if __name__ == "__main__":
    main()
