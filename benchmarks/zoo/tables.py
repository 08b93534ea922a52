"""Results of the zoo → docs/record.md: `python benchmarks/zoo/tables.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from bill_page import bill_part, doubles_part
from figure import residual_figure
from judge import Row, read_rows
from residual_page import residual_test, table
from weight_page import weight_part

from uncollapse.files import write_text

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Write the page and its figure."""
    zoo, residual, models = read_rows("zoo.csv"), read_rows("residual-1.csv"), read_rows("models-0.csv")
    parts = [
        HEAD,
        bill_part(read_rows("bill.csv")),
        diagnosis(zoo, read_rows("proofs.csv")),
        doubles_part(read_rows("doubles.csv")),
        weight_part(read_rows("weight.csv"), read_rows("weight-calibration.csv")),
        promises(read_rows("promises.csv")),
        residual_test(residual, read_rows("residual-0.csv"), read_rows("residual-short.csv")),
        forecasts(models, read_rows("pilot-0.csv"), read_rows("first-0.csv")),
    ]
    write_text(DOCS / "record.md", "\n".join(parts))
    write_text(DOCS / "figures" / "residual_record.svg", residual_figure(residual))


HEAD = """# The record

How often the diagnosis, the residual test and the forecasts were right, on models trained for the purpose. The page is
made by `python benchmarks/zoo/tables.py` from the tables in `benchmarks/zoo/results/`; `record.py`,
`residual_record.py` and `forecast_record.py` there make those. Thresholds were set on other seeds (`calibrate.py`), but
for the residual test's undecided band, which its record at seed 0 widened; that changes the confidence of a diagnosis,
never its cause. History: before the bill, an ordered list of one cause a model had 64 of 66 right at seed 0, and kept
13 of 18 promises of a number alive. Two rules of today's were corrected after first records, at seeds 10 and 11: equal
variances under a loss that asks for death are a stuck encoder, and a span that grows with each fresh decoder is no
limit. Four more were corrected after models of strangers ([they](strangers.md)) and seeds 19 and 20: whose data a
decoder shows that has hardly learned, data far too large for a network of ReLUs, an encoder that lags, and dead latents
that would gain next to nothing. The tables below are of other seeds, 12 to 24.
"""


def diagnosis(zoo: list[Row], proofs: list[Row]) -> str:
    """The confusion matrix, every wrong answer, and the plants that did not take."""
    causes = list(dict.fromkeys([*(row["cause"] for row in zoo), *(row["found"] for row in zoo)]))
    counts = Counter((row["cause"], row["found"]) for row in zoo)
    planted = [cause for cause in causes if any(row["cause"] == cause for row in zoo)]
    matrix = [[cause, *(counts[cause, found] or "" for found in causes)] for cause in planted]
    wrong = [row for row in zoo if row["found"] != row["cause"]]
    sure = sum(row["confidence"] == "high" for row in wrong)
    right = len(zoo) - len(wrong)
    sets, nets = (len({row[key] for row in zoo}) for key in ("data", "net"))
    failed = [row for row in proofs if not row["took"]]
    names = ("cause", "data", "net", "plant", "seed")
    void = [[row[name] for name in names] for row in failed]
    taken = [row for row in zoo if [row[name] for name in names] not in void]
    right_of_taken = sum(row["found"] == row["cause"] for row in taken)
    text = f"""## Diagnosis

{len(zoo)} VAEs on {sets} data sets and {nets} architectures, each trained so that one cause is true of it. **{right} of
{len(zoo)} diagnoses are right ({right / len(zoo):.1%}); wrong with high confidence: {sure}.**
Rows are what was planted,
columns what was found.

{table(["planted", *causes], matrix)}
"""
    if wrong:
        text += "Every wrong answer:\n\n" + table(
            [
                "planted",
                "data",
                "network",
                "seed",
                "found",
                "confidence",
                "alive",
                "linear count",
                "top residual / level",
            ],
            [
                [
                    *(row[key] for key in ("cause", "data", "net", "seed", "found", "confidence")),
                    f"{row['alive']} of {row['latents']}",
                    row["linear_alive"],
                    row["top_residual"],
                ]
                for row in wrong
            ],
        )
    text += f"""
Most causes hold by construction. Those that training decides were proved by more training, apart from the diagnosis:
a stuck model must not wake under as much plain training again and must wake under new weights with a KL warm-up; a
rightly dead one must have a dead latent and gain nothing by either; a slow one must gain by training on. (That some
latent be dead was asked only after this record had shown a plant without one, so count that as a miss.) Stuck models
were all planted through dead ReLUs; other ways to be stuck are not in the record.
{len(proofs) - len(failed)} of {len(proofs)} such plants took.
"""
    if failed:
        text += f"\nWithout those that did not, {right_of_taken} of {len(taken)} are right:\n\n" + table(
            ["planted", "data", "network", "found", "what more training did"],
            [[row[key] for key in ("cause", "data", "net", "found", "numbers")] for row in failed],
        )
    return text


def promises(rows: list[Row]) -> str:
    """What first remedies promised and did."""
    promised = [row for row in rows if row["promised"] is not None]
    kept = sum(row["kept"] for row in promised)
    keys = ("found", "data", "net", "remedy", "loss_before", "loss_after", "promised", "before", "after", "kept")
    return f"""## Promises

The first remedy that a training can apply, applied for 1,500 steps to up to two models of each cause found. It was
good for {kept} of {len(promised)}: the same loss fell by more than twice its error, or, of a loss that was changed, the
number alive is within one of the linear count.

{
        table(
            ["cause found", "data", "network", "remedy", "loss", "after", "linear count", "alive", "after", "good"],
            [[row[key] for key in keys] for row in rows],
        )
    }"""


def forecasts(models: list[Row], pilots: list[Row], first: list[Row]) -> str:
    """Errors of first threshold, number alive, KL and loss."""
    told = {(row["data"], row["level"]): row for row in pilots}
    done = [row for row in models if row["warm_up"]]
    for row in done:
        row["pilot"] = told[row["data"], row["level"]]
    errors: dict[str, list[float]] = {
        "number alive, linear count": [row["linear_alive"] - row["alive"] for row in done],
        "number alive, pilot": [row["pilot"]["alive"] - row["alive"] for row in done],
        "KL, linear (nats)": [row["linear_kl"] - row["kl"] for row in done],
        "KL, pilot (nats)": [row["pilot"]["kl"] - row["kl"] for row in done],
        "loss, linear optimum (nats)": [
            row["floor"] - row["loss"] for row in done if row["data"] not in ("binary", "counts")
        ],
        "loss, pilot (nats)": [row["pilot"]["loss"] - row["loss"] for row in done],
    }
    spread = [
        [name, len(e), *(f"{q:.3g}" for q in np.quantile(e, (0, 0.1, 0.5, 0.9, 1)))] for name, e in errors.items()
    ]
    worst = sorted(done, key=lambda row: -abs(row["linear_alive"] - row["alive"]))[:8]
    return f"""## Forecasts

The forecast's first threshold is 1 here; networks were trained for 80 epochs with a KL warm-up at levels about it.

{table(["data", "network", *(f"{level:g}" for level in sorted({row["level"] for row in first}))], _first(first))}
Numbers are latents alive: they should be 0 above 1 and more below.

The {len(done)} networks above that were trained for 120 epochs with a KL warm-up, forecast minus found:

{table(["what", "networks", "least", "10 %", "median", "90 %", "most"], spread)}
The largest misses of the linear count, which is no forecast for a deep network ([why](idea.md)):

{
        table(
            ["data", "network", "level", "alive", "linear count", "pilot", "KL", "linear KL", "pilot KL"],
            [
                [
                    row["data"],
                    row["net"],
                    row["level"],
                    row["alive"],
                    row["linear_alive"],
                    row["pilot"]["alive"],
                    f"{row['kl']:.2f}",
                    f"{row['linear_kl']:.2f}",
                    f"{row['pilot']['kl']:.2f}",
                ]
                for row in worst
            ],
        )
    }"""


def _first(first: list[Row]) -> list[list[object]]:
    counts: dict[tuple[str, str], dict[float, int]] = {}
    for row in first:
        counts.setdefault((row["data"], row["net"]), {})[row["level"]] = row["alive"]
    return [[*key, *(alive[level] for level in sorted(alive))] for key, alive in counts.items()]


if __name__ == "__main__":
    main()
