"""The record of the implied weight as a part of docs/record.md."""

from __future__ import annotations

import numpy as np
from judge import Row
from residual_page import table

from uncollapse.diagnosis.thresholds import REST_RATIO, WEIGHT_RATIO

__all__ = ["weight_part"]


def weight_part(rows: list[Row], calibration: list[Row]) -> str:
    """What models say of the weight that they were trained with: sound ones, and each fault."""
    sound = [row for row in rows if row["fault"] == "sound"]
    faults = list(dict.fromkeys(row["fault"] for row in rows if row["fault"] != "sound"))
    at_rest = [row for row in sound if row["at_rest"] and row["latents"] > 1]
    wrong = [row for row in at_rest if _unlike(row)]
    near = sum(1 / REST_RATIO < row["implied"] < REST_RATIO for row in at_rest)
    lower = sum(row["implied"] < 1 for row in wrong)
    short = sum(row["steps"] < 100 for row in wrong)
    first = [row for row in calibration if row["fault"] == "sound" and row["at_rest"] and row["latents"] > 1]
    return f"""## The implied weight

{len(rows)} VAEs, each asked with which KL weight it is at rest ([how](theory.md)), as a share of the stated one:
{len(sound)} sound ones of every likelihood, trained for 60 to 1,200 steps, and {len(faults)} kinds trained on another
loss than the stated one, on {len({row["data"] for row in rows if row["fault"] != "sound"})} data sets each.
`python benchmarks/zoo/weight_record.py`. The thresholds are of seed 1000 ({len(first)} sound models at rest there, of
which {sum(_unlike(row) for row in first)} implied a weight that differs by more than a factor {WEIGHT_RATIO:g}); this
is another seed.

**Of {len(at_rest)} sound models whose latents agree, {near} imply the stated weight within a factor {REST_RATIO:g}, and
{len(wrong)} one that differs by more than {WEIGHT_RATIO:g}** ({
        short
    } of these were stopped after 60 steps). Latents that
do not agree say nothing, and nothing is said. A diagnosis asks "was another loss trained?" only where the implied
weight is the lower one, since a training that has hardly begun implies a higher one: it would have asked {lower} of
these {len(at_rest)}.

{
        table(
            [
                "sound: likelihood",
                "steps",
                "models with two living latents",
                "at rest",
                "implied: 10 %, median, 90 %",
                "unlike",
            ],
            _by_kind(sound),
        )
    }
{
        table(
            [
                "trained in place of the stated loss",
                "models",
                "true weight",
                "implied by those at rest",
                "unlike",
                "not at rest",
            ],
            [_of_fault(name, [row for row in rows if row["fault"] == name]) for name in faults],
        )
    }
*Unlike*: at rest with a weight that differs by more than a factor {WEIGHT_RATIO:g}.
What it does not see: a mixture prior shows in the means alone, and a ReLU on
the log-variance leaves no latent with a rest point; the diagnosis calls that encoder stuck. Total correlation and free
bits have no weight of their own: what is implied is what they weigh at this optimum.
"""


def _unlike(row: Row) -> bool:
    return bool(row["at_rest"]) and row["latents"] > 1 and not 1 / WEIGHT_RATIO < row["implied"] < WEIGHT_RATIO


def _by_kind(sound: list[Row]) -> list[list[object]]:
    lines: list[list[object]] = []
    for likelihood in sorted({row["likelihood"] for row in sound}):
        for steps in sorted({row["steps"] for row in sound}):
            some = [row for row in sound if (row["likelihood"], row["steps"]) == (likelihood, steps)]
            living = [row for row in some if row["latents"] > 1]
            rest = [row["implied"] for row in living if row["at_rest"]]
            shares = ", ".join(f"{q:.2f}" for q in np.quantile(rest, (0.1, 0.5, 0.9))) if rest else "none"
            if some:
                lines.append([likelihood, steps, len(living), len(rest), shares, sum(map(_unlike, some))])
    return lines


def _of_fault(name: str, rows: list[Row]) -> list[object]:
    rest = [f"{row['implied']:.3g}" for row in rows if row["at_rest"]]
    true = rows[0]["true"]
    others = len(rows) - len(rest)
    return [name, len(rows), "none" if true is None else f"{true:.3g}", ", ".join(rest) or "none",
            sum(map(_unlike, rows)), others]  # fmt: skip
