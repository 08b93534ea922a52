"""The record of sequences → the tables of docs/sequences.md: `python benchmarks/sequences/page.py`.

The judgement, set before the record was made. **Above λ** a VAE is right if none of its latents carries more than 0.01
nats. **Below**, if one does, from a quiet start; it is slow if all are dead, and yet the same VAE from below lives with
a loss, on the sequences that train, that is lower than that of collapse by more than two errors. A VAE that lives above
λ and beats collapse by more than two errors on sequences held out is past the second threshold: still a miss.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from itertools import groupby, product
from pathlib import Path

from record import DECODERS
from sets import SETS

from uncollapse.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "sequences.md"
RESULTS = Path(__file__).parent / "results"
SHARES = ("0.7", "0.85", "0.95", "1.05", "1.2")
N_ERRORS = 2.0

Row = dict[str, str]


def main() -> None:
    """Write them between their marks."""
    rows, perfect = (_read(name) for name in ("sequences.csv", "perfect.csv"))
    rows.sort(key=lambda row: (row["data"], row["decoder"], float(row["share"]), row["start"] != "quiet"))
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("record", part(rows, perfect)), ("examples", names_part(rows))):
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marks.sub(lambda m, table=table: f"{m[1]}\n{table}\n{m[2]}", text)
    write_text(PAGE, text)


def names_part(rows: list[Row]) -> str:
    """Of first names alone: from λ to the VAE, with what it gains over the decoder without latents."""
    heads = ["decoder", "nats without latents", "λ", "β", "latents alive", "KL", "gain held out"]
    lines = [
        [row["decoder"], f"{float(row['nats_held_out']):.4g}", f"{float(row['lambda']):.3g}",
         f"{float(row['beta']):.3g} ({row['share']} λ)", row["alive"], f"{float(row['kl']):.2g}",
         _with_error(row["gain_held_out"], row["gain_held_out_error"])]
        for row in rows if row["data"] == "names" and row["share"] in ("0.7", "1.2") and row["start"] == "quiet"
    ]  # fmt: skip
    return _table(heads, lines) + "\n"


def part(rows: list[Row], perfect: list[Row]) -> str:
    """Two tables, λ and the VAEs, with a line for each decoder of each set; and what holds over all."""
    of_lambda = ["data", "decoder", "nats", "λ", "two halves", "held out", "own Fisher", "λ of data drawn from it"]
    drawn = {_key(row): _with_error(row["lambda"], row["error"]) for row in perfect}
    lambdas = [_lambda(key, next(some), drawn) for key, some in groupby(rows, _key)]
    of_vaes = ["data", "decoder", *(f"KL (alive) at {share} λ" if share == SHARES[0] else share for share in SHARES),
               "gain at .7 λ: by λ", "path", "VAE", "at .85 λ: by λ", "path", "VAE"]  # fmt: skip
    vaes = [_vaes(key, list(some)) for key, some in groupby(rows, _key)]
    return f"{_table(of_lambda, lambdas)}\n\n{_table(of_vaes, vaes)}\n\n{summary(rows, perfect)}\n"


def summary(rows: list[Row], perfect: list[Row]) -> str:
    """How often it is right, and what the misses are."""
    quiet = [row for row in rows if row["start"] == "quiet"]
    one_each = [next(some) for _, some in groupby(rows, _key)]
    again = {(*_key(row), row["share"]): row for row in rows if row["start"] == "below"}
    above = [row for row in quiet if float(row["share"]) > 1]
    living = [row for row in above if _lives(row)]
    past = [row for row in living if _clear(row, "gain_held_out")]
    costly = [row for row in living if row not in past]
    lines = [
        f"{len(rows)} VAEs of {len({row['data'] for row in rows})} sets, {len(one_each)} decoders." + _unmade(one_each),
        f"**Above λ**: no latent lives in {_count(not _lives(row) for row in above)}."
        + _named(past, "Past the second threshold (theory section 11), so that it beats collapse on sequences held out")
        + _named(costly, "A latent carries more than 0.01 nats and does not earn them"),
    ]
    for title, shares in (("At .85 λ and under", ("0.7", "0.85")), ("At .95 λ", ("0.95",))):
        some = [row for row in quiet if row["share"] in shares]
        dead = [row for row in some if not _lives(row)]
        slow = [row for row in dead if _slow(again[*_key(row), row["share"]])]
        missed = [row for row in dead if row not in slow]
        lines.append(
            f"**{title}**: a latent lives in {_count(map(_lives, some))}; {len(slow)} more are slow."
            + _named(missed, "Missed")
        )
    under = [row for row in quiet if float(row["share"]) < 0.9]
    gains = _count(map(_path_gains, under))
    lines.append(
        f"**Paths** of no training gain by more than two errors in {gains} at .85 λ and under: they are a lower limit. "
        f"VAEs gain {_ratios(under)} what λ gives to second order."
    )
    inside = _count(float(row["low"]) <= 1 <= float(row["high"]) for row in perfect)
    kinds = ", ".join(
        f"{kind} {_count(float(row['low']) <= 1 <= float(row['high']) for row in perfect if row['decoder'] == kind)}"
        for kind in sorted({row["decoder"] for row in perfect})
    )
    apart = _rms(
        [(float(row["first_half"]) - float(row["second_half"])) / (2 * float(row["error"])) for row in one_each]
    )
    lines.append(
        f"**Errors of λ**: its two halves lie apart by {apart:.2g} of their errors (root mean square; 1 is due)."
    )
    lines += _beyond()
    lines.append(f"**Perfect decoders** (sequences drawn from the decoder itself): 1 lies in λ's interval in {inside} "
                 f"({kinds}); 95 % is due.")  # fmt: skip
    return "\n\n".join(lines)


def _unmade(made: list[Row]) -> str:
    """Which of the planned decoders have no row."""
    left = sorted(set(product(SETS, DECODERS)) - {_key(row) for row in made})
    names = ", ".join(f"{name} {decoder}" for name, decoder in left)
    return f" Planned, and not made for want of time: {names}." if left else ""


def _beyond() -> list[str]:
    """What was asked once the record was seen; nothing without its files."""
    lines = []
    if (RESULTS / "calm.csv").is_file():
        calm = [row for row in _read("calm.csv") if float(row["share"]) > 1]
        still = "; ".join(f"{row['data']} {row['decoder']}: KL {float(row['kl_max']):.2g}" for row in calm)
        lines.append(f"**At a fifth of the learning rate**, at 1.05 λ, asked once the rest was seen: a latent lives in "
                     f"{_count(_lives(row) for row in calm)} ({still}).")  # fmt: skip
    if (RESULTS / "second.csv").is_file():
        second = "; ".join(
            f"{row['data']} {row['decoder']} {float(row['second']) / float(row['lambda']):.3g} λ"
            for row in _read("second.csv")
        )
        lines.append(f"**The second threshold** of a rare code along one constant, on sequences held out: {second}.")
    return lines


def _rms(values: list[float]) -> float:
    return float((sum(value**2 for value in values) / len(values)) ** 0.5)


def _lambda(key: tuple[str, str], row: Row, drawn: dict[tuple[str, str], str]) -> list[str]:
    halves = f"{float(row['first_half']):.3g}, {float(row['second_half']):.3g}"
    both = [_with_error(row[name], row[error]) for name, error in (("lambda", "error"), ("held_out", "held_out_error"))]
    return [*key, f"{float(row['nats']):.4g}", both[0], halves, both[1], f"{float(row['fisher']):.3g}", drawn[key]]


def _vaes(key: tuple[str, str], rows: list[Row]) -> list[str]:
    by = {row["share"]: row for row in rows if row["start"] == "quiet"}
    again = {row["share"]: row for row in rows if row["start"] == "below"}
    kls = [
        f"{float(by[share]['kl']):.2g} ({by[share]['alive']})" + ("; slow" if _slow(again.get(share)) else "")
        for share in SHARES
    ]
    gains = []
    for share in SHARES[:2]:
        row = by[share]
        gains += [f"{float(row['predicted']):.2g}", _with_error(row["path"], row["path_error"]),
                  _with_error(row["gain"], row["gain_error"])]  # fmt: skip
    return [*key, *kls, *gains]


def _lives(row: Row) -> bool:
    return int(row["alive"]) > 0


def _clear(row: Row, gain: str) -> bool:
    return float(row[gain]) > N_ERRORS * float(row[f"{gain}_error"])


def _slow(again: Row | None) -> bool:
    return again is not None and _lives(again) and _clear(again, "gain")


def _path_gains(row: Row) -> bool:
    return float(row["path"]) > N_ERRORS * float(row["path_error"]) > 0


def _ratios(rows: list[Row]) -> str:
    """The middle half of measured over predicted gains, of VAEs that live."""
    ratios = sorted(float(row["gain"]) / float(row["predicted"]) for row in rows if _lives(row))
    if not ratios:
        return "nothing"
    low, middle, high = (ratios[min(int(at * len(ratios)), len(ratios) - 1)] for at in (0.25, 0.5, 0.75))
    return f"{low:.2g} to {high:.2g} times (quartiles; median {middle:.2g})"


def _named(rows: list[Row], what: str) -> str:
    names = "; ".join(f"{row['data']} {row['decoder']} at {row['share']} λ: KL {float(row['kl']):.2g}, gain held out "
                      f"{_with_error(row['gain_held_out'], row['gain_held_out_error'])}" for row in rows)  # fmt: skip
    return f" {what} ({len(rows)}): {names}." if rows else ""


def _read(name: str) -> list[Row]:
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _table(heads: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines))


def _key(row: Row) -> tuple[str, str]:
    return row["data"], row["decoder"]


def _with_error(value: str, error: str) -> str:
    return f"{float(value):.3g} ± {float(error):.1g}"


def _count(of: Iterable[bool]) -> str:
    values = list(of)
    return f"{sum(values)} of {len(values)}"


if __name__ == "__main__":
    main()
