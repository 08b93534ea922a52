"""What the studies of Dang et al. share: images cut into condition and target, and training beside its forecast."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.errors import SourceError, UncollapseWarning
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.spectra.decompose import spectrum
from uncollapse.studies.study import MNIST_FILE, Request
from uncollapse.theory.optimum import fixed_width_kl
from uncollapse.training import Setup, Trained, train_all
from uncollapse.training.result import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "HALVED",
    "LOSS_TOLERANCE",
    "Pair",
    "canvas",
    "carried",
    "digit_labels",
    "gap",
    "images",
    "mean_spectrum",
    "n_carrying",
    "n_modes_carried",
    "pairs",
    "quarter_and_rest",
    "theory_count",
]

LOSS_TOLERANCE = 1e-3
"""Relative: how near to the closed form's loss a linear model must be trained."""

HALVED = (
    "The authors' nonlinear scripts halve the KL and not the squared error, so their β acts as β/2 in ours; β is given "
    "as in the paper and trained as β/2."
)


@dataclass(frozen=True, eq=False)
class Pair:
    """A trained model, what it costs, and the forecast for the linear model of the same objective."""

    setup: Setup
    trained: Trained
    evaluation: Evaluation
    forecast: Forecast


def pairs(setups: Sequence[Setup], data: np.ndarray, given: np.ndarray | None = None, linear: Any = None) -> list[Pair]:
    """Train every setup and put the forecast beside it; `linear` stands in for `data` in the forecast."""
    with warnings.catch_warnings():  # constant pixels and latents without a mode are part of the experiments
        warnings.simplefilter("ignore", UncollapseWarning)
        wide = None if given is None else np.asarray(given, dtype=float)
        target = np.asarray(data if linear is None else linear, dtype=float)
        modes = spectrum(target, given=wide, bias=setups[0].objective.bias)
        device = None if setups[0].network.hidden else "cpu"  # steps of linear models are too small for a GPU
        trained = train_all(setups, data, given=given, device=device)
        return [
            Pair(s, t, t.evaluate(data, given=given), forecast(modes, objective=s.objective))
            for s, t in zip(setups, trained, strict=True)
        ]


def gap(pair: Pair, scale: float | None = None) -> float:
    """(trained loss − closed form)/closed form, or over `scale` where the closed form is 0."""
    return (pair.evaluation.loss - pair.forecast.loss) / (scale or abs(pair.forecast.loss))


def carried(pair: Pair, level: int = 0) -> np.ndarray:
    """Nats that each latent of a level costs beyond an idle one of its width.

    For a latent of fixed σ² the idle cost ½(ρ² − 1 − log ρ²) is no information; docs/theory.md section 1.
    """
    columns = pair.trained.architecture.levels[level]
    objective = pair.setup.objective
    kl = pair.evaluation.kl[columns]
    width = objective.levels[level].variance if objective.levels else objective.encoder_variance
    variances = width if isinstance(width, tuple) else (width,) * len(kl)
    idle = [
        0.0 if v == "learned" else float(fixed_width_kl(np.array([np.sqrt(v / objective.prior_variance)]))[0])
        for v in variances
    ]
    return np.asarray(kl - idle)


def n_carrying(pair: Pair, level: int = 0) -> int:
    """Latents that carry more than `ALIVE_NATS`."""
    return int((carried(pair, level) > ALIVE_NATS).sum())


def theory_count(f: Forecast) -> int:
    """Modes to which the closed form gives more than `ALIVE_NATS` beyond an idle latent, as `carried` counts them."""
    kl = f.modes.kl[f.modes.alive]
    widths = f.objective.encoder_variance
    if not f.levels and widths != "learned" and "learned" not in np.atleast_1d(np.array(widths, dtype=object)):
        kl = kl - fixed_width_kl(f.modes.encoder_std[f.modes.alive] / np.sqrt(f.objective.prior_variance))
    return int((kl > ALIVE_NATS).sum())


def n_modes_carried(pair: Pair, data: np.ndarray) -> int:
    """Modes that carry more than `ALIVE_NATS`, whatever the rotation of latents of one fixed width: ½θ²/η_e² nats."""
    theta2 = mean_spectrum(pair.trained.encode(data)[0].astype(float))
    return int((theta2 / (2 * pair.setup.objective.prior_variance) > ALIVE_NATS).sum())


def mean_spectrum(means: np.ndarray) -> np.ndarray:
    """Eigenvalues of E[μμᵀ], descending: θ² of the modes, whatever the rotation of the latents."""
    return np.linalg.eigvalsh(means.T @ means / len(means))[::-1]


def images(request: Request, n: int | None, pool: int) -> np.ndarray:
    """MNIST, each `pool` × `pool` pixels averaged and multiplied by `pool`, shape (n, side, side).

    The factor leaves the energy of smooth images, and so the leading strengths, nearly as they are.
    """
    rows = request.mnist(n).reshape(-1, 28, 28)
    side = 28 // pool
    return np.asarray(rows.reshape(-1, side, pool, side, pool).mean((2, 4), dtype=np.float64) * pool)


def digit_labels(request: Request, n: int | None) -> np.ndarray:
    """MNIST's labels.

    Raises
    ------
    SourceError
        No label file in the folder.
    """
    path = (request.data or Path("data/mnist")) / MNIST_FILE.replace("images-idx3", "labels-idx1")
    if not path.exists():
        raise SourceError(f"{path.parent}: no {path.name} there; the labels are needed to split by digit")
    with gzip.open(path) as file:
        return np.frombuffer(file.read()[8:], np.uint8)[:n]  # 8: the header of a list in idx


def quarter_and_rest(pictures: np.ndarray, *, masked: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The bottom-left quarter (condition) and the other three (target), as rows.

    With `masked`, the target is the whole image with that quarter black, as a convolution needs it.
    """
    n, height, width = pictures.shape
    corner = np.zeros((height, width), dtype=bool)
    corner[height - height // 2 :, : width // 2] = True
    rest = np.where(corner, 0.0, pictures).reshape(n, height * width) if masked else pictures[:, ~corner]
    return pictures[:, corner], rest


def canvas(n_panels: int, width: float = 4.2, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n_panels, height), layout="constrained")
    return figure, list(figure.subplots(1, n_panels, squeeze=False)[0])
