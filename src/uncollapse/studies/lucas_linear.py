"""Lucas et al. 2019, section 6.1: pPCA's stationary points and linear VAEs (Figures 1 to 4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.studies.lucas_data import digits, in_own_axes, logit_digits, modes_of
from uncollapse.studies.study import Request, Result, Verdict
from uncollapse.theory import ppca

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from uncollapse.training import Trained, Training

__all__ = ["fig_1", "fig_2", "fig_3", "fig_4", "judge_fig_4"]

LEARNED = "learned"
FINER = 2.0
"""Figure 2 trains on pixels this many times as large and puts the ELBO back by d log 2. Decoder and encoder weights of
the modes that come last, √λ and 1/√λ, are then nearer in size, and one learning rate suits both."""


def fig_1(request: Request) -> Result:
    """The pPCA likelihood around three principal columns, two zero columns pushed along components 5 and 7."""
    from uncollapse.landscape.slices import Slice, likelihood_slice

    n = request.pick(2000, 60_000, 60_000)
    x = request.mnist(n).astype(float)
    f = forecast(modes_of(x))
    strengths, basis, centred = f.spectrum.strengths, f.spectrum.basis.decoder, x - x.mean(0)
    middle = math.sqrt(strengths[4] * strengths[6])
    rows: list[dict[str, Any]] = []
    slices: list[Slice] = []
    for sigma2, said in (
        (1.3 * strengths[4], ("stable", "stable")),
        (middle, ("unstable", "stable")),
        (0.7 * strengths[6], ("unstable", "unstable")),
    ):
        slices.append(likelihood_slice(f, [0, 1, 2], (4, 6), float(sigma2), reach=(1.5, 1.5), n_grid=31))
        for component, paper in zip((5, 7), said, strict=True):
            curve = _measured_curvature(centred, basis, strengths, component - 1, float(sigma2))
            theory = float(ppca.column_curvature(strengths[component - 1], float(sigma2)))
            rows.append(
                {
                    "σ²": float(sigma2),
                    "zero column pushed along component": component,
                    "paper": paper,
                    "ours": "unstable" if curve > 0 else "stable",
                    "theory": "unstable" if theory > 0 else "stable",
                    "curvature of the likelihood, measured on the rows": curve,
                    "curvature, theory": theory,
                }
            )
    agree = sum(row["paper"] == row["ours"] == row["theory"] for row in rows)
    error = max(abs(r["curvature, theory"] / r["curvature of the likelihood, measured on the rows"] - 1) for r in rows)
    verdict: Verdict = "reproduced" if agree == len(rows) and error < 1e-3 else "not reproduced"
    because = (
        f"{agree} of {len(rows)} zero columns are stable or not as the paper shows and λ against σ² says; curvature "
        f"measured on the data within {error:.0e} of (λ − σ²)/σ⁴"
    )
    settings = {
        "images": n,
        "pixels": "over 255",
        "λ of components 5 and 7": [float(strengths[4]), float(strengths[6])],
        "chosen here": "the three σ²: 1.3 λ5, √(λ5 λ7), 0.7 λ7",
    }
    return Result(rows, _slice_figure(slices), settings, verdict, because)


def _measured_curvature(
    centred: np.ndarray, basis: np.ndarray, strengths: np.ndarray, mode: int, sigma2: float
) -> float:
    """Second difference, in the length of one zero column, of the mean log-density of the rows themselves."""
    step = 1e-2 * math.sqrt(sigma2)
    gains = np.append(np.maximum(strengths[:3] - sigma2, 0.0), 0.0)
    directions = basis[:, [0, 1, 2, mode]]
    still = ppca.log_density(centred, directions, gains, sigma2)
    gains[3] = step**2
    moved = ppca.log_density(centred, directions, gains, sigma2)
    return float(2 * (moved - still).mean()) / step**2


def _slice_figure(slices: list[Any]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for panel, cut in zip(figure.subplots(1, 3), slices, strict=True):
        drawn = panel.contourf(cut.first, cut.second, cut.values, 12)
        figure.colorbar(drawn, ax=panel, label="log-likelihood above the middle (nats)" if cut is slices[-1] else None)
        panel.plot(0, 0, "k+")
        panel.set(xlabel=cut.first_label, title=cut.title)
        if cut is slices[0]:
            panel.set_ylabel(cut.second_label)
    return figure


def fig_2(request: Request) -> Result:
    """Linear VAEs of many widths trained by the analytic ELBO, and pPCA at the σ² that is best for a middle width."""
    from uncollapse.training import train

    n = request.pick(500, 1000, 1000)
    widths = request.pick((2, 5, 10, 20), (5, 10, 20, 50, 100, 200), (25, *range(50, 401, 50)))
    middle = request.pick(5, 50, 50)
    x = in_own_axes(digits(request, n), keep=request.pick(100, 784, 784))
    grid = np.unique(np.r_[widths, np.arange(1, request.pick(60, 400, 500))])
    rows: list[dict[str, Any]] = []
    f = forecast(modes_of(x), decoder_variance=LEARNED, n_latents=middle)
    fixed = {int(k): _at_fixed_noise(f, int(k), middle) for k in grid}
    for k in widths:
        best = forecast(f.spectrum, decoder_variance=LEARNED, n_latents=k)
        vae = train(FINER * x, objective=best.objective, training=_analytic(request, k))
        trained = vae.evaluate(FINER * x).elbo + x.shape[1] * math.log(FINER)
        rows.append(
            {
                "hidden dimensions": k,
                "paper": None,
                "ours": trained,
                "theory": best.elbo,
                "pPCA maximum likelihood": _maximum_likelihood(f, k),
                "relative gap": (best.elbo - trained) / abs(best.elbo),
                f"at σ² of {middle}": fixed[k],
            }
        )
    peak = max(fixed, key=lambda k: fixed[k])
    worst = max(abs(row["relative gap"]) for row in rows)
    rises, falls = fixed[peak] > fixed[middle], fixed[peak] > fixed[max(fixed)]
    close = worst < 1e-3
    verdict: Verdict = (
        "reproduced" if close and rises and falls else "reproduced in part" if falls else "not reproduced"
    )
    because = (
        f"trained ELBO within {worst:.1e} of pPCA's maximum likelihood, relative, at every width (goal 1e-3); at the "
        f"σ² of {middle} dimensions the likelihood is highest at {peak} (the paper's falls after about 200)"
    )
    settings = {
        "images": n,
        "widths": list(widths),
        "steps, and of them with a falling learning rate": {
            k: [100 * _analytic(request, k).epochs, 100 * _analytic(request, k).cooling] for k in widths
        },
        "training": "analytic ELBO, all images, Adam, one seed; σ² at its optimum at every step",
        "coordinates": "pixels turned to the data's principal axes: the same model, and Adam converges there",
        "pixels": "over 255" if request.preset != "quick" else "over 255, the first 100 principal coordinates",
        "chosen here": "the thousand images, widths, learning rates and steps",
    }
    return Result(rows, _width_figure(f, rows, fixed, middle), settings, verdict, because)


def _analytic(request: Request, k: int) -> Training:
    from uncollapse.training import Training

    # the last of many modes differ little in strength, and tell each other apart slowly
    many = k > request.pick(100, 100, 200)
    epochs, cooling = request.pick((12, 10), (32, 26) if many else (15, 12), (110, 100) if many else (60, 54))
    rate = request.pick(0.06, 0.05 if many else 0.06, 0.02)
    return Training(
        estimator="analytic",
        epochs=epochs,
        cooling=cooling,
        steps_per_epoch=100,
        learning_rate=rate,
        decoder_variance_rule="optimal",
    )


def _maximum_likelihood(f: Forecast, k: int) -> float:
    s = f.spectrum
    sigma2 = ppca.best_noise_variance(s.strengths, s.total_energy, s.n_targets, range(k))
    return ppca.stationary_log_likelihood(s.strengths, s.total_energy, s.n_targets, range(k), sigma2)


def _at_fixed_noise(f: Forecast, k: int, middle: int) -> float:
    """Mean log-likelihood of the best W of width k, at the noise that is best for another width."""
    s = f.spectrum
    own, other = (ppca.best_noise_variance(s.strengths, s.total_energy, s.n_targets, range(m)) for m in (k, middle))
    lengths = np.zeros(s.rank)
    lengths[:k] = s.strengths[:k] - own
    return -0.5 * float(ppca.deviance(s.strengths, s.total_energy, s.n_targets, lengths, other))


def _width_figure(f: Forecast, rows: list[dict[str, Any]], fixed: dict[int, float], middle: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    panel = figure.subplots()
    widths = sorted(fixed)
    panel.plot(widths, [_maximum_likelihood(f, k) for k in widths], "g-", label="pPCA maximum likelihood")
    panel.plot(widths, [fixed[k] for k in widths], "b-", label=f"pPCA at the σ² of {middle} dimensions")
    panel.plot([r["hidden dimensions"] for r in rows], [r["ours"] for r in rows], "ro", label="linear VAE, trained")
    low = min(r["ours"] for r in rows)
    panel.set_ylim(low - 50, None)
    panel.set(xlabel="hidden dimensions", ylabel="ELBO or log-likelihood (nats per image)")
    panel.legend(fontsize=8)
    return figure


def fig_3(request: Request) -> Result:
    """The same linear VAE trained by the exact ELBO and by one sample of z per image."""
    from dataclasses import replace

    from uncollapse.training import Training, train

    n, k = request.pick(300, 1000, 1000), request.pick(10, 200, 200)
    x = in_own_axes(digits(request, n), keep=request.pick(100, 784, 784))
    best = forecast(modes_of(x), decoder_variance=LEARNED, n_latents=k)
    steps = request.pick(600, 1200, 20_000)
    sampled = Training(
        epochs=steps,
        batch_size=None,
        learning_rate=request.pick(0.01, 0.01, 0.001),
        decoder_variance_rule="optimal",
    )
    exact = replace(sampled, estimator="analytic", epochs=steps // 20, steps_per_epoch=20)
    runs = {"analytic": train(x, objective=best.objective, training=exact)}
    runs["stochastic"] = train(x.astype(np.float32), objective=best.objective, training=sampled)
    final = {name: vae.evaluate(x).elbo for name, vae in runs.items()}
    paper = {"analytic": 950.7, "stochastic": 939.3}
    traces = {name: _trace(vae, steps) for name, vae in runs.items()}
    at, values = traces["analytic"]
    beyond = np.flatnonzero(values >= final["stochastic"])
    reached = {"analytic": int(at[beyond[0]]) if len(beyond) else steps, "stochastic": steps}
    rows: list[dict[str, Any]] = [
        {"ELBO gradient": name, "quantity": "final ELBO", "paper": paper[name], "ours": final[name],
         "theory": best.elbo}
        for name in runs
    ] + [
        {"ELBO gradient": name, "quantity": "steps to the stochastic run's final ELBO", "paper": None,
         "ours": reached[name], "theory": None}
        for name in runs
    ]  # fmt: skip
    higher, faster = final["analytic"] > final["stochastic"], reached["analytic"] < 0.9 * steps
    verdict: Verdict = "reproduced" if higher and faster else "reproduced in part" if higher else "not reproduced"
    because = (
        f"final ELBO {final['analytic']:.1f} analytic against {final['stochastic']:.1f} stochastic (optimum "
        f"{best.elbo:.1f}), which the analytic run has after {reached['analytic']} of {steps} steps"
    )
    settings = {
        "images": n,
        "latents": k,
        "steps": steps,
        "optimiser": f"Adam {sampled.learning_rate:g}, all images at every step, one seed",
        "σ²": "at its optimum for the step, in both",
        "coordinates": "pixels turned to the data's principal axes, for both",
        "chosen here": "latents: 200 make the optimum about the paper's 950.7; steps and learning rate",
        "sign": "the paper prints 950.7 and 939.3, which are the ELBO itself: pPCA's maximum with 200 latents is near",
    }
    return Result(rows, _trace_figure(traces, best.elbo), settings, verdict, because)


def _trace(vae: Trained, steps: int) -> tuple[np.ndarray, np.ndarray]:
    elbo = vae.history["elbo"]
    return np.arange(1, len(elbo) + 1) * steps // len(elbo), elbo


def _trace_figure(traces: dict[str, tuple[np.ndarray, np.ndarray]], optimum: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained")
    panel = figure.subplots()
    for name, (at, values) in traces.items():
        panel.plot(at, values, label=name)
    panel.axhline(optimum, color="k", ls=":", label="theory: optimum")
    first = max(values[len(values) // 10] for _, values in traces.values())
    panel.set(xlabel="steps", ylabel="ELBO (nats per image)")
    panel.set_ylim(first - 0.2 * abs(optimum - first), optimum + 0.05 * abs(optimum - first))
    panel.legend(fontsize=8)
    return figure


ENCODERS = {"linear": 0, "1 hidden layer": 1, "2 hidden layers": 2, "3 hidden layers": 3}
LEGEND = (-1098.2, -1108.7, -1112.1, -1119.6)
REST = 20.0
"""Nats under the closed form within which the linear run counts as trained; the paper's own is about 16 under ours."""


def fig_4(request: Request) -> Result:
    """A linear decoder behind a linear encoder and behind deeper ones, on logit pixels."""
    from uncollapse.training import Network, Training, train

    n, hidden = request.pick(1000, 5000, 60_000), request.pick(64, 256, 1024)
    x = in_own_axes(logit_digits(request, n).astype(float), keep=784).astype(np.float32)
    k = request.pick(20, 200, 200)
    best = forecast(modes_of(x.astype(float)), decoder_variance=LEARNED, n_latents=k)
    training = Training(
        epochs=request.pick(40, 60, 500),
        batch_size=request.pick(50, 128, 128),
        learning_rate=request.pick(3e-3, 2e-3, 1e-3),
        mixed_precision=request.preset == "standard",
    )
    offset = x.shape[1] / 2 * math.log(2)
    rows, runs = [], {}
    for (name, depth), printed in zip(ENCODERS.items(), LEGEND, strict=True):
        network = Network(hidden=(hidden,) * depth, decoder_hidden=())
        runs[name] = vae = train(x, objective=best.objective, network=network, training=training)
        rows.append(
            {
                "encoder": name,
                "paper": printed,
                "paper, with log 2π": printed - offset,
                "ours": vae.evaluate(x).elbo,
                "theory": best.elbo,
            }
        )
    verdict, because = judge_fig_4(rows)
    settings = {
        "images": n,
        "latents": k,
        "hidden": hidden,
        "epochs": training.epochs,
        "batch": training.batch_size,
        "optimiser": f"Adam {training.learning_rate:g}, one sample of z, one seed",
        "coordinates": "pixels turned to the data's principal axes, for every encoder",
        "chosen here": "all of these but 200 latents; which encoders: the legend is in a picture, its order kept",
        "paper, with log 2π": "the paper's ELBOs lie (d/2) log 2 above what its own σ² and KL give; see Table 1",
    }
    return Result(rows, _encoder_figure(runs, best.elbo), settings, verdict, because)


def judge_fig_4(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    """The linear encoder is asked to end first, none above the closed form; all trained near to it for all of it."""
    ahead = rows[0]["ours"] - max(row["ours"] for row in rows[1:])
    above = max(row["ours"] - row["theory"] for row in rows)
    below = [row["theory"] - row["ours"] for row in rows]
    because = (
        f"the linear encoder ends {ahead:+.1f} nats from the best deeper one; nothing exceeds the closed form by more "
        f"than {max(above, 0.0):.2f} nats; the linear run is {below[0]:.1f} below it and the others, whose optimum is "
        f"the same, {min(below[1:]):.1f} to {max(below[1:]):.1f}: what parts them is how fast they train"
    )
    if ahead < 0 or above > 0.5:
        return "not reproduced", because
    return ("reproduced" if below[0] <= REST else "reproduced in part"), because


def _encoder_figure(runs: dict[str, Trained], optimum: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained")
    panel = figure.subplots()
    for name, vae in runs.items():
        panel.plot(vae.history["epoch"], vae.history["elbo"], label=name)
    panel.axhline(optimum, color="k", ls=":", label="theory: optimum")
    lowest = min(vae.history["elbo"][-1] for vae in runs.values())
    panel.set(xlabel="epoch", ylabel="ELBO (nats per image)")
    panel.set_ylim(optimum - 3 * abs(optimum - lowest) - 20, optimum + 20)
    panel.legend(title="encoder", fontsize=8)
    return figure
