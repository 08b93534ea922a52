"""A forecast on the terminal: the verdict, a small table, and the spectrum against the water level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from uncollapse.bootstrap import Intervals
from uncollapse.forecast import Forecast
from uncollapse.report import words
from uncollapse.report.levels import level_rows

__all__ = ["render"]

HEIGHT, WIDTH = 10, 56
EIGHTHS = " ▁▂▃▄▅▆▇█"


def render(
    forecast: Forecast, intervals: Intervals | None, name: str, console: Console, also: Sequence[str] = ()
) -> None:
    """Print everything, widest line 80 columns; `also` are further findings, each a sentence."""
    s = forecast.spectrum
    color = {"alive": "green", "partial": "yellow"}.get(forecast.status, "red")
    console.print(Text(words.verdict(forecast, intervals), style=f"bold {color}"))
    for line in [*words.advice(forecast), *also]:
        console.print(Text("→ " + line))
    if forecast.levels:
        console.print(_levels(forecast))
    if s.rank:
        console.print(Padding(_drawing(forecast), (1, 0, 0, 0)))
        console.print(_table(forecast, intervals))
    console.print(Text(_facts(forecast, name), style="dim"))
    for line in words.caveats(forecast):
        console.print(Text(line, style="dim"))


def _levels(f: Forecast) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for heading in ("level", "β", "variance", "latents", "alive", "KL, nats"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in level_rows(f):
        table.add_row(*row)
    return table


def _facts(f: Forecast, name: str) -> str:
    s = f.spectrum
    target = "" if s.target_is_input else f" → {s.n_targets} targets, residual energy {s.residual_energy:.4g}"
    parts = [f"{name}: {s.n_samples:,} × {s.n_features:,}{target}", f"total energy {s.total_energy:.4g}"]
    parts.append(f"KL {f.rate:.4g} nats, distortion {f.distortion:.4g}")
    if math.isfinite(f.loss):
        parts.append(f"loss {f.loss:.6g}, ELBO {f.elbo:.6g} nats per sample")
    if f.objective.decoder_variance == "learned":
        parts.append(f"decoder variance {f.decoder_variance:.4g}")
    return "; ".join(parts) + "."


def _table(f: Forecast, intervals: Intervals | None) -> Table:
    s, m = f.spectrum, f.modes
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    shown = _shown(s.rank, f.n_alive)
    near = None if intervals is None else intervals.critical_betas
    headings = ["mode", "strength", "critical β"]
    headings += [f"{intervals.level:.0%} interval"] if intervals is not None else []
    for heading in [*headings, "KL, nats", "σ" if s.condition is None else "explained", ""]:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for i in shown:
        if i is None:
            table.add_row(*["⋮"] * (len(headings) + 2))
            continue
        cells = [str(i + 1), f"{s.strengths[i]:.4g}", f"{f.critical_betas[i]:.4g}"]
        if near is not None:
            cells.append(f"{near[i][0]:.3g} – {near[i][1]:.3g}" if i < len(near) else "")
        last = "" if math.isnan(m.encoder_std[i]) else f"{m.encoder_std[i]:.3g}"
        if s.condition:
            last = f"{s.condition.explained[i]:.0%}"
        cells += [f"{m.kl[i]:.3g}", last, _state(f, i)]
        table.add_row(*cells, style=None if m.alive[i] else "dim")
    return table


def _state(f: Forecast, i: int) -> str:
    if f.modes.alive[i]:
        return "alive" if f.spectrum.above_noise[i] else "codes noise"
    return "collapsed" if i < f.n_usable else "no latent"


def _shown(n: int, n_alive: int) -> list[int | None]:
    """The first modes, those at the water's edge and the last, with gaps marked by None."""
    wanted = sorted({i for i in (0, 1, 2, n_alive - 2, n_alive - 1, n_alive, n_alive + 1, n - 1) if 0 <= i < n})
    shown: list[int | None] = []
    for i in wanted:
        if shown and shown[-1] is not None and i > shown[-1] + 1:
            shown.append(None)
        shown.append(i)
    return shown


def _drawing(f: Forecast) -> Group:
    """Strengths as bars on a logarithmic scale, the water level as a line through them."""
    n_drawn = f.spectrum.rank if f.objective.n_latents is None else min(f.spectrum.rank, max(3 * f.n_usable, 28))
    index = np.unique(np.linspace(0, n_drawn - 1, min(n_drawn, WIDTH)).round().astype(int))
    levels, water = f.critical_levels[index], f.water_level
    known = np.append(levels, water) if water > 0 else levels
    top = math.log10(known.max())
    bottom = max(math.log10(known.min()), top - 4) - 0.15

    def height(level: float) -> float:
        fraction = (math.log10(level) - bottom) / (top - bottom) if level > 0 else 0.0
        return HEIGHT * min(max(fraction, 0.01), 1.0)

    surface = min(math.ceil(height(water)), HEIGHT) - 1 if water > 0 else -1
    lines = []
    for row in reversed(range(HEIGHT)):
        label = words.water(f).split(" (")[0] if row == surface else f"{10**top:.4g}" if row == HEIGHT - 1 else ""
        line = Text(f"{label:>12} ", style="cyan" if row == surface else "dim")
        for position, level in zip(index, levels, strict=True):
            _draw_cell(line, f, int(position), height(level) - row, row == surface)
        if row == surface:
            line.append("~ water", style="cyan")
        lines.append(line)
    width = max(len(index) - len("mode 1"), 1)
    axis = f"mode 1{n_drawn:>{width}}" if n_drawn > 1 else "mode 1"
    return Group(*lines, Text(" " * 13 + axis, style="dim"))


def _draw_cell(line: Text, f: Forecast, mode: int, bar: float, is_surface: bool) -> None:
    filled = EIGHTHS[round(8 * min(max(bar, 0.0), 1.0))]
    alive = bool(f.modes.alive[mode])
    if filled == " ":
        line.append("~" if is_surface else " ", style="cyan")
    elif alive:
        line.append(filled, style="green")
    else:
        line.append("▒" if filled == "█" else filled, style="bright_black")
