"""Statistics of planted models at the calibration seeds, from which diagnosis/thresholds.py takes its numbers.

`python benchmarks/zoo/calibrate.py`; no seed of it is in the record.
"""

from __future__ import annotations

import warnings

import numpy as np
from judge import judge_all, write_rows

SEEDS = (1000, 1001)
STATISTICS = (
    "gap_of_scale",
    "gap_of_energy",
    "continued",
    "refined",
    "refined_over_continued",
    "decoder_over_continued",
    "top_residual",
    "most_residual",
    "level_of_noise",
    "variance_spread",
    "least_movement",
)


def main() -> None:
    """Print least, median and largest of each statistic for each planted cause."""
    warnings.simplefilter("ignore")
    rows = []
    for _, row in judge_all(SEEDS):
        rows.append(row)
        if row["found"] != row["cause"]:
            print(f"{row['cause']} ({row['data']}, {row['net']}, {row['seed']}): {row['found']}, {row['confidence']}")
    write_rows("calibration.csv", rows)
    print(f"{sum(row['found'] == row['cause'] for row in rows)} of {len(rows)} right")
    for name in STATISTICS:
        print(f"\n{name}")
        for cause in dict.fromkeys(row["cause"] for row in rows):
            values = [row[name] for row in rows if row["cause"] == cause and row[name] is not None]
            if values:
                print(
                    f"  {cause:15s} {min(values):10.4g} {np.median(values):10.4g} {max(values):10.4g}  ({len(values)})"
                )


if __name__ == "__main__":
    main()
