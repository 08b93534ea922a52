"""Trained model + data → Facts: everything measured, forecast and tried once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.bill.budget import BUDGET, Budget
from uncollapse.bill.line import Bill, LineName
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import FEWEST, Sample, free_bits_of, make_sample
from uncollapse.bill.weight import ImpliedWeight, implied_weight
from uncollapse.data.rows import as_rows, is_dask
from uncollapse.diagnosis.data_fit import data_fit
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.leads import leads_of
from uncollapse.diagnosis.opening import loss_of
from uncollapse.diagnosis.thresholds import NEAR_MODE
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.baseline import baseline_losses, collapsed_losses
from uncollapse.measure.covariates import covariates_of, covariates_of_all
from uncollapse.measure.decoder import dispersion_of, measure_decoder
from uncollapse.measure.observe import Observation, observe
from uncollapse.measure.protocol import RAISED
from uncollapse.objective import Objective
from uncollapse.probes.restated import with_prior_of
from uncollapse.spectra.allowed_values import COUNTS
from uncollapse.theory.log_counts import log_strengths

if TYPE_CHECKING:
    from uncollapse.probes.probe import Probe, TorchProbe

__all__ = ["check_settings", "gather"]

FEWEST_ROWS = 8

TRIALS_SHARE = 0.6
"""Of the time, at most."""

OWN_PRIOR = (
    "the prior is not N(0, I): the KL in all is sampled, and a latent's own is that from its mean Gaussian, which "
    "tells living from dead under any prior",
    "the forecast is that of a model with N(0, I); that it is a bound, the linear optimum beside the loss and the "
    "weight that latents are at rest with do not hold here, so every cause is of low confidence",
    "the lines of the bill hold: they leave the KL as it is, or add a latent with a prior N(0, 1) of its own",
)
"""What is said beside a diagnosis of a model with another prior."""


def check_settings(seed: Any, learning_rate: Any) -> tuple[int, float | None]:
    """Seed and learning rate as plain numbers; refused where nothing can be trained with them."""
    rate = None if learning_rate is None else checks.positive(learning_rate, "learning_rate", error=DataError)
    return checks.count(seed, "seed", most=2**63 - 1, error=DataError), rate


def gather(
    probe: Probe,
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    objective: Objective | None = None,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    n_rows: int | None = None,
    seed: int = 0,
    learning_rate: float | None = None,
    budget: float = BUDGET,
    dispersion: Any = None,
) -> Facts:
    """The numbers that `diagnose` judges; arguments and errors as there."""
    seed, learning_rate = check_settings(seed, learning_rate)
    if n_rows is not None and checks.count(n_rows, "n_rows", least=2, error=DataError) < FEWEST_ROWS:
        raise DataError(f"a diagnosis needs {FEWEST_ROWS} rows or more, and n_rows (--rows) asks for {n_rows}")
    rows: Any = data if is_dask(data) else as_rows(data)
    if not is_dask(data):
        rows.check_repeatable()
    objective = loss_of(probe, objective)
    probe = with_prior_of(probe, objective)
    seen = observe(probe, rows, target, given, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows, seed=seed)
    if len(seen.x) < FEWEST_ROWS:
        name = "the Dask array" if is_dask(data) else rows.name
        raise DataError(f"{name}: a diagnosis needs {FEWEST_ROWS} rows or more, got {len(seen.x)}")
    objective = replace(objective, n_latents=seen.measurement.sums.level_sizes[0])
    options: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite, "dispersion": dispersion}
    known = covariates_of_all(probe, given)
    expected = forecast(rows, target, given=known.columns, size_factors=known.sizes, objective=objective, **options)
    clock = Budget(checks.number(budget, "budget", error=DataError))
    of_prior = OWN_PRIOR if seen.measurement.sampled else ()
    facts = _facts(probe, seen, expected, seed)
    strongest = _strongest(expected, rows, target, known.columns, drop_nonfinite, seed)
    facts = replace(facts, strongest=strongest, notes=(*seen.notes, *of_prior))
    if facts.unsure_mode:
        few = f"{expected.spectrum.n_samples:,} rows are few for this water level: on another sample the strongest mode"
        facts = replace(facts, notes=(*facts.notes, f"{few} may stand on its other side"))
    if facts.in_doubt and _differentiable(probe, expected):
        facts = _tried(facts, probe, seen, objective, learning_rate, seed, clock)  # type: ignore[arg-type]
    bill, weight = _billed(probe, seen, expected, facts.decoder.decoder_variance, clock.part(1.0), seed)
    return replace(facts, bill=bill.joined(facts.bill), weight=weight)


def _tried(
    facts: Facts,
    probe: TorchProbe,
    seen: Observation,
    objective: Objective,
    rate: float | None,
    seed: int,
    clock: Budget,
) -> Facts:
    """What a better q and further training gain, or why that is not known; before the bill, whose lines on a large
    network would take all the time."""
    from uncollapse.diagnosis.further import untried, with_trials

    why_not = getattr(probe, "untried", "")
    if facts.free_bits:
        why_not = "the loss has free bits, which they do not know"
    if seen.measurement.sampled:
        why_not = "the prior is not N(0, I), which they take it for"
    if not why_not and not clock.left():
        why_not = "no time was left"
    if why_not:
        return untried(facts, f"a better q and further training: {why_not}")
    try:
        return with_trials(facts, probe, seen, objective, rate, seed, clock.part(TRIALS_SHARE))
    except RAISED as error:  # a user's model raises anything, and what was measured stands without
        reason = str(error) if isinstance(error, UncollapseError) else kind_and_line(error)
        note = f"not tried: what a better q and further training gain ({reason})"
        return replace(facts, notes=(*facts.notes, note))


def _facts(probe: Probe, seen: Observation, expected: Forecast, seed: int) -> Facts:
    """All but the bill and the trials."""
    decoder = measure_decoder(probe, seen, expected.objective, seed=seed)
    x = np.asarray(seen.x, dtype=np.float64)
    y = x if seen.y is seen.x else np.asarray(seen.y, dtype=np.float64)
    known = covariates_of(probe, seen.given)
    beside = (known.columns, dispersion_of(probe, expected.objective, y, seen.given), known.sizes)
    of_collapse = collapsed_losses(expected, y, *beside)
    baseline = of_collapse if seen.measurement.sampled else baseline_losses(expected, x, y, *beside)
    collapsed = float(of_collapse.mean())
    own = probe.objective if getattr(probe, "recorded", False) else None
    return Facts(
        seen.measurement, decoder, expected, baseline, collapsed,
        leads=leads_of(expected, seen.measurement.sums.level_sizes[0], linear=getattr(probe, "linear", False)),
        fit=data_fit(probe, x, y, seen.given, seen.posterior, seen.measurement,
                     prior_variance=expected.objective.prior_variance, seed=seed),
        bill=Bill((), (), (), None, None), free_bits=free_bits_of(probe), n_log_modes=_log_modes(expected, y, *beside),
        recorded=own is not None and own.beta == expected.objective.beta,
    )  # fmt: skip


def _strongest(
    expected: Forecast, rows: Any, target: Any, given: Any, drop_nonfinite: bool, seed: int
) -> tuple[float, float] | None:
    """Interval of the strongest mode's threshold; the data are read for it only where it could decide anything."""
    s, o = expected.spectrum, expected.objective
    if o.levels or s.rank == 0 or (s.condition is not None and s.condition.intercept is not None):
        return None
    if abs(float(expected.critical_betas.max()) / o.beta - 1) * s.n_samples**0.5 > NEAR_MODE:
        return None
    found = bootstrap(rows, expected, target, given=given, seed=seed, drop_nonfinite=drop_nonfinite)
    low, high = found.critical_betas[0]
    return float(low), float(high)


def _log_modes(expected: Forecast, y: np.ndarray, columns: Any, r: Any, sizes: np.ndarray | None) -> int | None:
    """Modes of the logarithms of counts above water and noise; None of other data."""
    o = expected.objective
    if o.likelihood not in COUNTS or o.levels:
        return None
    totals = y.sum(axis=1)
    s = totals if o.likelihood == "categorical" and (totals > 0).all() else sizes
    shares = s is not None and bool(np.allclose(s * totals.mean(), totals * s.mean(), rtol=1e-3))
    strengths, edge = log_strengths(y, s, 1 / np.asarray(r), columns, shares=shares)
    return int((strengths > max(expected.water_level, edge)).sum())


def _billed(
    probe: Probe, seen: Observation, expected: Forecast, variance: float, clock: Budget, seed: int
) -> tuple[Bill, ImpliedWeight | None]:
    """Lines that need no training, and the weight that the model is at rest with."""
    if len(seen.y) < FEWEST:
        return Bill((), (), (f"a bill needs {FEWEST} rows or more",), None, None), None
    sample = make_sample(probe, seen, expected.objective, variance, seed=seed)
    s = sample
    floor = s.weight * s.free_bits * s.n_latents
    known = covariates_of(probe, s.given)
    beside = (known.columns, s.dispersion, known.sizes)
    apart = _apart(expected, s, seen.measurement.n_samples)
    collapsed = collapsed_losses(apart, s.y, *beside) + floor
    baselines: dict[LineName, np.ndarray] = {"collapsed": collapsed}
    own_prior = seen.measurement.sampled
    if expected.exact and not expected.objective.levels and expected.n_alive and not s.free_bits and not own_prior:
        baselines["linear"] = baseline_losses(apart, s.x, s.y, *beside)
    bill = bill_of(sample, baselines=baselines, budget=clock)
    asked = len(s.q.level_sizes) == 1 and not own_prior
    return bill, implied_weight(sample.parts[0], lambda: clock.left(0.9)) if asked else None


def _apart(expected: Forecast, s: Sample, n_rows: int) -> Forecast:
    """The forecast by rows that the bill is not judged on. Of data that the sample is a small part of, the forecast
    itself; and of a likelihood other than Gaussian, where a column that is on in no row of a part costs without end."""
    if len(s) < n_rows or not expected.exact:
        return expected
    some = s.part(slice(0, len(s) - len(s.parts[2])))
    columns = covariates_of(s.probe, some.given).columns
    return forecast(some.x, None if s.target_is_input else some.y, given=columns, objective=expected.objective)


def _differentiable(probe: Probe, expected: Forecast) -> bool:
    return hasattr(probe, "module") and not expected.objective.levels
