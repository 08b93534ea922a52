"""Measure every table of thresholds.md and write it there (18 minutes on two busy cores), or the tables named."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "thresholds.md"
SEEDS = range(3)
STEPS = 2500


def main() -> None:
    """Run the studies named on the command line, or all of them."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or STUDIES:
        start = time.perf_counter()
        table = STUDIES[name]()
        text = PAGE.read_text(encoding="utf-8")
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{PAGE} has no place for the table {name}")
        PAGE.write_text(marked.sub(lambda m, t=table: f"{m[1]}\n{t}\n\n{m[2]}", text), encoding="utf-8")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def second_order() -> str:
    from thresholds.cases import NAMES
    from thresholds.runs import second_order

    rows = []
    for name in NAMES:
        runs = second_order(name, SEEDS)
        rows.append(
            (
                name,
                ", ".join(f"{r.beta:.3f}" for r in runs),
                f"{max(abs(r.beta / r.hessian - 1) for r in runs):.0e}",
                f"{max(abs(r.sampled / r.hessian - 1) for r in runs):.0e}",
                ", ".join(f"{r.overall / r.sampled:.2f}" for r in runs),
            )
        )
    head = ("likelihood", "β_c, three data sets", "formula against Hessian", "with the sample's D", "β_g/β_c at least")
    return markdown(head, rows)


def both_ways() -> str:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "uncollapse"
    from matplotlib import pyplot as plt

    from thresholds.both_ways import LEVELS, SETS, STARTS, both_ways, hysteresis_figure
    from uncollapse.showing.with_matplotlib import draw

    done = [both_ways(name) for name in SETS]
    rows = [
        (
            *((b.name, b.likelihood, f"{b.second:.2f} ± {b.error:.2f}") if start == STARTS[0] else ("", "", "")),
            start,
            *(_gain(b.gains[start, level], b.errors[start, level]) for level in LEVELS),
        )
        for b in done
        for start in STARTS
    ]
    axes = draw(hysteresis_figure([b for b in done if b.name in ("rare factor", "exponential")]))
    axes[0].figure.savefig(PAGE.parent / "figures" / "hysteresis.svg", metadata={"Date": None})
    plt.close("all")
    head = ("data", "likelihood", "τ_g/τ_c", "start", *(f"{level:g} τ_c" for level in LEVELS))
    return markdown(head, rows)


def _gain(value: float, error: float) -> str:
    """In bold where it stands above twice its error."""
    shown = f"{value:.3f}"
    return f"**{shown}**" if value > 2 * error and value > 5e-4 else shown if abs(value) > 5e-4 else "0"


def intervals() -> str:
    from thresholds.coverage import SHAPES, SIZES, covered

    rows = [(shape, *(f"{covered(shape, n, d, 200, 30):.0%}" for n, d in SIZES)) for shape in SHAPES]
    return markdown(("population", *(f"{n} rows of {d}" for n, d in SIZES)), rows)


def rows_apart() -> str:
    from thresholds.cases import closed_form, make_case, row_wise

    rows = []
    for name in ("Poisson, size factors", "negative binomial, size factors"):
        cases = [make_case(name, np.random.default_rng(seed)) for seed in SEEDS]
        ratios = [row_wise(case)[0] / closed_form(case)[0] for case in cases]
        rows.append((name, ", ".join(f"{ratio:.3f}" for ratio in ratios)))
    return markdown(("likelihood", "row-by-row Pearson residuals, first eigenvalue over β_c"), rows)


def likelihoods() -> str:
    from thresholds.cases import NAMES
    from thresholds.runs import likelihood_runs

    rows = []
    for name in NAMES:
        for hidden in (0, 16):
            runs = likelihood_runs(name, hidden, SEEDS, STEPS)
            for start in ("quiet", "warm"):
                rows.append((name, runs[0].network, start, *_cells([r for r in runs if r.start == start])))
    head = (
        "likelihood",
        "network",
        "start",
        "alive at 0.9 β_c",
        "KL",
        "alive at 1.1 β_c",
        "KL",
        "of these better than",
    )
    return markdown((*head[:-1], "better than collapse", "count λ1–λ2", "count λ2–λ3"), rows)


def _cells(runs: list) -> list[str]:
    below, above, first, second = (
        [r for r in runs if r.factor == factor] for factor in ("0.9", "1.1", "λ1–λ2", "λ2–λ3")
    )
    return [
        f"{sum(r.alive > 0 for r in below)}/{len(below)}",
        _range([r.kl for r in below]),
        f"{sum(r.alive > 0 for r in above)}/{len(above)}",
        _range([r.kl for r in above]),
        f"{sum(r.beats_collapse for r in above)}/{len(above)}",
        " ".join(str(r.alive) for r in first),
        " ".join(str(r.alive) for r in second),
    ]


def _range(values: list[float]) -> str:
    low, high = (f"{max(v, 0.0):.3f}" for v in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


def _table_of_runs(runs: list) -> str:
    rows = []
    for network in ("linear", "MLP"):
        for factor in dict.fromkeys(r.factor for r in runs):
            cells: list[str] = []
            group = [r for r in runs if (r.network, r.factor) == (network, factor)]
            for start in ("quiet", "warm"):
                some = [r for r in group if r.start == start]
                cells += [f"{sum(r.alive > 0 for r in some)}/{len(some)}", _range([r.kl for r in some])]
            best = _range([r.below_collapse for r in group if r.start == "warm"])
            rows.append((network, factor, "alive" if group[0].expected else "collapsed", *cells, best))
    head = (
        "network",
        "β",
        "theory",
        "alive, quiet start",
        "KL",
        "alive, warm start",
        "KL",
        "loss under collapse, warm",
    )
    return markdown(head, rows)


def regression() -> str:
    from thresholds.runs import regression_runs

    return _table_of_runs(regression_runs(SEEDS, STEPS))


def conditional() -> str:
    from thresholds.runs import conditional_runs

    return _table_of_runs(conditional_runs(0.5, SEEDS, STEPS))


def conditional_rare() -> str:
    from thresholds.runs import conditional_runs

    return _table_of_runs(conditional_runs(0.25, SEEDS, STEPS))


def patience() -> str:
    from thresholds.runs import conditional_runs

    rows = []
    for steps in (STEPS, 4 * STEPS):
        runs = conditional_runs(0.5, range(1), steps, [("MLP", 16)])
        some = [r for r in runs if (r.start, r.factor) == ("quiet", "0.8 × largest")]
        rows.append((steps, ", ".join(f"{max(r.kl, 0.0):.3f}" for r in some)))
    return markdown(("steps", "KL at 0.8 × largest, quiet start"), rows)


def residuals() -> str:
    from thresholds.residuals import revivals

    rows = []
    for name in ("Bernoulli, binary", "Poisson"):
        for n_live in (1, 2):
            for r in revivals(name, n_live, (0.6, 0.9, 1.1), SEEDS, 1500):
                rows.append(
                    (
                        name,
                        n_live,
                        f"{r.straight.level / r.beta:.3f}",
                        f"{abs(r.hessian / r.straight.plain - 1):.0e}",
                        f"{max(r.straight.drop, 0.0):.4f}",
                        f"{r.bent.level / r.beta:.3f}",
                        f"{max(r.bent.drop, 0.0):.4f}",
                        "yes" if r.revived else "no",
                        f"{abs(r.gain) if abs(r.gain) < 5e-4 else r.gain:.3f}",
                        "yes" if r.warmed else "no",
                        f"{abs(r.warmed_gain) if abs(r.warmed_gain) < 5e-4 else r.warmed_gain:.3f}",
                    )
                )
    head = (
        "likelihood",
        "alive",
        "level/β",
        "Hessian against level",
        "drop",
        "bent level/β",
        "drop",
        "revived",
        "gain",
        "warmed",
        "gain",
    )
    return markdown(head, rows)


def widths() -> str:
    from thresholds.residuals import data_dependent_widths

    rows = []
    for seed in SEEDS:
        w = data_dependent_widths(seed)
        reached = [slope for value, slope in zip(w.losses, w.slopes, strict=True) if value < w.optimum + 1e-6]
        worst = max(value - w.optimum for value in w.losses)
        row = (f"{w.optimum:.6f}", f"{min(w.losses) - w.optimum:.0e}", f"{len(reached)}/{len(w.losses)}")
        rows.append((*row, f"{max(reached):.0e}", f"{worst:.2f}"))
    head = (
        "closed form",
        "best found, minus that",
        "starts that reach it",
        "largest entry of C there",
        "worst start, above by",
    )
    return markdown(head, rows)


def forecasts() -> str:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.multioutput import MultiOutputRegressor

    from uncollapse import spectrum
    from uncollapse.spectra.nonlinear import nonlinear_spectrum

    rows = []
    for n, d in ((500, 5), (500, 100), (2000, 5), (2000, 100), (8000, 5)):
        for name, (f, true) in BENT.items():
            rng = np.random.default_rng(0)
            x = rng.standard_normal((n, d))
            y = f(x) + rng.standard_normal((n, 2))
            model = MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0))
            trees = cross_val_predict(model, x, y, cv=KFold(5, shuffle=True, random_state=0))
            spectra = [spectrum(x, y), spectrum(trees, y), spectrum(np.hstack([trees, x]), y), nonlinear_spectrum(x, y)]
            rows.append((n, d, name, true, *(_two(s.strengths) for s in spectra)))
    head = (
        "rows",
        "columns",
        r"E[y\|x]",
        "true",
        "linear",
        "trees alone",
        "trees and x",
        "trees and ridge: `nonlinear_spectrum`",
    )
    return markdown(head, rows)


def _two(strengths: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in np.pad(strengths, (0, 2))[:2])


BENT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "1.5 x1, x2": (lambda x: x[:, :2] * [1.5, 1.0], "2.25, 1"),
    "abs x1, 0.7 x2 x3": (
        lambda x: np.column_stack([np.abs(x[:, 0]) / np.sqrt(1 - 2 / np.pi), 0.7 * x[:, 1] * x[:, 2]]),
        "1, 0.49",
    ),
    "x1 + x2²/√2, 0.7 x2": (
        lambda x: np.column_stack([x[:, 0] + x[:, 1] ** 2 / np.sqrt(2), 0.7 * x[:, 1]]),
        "2, 0.49",
    ),
    "0": (lambda x: np.zeros((len(x), 2)), "0, 0"),
}

STUDIES: dict[str, Callable[[], str]] = {
    "both_ways": both_ways,
    "intervals": intervals,
    "second_order": second_order,
    "rows_apart": rows_apart,
    "likelihoods": likelihoods,
    "regression": regression,
    "conditional": conditional,
    "conditional_rare": conditional_rare,
    "patience": patience,
    "residuals": residuals,
    "widths": widths,
    "forecasts": forecasts,
}

if __name__ == "__main__":
    main()
