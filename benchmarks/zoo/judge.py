"""A planted model → its facts, the cause found, and the statistics that thresholds cut, as one flat row."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from planted import CASES, Case, grow
from plants import Planted

from uncollapse.diagnosis.causes import find_cause
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.gather import gather

__all__ = ["RESULTS", "judge", "judge_all", "read_rows", "write_rows"]

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


def judge_all(seeds: Iterable[int], cases: Iterable[Case] = CASES) -> Iterable[tuple[Planted, Row]]:
    """Grow and judge every case at every seed."""
    cases = list(cases)
    for seed in seeds:
        for case in cases:
            started = time.process_time()
            planted = grow(case, seed)
            row = judge(planted)
            about = {"cause": case.cause, "data": case.data, "net": case.net, "plant": case.how, "seed": seed}
            yield planted, {**about, **row, "cpu_seconds": round(time.process_time() - started, 1)}


def judge(planted: Planted) -> Row:
    """What the diagnosis finds, and by which numbers."""
    p = planted
    facts = gather(p.probe, p.data.x, given=p.data.given, objective=p.objective)
    finding = find_cause(facts)
    return {"found": finding.cause, "confidence": finding.confidence, **statistics(facts)}


def statistics(f: Facts) -> Row:
    """Every number that a threshold cuts, in the threshold's own terms; None where it was not asked for."""
    m, prior = f.measurement, f.forecast.objective.prior_variance
    energy = float(f.forecast.spectrum.total_energy) if f.forecast.exact else float(f.forecast.spectrum.strengths.sum())
    per_variance = f.decoder.decoder_variance if f.forecast.exact else 1.0
    noise, middle = f.forecast.spectrum.noise.variance, float(np.median(m.variance))
    moving = m.mean_variance[m.alive] / prior
    tried: Row = {}
    if f.continued is not None and f.refined is not None and f.scale > 0:
        c, r = f.continued, f.refined
        tried = {
            "continued": c.gain / f.scale,
            "refined": r.gain / f.scale,
            "refined_over_continued": r.gain / c.gain if c.gain > 0 else None,
            "decoder_over_continued": c.decoder_gain / c.gain if c.gain > 0 else None,
        }
    return {
        "alive": f.n_alive,
        "latents": f.n_latents,
        "linear_alive": f.forecast.n_alive,
        "top_residual": f.decoder.residual.top / f.water_level,
        "most_residual": f.decoder.residual.most / f.water_level,
        "gap_in_errors": f.gap / f.gap_error if f.gap_error else 0.0,
        "gap_of_scale": f.gap / f.scale if f.scale > 0.01 * energy / per_variance / 2 else None,
        "gap_of_energy": f.gap / (energy / per_variance / 2),
        "level_of_noise": f.water_level / noise if f.forecast.exact and noise else None,
        "variance_spread": max(float(abs(m.variance / middle - 1).max()), float((m.variance_std / middle).max())),
        "least_movement": float(moving.min()) if len(moving) else None,
        **dict.fromkeys(("continued", "refined", "refined_over_continued", "decoder_over_continued")),
        **tried,
    }


def write_rows(name: str, rows: list[Row]) -> None:
    """A small CSV under results/, numbers to four digits."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})


def read_rows(name: str) -> list[Row]:
    """What `write_rows` wrote; numbers as numbers, empty as None."""
    with (RESULTS / name).open(newline="", encoding="utf-8") as file:
        return [{k: _value(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
