"""Apply remedies to the model itself and see what comes of them: alive and loss, before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import as_rows
from uncollapse.diagnosis.gather import check_settings
from uncollapse.diagnosis.opening import probe_of
from uncollapse.diagnosis.result import Diagnosis, Plan, Remedy, Trial
from uncollapse.errors import UncollapseError, kind_and_line
from uncollapse.measure.decoder import row_losses
from uncollapse.measure.observe import SAMPLE_ROWS, Observation, observe
from uncollapse.measure.protocol import RAISED, Spread, is_probe
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import posterior_sums
from uncollapse.probes.own_rows import with_own_rows
from uncollapse.probes.restated import with_prior_of

if TYPE_CHECKING:
    from uncollapse.probes.probe import Probe

__all__ = ["Retrainer", "verify"]

Retrainer = Callable[["Probe", Plan], "Probe"]
"""Trains a model as a plan says and returns its probe."""

STEPS = 3000
TRAINING_ROWS = 20000
TRIAL_ROWS = SAMPLE_ROWS
"""Rows that a trial is judged on: sampled information compares every row with every other."""


def verify(
    diagnosis: Diagnosis,
    model: Any,
    data: Any = None,
    target: Any = None,
    given: Any = None,
    *,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    n_remedies: int = 1,
    n_steps: int = STEPS,
    learning_rate: float | None = None,
    retrainer: Retrainer | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
) -> Diagnosis:
    """Train what the first remedies say and put the outcome beside what they promised.

    Parameters
    ----------
    diagnosis : Diagnosis
    model, data, target, given, scale, drop_nonfinite, spread, input_shape
        As it was made from.
    n_remedies : int
        How many of the remedies that a training can apply.
    n_steps : int
        Of 128 rows each; a remedy may ask for a multiple.
    learning_rate : float, optional
        Of Adam; 1e-3 when left out.
    retrainer : callable (Probe, Plan) → Probe, optional
        The user's own training; else the model's own modules are trained here, on at most 20,000 rows.
    seed : int
        Of new weights, batches and noise.
    on_step : callable, optional
        Called with the number of steps done.

    Returns
    -------
    Diagnosis
        With `trials`.

    Raises
    ------
    UncollapseError
        The model cannot be trained here, and no retrainer is given.
    """
    seed, learning_rate = check_settings(seed, learning_rate)
    checks.instance(diagnosis, "diagnosis", Diagnosis)
    n_remedies = checks.count(n_remedies, "n_remedies")
    n_steps = checks.count(n_steps, "n_steps", least=1)
    for function, called in ((retrainer, "retrainer"), (on_step, "on_step")):
        if function is not None:
            checks.function(function, called)
    planned = [remedy for remedy in diagnosis.remedies if remedy.plan is not None][:n_remedies]
    if not planned:
        return diagnosis
    data, given = with_own_rows(model, data, given)
    rows, objective = as_rows(data), diagnosis.forecast.objective
    probe = probe_of(model, data, rows, objective=objective, spread=spread, input_shape=input_shape,
                     given=given, scale=scale)  # fmt: skip
    if retrainer is None and not hasattr(probe, "module"):
        raise UncollapseError(f"{probe.name}: cannot be trained from here; give verify() a retrainer of your own")
    if retrainer is None and getattr(probe, "log_prior", None) is not None:
        raise UncollapseError(f"{probe.name}: its prior is not N(0, I), which is all that a training from here knows; "
                              f"give verify() a retrainer of your own")  # fmt: skip
    options: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite, "seed": seed}
    probe = with_prior_of(probe, objective)
    seen = observe(probe, rows, target, given, n_rows=TRAINING_ROWS, **options)
    own = retrainer or _own_training(seen, n_steps, learning_rate, seed, on_step)
    trials = tuple(
        _trial(remedy, remedy.plan, probe, seen, own, seed, remedy.plan.objective == objective)
        for remedy in planned if remedy.plan is not None
    )  # fmt: skip
    return replace(diagnosis, trials=trials)


def _own_training(
    seen: Observation, n_steps: int, learning_rate: float | None, seed: int, on_step: Callable[[int], None] | None
) -> Retrainer:
    from uncollapse.probes.retrain import RATE, retrain, start_anew

    def train(probe: Any, plan: Plan) -> Any:
        try:
            start = start_anew(probe, seed) if plan.fresh else probe
            return retrain(
                start, seen.x, seen.y, seen.given, objective=plan.objective, n_steps=round(n_steps * plan.longer),
                learning_rate=learning_rate or RATE, warm_up=plan.warm_up, seed=seed, on_step=on_step,
            )  # fmt: skip
        except UncollapseError:
            raise
        except RAISED as error:  # a user's model raises anything
            raise UncollapseError(f"{probe.name}: cannot be trained here: {kind_and_line(error)}") from error

    return train


def _trained(train: Retrainer, probe: Probe, plan: Plan) -> Probe:
    try:
        after: Any = train(probe, plan)
    except UncollapseError:
        raise
    except RAISED as error:  # a user's own training raises anything
        raise UncollapseError(f"{probe.name}: the retrainer fails: {kind_and_line(error)}") from error
    if not is_probe(after):
        raise UncollapseError(f"{probe.name}: the retrainer must return a probe, got {checks.shown(after)}; "
                              f"open_probe(model) makes one")  # fmt: skip
    known: Probe = after
    return known


def _trial(
    remedy: Remedy, plan: Plan, probe: Probe, seen: Observation, train: Retrainer, seed: int, same_loss: bool
) -> Trial:
    started = time.monotonic()
    after = _trained(train, probe, plan)
    seconds = time.monotonic() - started
    losses, alive = [], []
    rows = np.sort(np.random.default_rng(seed).permutation(len(seen.x))[:TRIAL_ROWS])
    x, given = seen.x[rows], None if seen.given is None else seen.given[rows]
    some = replace(seen, x=x, y=x if seen.y is seen.x else seen.y[rows], given=given)
    for model in (probe, after):
        again = replace(some, posterior=model.encode(x, given))
        losses.append(row_losses(model, again, plan.objective, n_draws=2, seed=seed))
        measured = Measurement(posterior_sums(again.posterior))
        alive.append(int(measured.alive[again.posterior.lowest].sum()))
    fall = losses[0] - losses[1]
    return Trial(
        remedy, alive[0], alive[1], float(losses[0].mean()), float(losses[1].mean()), seconds,
        gain_error=float(fall.std() / np.sqrt(len(fall))), same_loss=same_loss,
    )  # fmt: skip
