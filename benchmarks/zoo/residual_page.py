"""The residual test's record as a section of docs/record.md."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from judge import Row

__all__ = ["residual_test", "table"]

EDGES = (0.0, 0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 2.0, np.inf)
FINISHED = 0.02
"""A training is called finished when its loss fell by less than this share of what there is to gain, over the last
quarter."""
SHOWN = 25


def table(head: list[str], rows: list[list[object]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""])


def residual_test(rows: list[Row], first: list[Row], short: list[Row]) -> str:
    """The 2 × 2 tables, the margin, and the failures; `first` is the seed that the undecided band was set on."""
    count_first, (right_first, total_first) = _counts(first)
    claimed = [row for row in rows if row["said"] == "should live"]
    lowered = sum(_lower(row) for row in claimed)
    finished = [row for row in rows if row["falling"] < FINISHED]
    count, (right, total) = _counts(rows)
    count_finished, (right_finished, total_finished) = _counts(finished)
    count_short, (right_short, total_short) = _counts(short)
    wrong = [row for row in rows if row["said"] == ("rightly dead" if row["helped"] else "should live")]
    return f"""## The residual test

{len(rows)} deep VAEs (six data sets, three networks, three water levels, four lengths of training, Gaussian, Bernoulli
and Poisson decoders), each with a dead latent, judged at their end. Then (a) the KL weight was taken back to 0 and
raised again, (b) new weights were trained with a KL warm-up, (c) training went on plainly, each as long as before and
at least 40 epochs. *Helped* means that more latents are alive after (a) or (b) and that the loss on held-out rows is
lower by two standard errors.

{table(HEADINGS, count)}
**{right} of {total} verdicts are right ({_share(right, total)}; 97 % was asked for).** Of the {len(finished)} whose
loss had stopped falling (less than {FINISHED:.0%} of what there is to gain, over the last quarter):

{table(HEADINGS, count_finished)}
That is {right_finished} of {total_finished} ({_share(right_finished, total_finished)}).

What the proof claims of "should live" is that the loss can be lowered: (a) or (b) lowered it beyond noise in {lowered}
of {len(claimed)}. That the *number* alive rises it does not claim: elsewhere in the model latents die meanwhile. Plain
training lowers the loss of most as well, so a residual above the water says that a model is not at its optimum, and
not that only a warm restart helps.

This is seed 1. At seed 0, on which the band in which the test does not decide was set (down to 0.75 of the level; it
said "rightly dead" down to 0.9 before), {right_first} of {total_first} were right with the old band:

{table(HEADINGS, count_first)}
By the held-out
strength of the strongest residual mode over the water level, all models:

{table(["top / level", "models", "helped", "plain training helped", "lower loss, not more alive"], _by_margin(rows))}
![Residual strength over the water level, for models that more training helped and others](figures/residual_record.svg)

The wrong verdicts, the costliest first{"" if len(wrong) <= SHOWN else f" ({SHOWN} of {len(wrong)})"}:

{_failures(wrong)}
The lengths of training were raised once, after a first run at seed 0 with shorter ones, which is shown here as well.
Of those (60 to 640 steps at half the rate) {right_short} of {total_short} verdicts were right
({_share(right_short, total_short)}). One reading, not tested: while latents are still on their way to death, the number
alive falls though one that should live comes to life.

{table(HEADINGS, count_short)}"""


HEADINGS = ["the test says", "models", "helped", "did not", "plain training helped", "right"]


def _counts(rows: list[Row]) -> tuple[list[list[object]], tuple[int, int]]:
    counted: list[list[object]] = []
    right = total = 0
    for said in ("should live", "rightly dead", "undecided"):
        of = [row for row in rows if row["said"] == said]
        helped = sum(row["helped"] for row in of)
        good = helped if said == "should live" else len(of) - helped
        if said != "undecided":
            right, total = right + good, total + len(of)
        plain = sum(_gained(row, "plain") for row in of)
        counted.append(
            [said, len(of), helped, len(of) - helped, plain, "" if said == "undecided" else _share(good, len(of))]
        )
    return counted, (right, total)


def _share(good: int, of: int) -> str:
    return f"{good / of:.1%}" if of else "–"


def _by_margin(rows: list[Row]) -> list[list[object]]:
    lines: list[list[object]] = []
    for low, high in pairwise(EDGES):
        of = [row for row in rows if low <= max(row["top"], 0.0) < high]
        if of:
            plain = sum(_gained(row, "plain") for row in of)
            lower = sum(not row["helped"] and _lower(row) for row in of)
            lines.append([f"{low:g} to {high:g}", len(of), sum(row["helped"] for row in of), plain, lower])
    return lines


def _lower(row: Row) -> bool:
    return any(row[f"{how}_gain"] > 2 * row[f"{how}_error"] for how in ("restart", "anew"))


def _gained(row: Row, how: str) -> bool:
    """Whether this training brought a latent to life and lowered the loss beyond noise."""
    return bool(row[f"{how}_alive"] > row["held_out_alive"] and row[f"{how}_gain"] > 2 * row[f"{how}_error"])


def _failures(wrong: list[Row]) -> str:
    shown = sorted(wrong, key=lambda row: -max(row["restart_gain"], row["anew_gain"]))[:SHOWN]
    head = ["said", "data", "network", "level", "epochs", "warm-up", "alive", "top / level",
            "alive after (a), (b), (c)",
            "gain of (a), (b), nats"]  # fmt: skip
    rows: list[list[object]] = []
    for row in shown:
        alive = ", ".join(str(row[f"{how}_alive"]) for how in ("restart", "anew", "plain"))
        gains = ", ".join(f"{row[f'{how}_gain']:.3f} ± {row[f'{how}_error']:.3f}" for how in ("restart", "anew"))
        about = [row[key] for key in ("said", "data", "net", "level", "epochs", "warm_up")]
        rows.append([*about, f"{row['alive']} of {row['latents']}", f"{row['top']:.2f}", alive, gains])
    return table(head, rows)
