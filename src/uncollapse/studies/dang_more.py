"""Dang et al. 2024: CVAEs per digit, samples of hierarchies, and the convolutional hierarchy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncollapse.objective import Objective
from uncollapse.studies.dang_common import (
    Pair,
    canvas,
    digit_labels,
    gap,
    images,
    n_carrying,
    pairs,
    quarter_and_rest,
    theory_count,
)
from uncollapse.studies.dang_converged import CONVERGED, HALF, converged, converging
from uncollapse.studies.dang_deep import deep_settings, deep_training, falls, hierarchies, level_row
from uncollapse.studies.study import Request, Result, Verdict, judged
from uncollapse.training import Network, Setup, Trained, Training
from uncollapse.training.models import coefficients, prior_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cvae_digits", "judge_digits", "judge_samples", "mhvae_cnn", "mhvae_samples"]

EXPLAINED = "share of the energy the condition explains"


def cvae_digits(request: Request) -> Result:
    """A CVAE for each digit: linear, and ReLU and convolutional ones trained for long, and for half as long."""
    n, pool = request.pick((3000, 4), (None, 2), (None, 1))
    n_held = request.pick(500, 10000, 0)  # at `full` the paper's 60,000 are all trained on
    labels, pictures = digit_labels(request, n), images(request, n, pool)
    exact = Training(
        estimator="analytic", learning_rate=request.pick(1e-2, 4e-3, 1e-3), epochs=request.pick(30, 60, 500)
    )
    side = 28 // pool
    nets = {
        "ReLU": (Network(hidden=(request.pick(64, 256, 256),), encoder_variance="global"),
                 converging(request, (8, 60), 5e-3)),
        "CNN": (Network(hidden=(64,), image=(1, side, side), channels=(8, 16), encoder_variance="global"),
                converging(request, (8, 50), 8e-3)),
    }  # fmt: skip
    held = np.arange(len(pictures)) >= len(pictures) - n_held
    rows: list[dict[str, Any]] = []
    for digit in request.pick([0, 1, 7], range(10), range(10)):
        mine, kept = pictures[(labels == digit) & ~held], pictures[(labels == digit) & held]
        given, y = quarter_and_rest(mine)
        objective = Objective(n_latents=16, decoder_variance=0.25, bias=False)
        (p,) = pairs([Setup(objective, Network(), exact)], y, given)
        share = _explained(p)
        rows.append({"digit": digit, "network": "linear", "images": len(mine), EXPLAINED: share, **_linear_digit(p)})
        for name, (network, training) in nets.items():
            # a convolution takes the whole image with the quarter black, which has the same modes
            parts = [quarter_and_rest(part, masked=name == "CNN")[::-1] for part in (mine, kept)]
            _, columns = converged(replace(objective, beta=0.5), network, training, *parts)
            rows.append({"digit": digit, "network": name, "images": len(mine), EXPLAINED: share, **columns})
    shape = {"latents": 16, "eta": 0.5, "beta": 1.0, "held out": n_held, "trained": CONVERGED,
             "hidden": nets["ReLU"][0].hidden, "CNN": _of_the_cnn(*nets["CNN"]),
             "linear": f"Adam {exact.learning_rate:g}, {exact.epochs * exact.steps_per_epoch} steps",
             "linear_convention": "linear: β = 1, KL and error both halved, analytic estimator"}  # fmt: skip
    settings = deep_settings(request, nets["ReLU"][1], len(pictures) - n_held, pool, **shape)
    return Result(rows, _digit_figure(rows), settings, *judge_digits(rows))


def _of_the_cnn(network: Network, training: Training) -> str:
    return (
        f"channels {network.channels}, hidden {network.hidden}, {training.epochs} epochs, Adam "
        f"{training.learning_rate:g}"
    )


def _explained(p: Pair) -> float:
    condition = p.forecast.spectrum.condition
    assert condition is not None
    return 1 - p.forecast.spectrum.total_energy / condition.energy


def _linear_digit(p: Pair) -> dict[str, Any]:
    return {
        "relative difference": gap(p), "loss ours": p.evaluation.loss, "loss theory (linear)": p.forecast.loss,
        "KL ours": p.evaluation.rate, "KL theory (linear)": p.forecast.rate, "paper": None,
        "ours": n_carrying(p), "theory": theory_count(p.forecast),
    }  # fmt: skip


def _of(rows: list[dict[str, Any]], name: str, column: str) -> np.ndarray:
    return np.array([np.nan if r[column] is None else r[column] for r in rows if r["network"] == name], dtype=float)


def _digit_figure(rows: list[dict[str, Any]]) -> Figure:
    figure, axes = canvas(3)
    for name, mark in zip(("linear", "ReLU", "CNN"), "os^", strict=True):
        digits, kl = _of(rows, name, "digit"), _of(rows, name, "KL ours")
        axes[0].plot(digits, kl, mark, label=f"{name}, trained")
        axes[1].plot(_of(rows, name, EXPLAINED), kl, mark, label=name)
        under = _of(rows, name, "loss ours") - _of(rows, name, "loss theory (linear)")
        axes[2].plot(digits, under, mark, label=name)
    linear = _of(rows, "linear", "KL theory (linear)")
    axes[0].plot(_of(rows, "linear", "digit"), linear, "_", ms=14, color="grey", label="theory, β = 1")
    axes[0].set(xlabel="digit", ylabel="KL of all 16 latents (nats)", title="A CVAE per digit, η = ½")
    axes[1].set(xlabel="share of y's energy that x explains", ylabel="KL, trained (nats)")
    axes[2].axhline(0, color="0.7", linewidth=1)
    axes[2].set(xlabel="digit", ylabel="loss less the linear optimum's (nats)")
    for axis in axes:
        axis.legend(fontsize=7)
    return figure


def judge_digits(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    """KL of the digits in the order forecast, and less of it where x explains more; linear losses as in theory."""
    from scipy.stats import spearmanr

    claims, words = {}, []
    for name in ("linear", "ReLU", "CNN"):
        kl = _of(rows, name, "KL ours")
        order = float(spearmanr(_of(rows, name, "KL theory (linear)"), kl).statistic)
        explained = spearmanr(_of(rows, name, EXPLAINED), kl)
        share = float(explained.statistic)
        words.append(f"{name}: alive {_listed(rows, name, 'ours')}, theory {_listed(rows, name, 'theory')}; rank "
                     f"correlation of KL with theory {order:.2f}, with the share that x explains {share:.2f} "
                     f"(p = {explained.pvalue:.2g})"
                     + ("" if name == "linear" else _course(rows, name)))  # fmt: skip
        claims[f"{name}: KL ordered as forecast (rank correlation above 0.8)"] = order > 0.8
        claims[f"{name}: more collapse where x explains more of y (rank correlation under -0.5)"] = share < -0.5
    worst = float(_of(rows, "linear", "relative difference").max())
    claims["linear: loss within 1e-3"] = worst < 1e-3
    return judged(claims, ". ".join(words) + f". Largest relative difference of the linear loss {worst:.1e}.")


def _course(rows: list[dict[str, Any]], name: str) -> str:
    """Whether a network has come to rest, and on which side of the linear optimum."""
    loss, half = _of(rows, name, "loss ours"), _of(rows, name, f"loss {HALF}")
    over = loss - _of(rows, name, "loss theory (linear)")
    held = _of(rows, name, "loss held out, ours") - _of(rows, name, "loss held out, linear optimum")
    unseen = "" if np.isnan(held).any() else f" ({held.min():+.1f} to {held.max():+.1f} on images held out)"
    return (
        f"; loss less the linear optimum's {over.min():+.1f} to {over.max():+.1f} nats{unseen}; with half the epochs "
        f"the loss is {(half - loss).min():.2f} to {(half - loss).max():.2f} higher and alive are "
        f"{_listed(rows, name, f'alive {HALF}')}"
    )


def _listed(rows: list[dict[str, Any]], name: str, column: str) -> list[int]:
    return [r[column] for r in rows if r["network"] == name]


def mhvae_samples(request: Request) -> Result:
    """Samples of a ReLU hierarchy over a grid of β1 and β2."""
    n, pool, hidden = request.pick((1000, 2, 64), (5000, 1, 256), (60000, 1, 256))
    x = images(request, n, pool).reshape(n, -1)
    training, values = deep_training(request, (60, 25)), request.pick((0.1, 1.0, 6.0), *[(0.1, 1.0, 2.0, 4.0, 6.0)] * 2)
    network = Network(hidden=(hidden,), encoder_variance="global")
    result = hierarchies([(a, b) for a in values for b in values], x, network, training)
    rows, samples = [], {}
    for (b1, b2), p in result.items():
        samples[b1, b2] = drawn = _samples(p.trained, 256, seed=0)
        diversity = float(drawn.var(0).sum() / x.var(0).sum())
        rows.append({**level_row({"beta1": b1, "beta2": b2}, p, x), "diversity": diversity})
    figure, axes = canvas(2, 4.6, 4.4)
    side = 28 // pool
    block = [np.hstack([samples[a, b][0].reshape(side, side) for b in values]) for a in values]
    axes[0].imshow(np.vstack(block), cmap="gray", vmin=0, vmax=1)
    ticks = side * (np.arange(len(values)) + 0.5)
    axes[0].set_xticks(ticks, [f"{b:g}" for b in values])
    axes[0].set_yticks(ticks, [f"{b:g}" for b in values])
    axes[0].set(xlabel="β2", ylabel="β1", title="one sample each")
    for a in values:
        axes[1].plot(values, [r["diversity"] for r in rows if r["beta1"] == a], "o-", label=f"β1 = {a:g}")
    axes[1].set(xlabel="β2", ylabel="variance of samples / of data", title="Diversity")
    axes[1].legend(fontsize=7)
    settings = deep_settings(request, training, n, pool, hidden=hidden, latents=[16, 16], sigma1=0.5, eta=0.5)
    return Result(rows, figure, settings, *judge_samples(rows))


def judge_samples(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    """Diversity of samples as both β grow together, and as each grows alone; KL and life of z2."""
    corner = {(r["beta1"], r["beta2"]): r for r in rows}
    values = sorted({float(a) for a, _ in corner})
    low, high = values[0], values[-1]
    diversity = {at: r["diversity"] for at, r in corner.items()}
    claims = {
        "samples lose diversity at every step along β1 = β2": falls([diversity[a, a] for a in values]),
        "samples lose diversity as β2 grows, at every β1": all(
            falls([diversity[a, b] for b in values]) for a in values
        ),
        "samples lose diversity as β1 grows, at every β2": all(
            falls([diversity[a, b] for a in values]) for b in values
        ),
        "KL of z2 falls as β2 grows, at every β1": all(
            falls([corner[a, b]["z2 KL ours"] for b in values]) for a in values
        ),
        "less of z2 alive at the largest β2 than at the smallest, β1 = 1": corner[1.0, high]["ours"]
        < corner[1.0, low]["ours"],
    }
    because = (
        f"z2 alive along the diagonal {values}: {[corner[a, a]['ours'] for a in values]}, linear theory "
        f"{[corner[a, a]['theory'] for a in values]}; diversity {[round(diversity[a, a], 2) for a in values]}. At the "
        f"largest β2 it is {[round(diversity[a, high], 2) for a in values]} over β1, with "
        f"{[corner[a, high]['ours'] for a in values]} of z2 alive: β1 keeps z2 alive, as in theory "
        f"({[corner[a, high]['theory'] for a in values]})."
    )
    return judged(claims, because)


def _samples(trained: Trained, n: int, seed: int) -> np.ndarray:
    """Means of p(y | z1) for z1 drawn through the hierarchy, z2 first; shape (n, d)."""
    objective, generator = trained.setup.objective, torch.Generator().manual_seed(seed)
    z2 = torch.randn(1, n, trained.architecture.latents[1], generator=generator) * objective.prior_variance**0.5
    stacked = {name: value[None] for name, value in trained.parameters.items()}
    with torch.no_grad():
        given = coefficients([trained.setup], trained.architecture, torch.device("cpu"), z2.dtype)
        mean = prior_mean(trained.architecture, stacked, given, 1, z2)
    z1 = mean + float(objective.decoder_variance) ** 0.5 * torch.randn(mean.shape, generator=generator)
    return trained.decode(z1[0].numpy())


def mhvae_cnn(request: Request) -> Result:
    """Convolutional hierarchy over β1 and β2."""
    n, pool = request.pick((500, 2), (3000, 2), (60000, 1))
    x = images(request, n, pool).reshape(n, -1)
    training = deep_training(request, (60, 40))
    values = request.pick((1.0, 16.0), *[(1.0, 2.0, 4.0, 8.0, 16.0)] * 2)
    along = [(b, 1.0) for b in values] + [(1.0, b) for b in values]
    points = along if request.preset != "full" else [(a, b) for a in values for b in values]
    side = 28 // pool
    network = Network(hidden=(64,), image=(1, side, side), channels=(8, 16), encoder_variance="global")
    result = hierarchies(list(dict.fromkeys(points)), x, network, training)
    rows = [level_row({"beta1": b1, "beta2": b2}, p, x) for (b1, b2), p in result.items()]
    by_beta = {(r["beta1"], r["beta2"]): r for r in rows}
    over1, over2 = [by_beta[b, 1.0] for b in values], [by_beta[1.0, b] for b in values]
    figure, axes = canvas(2)
    for axis, mine, name in zip(axes, (over1, over2), ("β1", "β2"), strict=True):
        axis.plot(values, [r["theory"] for r in mine], color="grey", label="z2 alive, linear theory")
        axis.plot(values, [r["ours"] for r in mine], "o", label="z2 alive, trained")
        axis.plot(values, [r["z1 alive ours"] for r in mine], "x", color="C1", label="z1 alive, trained")
        axis.set(xscale="log", xlabel=f"{name} (as in the paper), the other 1", ylabel="latents (of 16)")
        axis.legend(fontsize=7)
    axes[0].set_title("Convolutional MHVAE on MNIST")
    claims = {
        "KL of z2 falls as β2 grows": falls([r["z2 KL ours"] for r in over2]),
        "z2 collapsed in part or whole at the largest β2": over2[-1]["ours"] < 16,
        "z1 keeps all coordinates there": over2[-1]["z1 alive ours"] == 16,
    }
    because = (
        f"z2 alive over β2: {[r['ours'] for r in over2]}, linear theory {[r['theory'] for r in over2]}; over β1: "
        f"{[r['ours'] for r in over1]}, linear theory {[r['theory'] for r in over1]}; z1 coordinates alive over β2: "
        f"{[r['z1 alive ours'] for r in over2]}."
    )
    settings = deep_settings(request, training, n, pool, channels=[8, 16], hidden=64, latents=[16, 16], sigma1=0.5,
                             eta=0.5, grid="along the two axes; full: the whole grid")  # fmt: skip
    return Result(rows, figure, settings, *judged(claims, because))
