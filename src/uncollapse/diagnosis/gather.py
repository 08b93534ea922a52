"""Trained model + data → Facts: everything measured, forecast and tried once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.bill.budget import BUDGET, Budget
from uncollapse.bill.line import LINES, Bill, Line, LineName
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import FEWEST, free_bits_of, make_sample, mean_and_error
from uncollapse.bill.weight import ImpliedWeight, implied_weight
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.data_fit import data_fit
from uncollapse.diagnosis.facts import Continued, Facts, living
from uncollapse.diagnosis.leads import leads_of
from uncollapse.diagnosis.opening import loss_of
from uncollapse.diagnosis.thresholds import N_ERRORS
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.forecasting.predict import forecast
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.baseline import baseline_losses, collapsed_losses
from uncollapse.measure.decoder import dispersion_of, measure_decoder, row_losses
from uncollapse.measure.observe import Observation, observe
from uncollapse.measure.protocol import RAISED
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import posterior_sums
from uncollapse.objective import Objective
from uncollapse.probes.restated import with_prior_of

if TYPE_CHECKING:
    from uncollapse.probes.probe import Probe, TorchProbe

__all__ = ["check_settings", "gather"]

CONTINUED_STEPS = 120
HELD_OUT = 512
FEWEST_ROWS = 8


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
) -> Facts:
    """The numbers that `diagnose` judges; arguments and errors as there."""
    seed, learning_rate = check_settings(seed, learning_rate)
    rows = as_rows(data)
    if not rows.repeatable:
        raise DataError(f"{rows.name}: is walked more than once here; pass an array, a file or a DataLoader")
    objective = loss_of(probe, objective)
    probe = with_prior_of(probe, objective)
    seen = observe(probe, rows, target, given, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows, seed=seed)
    if len(seen.x) < FEWEST_ROWS:
        raise DataError(f"{rows.name}: a diagnosis needs {FEWEST_ROWS} rows or more, got {len(seen.x)}")
    objective = replace(objective, n_latents=seen.measurement.sums.level_sizes[0])
    options: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite}
    expected = forecast(rows, target, given=given, objective=objective, **options)
    clock = Budget(checks.number(budget, "budget", error=DataError))
    facts = replace(_facts(probe, seen, expected, seed, clock), notes=seen.notes)
    if facts.in_doubt and _differentiable(probe, expected):
        if facts.free_bits:
            return _untried(facts, "a better q and further training: the loss has free bits, which they do not know")
        if not clock.left():
            return _untried(facts, "a better q and further training: no time was left")
        try:
            return _tried(facts, probe, seen, objective, learning_rate, seed, clock)  # type: ignore[arg-type]
        except RAISED as error:  # a user's model raises anything, and what was measured stands without
            reason = str(error) if isinstance(error, UncollapseError) else kind_and_line(error)
            return replace(
                facts,
                notes=(
                    *facts.notes,
                    f"not tried: what a better q and further training gain ({reason})",
                ),
            )
    return facts


def _facts(probe: Probe, seen: Observation, expected: Forecast, seed: int, clock: Budget) -> Facts:
    decoder = measure_decoder(probe, seen, expected.objective, seed=seed)
    x = np.asarray(seen.x, dtype=np.float64)
    y = x if seen.y is seen.x else np.asarray(seen.y, dtype=np.float64)
    r = dispersion_of(probe, expected.objective, y)
    baseline = baseline_losses(expected, x, y, seen.given, r)
    collapsed = float(collapsed_losses(expected, y, seen.given, r).mean())
    bill, weight = _billed(probe, seen, expected, decoder.decoder_variance, clock, seed)
    return Facts(
        seen.measurement, decoder, expected, baseline, collapsed,
        leads=leads_of(expected, seen.measurement.sums.level_sizes[0], linear=getattr(probe, "linear", False)),
        fit=data_fit(probe, x, y, seen.given, seen.posterior, seen.measurement),
        bill=bill, weight=weight, free_bits=free_bits_of(probe),
    )  # fmt: skip


def _billed(
    probe: Probe, seen: Observation, expected: Forecast, variance: float, clock: Budget, seed: int
) -> tuple[Bill, ImpliedWeight | None]:
    """Lines that need no training, and the weight that the model is at rest with."""
    if len(seen.y) < FEWEST:
        return Bill((), (), (f"a bill needs {FEWEST} rows or more",), None, None), None
    sample = make_sample(probe, seen, expected.objective, variance, seed=seed)
    s = sample
    floor = s.weight * s.free_bits * s.n_latents
    collapsed = collapsed_losses(expected, s.y, s.given, s.dispersion) + floor
    baselines: dict[LineName, np.ndarray] = {"collapsed": collapsed}
    if expected.exact and not expected.objective.levels and expected.n_alive and not s.free_bits:
        baselines["linear"] = baseline_losses(expected, s.x, s.y, s.given, s.dispersion)
    bill = bill_of(sample, baselines=baselines, budget=clock)
    one_level = len(s.q.level_sizes) == 1
    return bill, implied_weight(sample.parts[0], lambda: clock.left(0.9)) if one_level else None


def _untried(facts: Facts, what: str) -> Facts:
    return replace(facts, bill=replace(facts.bill, untried=(*facts.bill.untried, what)))


def _differentiable(probe: Probe, expected: Forecast) -> bool:
    return hasattr(probe, "module") and not expected.objective.levels


def _tried(
    facts: Facts,
    probe: TorchProbe,
    seen: Observation,
    objective: Objective,
    learning_rate: float | None,
    seed: int,
    clock: Budget,
) -> Facts:
    """Refine q, and train a copy for a moment: what is behind, encoder or training?"""
    from uncollapse.diagnosis.reach import reach
    from uncollapse.diagnosis.refine import refine
    from uncollapse.diagnosis.retrain import RATE, retrain

    refined = refine(probe, seen, objective, seed=seed)
    if refined is not None and not np.isfinite(refined.gain):
        raise UncollapseError(f"{probe.name}: the loss is not finite while q is refined")
    n = len(seen.x)
    held = slice(0, min(HELD_OUT, n // 4))
    part = slice(held.stop, n)
    y = seen.x if seen.y is seen.x else seen.y
    condition = None if seen.given is None else seen.given[part]
    x_part = seen.x[part]
    settings: dict[str, Any] = {"n_steps": CONTINUED_STEPS, "learning_rate": learning_rate or RATE, "seed": seed}
    x_held, c_held = seen.x[held], None if seen.given is None else seen.given[held]

    def trained(decoder_only: bool) -> TorchProbe:
        y_part = x_part if y is seen.x else y[part]
        return retrain(probe, x_part, y_part, condition, objective=objective, decoder_only=decoder_only, **settings)

    def judged(model: TorchProbe) -> tuple[np.ndarray, Measurement]:
        q = model.encode(x_held, c_held)
        again = replace(seen, x=x_held, y=x_held if y is seen.x else y[held], given=c_held, posterior=q)
        return row_losses(model, again, objective, seed=seed), Measurement(posterior_sums(q))

    (losses, before), (new_losses, after) = judged(probe), judged(trained(decoder_only=False))
    gains = losses - new_losses
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    lines = [Line("both", gain, error, len(gains), f"this model after {CONTINUED_STEPS} more steps of training")]
    decoder_gain = 0.0
    if gain > N_ERRORS * error:  # which part is behind matters only if training goes on to gain
        of_decoder = mean_and_error(losses - judged(trained(decoder_only=True))[0])
        decoder_gain = of_decoder.value
        words = f"this model after {CONTINUED_STEPS} more steps of its decoder alone"
        lines.append(Line("decoder", of_decoder.value, of_decoder.error, of_decoder.n_rows, words))
    continued = Continued(
        gain=gain,
        gain_error=error,
        alive_before=int(living(before, objective).sum()),
        alive_after=int(living(after, objective).sum()),
        n_steps=CONTINUED_STEPS,
        decoder_gain=decoder_gain,
        encoder_odd=replace(facts, measurement=after).encoder_odd,
        encoder_moved=float(np.abs(after.variance / before.variance - 1).max()),
    )
    if refined is not None:
        lines.append(Line("q", refined.gain, refined.gain_error, refined.n_rows, LINES["q"]))
    facts = replace(facts, refined=refined, continued=continued, bill=facts.bill.with_lines(lines))
    if not clock.left():
        return _untried(facts, "what its decoder can show at all: no time was left")
    with suppress(UncollapseError):  # parts that cannot start anew say nothing of what such a decoder can show
        shown = reach(probe, np.asarray(seen.y), facts.decoder.residual.directions[:, 0], seen.given, seed)
        return replace(facts, reach=shown)
    return facts
