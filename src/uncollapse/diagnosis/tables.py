"""A diagnosis as rows of cells: each latent beside the forecast, what was measured, remedies that were tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uncollapse.diagnosis.result import Diagnosis, Trial
from uncollapse.measure.result import ALIVE_NATS

__all__ = [
    "EVIDENCE_HEADINGS",
    "TRIAL_HEADINGS",
    "LatentRow",
    "baseline_name",
    "evidence_rows",
    "latent_headings",
    "latents",
    "measured",
    "number",
    "trial_rows",
]

EVIDENCE_HEADINGS = ("finding", "value", "held against")
TRIAL_HEADINGS = ("change", "loss", "after", "alive", "after", "linear count", "seconds")


@dataclass(frozen=True)
class LatentRow:
    """One latent, beside the forecast's latent of the same rank in KL.

    Attributes
    ----------
    level, latent : int
        Both from 1.
    kl, kl_std, forecast_kl : float
        Nats; the forecast's is NaN where there is none.
    mean_variance : float
        Var_x of the posterior mean.
    alive, active : bool
    earns : bool or None
        Whether the loss rises without it by more than twice its error; None where that was not tried.
    """

    level: int
    latent: int
    kl: float
    kl_std: float
    forecast_kl: float
    mean_variance: float
    alive: bool
    active: bool
    earns: bool | None = None

    @property
    def state(self) -> str:
        """In a few words."""
        if self.alive:
            idle = "" if self.earns is not False else ", does not earn"
            return f"alive{idle}" if self.active else "alive, its mean hardly moves"
        if self.active:
            return "active without KL"
        return "collapsed, forecast alive" if self.forecast_kl > ALIVE_NATS else "collapsed"

    def cells(self, n_levels: int) -> list[str]:
        """Under `latent_headings`."""
        numbers = [number(v) for v in (self.kl, self.kl_std, self.forecast_kl, self.mean_variance)]
        return [*([str(self.level)] if n_levels > 1 else []), str(self.latent), *numbers, self.state]


def latent_headings(n_levels: int) -> list[str]:
    """Of a table of `LatentRow.cells`."""
    return [*(["level"] if n_levels > 1 else []), "latent", "KL, nats", "± rows", "forecast", "Var of mean", "state"]


def latents(d: Diagnosis) -> list[LatentRow]:
    """Level by level, the largest KL first."""
    m, rows, start = d.measurement, [], 0
    for level, (kl, expected) in enumerate(zip(m.level_kl, _forecast_kl(d), strict=True), start=1):
        for rank, i in enumerate(np.argsort(-kl, kind="stable")):
            at = start + int(i)
            numbers = (float(kl[i]), float(m.kl_std[at]), float(expected[rank]), float(m.mean_variance[at]))
            earns = _earns(d, at) if level == 1 else None
            rows.append(LatentRow(level, int(i) + 1, *numbers, bool(d.alive[at]), bool(m.active[at]), earns))
        start += len(kl)
    return rows


def _earns(d: Diagnosis, latent: int) -> bool | None:
    earning = d.bill.earning
    return None if earning is None or not earning.tried[latent] else bool(earning.earns[latent])


def _forecast_kl(d: Diagnosis) -> Iterator[np.ndarray]:
    """KL of as many latents as each level has, descending; a latent without a mode has none to code."""
    f, sizes = d.forecast, d.measurement.sums.level_sizes
    result: list[np.ndarray] = [f.modes.kl] if not f.objective.levels else [level.kl for level in f.levels]
    for i, size in enumerate(sizes):
        if i >= len(result):
            yield np.full(size, np.nan)
            continue
        kl = np.sort(result[i])[::-1][:size]
        rest = 0.0 if f.spectrum.complete else np.nan
        yield np.append(kl, np.full(size - len(kl), rest))


def measured(d: Diagnosis) -> list[tuple[str, str]]:
    """Names and values, the most important first."""
    m, c, f = d.measurement, d.decoder, d.forecast
    rows = [
        ("rows measured", f"{m.n_samples:,}; decoder on {c.n_rows:,} of them, {c.n_draws} draws each"),
        ("latents alive", f"{d.n_alive} of {m.n_latents} (KL above {ALIVE_NATS:g}); forecast {f.n_alive}"),
        ("active units", f"{m.n_active} (posterior mean varies by more than 0.01)"),
        ("KL, nats per sample", _beside(m.rate, f.rate)),
    ]
    if d.bill.n_earning is not None:
        rows.insert(2, ("latents that earn their KL", str(d.bill.n_earning)))
    if len(m.level_kl) > 1:
        rows += [("KL of each level", ", ".join(number(float(level.sum())) for level in m.level_kl))]
    rows += [("mutual information, nats", _information(d))]
    if m.mean_rank is not None:
        rows += [("directions that the means use", number(m.mean_rank))]
    rows += [("ELBO, nats per sample", _beside(c.elbo, f.elbo, c.elbo_error))]
    if c.importance_bound is not None:
        rows += [(f"importance bound, {c.n_draws} draws", number(c.importance_bound, 6))]
    if d.linear_gap is not None:
        error = "" if d.linear_gap_error is None else f" ± {number(d.linear_gap_error)}"
        rows += [(f"loss above {baseline_name(d)}'s", f"{number(d.linear_gap)}{error}")]
    rows += [("squared error", number(c.misfit))]
    if c.tuned_decoder_variance is not None:
        rows += [
            (
                "decoder variance η²",
                f"{number(c.decoder_variance)}; best for the error {number(c.tuned_decoder_variance, 4)}",
            )
        ]
    if c.tuned_elbo is not None:
        rows += [("ELBO with that variance", number(c.tuned_elbo))]
    return [*rows, ("water level", number(d.residual_water_level))]


def baseline_name(d: Diagnosis) -> str:
    """The model that the loss is compared with, where `baseline_losses` knows a closed form or does not."""
    closed = d.forecast.exact and not d.forecast.objective.levels and not d.measurement.sampled
    return "the linear optimum" if closed else "the collapsed model"


def evidence_rows(d: Diagnosis) -> list[list[str]]:
    """Under `EVIDENCE_HEADINGS`."""
    return [[e.text, number(e.value), "" if e.reference is None else number(e.reference)] for e in d.evidence]


def trial_rows(trials: tuple[Trial, ...]) -> list[list[str]]:
    """Under `TRIAL_HEADINGS`."""
    return [
        [
            t.remedy.change,
            number(t.loss_before),
            number(t.loss_after),
            str(t.alive_before),
            str(t.alive_after),
            "" if t.remedy.expected_alive is None else str(t.remedy.expected_alive),
            f"{t.seconds:.0f}",
        ]
        for t in trials
    ]


def number(value: float, digits: int | None = None) -> str:
    """So many digits, three or four when left out; "–" where there is no number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits or (4 if abs(value) >= 100 else 3)}g}"


def _beside(value: float, forecast: float, error: float | None = None) -> str:
    own = number(value, 6) + ("" if error is None else f" ± {number(error)}")
    return own if not math.isfinite(forecast) else f"{own}; forecast {number(forecast, 6)}"


def _information(d: Diagnosis) -> str:
    c, most = d.decoder, d.measurement.mutual_information_at_most
    cap = (
        f"; sampling sees no more than {number(c.mutual_information_cap)}"
        if c.mutual_information > 0.8 * c.mutual_information_cap
        else ""
    )
    bound = "" if most is None else f", at most {number(most)}"
    return f"{number(c.mutual_information)} by sampling{bound}{cap}"
