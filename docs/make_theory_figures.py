"""Draw docs/figures/hierarchy.png and measure the table of docs/hierarchy.md: `make theory-figures`. Needs Chromium."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from photograph import photograph
from plotly.subplots import make_subplots

from uncollapse import Level, certify, forecast, spectrum
from uncollapse.data.sources import open_source
from uncollapse.theory.taut_string import concave_majorant

PAGE = Path(__file__).parent / "hierarchy.md"
ALIVE, COLLAPSED, WATER = "#00897b", "#9e9e9e", "#1565c0"
CASES = {
    "two levels, both learned, β2 > β1": lambda rng: (Level(1.0, n_latents=3), Level(1 + rng.random(), n_latents=2)),
    "two levels, both learned, β2 = β1": lambda rng: (Level(1.3, n_latents=3), Level(1.3, n_latents=3)),
    "two levels, fixed then learned": lambda rng: (Level(1.0, rng.uniform(0.1, 1.5), 3), Level(rng.uniform(0.3, 2.0))),
    "two levels, both fixed": lambda rng: (Level(1.0, rng.uniform(0.1, 1.5), 3), Level(0.5, rng.uniform(0.1, 1.5), 3)),
    "three levels, all learned, weights rising": lambda rng: (Level(0.5, n_latents=3), Level(0.8), Level(1.4)),
    "three levels, all fixed": lambda rng: tuple(
        Level(np.exp(rng.uniform(-1, 1)), rng.uniform(0.1, 1.5), 3) for _ in range(3)
    ),
    "three levels, learned, fixed, learned": lambda rng: (Level(0.6, n_latents=3), Level(0.3, 0.4), Level(0.9)),
    "four levels, fixed and learned in turn": lambda rng: (
        Level(1.0, rng.uniform(0.1, 1.0), 3),
        Level(0.7),
        Level(0.4, rng.uniform(0.1, 1.0)),
        Level(0.9),
    ),
}


def main() -> None:
    """Draw, measure, and put the table into the page."""
    photograph({"hierarchy": picture()}, scale=1.5)
    if "--picture" in sys.argv:
        return
    text = PAGE.read_text("utf-8")
    table = "\n".join(evidence())
    text = re.sub(r"(<!-- evidence -->\n).*?(<!-- /evidence -->)", rf"\g<1>\n{table}\n\n\g<2>", text, flags=re.DOTALL)
    PAGE.write_text(text, "utf-8")


def evidence(n_instances: int = 25, n_starts: int = 4) -> list[str]:
    """Rows of a Markdown table: smallest and largest relative gap of each case."""
    rows = ["| model | instances | starts | smallest gap | largest gap |", "|---|---|---|---|---|"]
    for case, levels in CASES.items():
        rng, gaps = np.random.default_rng(0), []
        for i in range(n_instances):
            data = rng.standard_normal((30, 3)) * np.exp(rng.uniform(-1, 1, 3))
            f = forecast(data, levels=levels(rng), decoder_variance=rng.uniform(0.2, 1.5), prior_variance=1.5)
            gaps.append(certify(f, n_starts=n_starts, seed=i).gap)
        rows.append(f"| {case} | {n_instances} | {n_starts} | {min(gaps):.1e} | {max(gaps):.1e} |")
    return rows


def picture() -> go.Figure:
    """String, sweep and scale of level 1, side by side."""
    titles = ("One mode's string", "Digits: latents that carry data", "Both variances learned")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.07)
    _string(figure)
    _sweep(figure)
    _scale(figure)
    return figure.update_layout(
        template="plotly_white", width=1250, height=400, margin={"l": 60, "r": 20, "t": 50, "b": 50}, font={"size": 13}
    )


def _string(figure: go.Figure) -> None:
    points = np.array([1.2, 0.1, 1.6, 0.2, -0.9])
    names = ["data", "level 1", "level 2", "level 3", "prior"]
    hull = concave_majorant(points)
    where = np.arange(5)
    alive = hull > points + 1e-9
    figure.add_scatter(x=where, y=hull, mode="lines", line={"color": WATER}, row=1, col=1, showlegend=False)
    colors = [ALIVE if one else COLLAPSED for one in alive[1:4]]
    marker = {"size": 11, "color": ["black", *colors, "black"], "symbol": ["square", *["circle"] * 3, "square"]}
    figure.add_scatter(x=where, y=points, mode="markers", marker=marker, row=1, col=1, showlegend=False)
    for i, says in ((1, "alive"), (2, "dead"), (3, "alive")):
        figure.add_annotation(x=i, y=points[i], text=says, showarrow=False, yshift=-16, row=1, col=1)
    figure.update_xaxes(tickvals=where, ticktext=names, row=1, col=1)
    figure.update_yaxes(title="log t − C", row=1, col=1)


def _sweep(figure: go.Figure) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = spectrum(open_source("digits"))
    levels = (Level(1.0, 4.0), Level(0.5, 0.5), Level(0.5, 0.5))
    betas = np.geomspace(0.2, 300, 150)
    forecasts = [forecast(s, levels=levels, n_latents=20, decoder_variance=10.0, beta=beta).levels for beta in betas]
    for i, (color, dash) in enumerate([(ALIVE, "solid"), (WATER, "dot"), ("#ef6c00", "solid")]):
        counts = [int(levels_[i].carries_data.sum()) for levels_ in forecasts]
        line = {"color": color, "shape": "hv", "dash": dash}
        figure.add_scatter(x=betas, y=counts, mode="lines", line=line, name=f"level {i + 1}", row=1, col=2)
    figure.update_xaxes(type="log", title="overall β", row=1, col=2)
    figure.update_layout(legend={"x": 0.37, "y": 0.05, "yanchor": "bottom"})


def _scale(figure: go.Figure) -> None:
    """Loss of one mode at its best ρ₁ against the variance t of level 1: g(t) of the proof."""
    eta2, t = 1.0, np.geomspace(0.05, 100, 300)
    for beta2, color, name in ((1.5, ALIVE, "β2 > β1"), (1.0, COLLAPSED, "β2 = β1"), (0.5, "#c62828", "β2 < β1")):
        kappa = beta2 * eta2
        above = beta2 / 2 * (1 + np.log(t / kappa))
        g = np.where(t <= kappa, t / (2 * eta2), above) - 0.5 * np.log(t)
        figure.add_scatter(x=t, y=g, mode="lines", line={"color": color}, name=name, row=1, col=3, showlegend=False)
        figure.add_annotation(x=2, y=g[-1], text=name, showarrow=False, xanchor="right", yshift=18, row=1, col=3)
    figure.update_xaxes(type="log", title="variance t of level 1", row=1, col=3)
    figure.update_yaxes(title="loss, nats", row=1, col=3)


if __name__ == "__main__":
    main()
