"""Networks trained for long, and anew for half as long, beside the linear optimum: Dang et al.'s digits and ReLU VAE.

A count after a short training is that of latents on their way to death, or of a network that is not at any optimum yet.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from uncollapse.errors import UncollapseWarning
from uncollapse.objective import Objective
from uncollapse.spectra.decompose import spectrum
from uncollapse.studies.dang_common import Pair, carried, n_carrying, pairs, theory_count
from uncollapse.studies.study import Request
from uncollapse.training import Network, Schedule, Setup, Training, train

__all__ = ["CONVERGED", "converged", "converging", "half_as_long", "thresholds"]

WARM_UP = 0.4
"""Share of the epochs over which the KL weight rises; over the last half the rate falls."""

HALF = "after half as long"

CONVERGED = (
    "KL weight from 0 over two fifths of the epochs, rate to 0 over the last half (full: the paper's training); each "
    f"network also trained anew for half as many epochs, columns '{HALF}'"
)

Rows = tuple[np.ndarray, np.ndarray | None]
"""Targets, and the condition where there is one."""


def converging(request: Request, epochs: tuple[int, int], rate: float) -> Training:
    """A KL warm-up and a rate that falls to 0; at `full` the paper's own training."""
    n = request.pick(*epochs, 100)
    if request.preset == "full":
        return Training(epochs=n, learning_rate=1e-4)
    warm_up = Schedule("linear", warmup=WARM_UP * n)
    return Training(epochs=n, cooling=n // 2, schedule=warm_up, learning_rate=rate)


def half_as_long(training: Training) -> Training:
    """The same training in half the epochs."""
    schedule = replace(training.schedule, warmup=training.schedule.warmup / 2)
    return replace(training, epochs=training.epochs // 2, cooling=training.cooling // 2, schedule=schedule)


def converged(
    objective: Objective, network: Network, training: Training, fit: Rows, held: Rows
) -> tuple[Pair, dict[str, Any]]:
    """Train for the whole time and anew for half of it; the columns that tell whether, and how well, it has converged.

    KL is that beyond idle latents. Losses on `held`, which no training saw, are beside those of the linear optimum of
    the rows that it was fitted to.
    """
    half, whole = (pairs([Setup(objective, network, t)], *fit)[0] for t in (half_as_long(training), training))
    nats = np.sort(carried(whole))[::-1]
    alive, idle = n_carrying(whole), whole.evaluation.rate - float(nats.sum())  # latents of fixed width cost even so
    columns = {
        "loss ours": whole.evaluation.loss, "loss theory (linear)": whole.forecast.loss,
        "loss held out, ours": _loss(whole, held), "loss held out, linear optimum": _linear_loss(objective, fit, held),
        f"loss {HALF}": half.evaluation.loss,
        "KL ours": float(nats.sum()), "KL theory (linear)": whole.forecast.rate - idle,
        f"KL {HALF}": float(carried(half).sum()),
        "nats of the weakest alive": float(nats[alive - 1]) if alive else None,
        "nats of the strongest dead": float(nats[alive]) if alive < len(nats) else None,
        f"alive {HALF}": n_carrying(half),
        "paper": None, "ours": alive, "theory": theory_count(whole.forecast),
    }  # fmt: skip
    return whole, columns


def _loss(p: Pair, rows: Rows) -> float | None:
    y, given = rows
    return p.trained.evaluate(y, given=given).loss if len(y) else None


def _linear_loss(objective: Objective, fit: Rows, held: Rows) -> float | None:
    """Of the closed form for `fit`; a linear model that starts there and takes one step of no length."""
    if not len(held[0]) or objective.encoder_variance != "learned":
        return None
    there = Training(estimator="analytic", warm_start=True, epochs=1, steps_per_epoch=1, learning_rate=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)  # constant pixels
        model = train(fit[0], given=fit[1], objective=objective, training=there, device="cpu")
    return model.evaluate(held[0], given=held[1]).loss


def thresholds(x: np.ndarray) -> tuple[float, str]:
    """Water levels from which collapse is stable, and from which it is best, of centred rows; the second in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncollapseWarning)  # constant pixels
        found = spectrum(np.asarray(x, dtype=float))
    second = found.global_threshold
    if second.level is None or second.interval is None:
        return float(found.strengths[0]), f"not known ({second.why_not})"
    return float(found.strengths[0]), f"{second.level:.3g} (at most {second.interval[1]:.3g} at two standard errors)"
