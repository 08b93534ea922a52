"""Estimates that train no network against networks trained to their end → a table of docs/training.md.

`python benchmarks/zoo/nonlinear_strengths_record.py [SEED]` counts by every estimate on the data of the pilot's record,
writes results/nonlinear-strengths.csv and the page. Constants were chosen at seed 1000; the record is of seed 21.
Without a seed it writes the page from the table that is there.
"""

from __future__ import annotations

import re
import sys
import time
from itertools import product
from statistics import median

import numpy as np
from judge import RESULTS, Row, read_rows, write_rows
from nonlinear_strengths import CANDIDATES
from pilot_page import PAGE
from pilot_record import CALIBRATION, LEVELS, ROWS, SEED, SETS
from residual_page import table

from uncollapse.files import write_text

NAME = "nonlinear-strengths.csv"
RULES = {"above": "strength above the level", "earning": "would be seen to earn"}
BEST = ("what is left", "earning")
"""The estimate and the way to count that did best at seed 1000."""
CALLED = {
    "linear": "0. linear",
    "components in order": "1a. components in order",
    "what is left": "1b. what is left",
    "what is left, bent codes": "1c. what is left, bent codes",
    "denoiser": "2. denoiser",
    "centres of a mixture": "3a. centres of a mixture",
    "parts of a mixture": "3b. parts of a mixture",
    "random features": "4. random features",
}


def main() -> None:
    """Count where a seed is given; write the page."""
    if len(sys.argv) > 1:
        seed = int(sys.argv[1])
        rows = [row for row in (read_rows(NAME) if (RESULTS / NAME).is_file() else []) if row["seed"] != seed]
        for name in SETS:
            rows += counted(name, seed)
            write_rows(NAME, rows)
    marks = re.compile(r"(<!-- strengths -->\n).*?(<!-- end -->)", re.DOTALL)
    text = part(read_rows(NAME), {CALIBRATION: read_rows("pilots-calibration.csv"), SEED: read_rows("pilots.csv")})
    page = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, marks.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", page))


def counted(name: str, seed: int) -> list[Row]:
    """A row for each estimate and water level."""
    from sets import load

    x = load(name, seed).x[:ROWS].astype(float)
    top = float(np.linalg.eigvalsh(np.cov(x.T, bias=True))[-1])
    rows: list[Row] = []
    for candidate, level in ((c, level) for c in CANDIDATES for level in LEVELS):
        started = time.process_time()
        found = CANDIDATES[candidate](x, level * top)
        seconds = time.process_time() - started
        numbers = {rule: round(found.number(level * top, earning=rule == "earning")) for rule in RULES}
        about = {"seed": seed, "data": name, "level": level, "candidate": candidate}
        rows.append({**about, **numbers, "kl": found.kl(level * top), "seconds": seconds})
    return rows


def part(rows: list[Row], networks: dict[int, list[Row]]) -> str:
    """Each estimate against the end, and the misses of the best one beside the linear count."""
    ends = {
        (seed, *case): [row for row in some if row["plan"] == "end" and (row["data"], row["level"]) == case]
        for seed, some in networks.items()
        for case in product(SETS, LEVELS)
    }
    lines = []
    for candidate, rule in ((c, r) for r in RULES for c in CANDIDATES):
        line: list[object] = [CALLED[candidate], RULES[rule]]
        for seed in (CALIBRATION, SEED):
            some = [row for row in rows if (row["seed"], row["candidate"]) == (seed, candidate)]
            truth = [[end["earning"] for end in ends[seed, row["data"], row["level"]]] for row in some]
            each = [row[rule] - count for row, counts in zip(some, truth, strict=True) for count in counts]
            typical = [row[rule] - median(counts) for row, counts in zip(some, truth, strict=True)]
            line += [_within(each), _within(typical), f"{np.mean(np.abs(each)):.1f}"]
        kl = [row["kl"] / median(end["kl"] for end in ends[SEED, row["data"], row["level"]]) for row in some]
        line += [f"{np.median(kl):.2f}", f"{np.mean([row['seconds'] for row in some]):.1f}"]
        if (candidate, rule) == BEST:
            line = [f"**{one}**" for one in line]
        lines.append(line)
    heads = ["estimate", "counts what", "seed 1000: of 60 networks", "of 15 medians", "mean error",
             "seed 21: of 60 networks", "of 15 medians", "mean error", "median KL over the end's", "s"]  # fmt: skip
    return table(heads, lines) + "\n" + _cases(rows, ends)


def _cases(rows: list[Row], ends: dict[tuple[int, str, float], list[Row]]) -> str:
    found = {(row["data"], row["level"], row["candidate"]): row for row in rows if row["seed"] == SEED}
    lines: list[list[object]] = []
    for data in SETS:
        for level in LEVELS:
            end = [row["earning"] for row in ends[SEED, data, level]]
            best, flat = found[data, level, BEST[0]], found[data, level, "linear"]
            away = best[BEST[1]] - median(end)
            lines.append(
                [data, level, ", ".join(map(str, sorted(end))), best["earning"], "" if abs(away) <= 1 else f"{away:+g}",
                 flat["earning"], flat["above"], f"{median(row['kl'] for row in ends[SEED, data, level]):.2f}",
                 f"{best['kl']:.2f}", f"{flat['kl']:.2f}"]
            )  # fmt: skip
    heads = ["data", "level", "four networks' ends", "1b", "missed by", "linear, earning", "linear", "KL at the end",
             "KL of 1b", "linear KL"]  # fmt: skip
    return "Case by case, at seed 21:\n\n" + table(heads, lines)


def _within(away: list[float]) -> str:
    return f"{sum(abs(a) <= 1 for a in away)} ({np.mean(np.abs(away) <= 1):.0%})"


if __name__ == "__main__":
    main()
