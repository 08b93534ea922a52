"""Models with two faults at once: is the principal one found, and the other named beside it?

`python benchmarks/zoo/doubles_record.py` writes results/doubles.csv, at seeds that no threshold was set on.
"""

from __future__ import annotations

import warnings

from judge import Row, write_rows
from planted import DOUBLES, Double, grow

from uncollapse.diagnosis.causes import find_cause
from uncollapse.diagnosis.gather import gather

__all__ = ["judged"]

SEEDS = (21, 22, 23)


def main() -> None:
    """Run all and print what was missed."""
    warnings.simplefilter("ignore")
    rows = []
    for seed in SEEDS:
        for double in DOUBLES:
            rows.append(judged(double, seed))
            if not rows[-1]["both"]:
                print(rows[-1], flush=True)
            write_rows("doubles.csv", rows)
    right, both = (sum(row[key] for row in rows) for key in ("principal", "both"))
    print(f"principal right: {right} of {len(rows)}; both named: {both}")


def judged(double: Double, seed: int) -> Row:
    """One model, and what was said of it."""
    case = double.case
    p = grow(case, seed)
    found = find_cause(gather(p.probe, p.data.x, given=p.data.given, objective=p.objective))
    named = {found.cause, *found.secondary}
    return {
        "cause": case.cause, "other": double.other, "data": case.data, "net": case.net, "plant": case.how, "seed": seed,
        "found": found.cause, "confidence": found.confidence, "secondary": " ".join(found.secondary),
        "principal": int(found.cause == case.cause), "both": int({case.cause, double.other} <= named),
    }  # fmt: skip


if __name__ == "__main__":
    main()
