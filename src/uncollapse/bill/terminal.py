"""A bill on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from uncollapse.bill.line import Bill
from uncollapse.showing.noun import number

__all__ = ["HEADINGS", "bill_rows", "bill_table"]

HEADINGS = ("nats to gain", "error", "the better model")


def bill_rows(bill: Bill) -> list[tuple[str, str, str]]:
    """Under `HEADINGS`, the largest gain first."""
    return [(number(line.gain), f"± {line.error:.2g}", line.better_model) for line in bill.lines]


def bill_table(bill: Bill) -> Table:
    """Long names of models go on below."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        last = heading == HEADINGS[-1]
        table.add_column(Text(heading), justify="left" if last else "right", no_wrap=not last)
    for row in bill_rows(bill):
        table.add_row(*map(Text, row))
    return table
