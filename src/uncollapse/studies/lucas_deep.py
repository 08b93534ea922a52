"""Lucas et al. 2019, section 6.2 on MNIST: Table 1 with Figures 5 and 6, and what KL annealing leaves behind."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.studies.lucas_data import LOGIT_MARGIN, PAPER, logit_digits, modes_of
from uncollapse.studies.lucas_table import (
    DELTA,
    EPSILON,
    TOLERANCE,
    Case,
    at_linear_optimum,
    epsilon_figure,
    judge,
    measured,
    paper_offset,
    table_rows,
    train_centred,
)
from uncollapse.studies.study import Request, Result, Study, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MNIST", "STUDIES"]

PIXELS, LATENTS = 784, 200

MNIST = (
    Case(10.0, False, (-1450.3, -1098.2, 1.797, 89.88, 28.8)),
    Case(1.0, False, (-1022.1, -1018.3, 1.145, 27.38, 125.4)),
    Case(0.1, False, (-3697.3, -1190.8, 0.968, 3.25, 368.7)),
    Case(0.01, False, (-38612.5, -2090.8, 0.877, 0.0, 695.9)),
    Case(0.001, False, (-504259.1, -1744.7, 0.810, 0.0, 756.2)),
    Case(10.0, True, (-1022.2, -1022.3, 1.318, 73.75, 73.8)),
    Case(1.0, True, (-1011.1, -1011.1, 1.182, 47.88, 106.3)),
    Case(0.1, True, (-1025.4, -1025.4, 1.195, 29.25, 116.1)),
    Case(0.01, True, (-1030.6, -1030.5, 1.191, 23.0, 121.9)),
    Case(0.001, True, (-1038.7, -1038.8, 1.209, 27.0, 124.9)),
)


def table_1(request: Request) -> Result:
    """Train the ten VAEs of the table's MNIST half and measure collapse on the training set."""
    from uncollapse.training import Network

    x, training, settings = _setting(request)
    network = Network(hidden=settings["hidden"])
    found = [measured(train_centred(x, case.objective(LATENTS), network, training(case)), x) for case in MNIST]
    linear = modes_of(x)
    theory = [at_linear_optimum(linear, x, case, LATENTS) for case in MNIST]
    rows = table_rows(MNIST, found, theory, offset=PIXELS / 2 * math.log(2))
    verdict, because = judge(MNIST, found, theory)
    settings |= {
        "paper's ELBO above what its own σ² and KL give, nats": round(paper_offset(MNIST, PIXELS), 2),
        "(d/2) log 2": round(PIXELS / 2 * math.log(2), 2),
        "dead latents, % by mean KL < 0.01, at a quarter, half, three quarters and the end of training": {
            case.name: [round(float(v), 1) for v in f.dead[_quarters(len(f.dead))]]
            for case, f in zip(MNIST, found, strict=True)
        },
    }
    return Result(rows, epsilon_figure(MNIST, found, theory), settings, verdict, because)


def _setting(request: Request) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Data, the training of a case, and both in words."""
    import torch

    from uncollapse.training import Training

    torch.set_num_threads(request.pick(1, 1, torch.get_num_threads()))
    n = request.pick(1000, 10_000, 60_000)
    epochs = request.pick(40, 100, 1000)
    rate = request.pick(2e-3, 2e-3, 5e-4)

    def training(case: Case) -> Training:
        return Training(
            epochs=epochs,
            batch_size=request.pick(32, 128, 128),
            learning_rate=rate,
            initial_decoder_variance=case.variance,
            mixed_precision=request.preset != "full",
        )

    settings = {
        "images": n,
        "hidden": request.pick((64, 64), (256, 256), (1024, 512)),
        "latents": LATENTS,
        "epochs": epochs,
        "batch": request.pick(32, 128, 128),
        "optimiser": f"Adam {rate:g}",
        "seeds": [0],
        "data": f"logit({LOGIT_MARGIN:g} + (1 − {2 * LOGIT_MARGIN:g})(x + U)/256); the encoder sees it centred",
        "multiplication": "float32" if request.preset == "full" else "bfloat16",
        "chosen here": "widths, batch, epochs, learning rate (not in the text); the paper has 60,000 images, 5 trials",
        "ε, δ": [EPSILON, DELTA],
    }
    return logit_digits(request, n), training, settings


def _quarters(n: int) -> list[int]:
    return [max(n * k // 4 - 1, 0) for k in (1, 2, 3, 4)]


def annealing(request: Request) -> Result:
    """KL weight raised from 0 to 1 over half the training, beside full weight all along."""
    from uncollapse.training import Network, Schedule

    x, training, settings = _setting(request)
    network = Network(hidden=settings["hidden"])
    x = x[: request.pick(1000, 5000, 60_000)]
    cases = (MNIST[0], MNIST[5])
    runs: dict[str, list[np.ndarray]] = {}
    rows: list[dict[str, Any]] = []
    linear = modes_of(x)
    for case in cases:
        plain = replace(training(case), epochs=request.pick(16, 80, 400))
        half = plain.epochs // 2
        annealed = replace(plain, schedule=Schedule("linear", warmup=half))
        both = [measured(train_centred(x, case.objective(LATENTS), network, t), x) for t in (plain, annealed)]
        runs[case.name] = [f.dead for f in both]
        fewest = float(both[1].dead[:half].min())
        theory = at_linear_optimum(linear, x, case, LATENTS)
        for what, ours in (
            ("dead %, fewest while annealing", fewest),
            ("dead %, end, annealed", float(both[1].dead[-1])),
            ("dead %, end, full weight all along", float(both[0].dead[-1])),
            ("collapse %, end, annealed", both[1].collapse),
            ("collapse %, end, full weight all along", both[0].collapse),
        ):
            paper = case.paper[3] if what.endswith("all along") and what.startswith("coll") else None
            rows.append({"case": case.name, "quantity": what, "paper": paper, "ours": ours, "theory": theory.collapse})
        settings["epochs"], settings["annealed over"] = plain.epochs, half
    settings["images"] = len(x)
    back = [(dead[1][-1] - dead[1][: len(dead[1]) // 2].min(), dead[1][-1] - dead[0][-1]) for dead in runs.values()]
    again = [rose >= TOLERANCE and short >= -TOLERANCE for rose, short in back]
    verdict: Verdict = "reproduced" if all(again) else "reproduced in part" if any(again) else "not reproduced"
    because = "; ".join(
        f"{name}: from {dead[1][: len(dead[1]) // 2].min():.0f} % dead latents while annealing to {dead[1][-1]:.0f} % "
        f"at the end, against {dead[0][-1]:.0f} % at full weight all along"
        for name, dead in runs.items()
    )
    return Result(rows, _annealing_figure(runs), settings, verdict, because)


def _annealing_figure(runs: dict[str, list[np.ndarray]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for panel, (name, (plain, annealed)) in zip(panels, runs.items(), strict=True):
        epochs = np.arange(1, len(plain) + 1)
        panel.plot(epochs, plain, label="full weight all along")
        panel.plot(epochs, annealed, label="weight 0 → 1")
        panel.axvline(len(plain) // 2, color="grey", lw=0.8, ls="--")
        panel.set(xlabel="epoch (dashed: full weight from here on)", title=name)
    panels[0].set_ylabel("dead latents, mean KL < 0.01 nats (%)")
    panels[0].legend(fontsize=8)
    return figure


STUDIES: tuple[Study, ...] = (
    Study(
        "lucas-table-1-fig-5-6",
        f"{PAPER}, Table 1 (MNIST), Figures 5 and 6",
        "A large observation noise σ², fixed or as a start, leaves more latents collapsed and a worse ELBO.",
        table_1,
        "mnist",
    ),
    Study(
        "lucas-annealing",
        f"{PAPER}, sections 3 and 6.2",
        "Once the full KL weight is back after annealing, the posterior collapses again.",
        annealing,
        "mnist",
    ),
)
