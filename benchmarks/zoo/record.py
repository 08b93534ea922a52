"""The record of the diagnosis on planted models at seeds that no threshold was set on.

`python benchmarks/zoo/record.py`: grows the zoo, writes results/zoo.csv (one row a model), results/proofs.csv (whether
plants that training decides took) and results/promises.csv (first remedies, applied).
"""

from __future__ import annotations

import time
import warnings
from typing import Any

from judge import Row, judge_all, write_rows
from planted import CASES
from plants import Planted
from proof import PROVED, took

from uncollapse.diagnosis.examine import diagnose
from uncollapse.diagnosis.trial import verify

SEEDS = (24,)
VERIFIED_STEPS = 1500


def main() -> None:
    """Run all and print the wrong answers."""
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    proofs: list[Row] = []
    promises: list[Row] = []
    started = time.process_time()
    for planted, row in judge_all(SEEDS, CASES):
        rows.append(row)
        about = {key: row[key] for key in ("cause", "data", "net", "plant", "seed", "found")}
        if row["found"] != row["cause"]:
            print(f"wrong: {about}, {row['confidence']}", flush=True)
        if row["cause"] in PROVED:
            good, why = took(row["cause"], planted, row["seed"])
            proofs.append({**about, "took": good, "numbers": why})
        if len([p for p in promises if p["found"] == row["found"]]) < 2 and (promised := _promise(planted)):
            promises.append({**about, **promised})
        write_rows("zoo.csv", rows)
    write_rows("proofs.csv", proofs)
    write_rows("promises.csv", promises)
    right = sum(row["found"] == row["cause"] for row in rows)
    print(f"{right} of {len(rows)} right, {time.process_time() - started:.0f} s of processor")


def _promise(p: Planted) -> dict[str, Any] | None:
    """The first remedy that a training can apply, applied; None where there is none, or levels."""
    if p.objective.levels:
        return None
    diagnosis = diagnose(p.probe, p.data.x, given=p.data.given, objective=p.objective)
    tried = verify(diagnosis, p.probe, p.data.x, given=p.data.given, n_steps=VERIFIED_STEPS, learning_rate=2e-3)
    if not tried.trials:
        return None
    t = tried.trials[0]
    return {
        "remedy": t.remedy.change,
        "promised": t.remedy.expected_alive,
        "before": t.alive_before,
        "after": t.alive_after,
        "loss_before": t.loss_before,
        "loss_after": t.loss_after,
        "kept": t.kept,
    }


if __name__ == "__main__":
    main()
