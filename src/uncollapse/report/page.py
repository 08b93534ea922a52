"""The report: one HTML file that holds everything it needs and opens offline."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from uncollapse import __version__
from uncollapse.forecasting import pictures as figures
from uncollapse.forecasting import words
from uncollapse.forecasting.intervals import Intervals
from uncollapse.forecasting.level_words import LEVEL_HEADINGS, level_rows
from uncollapse.forecasting.recommend import HEADINGS as RECOMMENDED
from uncollapse.forecasting.recommend import recommended_rows
from uncollapse.forecasting.result import Forecast
from uncollapse.report.extras import Extras
from uncollapse.showing.colours import COLOURS
from uncollapse.showing.figure import Figure
from uncollapse.showing.with_plotly import plotly_figure

if TYPE_CHECKING:
    from uncollapse.piloting.result import Pilot

__all__ = ["TABLE_ROWS", "forecast_context", "page", "plain_figures", "rendered"]

TABLE_ROWS = 60


def page(
    forecast: Forecast, intervals: Intervals | None, source: str, notes: list[str], extras: Extras | None = None
) -> str:
    """The whole report as HTML text; every text from outside is escaped.

    Parameters
    ----------
    forecast : Forecast
    intervals : Intervals or None
    source : str
        What the data were called.
    notes : list of str
        Warnings that came up on the way.
    extras : Extras, optional
        Further results.
    """
    return rendered("page.html.j2", **forecast_context(forecast, intervals, source, notes, extras))


def rendered(template: str, **context: Any) -> str:
    """A template of this folder as HTML, with the plotting script in it."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    load = FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8"))
    environment = Environment(
        loader=load, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = files(__package__).joinpath("plotly/plotly-basic.min.js").read_text("utf-8")  # a quarter of the whole
    return environment.get_template(template).render(plotly=script, version=__version__, **context)


def forecast_context(
    forecast: Forecast, intervals: Intervals | None, source: str, notes: list[str], extras: Extras | None = None
) -> dict[str, Any]:
    """What `forecast.html.j2` shows."""
    extras = extras or Extras()
    facts = {"condition": None, **forecast.to_dict()}
    return {
        "source": source,
        "verdict": words.verdict(forecast, intervals),
        "advice": [*words.advice(forecast), *extras.sentences(forecast)],
        "caveats": words.caveats(forecast),
        "notes": notes,
        "facts": facts,
        "modes": facts["modes"][:TABLE_ROWS],
        "levels": level_rows(forecast),
        "intervals": [] if intervals is None else intervals.critical_betas[:TABLE_ROWS].tolist(),
        "level": None if intervals is None else f"{intervals.confidence:.0%}",
        "settings": _settings(forecast, source),
        "recommended": recommended_rows(extras.settings),
        "recommended_headings": RECOMMENDED,
        **_pilot_table(extras.pilot),
        "level_headings": LEVEL_HEADINGS,
        "data": _data(forecast, extras.pilot),
    }


def _settings(f: Forecast, source: str) -> list[tuple[str, str]]:
    s, o = f.spectrum, f.objective
    shape = f"{s.n_samples:,} samples × {s.n_features:,} features"
    rows = [("data", f"{source}: {shape}" + ("" if s.target_is_input else f" → {s.n_targets:,} targets"))]
    rows += [("total energy", f"{s.total_energy:.6g}")]
    rows += [] if s.target_is_input else [("residual energy", f"{s.residual_energy:.6g}")]
    if s.condition:
        rows += [("condition", f"{s.condition.n_columns:,} columns, {s.condition.rank:,} independent")]
        rows += [("total energy without it", f"{s.condition.energy:.6g}")]
    rows += [("decoder", s.likelihood), ("β", f"{o.beta:.6g}")]
    if f.exact:
        learned = " (learned)" if o.decoder_variance == "learned" else ""
        rows += [("decoder variance η²", f"{f.decoder_variance:.6g}{learned}")]
    rows += [("water level τ", f"{f.water_level:.6g}"), ("prior variance", f"{o.prior_variance:.6g}")]
    widths = ", ".join(str(level.variance) for level in o.levels) or str(o.encoder_variance)
    rows += [("encoder variance", widths), ("latents", str(o.n_latents or "one per mode"))]
    rows += [("β of each level", ", ".join(f"{level.beta:g}" for level in o.levels))] if o.levels else []
    rows += [("biases", "yes" if o.bias else "no")]
    if o.loss:
        rows += [
            (
                "loss as written",
                ", ".join(f"{key} {value}" for key, value in o.loss.to_dict().items() if value is not None),
            )
        ]
    if math.isfinite(f.loss):
        rows += [("loss, nats per sample", f"{f.loss:.6g}"), ("ELBO, nats per sample", f"{f.elbo:.6g}")]
    return rows


def _pilot_table(pilot: Pilot | None) -> dict[str, Any]:
    """The pilot's table; `uncollapse.training` needs PyTorch, so it is imported only where a pilot was run."""
    if pilot is None:
        return {"pilot": None, "pilot_headings": ()}
    from uncollapse.piloting.words import HEADINGS, pilot_rows

    return {"pilot": pilot_rows(pilot), "pilot_headings": HEADINGS}


def _data(f: Forecast, pilot: Pilot | None) -> dict[str, Any]:
    """What the page's script draws and looks up; it computes nothing itself."""
    betas = figures.beta_grid(f)
    totals = f.curves(betas)
    grid = {
        "beta": betas.tolist(),
        "n_alive": totals.n_alive.tolist(),
        "water_level": totals.water_level.tolist(),
        "rate": [value if f.exact and math.isfinite(value) else None for value in totals.rate.tolist()],
        "distortion": totals.distortion.tolist() if f.exact else [None] * len(betas),
    }
    own_weight = f.objective.loss is not None
    if f.objective.loss is not None:
        grid["kl_weight"] = (betas / f.objective.beta * f.objective.loss.kl_weight).tolist()
    drawn = {
        "spectrum": figures.spectrum_figure(f),
        "alive": figures.alive_figure(f),
        "tradeoff": figures.rate_distortion_figure(f),
    }
    if pilot is not None:
        from uncollapse.piloting.pictures import pilot_figure

        drawn["pilot"] = pilot_figure(pilot)
    return {
        "grid": grid,
        "start": betas.tolist().index(f.objective.beta),
        "weight": "kl_weight" if own_weight else "beta",
        "weight_name": "kl_weight" if own_weight else "β",
        "n_latents": f.n_latents,
        "exact": f.exact,
        "colors": [COLOURS["alive"], COLOURS["collapsed"]],
        "figures": plain_figures(drawn),
    }


def plain_figures(figures: dict[str, Figure]) -> dict[str, Any]:
    """Figures by the id of the element that holds them, as the plain values that Plotly's script draws."""
    return {name: json.loads(plotly_figure(figure).to_json()) for name, figure in figures.items()}
