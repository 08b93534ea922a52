"""Other data with other correlation structure: digits, colour images, counts, and image files that the user names."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.data.sources import open_source
from uncollapse.errors import SourceError, UncollapseWarning
from uncollapse.forecasting.predict import forecast
from uncollapse.objective import Objective
from uncollapse.studies.dang_common import LOSS_TOLERANCE, Pair, canvas, gap, n_carrying, pairs, theory_count
from uncollapse.studies.study import MNIST_FILE, Request, Result, Verdict, judged
from uncollapse.training import Network, Setup, Training, train_all

__all__ = ["judge_other_data", "other_data"]

USER_ROWS = 5000


@dataclass(frozen=True, eq=False)
class _Data:
    name: str
    rows: np.ndarray


def other_data(request: Request) -> Result:
    """VAE and CVAE, linear and ReLU, on each data set, at β below its first strength; and a table of counts."""
    result = [_digits(request), _colour(request), *_from_user(request)]
    rows: list[dict[str, Any]] = []
    for data in result:
        rows += _gaussian_rows(request, data)
    counts = _count_rows(request)
    figure, axes = canvas(2)
    for i, data in enumerate(result):
        mine = [r for r in rows if r["data"] == data.name and r["network"] == "linear"]
        axes[0].plot([r["theory"] for r in mine], [r["ours"] for r in mine], "os^v"[i % 4], label=data.name, alpha=0.7)
        relu = [r for r in rows if r["data"] == data.name and r["network"] == "ReLU"]
        axes[0].plot([r["theory"] for r in relu], [r["ours"] for r in relu], "x", color=f"C{i}", alpha=0.7)
    axes[0].axline((0, 0), slope=1, color="lightgrey", zorder=0)
    axes[0].set(xlabel="alive, linear theory", ylabel="alive, trained", title="filled: linear; ×: ReLU")
    axes[1].axvline(1, color="grey", label="first threshold, theory")
    axes[1].plot([r["beta"] / counts[0]["critical beta"] for r in counts], [r["ours"] for r in counts], "o-",
                 label="trained, Poisson decoder")  # fmt: skip
    axes[1].set(xlabel="β over its predicted critical value", ylabel="latents alive", title="A table of counts")
    for axis in axes:
        axis.legend(fontsize=7)
    settings = {
        "preset": request.preset,
        "data": {data.name: list(data.rows.shape) for data in result},
        "user data": "a folder with Fashion-MNIST-like idx files, or .npy arrays of images in 0 … 255, with --data",
        "convention": "E‖y − ŷ‖²/2 + β KL for Gaussian decoders, biases; −log p + β KL for counts",
        "networks": "8 latents; ReLU: hidden 32, σ² per latent; Poisson: 4 latents, encoder linear in the counts",
        "linear": f"analytic, {_in_words(_exact(request))}", "ReLU": f"sampled, {_in_words(_sampled(request))}",
        "Poisson": f"sampled, {_in_words(_of_counts(request))}", "seeds": [0],
    }  # fmt: skip
    return Result(rows + counts, figure, settings, *judge_other_data(rows + counts))


def judge_other_data(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    """Counts as forecast on each data set, of linear networks and of ReLU; collapse of counts at its β."""
    counts = [r for r in rows if r.get("critical beta") is not None]
    exact = [r for r in rows if r["network"] == "linear" and r not in counts]
    relu = [r for r in rows if r["network"] == "ReLU"]
    worst = max(r["relative difference"] for r in exact)
    off = max(abs(r["ours"] - r["theory"]) for r in exact)
    below, above = [r for r in counts if r["theory"]], [r for r in counts if not r["theory"]]
    claims = {
        "linear losses within 1e-3": worst <= LOSS_TOLERANCE,
        "linear counts exact": off == 0,
        "ReLU counts those of linear theory": all(r["ours"] == r["theory"] for r in relu),
        "counts: complete collapse within 5 % of the predicted β": all(r["ours"] == 0 for r in above)
        and all(r["ours"] > 0 for r in below),
    }
    because = (
        f"Linear: largest relative difference of the loss {worst:.1e}, counts off by at most {off}. ReLU against "
        f"linear theory: {[r['ours'] for r in relu]} against {[r['theory'] for r in relu]}. Counts: alive "
        f"{[r['ours'] for r in counts]} at β over critical "
        f"{[round(r['beta'] / r['critical beta'], 2) for r in counts]}."
    )
    return judged(claims, because)


def _digits(request: Request) -> _Data:
    rows = np.concatenate([np.asarray(b, dtype=float) for b in open_source("digits").blocks()])
    return _Data("digits", rows / 16)


def _colour(request: Request) -> _Data:
    """Generated 8 × 8 RGB images (quick: 4 × 4): a coloured blob on a coloured ground."""
    rng, n, side = np.random.default_rng(0), request.pick(600, 2000, 20000), request.pick(4, 8, 8)
    grid = np.linspace(0, 7, side)
    centre, width = rng.uniform(1, 6, (n, 2)), rng.uniform(1, 2.5, n)
    square = [((grid[None, :] - centre[:, i, None]) / width[:, None]) ** 2 for i in range(2)]
    blob = np.exp(-0.5 * (square[0][:, :, None] + square[1][:, None, :]))
    ground, front = rng.uniform(0, 0.5, (n, 3)), rng.uniform(0.2, 1, (n, 3))
    image = ground[:, :, None, None] + (front - ground)[:, :, None, None] * blob[:, None]
    return _Data("colour blobs (generated)", (image + rng.normal(0, 0.1, image.shape)).reshape(n, -1))


def _from_user(request: Request) -> list[_Data]:
    """Idx files and .npy arrays of the folder that the user names; brightness over 255."""
    if request.data is None:
        return []
    if not request.data.is_dir():
        raise SourceError(f"{request.data}: not a folder; give the one with the idx files or .npy arrays of images")
    files = [*request.data.glob(MNIST_FILE), *request.data.glob(MNIST_FILE.removesuffix(".gz")),
             *sorted(request.data.glob("*.npy"))]  # fmt: skip
    if not files:
        raise SourceError(f"{request.data}: neither {MNIST_FILE} nor .npy files there; leave --data out to do without")
    return [_Data(f"{path.parent.name}/{path.name}", _head(path)) for path in files]


def _head(path: Path) -> np.ndarray:
    rows: list[np.ndarray] = []
    for block in open_source(str(path)).blocks():
        rows.append(np.asarray(block, dtype=float))
        if sum(map(len, rows)) >= USER_ROWS:
            break
    return np.concatenate(rows)[:USER_ROWS] / 255


def _exact(request: Request) -> Training:
    return Training(
        estimator="analytic", learning_rate=request.pick(1e-2, 1e-2, 3e-3), epochs=request.pick(40, 30, 400),
        cooling=request.pick(30, 24, 300),
    )  # fmt: skip


def _sampled(request: Request) -> Training:
    return Training(epochs=request.pick(30, 60, 300), cooling=request.pick(10, 30, 100), learning_rate=2e-3)


def _of_counts(request: Request) -> Training:
    return Training(
        epochs=request.pick(60, 150, 1000),
        cooling=request.pick(30, 75, 500),
        learning_rate=request.pick(1e-2, 3e-3, 1e-3),
    )


def _in_words(training: Training) -> str:
    return (
        f"Adam {training.learning_rate:g}, {training.epochs} epochs, the rate falls to 0 over the last "
        f"{training.cooling}"
    )


def _gaussian_rows(request: Request, data: _Data) -> list[dict[str, Any]]:
    """At β a share of the first strength: VAE, and CVAE of the second half given the first."""
    relu = Network(hidden=(32,), encoder_variance="global")
    half = data.rows.shape[1] // 2
    rows = []
    for kind, y, x in (("VAE", data.rows, None), ("CVAE", data.rows[:, half:], data.rows[:, :half])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncollapseWarning)
            s = forecast(y, given=x).spectrum.strengths
        betas = [float(s[0]) * share for share in request.pick((0.6,), (0.2, 0.6), (0.05, 0.1, 0.2, 0.4, 0.6, 0.8))]
        for name, network, training in (("linear", Network(), _exact(request)), ("ReLU", relu, _sampled(request))):
            setups = [Setup(Objective(beta=b, n_latents=8), network, training) for b in betas]
            rows += [_row(data.name, kind, name, p) for p in pairs(setups, y, x)]
    return rows


def _row(data: str, kind: str, network: str, p: Pair) -> dict[str, Any]:
    return {
        "data": data, "model": kind, "network": network, "beta": p.setup.objective.beta,
        "loss ours": p.evaluation.loss, "loss theory": p.forecast.loss, "relative difference": gap(p),
        "paper": None, "ours": n_carrying(p), "theory": theory_count(p.forecast),
    }  # fmt: skip


def _count_rows(request: Request) -> list[dict[str, Any]]:
    """Poisson counts of three hidden factors; only the first threshold is exact for such a decoder.

    At the threshold the best posterior mean is linear in the counts, so a linear encoder must see them and not their
    logarithms: behind log(1 + x) it collapses below the predicted β already.
    """
    rng = np.random.default_rng(0)
    n = request.pick(1500, 3000, 20000)
    rate = np.exp(0.8 + rng.standard_normal((n, 3)) @ (rng.standard_normal((3, 12)) * np.array([[0.3], [0.2], [0.1]])))
    counts = rng.poisson(rate).astype(float)
    critical = forecast(counts, likelihood="poisson").critical_beta
    shares = request.pick((0.5, 1.05), (0.5, 0.8, 0.95, 1.05, 1.2), (0.3, 0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2))
    setups = [
        Setup(Objective(beta=critical * share, n_latents=4, likelihood="poisson"), Network(log_input=False),
              _of_counts(request))
        for share in shares
    ]  # fmt: skip
    result = train_all(setups, counts, device="cpu")
    return [
        {"data": "counts (generated)", "model": "VAE, Poisson", "network": "linear", "beta": critical * share,
         "critical beta": critical, "loss ours": v.evaluate(counts).loss, "paper": None,
         "ours": v.evaluate(counts).n_alive, "theory": "1 or more" if share < 1 else 0}
        for share, v in zip(shares, result, strict=True)
    ]  # fmt: skip
