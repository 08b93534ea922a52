"""The record of strangers' models → docs/strangers.md: `python benchmarks/strangers/page.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from uncollapse.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "strangers.md"
RESULTS = Path(__file__).parent / "results" / "strangers.json"

AT_FIRST = RESULTS.parent / "at_first.json"
"""What was said of the models held back when they were first run, kept as it was."""

PARTS = ("built on", "held back", "later")

Row = dict[str, Any]


def main() -> None:
    """Write the tables between their marks."""
    rows, first = (json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS, AT_FIRST))
    seen, held_back, later = ([row for row in rows if row["part"] == part] for part in PARTS)
    parts = {"summary": summary(rows, seen, first), "record": table(seen), "inferred": inferred(seen),
             "held back": table(held_back, first), "later": table(later, first), "misses": misses(rows)}  # fmt: skip
    text = PAGE.read_text(encoding="utf-8")
    for name, part in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marks.sub(lambda m, part=part: f"{m[1]}\n{part}\n\n{m[2]}", text)
    write_text(PAGE, text)


def summary(rows: list[Row], seen: list[Row], first: dict[str, Row]) -> str:
    """How many are right, and how long one takes."""
    seconds = [row["seconds"] for row in rows]
    refused = [row for row in seen if row["right"] and not row["cause"]]
    right = (
        f"**All that was inferred is right in {_read(seen)} of {len(seen)}, the cause as well in {_right(seen)}**; "
        f"{len(refused)} of these are refused for the true reason."
    )
    at_once, now = sum(row["right"] for row in first.values()), _right(rows) - _right(seen)
    more = (
        f"Of {len(first)} more, which were held back, {at_once} were right when they were first run, and {now} after "
        f"the repairs that the others asked for."
    )
    times = f"One command takes {median(seconds):.0f} seconds in the middle, {min(seconds):.0f} to {max(seconds):.0f}."
    return f"{right} {more} {times}"


def _read(rows: list[Row]) -> int:
    """Those of which all but the cause agrees."""
    return sum(all(ok for name, ok in row["checks"].items() if name != "cause") for row in rows)


def _right(rows: list[Row]) -> int:
    return sum(row["right"] for row in rows)


def table(rows: list[Row], first: dict[str, Row] | None = None) -> str:
    """A line a model; with what was said at first, where that is given."""
    heads = ["model", "planted", *(["at first"] if first else []), "verdict", "alive", "checks that agree", "seconds",
             "right"]  # fmt: skip
    lines = [
        [f"{row['kind']} (`{row['file']}.py`)", row["planted"], *([_at_first(first[row["file"]])] if first else []),
         _verdict(row), _alive(row), _agree(row), f"{row['seconds']:.0f}", "yes" if row["right"] else "**no**"]
        for row in rows
    ]  # fmt: skip
    shown = ([cell.replace("|", "\\|") for cell in cells] for cells in lines)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *shown))


def _at_first(row: Row) -> str:
    return "right" if row["right"] else f"**{_verdict(row)}**"


def _verdict(row: Row) -> str:
    if not row["cause"]:
        return "refused"
    return row["cause"] if row["confidence"] == "high" else f"{row['cause']}, low confidence"


def _alive(row: Row) -> str:
    return f"{row['n_alive']} of {row['n_latents']}" if row["cause"] else ""


def _agree(row: Row) -> str:
    checks = row["checks"]
    failed = [name for name, ok in checks.items() if not ok]
    return f"{len(checks) - len(failed)} of {len(checks)}" + (f"; not {', '.join(failed)}" if failed else "")


def inferred(rows: list[Row]) -> str:
    """The command of each, and what was inferred."""
    blocks = []
    for row in rows:
        lines = [f"**{row['kind']}**", "", "```text", row["command"], "```", ""]
        lines += [f"* {one['what']}: {_code(one['value'])} ({one['reason']})" for one in row["inferred"]]
        lines += [f"* refused: {row['line']}"] if not row["cause"] else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _code(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "&lt;")


def misses(rows: list[Row]) -> str:
    """Each that is not right, and what was wrong."""
    return "\n".join(_misses(rows)) or "None."


def _misses(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        if not row["right"]:
            failed = ", ".join(name for name, ok in row["checks"].items() if not ok)
            said = row["cause"] or row["line"]
            wanted = ", ".join(row["wanted"]) or "a refusal"
            yield f"* {row['kind']}: {failed}. Planted: {row['planted']}; wanted: {wanted}; said: {said}."


if __name__ == "__main__":
    main()
