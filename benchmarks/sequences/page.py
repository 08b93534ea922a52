"""The record of sequences → the tables of docs/sequences.md: `python benchmarks/sequences/page.py`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from uncollapse.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "sequences.md"
RESULTS = Path(__file__).parent / "results" / "sequences.csv"

Row = dict[str, str]


def main() -> None:
    """Write them between their marks."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["data"], row["decoder"], float(row["share"])))
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("record", part(rows)), ("examples", names_part(rows))):
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marks.sub(lambda m, table=table: f"{m[1]}\n{table}\n{m[2]}", text)
    write_text(PAGE, text)


def names_part(rows: list[Row]) -> str:
    """Of first names alone: from λ to the VAE, with what it gains over the decoder without latents."""
    heads = ["decoder", "nats without latents", "λ", "β", "latents alive", "KL", "loss", "loss if collapsed"]
    lines = [
        [row["decoder"], f"{float(row['nats']):.4g}", f"{float(row['lambda']):.3g}",
         f"{float(row['beta']):.3g} ({row['share']} λ)", row["alive"], f"{float(row['kl']):.2g}",
         f"{float(row['loss']):.5g}", f"{float(row['nats']):.5g}"]
        for row in rows if row["data"] == "names" and row["share"] in ("0.7", "1.2")
    ]  # fmt: skip
    return _table(heads, lines) + "\n"


def part(rows: list[Row]) -> str:
    """A line for each decoder of each set, and what holds over all."""
    heads = ["data", "decoder", "nats", "λ", "held out", "own Fisher", "gain of a path at .7 λ", ".85", ".95",
             "trained: KL (alive) at .7 λ", ".85", "1.05", "1.2"]  # fmt: skip
    lines = [_line(key, {row["share"]: row for row in some}) for key, some in groupby(rows, _key)]
    return f"{_table(heads, lines)}\n\n{_summary(rows)}\n"


def _table(heads: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines))


def _key(row: Row) -> tuple[str, str]:
    return row["data"], row["decoder"]


def _line(key: tuple[str, str], by: dict[str, Row]) -> list[str]:
    one = by["0.7"]
    paths = [_with_error(by[share]["path"], by[share]["path_error"]) for share in ("0.7", "0.85", "0.95")]
    trained = [f"{float(by[share]['kl']):.2g} ({by[share]['alive']})" for share in ("0.7", "0.85", "1.05", "1.2")]
    both = [_with_error(one[name], one[error]) for name, error in (("lambda", "error"), ("held_out", "held_out_error"))]
    return [*key, f"{float(one['nats']):.4g}", *both, f"{float(one['fisher']):.3g}", *paths, *trained]


def _with_error(value: str, error: str) -> str:
    return f"{float(value):.3g} ± {float(error):.1g}"


def _summary(rows: list[Row]) -> str:
    below = [row for row in rows if float(row["share"]) < 0.9]
    near = [row for row in rows if row["share"] == "0.95"]
    trained = [row for row in rows if row["alive"]]
    above = [row for row in trained if float(row["share"]) > 1]
    living = [row for row in below if int(row["alive"]) > 0]
    slow = [row for row in below if int(row["alive"]) == 0 and _gains(row)]
    neither = [row for row in below if int(row["alive"]) == 0 and not _gains(row)]
    beating = [row for row in above if int(row["alive"]) > 0 and float(row["loss"]) < float(row["nats"])]
    return (
        f"{len(trained)} VAEs. **Above λ**: no latent lives in {_count(int(row['alive']) == 0 for row in above)}; in "
        f"{len(beating)} of the others the VAE beats collapse, though collapse is stable there: the second "
        "threshold (theory section 11). "
        f"**At .85 λ and under**: a latent lives after training in {len(living)} of {len(below)}; in {len(slow)} more "
        "training was too slow, and a path of no training gains, which proves that collapse is not best; in "
        f"{len(neither)} neither was seen. Paths gain by more than two errors in {_count(map(_gains, below))} at .85 λ "
        f"and under, and in {_count(map(_gains, near))} at .95 λ."
    )


def _gains(row: Row) -> bool:
    return float(row["path"]) > 2 * float(row["path_error"]) > 0


def _count(of: Iterable[bool]) -> str:
    values = list(of)
    return f"{sum(values)} of {len(values)}"


if __name__ == "__main__":
    main()
