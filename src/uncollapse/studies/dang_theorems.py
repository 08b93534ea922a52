"""Dang et al. 2024: their theorems on random data, singular values of trained matrices against the closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.objective import Level, Objective
from uncollapse.studies.dang_common import LOSS_TOLERANCE, Pair, canvas, gap, mean_spectrum, pairs
from uncollapse.studies.study import Request, Result, Verdict
from uncollapse.training import Setup, Training

__all__ = ["theorems"]

VALUE_TOLERANCE = 1e-2
"""Largest difference of a singular value, relative to the largest of its matrix: values close to the threshold move by
the square root of what the loss misses."""


@dataclass(frozen=True)
class _Case:
    name: str
    objective: Objective
    conditional: bool = False


def _cases(dim: int) -> list[_Case]:
    both = (Level(1.0, 0.36, dim), Level(2.0, 0.49, dim))
    unequal = (4.0, 1.0, 0.49, 0.25, 0.09)[-dim:]
    return [
        _Case("linear VAE, Σ learned", Objective(beta=2.0, n_latents=dim, bias=False)),
        _Case("linear VAE, Σ fixed and unequal",
              Objective(beta=2.0, encoder_variance=unequal, bias=False)),
        _Case("CVAE, Σ learned (Theorem 1)", Objective(beta=2.0, n_latents=dim, bias=False), conditional=True),
        _Case("CVAE, Σ fixed", Objective(beta=2.0, n_latents=dim, encoder_variance=0.25, bias=False), conditional=True),
        _Case("MHVAE, Σ1 fixed, Σ2 learned (Theorem 3)",
              Objective(levels=(Level(1.0, 0.25, dim), Level(2.0, "learned", dim)), bias=False)),
        _Case("MHVAE, both fixed (Theorem 5)", Objective(levels=both, bias=False)),
        _Case("MHVAE, both learned (left open there)",
              Objective(levels=(Level(1.0, "learned", dim), Level(2.0, "learned", dim)), bias=False)),
    ]  # fmt: skip


def theorems(request: Request) -> Result:
    """Every theorem on random data, from random starts."""
    dim, seeds = request.pick(3, 5, 5), range(request.pick(1, 2, 20))
    # quick: the case of both levels learned needs many more steps than the others
    cases = _cases(dim)[: request.pick(6, 7, 7)]
    training = Training(estimator="analytic", learning_rate=request.pick(2e-2, 1e-2, 1e-3),
                        epochs=request.pick(12, 60, 300), steps_per_epoch=100)  # fmt: skip
    rows: list[dict[str, Any]] = []
    for case in cases:
        for seed in seeds:
            y, x = _data(seed, dim)
            own = Training(**{**vars(training), "seed": seed})
            given = x if case.conditional else None
            (result,) = pairs([Setup(case.objective, training=own)], y, given)
            rows += _rows(case, seed, result, y, given)
    figure, (axis,) = canvas(1, 4.6, 4.2)
    for i, case in enumerate(cases):
        mine = [r for r in rows if r["model"] == case.name and r["quantity"] != "loss"]
        axis.plot([r["theory"] for r in mine], [r["ours"] for r in mine], ".", color=f"C{i}", label=case.name)
    top = max(r["theory"] for r in rows if r["quantity"] != "loss")
    axis.plot([0, top], [0, top], color="lightgrey", zorder=0)
    axis.set(xlabel="singular value, closed form", ylabel="singular value, trained", title="Theorems on random data")
    axis.legend(fontsize=6)
    verdict, because = _verdict(rows)
    settings = {
        "preset": request.preset,
        "data": f"y = A g, x = B y + n, all Gaussian, A, B random {dim} × {dim}, 300 samples; a new draw for each seed",
        "convention": "E‖y − ŷ‖²/(2η²) + Σ β KL, η = η_e = 1; β = 2, or (1, 2) for two levels",
        "estimator": "analytic", "optimiser": "adam", "learning rate": training.learning_rate,
        "steps": training.epochs * 100, "seeds": list(seeds),
    }  # fmt: skip
    return Result(rows, figure, settings, verdict, because)


def _data(seed: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([5, seed])
    y = rng.standard_normal((300, dim)) @ (rng.standard_normal((dim, dim)) * np.array([2.0, 1.5, 1.0, 0.7, 0.4])[:dim])
    return y, 0.5 * y @ rng.standard_normal((dim, dim)) + rng.standard_normal((300, dim))


def _rows(case: _Case, seed: int, result: Pair, y: np.ndarray, given: np.ndarray | None) -> list[dict[str, Any]]:
    weights, parameters = result.forecast.weights, result.trained.parameters
    dim = y.shape[1]
    mean = y @ weights.encoder
    if given is not None and weights.encoder_condition is not None:
        mean = mean + given @ weights.encoder_condition
    spectra = {
        # singular values of W Φ^{1/2}: roots of the eigenvalues of E[μμᵀ]
        "V1": (_roots(result.trained.encode(y, given)[0].astype(float)), _roots(mean)),
        # the rows of the latents; the condition's follow
        "U1": (_singular(parameters["decoder.out.weight"].numpy()[:dim]), _singular(weights.decoder)),
    }
    if weights.upper:
        spectra["U2"] = (_singular(parameters["prior1.out.weight"].numpy()), _singular(weights.upper[0].decoder))
    rows: list[dict[str, Any]] = [
        {"model": case.name, "seed": seed, "quantity": "loss", "paper": None, "ours": result.evaluation.loss,
         "theory": result.forecast.loss, "difference": gap(result)}
    ]  # fmt: skip
    for name, (ours_s, theory_s) in spectra.items():
        scale = max(float(theory_s[0]), 1.0)
        rows += [
            {"model": case.name, "seed": seed, "quantity": f"{name}[{i + 1}]", "paper": None, "ours": float(a),
             "theory": float(b), "difference": abs(float(a) - float(b)) / scale}
            for i, (a, b) in enumerate(zip(ours_s, theory_s, strict=True))
        ]  # fmt: skip
    return rows


def _singular(matrix: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.linalg.svd(matrix, compute_uv=False)
    return values


def _roots(means: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(mean_spectrum(means), 0))


def _verdict(rows: list[dict[str, Any]]) -> tuple[Verdict, str]:
    losses = max(r["difference"] for r in rows if r["quantity"] == "loss")
    values = {r["model"]: 0.0 for r in rows}
    for r in rows:
        if r["quantity"] != "loss":
            values[r["model"]] = max(values[r["model"]], r["difference"])
    off = [f"{name} ({value:.3f})" for name, value in values.items() if value > VALUE_TOLERANCE]
    n = len(values)
    words = (
        f"Largest relative difference of the loss {losses:.1e}; singular values within {VALUE_TOLERANCE:g} of the "
        f"largest in {n - len(off)} of {n} models" + (f", not in {'; '.join(off)}." if off else ".")
    )
    if losses <= LOSS_TOLERANCE and not off:
        return "reproduced", words
    return ("reproduced in part" if losses <= LOSS_TOLERANCE or len(off) < n else "not reproduced"), words
