"""Estimates that train no network against networks trained to their end → a table of docs/training.md.

`python benchmarks/zoo/nonlinear_strengths_record.py [SEED]` counts by every estimate on the data of the pilot's record,
writes results/nonlinear-strengths.csv and the page. Constants were chosen at seed 1000; the record is of seed 21. With
`others` for a seed it trains 36 networks on data that chose nothing, 12 of them to the end and 24 on bent surfaces by
the pilot's plan, where their tables are not there, and counts on those.
Without a seed it writes the page from the tables that are there.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Iterable
from itertools import product
from statistics import median

import numpy as np
from judge import RESULTS, Row, read_rows, write_rows
from nonlinear_strengths import CANDIDATES
from pilot_page import PAGE
from pilot_record import CALIBRATION, LEVELS, NETWORKS, ROWS, SEED, SETS, judged
from residual_page import table

from uncollapse.files import write_text

NAME = "nonlinear-strengths.csv"
OTHERS_NAME, OTHERS_ENDS = "nonlinear-strengths-others.csv", "nonlinear-strengths-ends.csv"
OTHERS = ("tumours",)
BENT_NAME, BENT_ENDS, BENT_PLAN = "nonlinear-strengths-bent.csv", "nonlinear-strengths-bent-ends.csv", "pilot"
BENT, BENT_SEED = ("torus", "roll"), 77
ALL = (*SETS, *OTHERS, *BENT)
RULES = {"above": "strength above the level", "earning": "would be seen to earn"}
BEST = ("what is left", "earning")
"""The estimate and the way to count with the least mean error at seed 1000, to which the text leans."""
CALLED = {
    "linear": "0. linear",
    "components in order": "1a. components in order",
    "what is left": "1b. what is left",
    "what is left, bent codes": "1c. what is left, bent codes",
    "what is left, noisy scores": "1d. what is left, noisy scores",
    "denoiser": "2. denoiser",
    "centres of a mixture": "3a. centres of a mixture",
    "parts of a mixture": "3b. parts of a mixture",
    "random features": "4. random features",
}
SHOWN = ("linear", "components in order", BEST[0])
"""By data set."""


def main() -> None:
    """Count where a seed is given; write the page."""
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["others"]:
        if not (RESULTS / OTHERS_ENDS).is_file():
            write_rows(OTHERS_ENDS, [row for job in product(OTHERS, NETWORKS) for row in judged((*job, "end", SEED))])
        write_rows(OTHERS_NAME, [row for name in OTHERS for row in counted(name, SEED)])
        if not (RESULTS / BENT_ENDS).is_file():
            jobs = product(BENT, NETWORKS)
            write_rows(BENT_ENDS, [row for job in jobs for row in judged((*job, BENT_PLAN, BENT_SEED))])
        write_rows(BENT_NAME, [row for name in BENT for row in counted(name, BENT_SEED, SHOWN)])
    elif len(sys.argv) > 1:
        seed = int(sys.argv[1])
        rows = [row for row in (read_rows(NAME) if (RESULTS / NAME).is_file() else []) if row["seed"] != seed]
        for name in SETS:
            rows += counted(name, seed)
            write_rows(NAME, rows)
    marks = re.compile(r"(<!-- strengths -->\n).*?(<!-- end -->)", re.DOTALL)
    text = part(
        read_rows(NAME),
        {CALIBRATION: read_rows("pilots-calibration.csv"), SEED: read_rows("pilots.csv")},
        (read_rows(OTHERS_NAME), read_rows(OTHERS_ENDS)),
        (read_rows(BENT_NAME), read_rows(BENT_ENDS)),
    )
    page = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, marks.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", page))


def counted(name: str, seed: int, candidates: Iterable[str] = tuple(CANDIDATES)) -> list[Row]:
    """A row for each estimate and water level."""
    from sets import load

    data = load(name, seed)
    x, top = data.x[:ROWS].astype(float), float(data.strengths()[0])
    rows: list[Row] = []
    for candidate, level in ((c, level) for c in candidates for level in LEVELS):
        started = time.process_time()
        found = CANDIDATES[candidate](x, level * top)
        seconds = time.process_time() - started
        numbers = {rule: round(found.number(level * top, earning=rule == "earning")) for rule in RULES}
        about = {"seed": seed, "data": name, "level": level, "candidate": candidate}
        rows.append({**about, **numbers, "kl": found.kl(level * top), "seconds": seconds})
    return rows


Ends = dict[tuple[str, float], list[Row]]


def part(
    rows: list[Row],
    networks: dict[int, list[Row]],
    others: tuple[list[Row], list[Row]],
    bent: tuple[list[Row], list[Row]],
) -> str:
    """Each estimate against the end, by data set, on other data, and case by case."""
    ends = {seed: _ends(some) for seed, some in networks.items()}
    by_seed = {seed: [row for row in rows if row["seed"] == seed] for seed in ends}
    lines = []
    for candidate, rule in product(CANDIDATES, RULES):
        line: list[object] = [CALLED[candidate], RULES[rule]]
        for seed in (CALIBRATION, SEED):
            each, typical = _away(by_seed[seed], ends[seed], candidate, rule)
            line += [_within(each), f"{sum(abs(a) <= 1 for a in typical)} of {len(typical)}"]
            line += [f"{np.mean(np.abs(each)):.1f}"]
        some = [row for row in by_seed[SEED] if row["candidate"] == candidate]
        kl = [row["kl"] / median(end["kl"] for end in ends[SEED][row["data"], row["level"]]) for row in some]
        line += [f"{np.median(kl):.2f}", f"{np.mean([row['seconds'] for row in some]):.1f}"]
        lines.append([f"**{one}**" for one in line] if (candidate, rule) == BEST else line)
    heads = ["estimate", "counts what", "seed 1000: of 60 networks", "of 15 medians", "mean error",
             "seed 21: of 60 networks", "of 15 medians", "mean error", "median KL over the end's", "s"]  # fmt: skip
    of_others, of_bent = (others[0], _ends(others[1])), (bent[0], _ends(bent[1], BENT_PLAN))
    apart, every = {**ends[SEED], **of_others[1], **of_bent[1]}, [*by_seed[SEED], *others[0], *bent[0]]
    by_data: list[list[object]] = [
        [CALLED[c], RULES[rule], *(_of(_away(every, apart, c, rule, data)[0]) for data in ALL)]
        for c, rule in product(SHOWN, RULES)
    ]
    return "\n".join([
        table(heads, lines),
        _said((by_seed[SEED], ends[SEED]), of_others, of_bent),
        table(["estimate", "counts what", *ALL], by_data),
        f"Case by case, at seed 21 ({' and '.join(BENT)} at seed {BENT_SEED}):\n",
        _cases(every, apart),
    ])  # fmt: skip


Counted = tuple[list[Row], Ends]


def _said(own: Counted, others: Counted, bent: Counted) -> str:
    """What the table shows, in words."""

    def share(some: Counted, candidate: str, rule: str) -> str:
        return _within(_away(*some, candidate, rule)[0])

    chose_nothing = others[0] + bent[0], {**others[1], **bent[1]}
    return SAID.format(
        best=share(own, *BEST), best_above=share(own, BEST[0], "above"),
        linear=share(own, "linear", "above"), linear_earning=share(own, "linear", "earning"),
        most=sum(_attainable([row["earning"] for row in end]) for end in own[1].values()),
        new=share(others, *BEST), new_linear=share(others, "linear", "above"),
        new_earning=share(others, "linear", "earning"), n_new=sum(map(len, others[1].values())),
        bent=share(bent, *BEST), bent_linear=share(bent, "linear", "above"),
        bent_earning=share(bent, "linear", "earning"), n_bent=sum(map(len, bent[1].values())),
        both=share(chose_nothing, *BEST), both_linear=share(chose_nothing, "linear", "above"),
        both_earning=share(chose_nothing, "linear", "earning"), bent_seed=BENT_SEED,
    )  # fmt: skip


SAID = """**For the number alive, what is left (1b) is nearer than the linear count.** Networks within one of the end at
seed 21:

* counting strengths that would be seen to earn on so many rows: {best}; linear by the same rule {linear_earning};
* counting all strengths above the level: {best_above}; linear {linear}.

Networks of one case differ among themselves: no number for each case could be within one in more than {most} of 60.
1a is as good as 1b. 3a, 1c and 1d gain less. The others are no better than linear, or only by one way to count.

How 1b works: take the direction in which most of the data is left, predict the rows from its score and those before
(kernel ridge, on rows that the fit did not see), and go on with what is left, until no direction stands above the
level. It has no constant but those of the kernel ridge. It was made at seed 1000, as were the rest, and what is in bold
was fixed before seed 21 was counted, by the mean error at seed 1000. (Seed 21 was counted again with τ from all rows of
a set, as the networks had it, and not from 2,048: that moved one network of 1b. Noisy scores, 1d, were tried at seed
1000 and added then, and random features were mended.)

Where it gains: digits and the bent surface, most at the lowest level, where a network codes several modes in one
latent. On MNIST it comes down from 20 to the middle of the networks at the lowest level, but they differ so much among
themselves that few are within one; and at the highest level it is two short there. Where it does not gain: on data
without such structure the linear count that earns is as good or better, and where many weak modes lie just above the
level (rare factors) both are far too high. At the highest level 1b is a little low: there a score without noise
foretells more than a latent does that is nearly all noise. 1d has that noise, and is too high at the lowest level. The
KL that goes with the strengths is no estimate: it is too low, perhaps because a bent latent gains more than the score
of one direction. 15 cases are few: four networks of one case share their data and
mostly fall together.

Why the others fail, as far as the numbers tell. *Bent codes* (1c) go on to all 20 latents at the lowest level on
images: they code what the prediction missed, its errors among it. The *denoiser* needs many rows within a distance √τ,
which at low levels images do not have; and it tells the dimension of a surface at a point, where a network needs more
latents if the surface bends back. *Centres of a mixture* are too many on the bent surface at the lowest level, and on
MNIST at the highest too few. *Parts* alone miss what tells the parts apart. *Random features* need about as many codes
as linear ones on images; they alone are not always the linear count on Gaussian data: now and then it is one more.

A set that chose nothing (tumours, 400 rows, {n_new} networks trained for this): 1b {new}, linear {new_linear}, linear
that earns {new_earning}.

Two bent surfaces that chose nothing either (a torus in 20 features and a Swiss roll in 12, {n_bent} networks trained by
the pilot's plan at seed {bent_seed}): 1b {bent}, linear {bent_linear}, linear that earns {bent_earning}.
On these three sets together: 1b {both}, linear {both_linear}, linear that earns {both_earning}.
**On data that chose nothing 1b is a little nearer than the linear forecast, and no nearer than the linear count that
earns.** It gains at the lowest level of both surfaces, and is two too low on the torus at the middle one.
`uncollapse forecast --nonlinear` shows 1b, and says how often it was within one on these three sets: 3 of 4.

Networks within one of the end at seed 21, by data set (torus and roll: the pilot's end at seed {bent_seed}):
"""


def _ends(rows: list[Row], plan: str = "end") -> Ends:
    ends: Ends = {}
    for row in rows:
        if row["plan"] == plan:
            ends.setdefault((row["data"], row["level"]), []).append(row)
    return ends


def _away(
    rows: list[Row], ends: Ends, candidate: str, rule: str, data: str | None = None
) -> tuple[list[float], list[float]]:
    """Estimate less the number that earns at the end, for each network and for the median network of each case."""
    each: list[float] = []
    typical: list[float] = []
    for row in rows:
        if row["candidate"] == candidate and data in (None, row["data"]):
            counts = [end["earning"] for end in ends[row["data"], row["level"]]]
            each += [row[rule] - count for count in counts]
            typical.append(row[rule] - median(counts))
    return each, typical


def _attainable(counts: list[int]) -> int:
    """In how many of these the best single number is within one."""
    return max(sum(abs(count - number) <= 1 for count in counts) for number in range(21))


def _cases(rows: list[Row], ends: Ends) -> str:
    found = {(row["data"], row["level"], row["candidate"]): row for row in rows}
    lines: list[list[object]] = []
    for case, end in ends.items():
        counts = sorted(row["earning"] for row in end)
        best, flat = found[*case, BEST[0]], found[*case, "linear"]
        away = best[BEST[1]] - median(counts)
        lines.append(
            [*case, ", ".join(map(str, counts)), best["earning"], "" if abs(away) <= 1 else f"{away:+g}",
             flat["earning"], flat["above"], f"{median(row['kl'] for row in end):.2f}", f"{best['kl']:.2f}",
             f"{flat['kl']:.2f}"]
        )  # fmt: skip
    order = {data: i for i, data in enumerate(ALL)}
    lines.sort(key=lambda line: (order[str(line[0])], line[1]))
    heads = ["data", "level", "earning at four ends", "1b", "missed by", "linear, earning", "linear", "KL at the end",
             "KL of 1b", "linear KL"]  # fmt: skip
    return table(heads, lines)


def _within(away: list[float]) -> str:
    return f"{_of(away)} ({np.mean(np.abs(away) <= 1):.0%})"


def _of(away: list[float]) -> str:
    return f"{sum(abs(a) <= 1 for a in away)} of {len(away)}"


if __name__ == "__main__":
    main()
