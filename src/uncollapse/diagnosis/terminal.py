"""A diagnosis on the terminal: the verdict, why, what to change, each latent, and the residual."""

from __future__ import annotations

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from uncollapse.bill.terminal import bill_table
from uncollapse.diagnosis import words
from uncollapse.diagnosis.result import Cause, Diagnosis
from uncollapse.diagnosis.tables import latent_headings, latents
from uncollapse.showing.terminal import bars, n_bars, plain_table, printed, shown

__all__ = ["diagnosis_text", "render_diagnosis"]

WELL: tuple[Cause, ...] = ("healthy", "rightly-dead")
UNSURE: tuple[Cause, ...] = ("cannot-tell", "other-data", "other-loss")
N_EVIDENCE, N_REMEDIES, N_ERRORS = 3, 3, 2.0


def diagnosis_text(d: Diagnosis, width: int) -> str:
    """What `render_diagnosis` prints, as text."""
    return printed(width, lambda console: render_diagnosis(d, "data", console))


def render_diagnosis(d: Diagnosis, source: str, console: Console) -> None:
    """Print everything, no line wider than the console."""
    color = "green" if d.cause in WELL else "yellow" if d.cause in UNSURE else "red"
    console.print(_line(d.verdict, f"bold {color}"))
    console.print(_line(words.finding(d)))
    for item in d.evidence[:N_EVIDENCE]:
        console.print(_indented("· ", item.text))
    for remedy in d.remedies[:N_REMEDIES]:
        console.print(_indented("→ ", remedy.change + words.promise(remedy), style="bold"))
        console.print(_indented("  ", remedy.why, style="dim"))
    for trial in d.trials:
        console.print(_line(words.about_trial(trial), "bold"))
    if d.bill.lines:
        console.print(_line(words.about_bill(d)))
        console.print(bill_table(d.bill))
    console.print(_latents(d))
    console.print(Padding(_residual(d, n_bars(console.width)), (0, 0, 1, 0)))
    for line in (words.facts(d, source), *words.reading(d), *(f"Note: {note}" for note in d.notes)):
        console.print(_line(line.removesuffix(".") + ".", "dim"))


def _line(text: str, style: str = "") -> Text:
    return Text(words.readable(text), style=style)


def _indented(mark: str, text: str, style: str = "") -> Table:
    row = Table.grid()
    row.add_column(width=len(mark), no_wrap=True)
    row.add_column()
    row.add_row(Text(mark), _line(text, style))
    return row


def _latents(d: Diagnosis) -> Table:
    rows, n_levels = latents(d), len(d.measurement.level_kl)
    headings = latent_headings(n_levels)
    cells = [["⋮"] * len(headings) if i is None else rows[i].cells(n_levels) for i in shown(len(rows), d.n_alive)]
    return plain_table(headings, cells, words=("state",))


def _residual(d: Diagnosis, most: int) -> Group:
    """Held-out strengths of what the reconstruction misses; red where a latent is due, beyond sampling error."""
    r, water = d.decoder.residual, d.residual_water_level
    index = slice(0, most)
    due = (r.held_out - N_ERRORS * r.errors > water)[index]
    label = ("τ" if d.forecast.exact else "β") + f" = {water:.4g}"
    drawn = bars(r.held_out[index], water, due, label=label, axis="direction 1", color="red")
    return Group(Text("What the reconstruction misses, direction by direction, against the water level:"), drawn)
