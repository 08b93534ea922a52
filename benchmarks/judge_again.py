"""Judge results/ again from its tables, after a rule has changed: `python benchmarks/judge_again.py`.

No network is trained. It covers the studies whose verdict is a function of their table alone; any other is judged anew
only by running it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from uncollapse.files import write_text
from uncollapse.spectra.decompose import spectrum
from uncollapse.studies.dang_more import judge_digits, judge_samples
from uncollapse.studies.further import gaussian, judge_first_three, judge_partly_learned
from uncollapse.studies.further_boundary import judge_boundary
from uncollapse.studies.further_data import judge_other_data
from uncollapse.studies.lucas_deep import judge_annealing
from uncollapse.studies.lucas_linear import judge_fig_4
from uncollapse.studies.study import Verdict
from uncollapse.studies.wang_ziyin import LINEAR, RELU, TANH, judge_regression, judge_table_1
from uncollapse.studies.wang_ziyin_mnist import judge_fig_2

RESULTS = Path(__file__).parents[1] / "results"
Rows = list[dict[str, Any]]
JUDGES: dict[str, Callable[[Rows], tuple[Verdict, str]]] = {
    "lucas-fig-4": judge_fig_4,
    "lucas-annealing": judge_annealing,
    "wang-fig-1": partial(judge_regression, RELU),
    "wang-fig-4": partial(judge_regression, LINEAR),
    "wang-fig-5": partial(judge_regression, TANH),
    "wang-fig-2": judge_fig_2,
    "wang-table-1": judge_table_1,
    "dang-cvae-digits": judge_digits,
    "dang-mhvae-samples": judge_samples,
    "further-other-data": judge_other_data,
    "further-boundary": lambda rows: judge_boundary(rows, spectrum(gaussian(2000, 5))),
    "further-partly-learned": judge_partly_learned,
    "further-first-three": judge_first_three,
}


def table(path: Path) -> Rows:
    """A study's table as the study had it: numbers as numbers, nothing as None."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text or None


def main() -> None:
    """Write each verdict that is another, or has other words, into its summary."""
    for name, judge in JUDGES.items():
        path = RESULTS / name / "summary.json"
        summary = json.loads(path.read_text("utf-8"))
        verdict, because = judge(table(RESULTS / name / "table.csv"))
        if (verdict, because) != (summary["verdict"], summary["because"]):
            print(f"{name}: {summary['verdict']} → {verdict}. {because}", flush=True)
            judged = summary | {"verdict": verdict, "because": because}
            write_text(path, json.dumps(judged, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
