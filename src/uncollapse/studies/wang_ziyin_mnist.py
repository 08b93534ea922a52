"""Wang & Ziyin 2022 on MNIST: loss and widths over β (Fig. 2), samples (Fig. 3)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.errors import UncollapseWarning
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.objective import Objective
from uncollapse.spectra.decompose import spectrum
from uncollapse.spectra.result import Spectrum
from uncollapse.studies.dang_common import theory_count
from uncollapse.studies.study import Request, Result, Verdict
from uncollapse.theory.residual import residual_spectrum
from uncollapse.training import Network, Schedule, Setup, Trained, Training, train_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "COLLAPSE_TOLERANCE",
    "SIGMA_TOLERANCE",
    "collapse_beta",
    "fig_2",
    "fig_3",
    "from_the_line",
    "judge_fig_2",
]

LATENTS = 5
PAPER_THRESHOLDS = (5.117, 3.741, 3.253, 2.842, 2.567)
PAPER_COLLAPSE = 5.0
COLLAPSE_TOLERANCE = 0.05
LOSS_TOLERANCE, SIGMA_TOLERANCE = 0.02, 0.05
DRAWS = 4
"""Of z per image for the residual; their noise is taken out."""

EVALUATIONS = 8
"""Draws of z per image for the loss: one leaves an error of about 0.01 nats near the threshold."""

PAPER_MODES_LEFT = {1.0: 5, 2.75: 4, 3.0: 3, 3.5: 2, 4.0: 1, 6.0: 0}


@dataclass(frozen=True)
class Size:
    """What is cut down from the paper's setting, and the grids of β."""

    images: int
    hidden: int
    batch: int
    epochs: int
    rate: float
    warmup: float
    betas: tuple[float, ...]
    plain_near: tuple[float, ...]
    warm_near: tuple[float, ...]


QUICK = Size(600, 32, 300, 300, 4e-3, 0.6, (2.0,), (1.07,), (0.93, 1.07))
STANDARD_BETAS = (1.0, 2.0, 2.75, 3.0, 3.5, 4.0)
STANDARD = Size(5000, 64, 500, 250, 3e-3, 0.25, STANDARD_BETAS, (0.9, 0.95, 1.05), (0.9, 0.95, 0.98, 1.02, 1.05, 1.1))
FULL_NEAR = (0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.2)
FULL = Size(60000, 2048, 128, 200, 1e-4, 0.2, tuple(np.arange(0.5, 4.6, 0.25)), FULL_NEAR, FULL_NEAR)


def collapse_beta(betas: np.ndarray, alive: np.ndarray) -> float:
    """β from which on every latent is dead: midway between the last of ascending β with one alive and the next.

    Examples
    --------
    >>> collapse_beta(np.array([1.0, 2.0, 4.0]), np.array([True, True, False]))
    3.0
    """
    last = int(np.flatnonzero(alive)[-1]) if alive.any() else -1
    if last < 0 or last == len(betas) - 1:
        return float("nan")
    return float(betas[last : last + 2].mean())


def fig_2(request: Request) -> Result:
    """Loss, widths, number alive and residual over β, with and without KL warm-up."""
    size: Size = request.pick(QUICK, STANDARD, FULL)
    x = request.mnist(size.images)
    result = _spectrum(x)
    critical = result.strengths[0]
    rows = [
        {"training": "", "beta": None, "quantity": f"critical β of mode {i + 1}", "paper": paper, "ours": None,
         "theory": float(result.strengths[i])}
        for i, paper in enumerate(PAPER_THRESHOLDS)
    ]  # fmt: skip
    collapse = {}
    for kind, near in (("plain", size.plain_near), ("warm-up", size.warm_near)):
        betas = np.array(sorted({*size.betas, *(float(critical * ratio) for ratio in near)}))
        models = train_all(_setups(size, betas, warm=kind == "warm-up"), x)
        alive = []
        for beta, vae in zip(betas, models, strict=True):
            said = _rows(vae, _forecast(result, float(beta)), x)
            alive.append(said[2]["ours"] > ALIVE_NATS)
            rows += [{"training": kind, "beta": float(beta), **row} for row in said]
        collapse[kind] = collapse_beta(betas, np.array(alive))
        rows.append({"training": kind, "beta": None, "quantity": "complete collapse β", "paper": PAPER_COLLAPSE,
                     "ours": collapse[kind], "theory": float(critical)})  # fmt: skip
    verdict, because = judge_fig_2(rows)
    return Result(rows, _fig_2_figure(rows, result), _settings(size), verdict, because)


def _setups(size: Size, betas: np.ndarray, *, warm: bool) -> list[Setup]:
    schedule = Schedule("linear", warmup=size.warmup * size.epochs, start=0.5) if warm else Schedule()
    training = Training(epochs=size.epochs, batch_size=size.batch, learning_rate=size.rate, schedule=schedule)
    network = Network((size.hidden,))
    return [Setup(Objective(beta=float(beta), n_latents=LATENTS), network, training) for beta in betas]


def _settings(size: Size) -> dict[str, Any]:
    return {
        "images": f"first {size.images} of MNIST's training set, over 255",
        "network": f"784-{size.hidden}-{LATENTS}-{size.hidden}-784, ReLU, Σ(x) from the encoder (paper: hidden 2048)",
        "batch": size.batch,
        "epochs": size.epochs,
        "Adam": f"{size.rate:g} (paper: 1e-4)",
        "warm_up": f"β from half its value over the first {size.warmup * size.epochs:.0f} epochs: near a threshold a "
        "latent grows slowly from the usual start, so this one comes to it alive",
        "alive": "a latent's mean KL above 0.01 nats; complete collapse: that of all latents together below it",
        "residual": f"{DRAWS} draws of z per image, their noise taken out; docs/theory.md section 5",
        "seed": 0,
        "chosen_here": "images, width, batch, epochs, learning rate and warm-up; the paper: until convergence",
    }


def _spectrum(x: np.ndarray) -> Spectrum:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)  # constant pixels matter to a learned decoder variance only
        return spectrum(x.astype(np.float64))


def _forecast(result: Spectrum, beta: float) -> Forecast:
    return forecast(result, beta=beta, n_latents=LATENTS)


def _rows(vae: Trained, f: Forecast, x: np.ndarray) -> list[dict[str, Any]]:
    result = vae.evaluate(x)
    residual = residual_spectrum(x - drawn for drawn in _drawn(vae, x)).strengths
    pairs = [
        ("loss", float(np.mean([vae.evaluate(x, seed=seed).loss for seed in range(EVALUATIONS)])), f.loss),
        ("alive", result.n_alive, theory_count(f)),
        ("KL", result.rate, f.rate),
        ("top residual eigenvalue, against τ", float(residual[0]), f.water_level),
    ]
    theory = np.sort(f.modes.encoder_std[:LATENTS])
    for i, sigma in enumerate(np.sort(np.sqrt(vae.encode(x)[1]).mean(axis=0))):
        pairs.append((f"mean σ_{i + 1}", float(sigma), float(theory[i])))
    return [{"quantity": name, "paper": None, "ours": ours, "theory": value} for name, ours, value in pairs]


def _drawn(vae: Trained, x: np.ndarray) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    mean, variance = vae.encode(x)
    for _ in range(DRAWS):
        yield vae.decode(mean + np.sqrt(variance) * rng.standard_normal(mean.shape))


def judge_fig_2(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    """Complete collapse at its β is asked for; counts, loss and mean σ on the linear line as well for all of it."""
    ends = {row["training"]: row for row in rows if row["quantity"] == "complete collapse β"}
    collapse, critical = {kind: row["ours"] for kind, row in ends.items()}, ends["warm-up"]["theory"]
    away = abs(collapse["warm-up"] / critical - 1)
    counts, stuck = [], []
    losses, widths = from_the_line(rows)
    for kind in ("plain", "warm-up"):
        said = {(row["beta"], row["quantity"]): row for row in rows if row["training"] == kind}
        betas = sorted({beta for beta, _ in said if beta is not None and beta < critical})
        same = sum(said[b, "alive"]["ours"] == said[b, "alive"]["theory"] for b in betas)
        counts.append(f"{kind} {same} of {len(betas)}")
        top = [said[b, "top residual eigenvalue, against τ"] for b in betas if said[b, "alive"]["ours"] < LATENTS]
        stuck.append(f"{kind} {sum(row['ours'] > row['theory'] for row in top)} of {len(top)}")
    because = (
        f"Complete collapse at β = {collapse['warm-up']:.3g} coming from a smaller β and {collapse['plain']:.3g} from "
        f"the usual start, predicted {critical:.4g} for these images ({away:.1%} away). Below it the number alive is "
        f"the linear one in: {', '.join(counts)}; models with a dead latent that the residual test calls stuck: "
        f"{', '.join(stuck)}. Over all β the loss is {losses.min():+.1%} to {losses.max():+.1%} off the linear line, "
        f"mean σ up to {widths:.2g}."
    )
    if not away <= COLLAPSE_TOLERANCE:
        return "not reproduced", because
    equal = all(row["ours"] == row["theory"] for row in rows if row["quantity"] == "alive")
    near = np.abs(losses).max() <= LOSS_TOLERANCE and widths <= SIGMA_TOLERANCE
    return ("reproduced" if equal and near else "reproduced in part"), because


def from_the_line(rows: list[dict[str, Any]]) -> tuple[np.ndarray, float]:
    """Of every model: how far its loss is off the linear one, relatively; and the largest distance of a mean σ."""
    losses = [row["ours"] / row["theory"] - 1 for row in rows if row["quantity"] == "loss"]
    widths = [abs(row["ours"] - row["theory"]) for row in rows if row["quantity"].startswith("mean σ")]
    return np.array(losses), max(widths)


def _fig_2_figure(rows: list[dict[str, Any]], result: Spectrum) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2).flat
    panels = (
        ("loss", "loss, nats per image"),
        ("mean σ", "mean σ of each latent"),
        ("alive", "latents alive"),
        ("top residual eigenvalue, against τ", "top residual eigenvalue"),
    )
    names = list(dict.fromkeys(row["quantity"] for row in rows if row["beta"] is not None))
    lowest, highest = (limit(row["beta"] for row in rows if row["beta"] is not None) for limit in (min, max))
    grid = np.linspace(lowest, highest, 300)
    lines = _theory(result, grid)
    for axis, (quantity, label) in zip(axes, panels, strict=True):
        axis.plot(grid, lines[quantity], color="0.3", linewidth=1)
        for name in (name for name in names if name.startswith(quantity)):
            _points(axis, rows, name)
        for strength in result.strengths[:LATENTS]:
            axis.axvline(strength, color="0.8", linestyle="--", linewidth=0.8, zorder=0)
        axis.set_xlabel("β")
        axis.set_ylabel(label)
    figure.suptitle(
        "MNIST, 5 latents. Lines: linear theory, water level τ; × plain, ● with KL warm-up; dashed: thresholds ζ²",
        fontsize=10,
    )
    return figure


def _theory(result: Spectrum, betas: np.ndarray) -> dict[str, np.ndarray]:
    f = _forecast(result, 1.0)
    curves = f.curves(betas)
    widths = [f.solution.modes(float(beta)).encoder_std[:LATENTS] for beta in betas]
    return {
        "loss": curves.loss,
        "alive": curves.n_alive,
        "mean σ": np.array(widths),
        "top residual eigenvalue, against τ": curves.water_level,
    }


def _points(axis: Any, rows: list[dict[str, Any]], quantity: str) -> None:
    for kind, marker, colour in (("plain", "x", "C0"), ("warm-up", "o", "C1")):
        chosen = [row for row in rows if row["quantity"] == quantity and row["training"] == kind and row["beta"]]
        axis.plot([row["beta"] for row in chosen], [row["ours"] for row in chosen], marker, color=colour, markersize=4)


def fig_3(request: Request) -> Result:
    """Samples at the paper's six β, and how much they vary."""
    size: Size = request.pick(QUICK, STANDARD, FULL)
    x = request.mnist(size.images)
    result = _spectrum(x)
    betas = np.array(list(PAPER_MODES_LEFT))
    z = np.random.default_rng(0).standard_normal((2000, LATENTS))
    rows, pictures = [], []
    for vae in train_all(_setups(size, betas, warm=True), x):
        beta = vae.setup.objective.beta
        f, samples = _forecast(result, beta), vae.decode(z)
        pictures.append(samples[:6])
        trio = (
            ("modes left", PAPER_MODES_LEFT[beta], vae.evaluate(x).n_alive, f.n_alive),
            ("variance of samples", None, _total_variance(samples), _total_variance(_linear_samples(f, z))),
        )
        rows += [{"beta": beta, "quantity": name, "paper": paper, "ours": ours, "theory": theory}
                 for name, paper, ours, theory in trio]  # fmt: skip
    verdict, because = _fig_3_verdict(rows)
    return Result(rows, _fig_3_figure(pictures, rows), _settings(size), verdict, because)


def _linear_samples(f: Forecast, z: np.ndarray) -> np.ndarray:
    """What the optimal linear decoder makes of the same z."""
    w = f.weights
    return np.asarray(z @ w.decoder.T + w.decoder_bias)


def _total_variance(rows: np.ndarray) -> float:
    return float(rows.var(axis=0).sum())


def _fig_3_verdict(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    left = [row for row in rows if row["quantity"] == "modes left"]
    spread = [row["ours"] for row in rows if row["quantity"] == "variance of samples"]
    ours = [row["ours"] for row in left]
    falls = all(np.diff(spread) < 0)
    listed = {name: ", ".join(f"{row[name]:g}" for row in left) for name in ("beta", "ours", "paper")}
    because = (
        f"Latents alive at β = {listed['beta']}: {listed['ours']} (paper, by linear thresholds: {listed['paper']}); "
        f"the variance of the samples {'falls' if falls else 'does not fall'} at every step, from {spread[0]:.3g} to "
        f"{spread[-1]:.2g}."
    )
    if ours == [row["paper"] for row in left] and falls:
        return "reproduced", because
    return ("reproduced in part" if falls and ours[-1] == 0 else "not reproduced"), because


def _fig_3_figure(pictures: list[np.ndarray], rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots(len(pictures), len(pictures[0]))
    left = [row for row in rows if row["quantity"] == "modes left"]
    for line, images, row in zip(axes, pictures, left, strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        label = f"β = {row['beta']:g}\n{row['ours']} alive\n(linear {row['theory']})"
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    figure.suptitle("Decoder means of six draws of z from the prior, the same in every row", fontsize=9)
    return figure
