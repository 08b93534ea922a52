"""Table 1 of Lucas et al. 2019 on any rows: its cases, how each is measured, and the linear optimum beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from uncollapse.data.blocks import Rows
from uncollapse.forecasting.predict import forecast
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.objective import Objective
from uncollapse.spectra.result import Spectrum
from uncollapse.studies.study import Verdict
from uncollapse.theory.posterior import collapsed_share_from_counts, counts_below, gaussian_kl, tuned_elbo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from uncollapse.training import Setup, Trained

__all__ = [
    "DELTA",
    "EPSILON",
    "TOLERANCE",
    "Case",
    "Found",
    "at_linear_optimum",
    "at_own_variance",
    "average",
    "epsilon_figure",
    "falls_with_noise",
    "judge",
    "measured",
    "moment_rows",
    "pairs_in_order",
    "paper_offset",
    "passes",
    "revived_rows",
    "row_by_row",
    "table_rows",
    "threshold_rows",
    "train_centred",
]

EPSILON, DELTA, TOLERANCE = 0.01, 0.01, 10.0
EPSILONS = np.geomspace(1e-4, 10, 61)
PRINTED = ("ELBO", "σ²-tuned ELBO", "tuned σ²", "collapse %", "KL")
BY_MEAN = "latents of mean KL < 0.01, %"


@dataclass(frozen=True)
class Case:
    """A row of Table 1: how σ² is set, and what the paper prints in the columns `PRINTED`."""

    variance: float
    learned: bool
    paper: tuple[float, ...]

    @property
    def name(self) -> str:
        """σ² and whether it is learned."""
        return f"σ² {'from' if self.learned else '='} {self.variance:g}{', learned' if self.learned else ''}"

    def objective(self, n_latents: int) -> Objective:
        """What is minimised."""
        return Objective(n_latents=n_latents, decoder_variance="learned" if self.learned else self.variance)


@dataclass(frozen=True, eq=False)
class Found:
    """A case measured: the columns `PRINTED`, the collapsed share over `EPSILONS` in %, latents of mean KL under ε in %
    at the end, and the same averaged over each epoch of training."""

    values: tuple[float, ...]
    curve: np.ndarray
    silent: float
    dead: np.ndarray

    @property
    def collapse(self) -> float:
        """Collapsed latents in %."""
        return self.values[3]


def average(found: Sequence[Found]) -> Found:
    """Of one case over its seeds."""
    values = np.mean([f.values for f in found], axis=0)
    curve, dead = (np.mean([getattr(f, name) for f in found], axis=0) for name in ("curve", "dead"))
    return Found(tuple(map(float, values)), curve, float(np.mean([f.silent for f in found])), dead)


def paper_offset(cases: Sequence[Case], n_targets: int) -> float:
    """Mean nats by which the paper's σ²-tuned ELBO exceeds what its own σ² and KL give, where σ² is learned.

    On MNIST it is (d/2) log 2 within 1.5 nats in each of these rows, and where σ² is fixed at 10 and 1. (For a fixed
    σ² ≤ 0.1 the paper's means over trials with large spreads do not fit together so closely.)
    """
    own = [c.paper[1] - tuned_elbo(n_targets * c.paper[2], n_targets, c.paper[4]) for c in cases if c.learned]
    return float(np.mean(own))


def pairs_in_order(paper: list[float], ours: list[float], apart: float = TOLERANCE) -> tuple[int, int]:
    """Pairs that the paper sets more than `apart` apart: how many have our order the same, and how many there are."""
    pairs = [(i, j) for i in range(len(paper)) for j in range(len(paper)) if paper[i] - paper[j] > apart]
    return sum(ours[i] > ours[j] for i, j in pairs), len(pairs)


def falls_with_noise(counts: Sequence[float], apart: float = TOLERANCE) -> bool:
    """Whether the largest σ² collapses most, and no other more, by over `apart`, than a larger one; σ² descends.

    No stricter order is asked for: the paper's own counts from a learned σ² have none.

    Examples
    --------
    >>> falls_with_noise([73.75, 47.88, 29.25, 23.0, 27.0]), falls_with_noise([80.0, 2.5, 33.0, 0.0, 0.0])
    (True, False)
    """
    return counts[0] > max(counts[1:]) and all(b - a <= apart for a, b in combinations(counts, 2))


def train_centred(x: np.ndarray, setups: Sequence[Setup], stack: int = 1, processes: int = 1) -> list[Trained]:
    """Train with the mean taken from what the encoder sees, not from what the decoder predicts.

    The encoder's first bias absorbs the mean, so the model is the same and need not learn it. The decoder must learn
    it: with centred targets its hidden layers stay so small that at σ² = 10 all latents die within a few epochs and
    stay dead.

    Several processes train one network each, on one thread: a step is too small to gain much from a second.
    """
    from joblib import Parallel, delayed, parallel_config

    from uncollapse.training import train_all

    seen = x - x.mean(0)
    if processes == 1:
        return train_all(setups, seen, x, stack=stack)
    with parallel_config(backend="loky", n_jobs=processes, inner_max_num_threads=1):
        each = Parallel(batch_size=1)(delayed(train_all)([setup], seen, x) for setup in setups)
    return [trained for (trained,) in each]


def measured(vae: Trained, rows: Rows, mean: np.ndarray) -> Found:
    """The printed columns of a trained VAE on the rows it was trained on; its encoder saw them less `mean`."""
    sums = _Sums()
    for y in rows.blocks():
        seen = y - mean
        result = vae.evaluate(seen, y, seed=len(sums.sizes))
        sums.add(gaussian_kl(*vae.encode(seen)), result.elbo, result.misfit, result.rate)
    elbo, misfit, rate = sums.averages
    return sums.found(len(mean), elbo, misfit, rate, 100 * (vae.latent_kl < EPSILON).mean(1))


def at_linear_optimum(linear: Spectrum, rows: Rows, objective: Objective) -> Found:
    """The linear VAE at its optimum for an objective, measured on the same rows."""
    f, sums = forecast(linear, objective=objective), _Sums()
    w = f.weights
    for y in rows.blocks():
        sums.add(gaussian_kl(y @ w.encoder + w.encoder_bias, w.encoder_std**2))
    return sums.found(linear.n_targets, f.elbo, f.distortion, f.rate, np.empty(0))


def at_own_variance(linear: Spectrum, rows: Rows, objective: Objective, variance: float) -> Found:
    """The linear VAE's optimum with σ² held where a training left it."""
    return at_linear_optimum(linear, rows, Objective(n_latents=objective.n_latents, decoder_variance=variance))


class _Sums:
    """What is known of the KL of each latent and row, added up over blocks of rows."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._below: list[np.ndarray] = []
        self._kl: list[np.ndarray] = []
        self._others: list[tuple[float, ...]] = []

    def add(self, kl: np.ndarray, *others: float) -> None:
        """KL of shape (rows, L), and averages of the block that only have to be averaged further."""
        self.sizes.append(len(kl))
        self._below.append(np.hstack([counts_below(kl, EPSILONS), counts_below(kl, np.array([EPSILON]))]))
        self._kl.append(kl.mean(0))
        self._others.append(others)

    @property
    def averages(self) -> np.ndarray:
        """Of what stood beside the KL."""
        return np.asarray(np.average(self._others, axis=0, weights=self.sizes))

    def found(self, d: int, elbo: float, misfit: float, rate: float, dead: np.ndarray) -> Found:
        """The columns."""
        shares = 100 * collapsed_share_from_counts(np.sum(self._below, axis=0), sum(self.sizes), DELTA)
        silent = 100 * float((np.average(self._kl, axis=0, weights=self.sizes) < EPSILON).mean())
        values = (elbo, tuned_elbo(misfit, d, rate), misfit / d, shares[-1], rate)
        return Found(tuple(map(float, values)), shares[:-1], silent, dead)


def table_rows(
    cases: Sequence[Case], result: Sequence[Found], theory: Sequence[Found], offset: float | None = None
) -> list[dict[str, Any]]:
    """One row for each case and printed column; with an offset, the paper's ELBOs are also given without it."""
    rows: list[dict[str, Any]] = []
    for case, ours, linear in zip(cases, result, theory, strict=True):
        for i, quantity in enumerate(PRINTED):
            row: dict[str, Any] = {"case": case.name, "quantity": quantity, "paper": case.paper[i]}
            if offset is not None:
                row["paper, with log 2π"] = case.paper[i] - (offset if "ELBO" in quantity else 0.0)
            rows.append(row | {"ours": ours.values[i], "theory": linear.values[i]})
        rows.append(
            {"case": case.name, "quantity": BY_MEAN, "paper": None, "ours": ours.silent, "theory": linear.silent}
        )
    return rows


def moment_rows(cases: Sequence[Case], result: Sequence[Found], steps: int) -> list[dict[str, Any]]:
    """When each training, of `steps` an epoch, had as many latents of mean KL < ε as the paper counts at its end.

    Of rows that have some collapsed latent in the paper. None: it never had.
    """
    rows: list[dict[str, Any]] = []
    for case, found in zip(cases, result, strict=True):
        if not case.paper[3]:
            continue
        epoch = passes(found.dead, case.paper[3])
        rows.append(
            {
                "case": case.name,
                "quantity": "steps after which as many latents have mean KL < 0.01 as the paper counts",
                "paper": None,
                "ours": None if epoch is None else round(steps * epoch),
                "theory": None,
            }
        )
    return rows


def passes(curve: np.ndarray, level: float) -> float | None:
    """Epochs after which a share that is known as its mean over each epoch first comes to `level`; None: never.

    A mean over an epoch stands for the middle of it; between two middles the share is taken as a straight line.
    """
    at = np.flatnonzero(curve >= level)
    if not len(at):
        return None
    i = int(at[0])
    if i == 0:
        return 0.5
    return float(i - 0.5 + (level - curve[i - 1]) / (curve[i] - curve[i - 1]))


def threshold_rows(linear: Spectrum) -> list[dict[str, Any]]:
    """What holds for every network on these images."""
    second = linear.global_threshold
    name = "σ² from which every network collapses (second threshold)"
    levels = {
        "σ² under which some latent lives (first threshold)": float(linear.strengths[0]),
        name if second.level is not None else f"{name}: {second.why_not}": second.level,
    }
    return [
        {"case": "any network", "quantity": quantity, "paper": None, "ours": None, "theory": level}
        for quantity, level in levels.items()
    ]


def revived_rows(case: Case, vae: Trained, x: np.ndarray, variance: float) -> list[dict[str, Any]]:
    """What `revive` adds to a trained VAE without training, at its own σ², on rows that neither found nor chose it."""
    from uncollapse.reviving.build import revive

    mean, n_latents = x.mean(0), vae.architecture.n_latents
    better = revive(
        (lambda rows: vae.encode(rows - mean), vae.decode),
        x,
        spread="variance",
        objective=Objective(n_latents=n_latents, decoder_variance=variance),
    )
    found = {
        "nats that revive adds to the ELBO": better.gain,
        "twice the standard error of these": 2 * better.gain_error,
        f"latents of mean KL > {ALIVE_NATS:g} before revive": better.alive_before,
        f"latents of mean KL > {ALIVE_NATS:g} after revive": better.alive_after,
    }
    return [
        {"case": case.name, "quantity": name, "paper": None, "ours": value, "theory": None}
        for name, value in found.items()
    ]


def row_by_row(cases: Sequence[Case], result: Sequence[Found], others: Sequence[Found], what: str) -> str:
    """Collapse % of each case in words: ours, the paper's, and that of `others`, which are `what`."""
    each = [
        f"{case.name}: {found.collapse:.1f} ({case.paper[3]:.1f}; {other.collapse:.1f})"
        for case, found, other in zip(cases, result, others, strict=True)
    ]
    return f"Collapse % and, in brackets, the paper's and that of {what}: {', '.join(each)}"


def judge(
    cases: Sequence[Case], result: Sequence[Found], theory: Sequence[Found], offset: float | None = None
) -> tuple[Verdict, str]:
    """Collapse % against the paper's: pairs in order, rows within ten points; in part if it only falls with σ² so.

    The ELBO under the linear optimum's, which networks can attain, tells how far runs are from their own optimum; with
    an offset it tells the same of the paper's.
    """
    paper, ours = [case.paper[3] for case in cases], [f.collapse for f in result]
    right, pairs = pairs_in_order(paper, ours)
    by_mean, _ = pairs_in_order(paper, [f.silent for f in result])
    near = sum(abs(a - b) <= TOLERANCE for a, b in zip(paper, ours, strict=True))
    behind = under(cases, [f.values[0] for f in result], theory)
    halves = [[f.collapse for f, case in zip(result, cases, strict=True) if case.learned == which] for which in (0, 1)]
    falls = all(map(falls_with_noise, halves))
    printed = [[case.paper[3] for case in cases if case.learned == which] for which in (0, 1)]
    rises = [max(b - a for half in which for a, b in combinations(half, 2)) for which in (halves, printed)]
    because = (
        f"collapse {'falls' if falls else 'does not fall'} with σ², fixed and as a start, to within {TOLERANCE:g} "
        f"points (a smaller σ² has up to {max(rises[0], 0.0):.1f} more than a larger one; in the paper "
        f"{max(rises[1], 0.0):.1f}); of the {pairs} pairs that the paper sets over {TOLERANCE:g} points apart, "
        f"{right} have its order ({by_mean} when latents of mean KL < {EPSILON:g} are counted); {near} of {len(ours)} "
        f"rows are within {TOLERANCE:g} points. Nats under the linear optimum's ELBO, where networks need not be: "
        f"{behind}"
    )
    if offset is not None:
        because += f"; the paper's own: {under(cases, [case.paper[0] - offset for case in cases], theory)}"
    elbos = [(case.paper[0], found.values[0]) for case, found in zip(cases, result, strict=True) if case.learned]
    order = float(spearmanr([paper for paper, _ in elbos], [ours for _, ours in elbos]).statistic)
    because += f"; rank correlation of the ELBOs with the paper's where σ² is learned: {order:+.1f}"
    if right == pairs and near == len(ours):
        return "reproduced", because
    return ("reproduced in part" if falls else "not reproduced"), because


def under(cases: Sequence[Case], elbos: Sequence[float], theory: Sequence[Found]) -> str:
    """In words, of learned σ² (the range) and of each fixed one: by how much ELBOs lie under the linear optimum's."""
    result = [t.values[0] - elbo for elbo, t in zip(elbos, theory, strict=True)]
    learned = [value for case, value in zip(cases, result, strict=True) if case.learned]
    fixed = [f"{case.name}: {value:.0f}" for case, value in zip(cases, result, strict=True) if not case.learned]
    return f"{min(learned):.0f} to {max(learned):.0f} where σ² is learned, {', '.join(fixed)}"


def epsilon_figure(
    cases: Sequence[Case], result: Sequence[Found], theory: Sequence[Found], trained_on: str = ""
) -> Figure:
    """Collapsed share over ε: fixed and learned σ², with the paper's numbers at ε = 0.01."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, learned in zip(panels, (False, True), strict=True):
        for i, case in enumerate(cases):
            if case.learned != learned:
                continue
            (line,) = panel.plot(EPSILONS, result[i].curve, marker=".", markevery=5, label=f"{case.variance:g}")
            panel.plot(EPSILON, case.paper[3], "x", color=line.get_color(), markersize=8)
            if not learned:
                panel.plot(EPSILONS, theory[i].curve, ":", color=line.get_color())
        if learned:
            panel.plot(EPSILONS, theory[-1].curve, "k:")
        panel.set(xscale="log", xlabel="ε (nats)", title="σ² learned, by its start" if learned else "σ² fixed")
        panel.legend(title="σ²", fontsize=8, framealpha=0.6, loc="upper left")
    panels[0].set_ylabel("(ε, 0.01)-collapsed latents (%)")
    figure.suptitle(f"Lines: trained{trained_on}; dotted: linear optimum; ×: the paper's Table 1", fontsize=9)
    return figure
