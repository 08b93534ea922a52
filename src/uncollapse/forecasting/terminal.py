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

from uncollapse.forecasting import words
from uncollapse.forecasting.intervals import Intervals
from uncollapse.forecasting.level_words import LEVEL_HEADINGS, level_rows
from uncollapse.forecasting.result import Forecast
from uncollapse.showing.terminal import bars, n_bars, plain_table, printed, shown

__all__ = ["forecast_text", "render"]


def forecast_text(forecast: Forecast, width: int) -> str:
    """What `render` prints, as text."""
    return printed(width, lambda console: render(forecast, None, "data", console))


def render(
    forecast: Forecast,
    intervals: Intervals | None,
    name: str,
    console: Console,
    *,
    sentences: Sequence[str] = (),
    tables: Sequence[Table] = (),
) -> None:
    """Print everything, no line wider than the console.

    Parameters
    ----------
    forecast : Forecast
    intervals : Intervals or None
    name : str
        What the data are called.
    console : Console
    sentences, tables : sequences
        Further results, to stand after the advice.
    """
    s = forecast.spectrum
    color = {"alive": "green", "partial": "yellow"}.get(forecast.status, "red")
    console.print(Text(words.verdict(forecast, intervals), style=f"bold {color}"))
    for line in [*words.advice(forecast), *sentences]:
        console.print(Text("→ " + line))
    for table in tables:
        console.print(table)
    if forecast.levels:
        console.print(plain_table(LEVEL_HEADINGS, level_rows(forecast)))
    if s.rank:
        console.print(Padding(_drawing(forecast, n_bars(console.width)), (1, 0, 0, 0)))
        console.print(_table(forecast, intervals))
    console.print(Text(_facts(forecast, name), style="dim"))
    for line in words.caveats(forecast):
        console.print(Text(line, style="dim"))


def _facts(f: Forecast, name: str) -> str:
    s = f.spectrum
    target = "" if s.target_is_input else f" → {s.n_targets} targets, residual energy {s.residual_energy:.4g}"
    parts = [f"{name}: {s.n_samples:,} × {s.n_features:,}{target}", f"total energy {s.total_energy:.4g}"]
    if f.exact:
        parts.append(f"KL {f.rate:.4g} nats, distortion {f.distortion:.4g}")
    if math.isfinite(f.loss):
        parts.append(f"loss {f.loss:.6g}, ELBO {f.elbo:.6g} nats per sample")
    if f.objective.decoder_variance == "learned":
        parts.append(f"decoder variance {f.decoder_variance:.4g}")
    return "; ".join(parts) + "."


def _table(f: Forecast, intervals: Intervals | None) -> Table:
    s, m = f.spectrum, f.modes
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    rows = shown(s.rank, f.n_alive)
    near = None if intervals is None else intervals.critical_betas
    headings = ["mode", "strength", "critical β"]
    headings += [f"{intervals.confidence:.0%} interval"] if intervals is not None else []
    for heading in [*headings, "KL, nats", "σ" if s.condition is None else "explained", ""]:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for i in rows:
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


def _drawing(f: Forecast, most: int) -> Group:
    """Strengths as bars, the water level through them."""
    n_drawn = f.spectrum.rank if f.objective.n_latents is None else min(f.spectrum.rank, max(3 * f.n_usable, most // 2))
    index = np.unique(np.linspace(0, n_drawn - 1, min(n_drawn, most)).round().astype(int))
    room = len(index) - len("mode 1")
    axis = (
        f"mode 1{n_drawn:>{room}}" if room > len(str(n_drawn)) else f"modes 1 to {n_drawn}" if n_drawn > 1 else "mode 1"
    )
    label = words.water(f).split(" (")[0]
    return bars(f.critical_levels[index], f.water_level, f.modes.alive[index], label=label, axis=axis)
