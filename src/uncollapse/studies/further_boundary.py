"""What the summary of Dang et al. asks to be tried next: the whole collapse boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.objective import Objective
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.result import Spectrum
from uncollapse.studies.dang_common import (
    LOSS_TOLERANCE,
    Pair,
    canvas,
    carried,
    gap,
    n_carrying,
    n_modes_carried,
    pairs,
    theory_count,
)
from uncollapse.studies.further import exact, gaussian
from uncollapse.studies.study import Request, Result, Verdict, judged
from uncollapse.training import Network, Schedule, Setup, Training
from uncollapse.training.config import Activation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["boundary", "judge_boundary"]

TOLERANCE = 0.05
"""How near, relatively, complete collapse of a nonlinear model must come to the predicted β."""

KINDS: tuple[tuple[Activation, str], ...] = (("relu", "constant β"), ("relu", "from below"), ("tanh", "constant β"))
"""Activation, and how β comes: at once, or from half its value. Units of tanh do not die."""

LINEAR = "linear, σ² fixed"
NAMES = {"relu": "ReLU", "tanh": "tanh"}
EVALUATIONS = 8
"""Draws of z per row for the loss: near the threshold hundredths of a nat are asked for."""


def boundary(request: Request) -> Result:
    """Map of complete collapse over β and the encoder variance: fixed values, and starts of a learned one."""
    x = gaussian(2000, 5)
    n_beta, n_width = request.pick((6, 4), (14, 9), (40, 25))
    widths, betas = np.geomspace(0.1, 4.0, n_width), np.geomspace(0.7, 90.0, n_beta)
    fixed = exact(request.pick(600, 2000, 20000), 2e-2)
    setups = [Setup(Objective(beta=b, n_latents=5, encoder_variance=w), training=fixed) for w in widths for b in betas]
    linear = pairs(setups, x)
    alive = np.array([n_modes_carried(p, x) for p in linear])
    data = spectrum(x)
    training = _training(request)
    learned = _learned_starts(request, training, x, float(data.strengths[0]))
    rows = [*_thresholds(data), *learned, *_linear_rows(linear, alive)]
    settings = {
        "preset": request.preset, "data": "2,000 Gaussian rows, variances 6 … 0.5 in 5 columns, seed 0",
        "convention": "E‖y − ŷ‖²/2 + β KL, η = η_e = 1 but where the start is varied",
        "linear": "analytic estimator, Adam 2e-2", "steps": fixed.epochs * 100,
        "networks": "hidden 8, σ² a function of x, sampled, Adam, the rate to 0 over the last half",
        "epochs": training.epochs, "batch": training.batch_size, "learning rate": training.learning_rate,
        "from below": "β from half its value over the first two fifths of the epochs",
        "start": "the network starts at σ² = 1; a prior variance η_e² sets its start relative to the prior (the "
        "weights' start moves with it)", "seeds": [0],
    }  # fmt: skip
    return Result(rows, _figure(linear, alive, widths, betas, learned), settings, *judge_boundary(rows, data))


def judge_boundary(rows: list[dict[str, Any]], data: Spectrum) -> tuple[Verdict, str]:
    """The linear map as in theory, and complete collapse of every network near its β from every start."""
    linear = [r for r in rows if r["model"] == LINEAR]
    learned = [r for r in rows if r["model"].partition(",")[0] in NAMES.values()]
    edges = _edges(learned, float(data.strengths[0]))
    worst = max(r["relative difference of the loss"] for r in linear)
    agree = float(np.mean([r["ours"] == r["theory"] for r in linear]))
    claims = {
        "the linear map agrees with theory at every point": agree == 1,
        "linear losses within 1e-3": worst <= LOSS_TOLERANCE,
    }
    for model in dict.fromkeys(name for name, _ in edges):
        furthest = max(abs(edge) for (name, _), edge in edges.items() if name == model)
        claims[f"{model} complete collapse within 5 % of theory at every start"] = furthest <= TOLERANCE
    because = (
        f"Counts agree at {agree:.0%} of {len(linear)} points of the linear map, largest relative difference of the "
        f"loss {worst:.1e}. {_words(learned, edges, data)}"
    )
    return judged(claims, because)


def _training(request: Request) -> Training:
    n = request.pick(100, 500, 1000)
    return Training(epochs=n, cooling=n // 2, batch_size=100, learning_rate=request.pick(5e-3, 5e-3, 1e-3))


def _learned_starts(request: Request, training: Training, x: np.ndarray, edge: float) -> list[dict[str, Any]]:
    """VAEs with learned σ², started at several widths relative to the prior, over β around the predicted edge."""
    ratios = request.pick([0.6, 0.9, 1.05], [0.3, 0.6, 0.8, *np.arange(0.88, 1.05, 0.02), 1.1, 1.2],
                          [*np.arange(0.3, 0.9, 0.05), *np.arange(0.9, 1.1, 0.01), 1.2, 1.3])  # fmt: skip
    starts = request.pick((1.0,), (0.1, 1.0, 4.0), (0.01, 0.1, 1.0, 4.0, 10.0))
    ratios = np.unique(np.round(ratios, 6))
    rows = []
    for activation, way in KINDS:
        warm = Schedule("linear", warmup=0.4 * training.epochs, start=0.5)
        how = replace(training, schedule=warm) if way == "from below" else training
        network = Network(hidden=(8,), activation=activation)
        for start in starts:
            setups = [
                Setup(Objective(beta=float(r * edge), n_latents=5, prior_variance=1 / start), network, how)
                for r in ratios
            ]
            rows += [
                {"model": f"{NAMES[activation]}, {way}", "encoder variance": start, **_learned_row(p, x)}
                for p in pairs(setups, x)
            ]
    return rows


def _learned_row(p: Pair, x: np.ndarray) -> dict[str, Any]:
    loss = float(np.mean([p.trained.evaluate(x, seed=seed).loss for seed in range(EVALUATIONS)]))
    collapsed = p.forecast.spectrum.total_energy / 2
    return {
        "beta": p.setup.objective.beta, "relative difference of the loss": loss / p.forecast.loss - 1,
        "gain over collapse, ours": collapsed - loss, "gain over collapse, linear optimum": collapsed - p.forecast.loss,
        "KL ours": float(carried(p).sum()), "KL theory": p.forecast.rate,
        "paper": None, "ours": n_carrying(p), "theory": theory_count(p.forecast),
    }  # fmt: skip


def _linear_rows(linear: list[Pair], alive: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"model": LINEAR, "encoder variance": float(p.setup.objective.encoder_variance),  # type: ignore[arg-type]
         "beta": p.setup.objective.beta, "relative difference of the loss": gap(p), "paper": None, "ours": int(n),
         "theory": theory_count(p.forecast)}
        for p, n in zip(linear, alive, strict=True)
    ]  # fmt: skip


def _thresholds(data: Spectrum) -> list[dict[str, Any]]:
    """What holds for every network on these rows."""
    second = data.global_threshold
    return [
        {"model": f"any network, {name}", "encoder variance": None, "beta": level, "paper": None, "ours": None,
         "theory": 0}
        for name, level in (
            ("collapse is stable from here on", float(data.strengths[0])),
            ("collapse is best from here on", second.level),
        )
    ]  # fmt: skip


def _edges(rows: list[dict[str, Any]], critical: float) -> dict[tuple[str, float], float]:
    """By model and start: how far the middle between the last β with life and the next lies from the predicted one."""
    result = {}
    for key in dict.fromkeys((r["model"], r["encoder variance"]) for r in rows):
        mine = [r for r in rows if (r["model"], r["encoder variance"]) == key]
        last = max((i for i, r in enumerate(mine) if r["ours"] > 0), default=0)
        after = mine[min(last + 1, len(mine) - 1)]["beta"]
        result[key] = (mine[last]["beta"] + after) / 2 / critical - 1
    return result


def _words(rows: list[dict[str, Any]], edges: dict[tuple[str, float], float], data: Spectrum) -> str:
    """Distances from theory, and what those that collapse early give up by it."""
    parts = []
    for model in dict.fromkeys(name for name, _ in edges):
        early = [r for r in rows if r["model"] == model and r["ours"] == 0 and r["theory"] > 0]
        over = [r["gain over collapse, linear optimum"] - r["gain over collapse, ours"] for r in early]
        listed = ", ".join(f"{start:g} η_e²: {edge:+.1%}" for (name, start), edge in edges.items() if name == model)
        if over:
            listed += f"; dead too early at a loss {min(over):+.4f} to {max(over):+.4f} nats from the linear optimum's"
        parts.append(f"{model}: {listed}")
    second, strongest = data.global_threshold, float(data.strengths[0])
    best = "not known" if second.level is None or second.interval is None else (
        f"{second.level:.4g} on (at most {second.interval[1]:.4g}, at two standard errors)")  # fmt: skip
    return (
        f"Distance of complete collapse from theory by start: {'. '.join(parts)}. For every network collapse is "
        f"stable from β = {strongest:.4g} on, and the best of all solutions from {best}. "
        "What networks gain over the linear optimum is of these rows: of Gaussian rows without end it is the best."
    )


def _figure(
    linear: list[Pair], alive: np.ndarray, widths: np.ndarray, betas: np.ndarray, learned: list[dict[str, Any]]
) -> Figure:
    figure, axes = canvas(2, 4.8, 3.8)
    shown = alive.reshape(len(widths), len(betas))
    mesh = axes[0].pcolormesh(betas, widths, shown, cmap="viridis", shading="nearest")
    figure.colorbar(mesh, ax=axes[0], label="latents alive, trained")
    top = [p.forecast.critical_beta for p in linear[:: len(betas)]]
    axes[0].plot(top, widths, "r-", label="complete collapse, theory")
    axes[0].set(xscale="log", yscale="log", xlabel="β", ylabel="fixed encoder variance σ²", title="Linear VAE")
    axes[0].set_xlim(betas[0], betas[-1])
    axes[1].axvline(linear[0].forecast.spectrum.strengths[0], color="r", label="complete collapse, theory")
    for key in dict.fromkeys((r["model"], r["encoder variance"]) for r in learned):
        mine = [r for r in learned if (r["model"], r["encoder variance"]) == key]
        style = "x:" if "below" not in key[0] else "o-"
        colour = "C2" if key[0].startswith("tanh") else "C1" if "below" in key[0] else "C0"
        first = key[1] == min(r["encoder variance"] for r in learned)
        axes[1].plot([r["beta"] for r in mine], [r["KL ours"] for r in mine], style, ms=4, color=colour,
                     label=key[0] if first else None)  # fmt: skip
    theory = [r for r in learned if r["model"] == learned[0]["model"]]
    axes[1].plot(*zip(*sorted({(r["beta"], r["KL theory"]) for r in theory}), strict=True), color="0.4", label="theory")
    axes[1].set(xlabel="β", ylabel="KL of all latents (nats)", title="σ² learned; a line for each start", yscale="log")
    axes[1].set_ylim(1e-5, 2)
    for axis in axes:
        axis.legend(fontsize=7)
    return figure
