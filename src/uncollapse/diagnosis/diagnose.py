"""Trained model + data → Diagnosis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.data.rows import as_rows
from uncollapse.decoded import decoded
from uncollapse.diagnosis.causes import Finding, find_cause
from uncollapse.diagnosis.diagnosis import CAUSES, Diagnosis
from uncollapse.diagnosis.facts import Continued, Facts
from uncollapse.diagnosis.remedies import remedies_for
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.floor import collapsed_losses, floor_losses
from uncollapse.forecast import Forecast, forecast
from uncollapse.measure import posterior_sums
from uncollapse.objective import Objective
from uncollapse.observe import Observation, observe

if TYPE_CHECKING:
    from uncollapse.probes.probe import Probe, TorchProbe

__all__ = ["diagnose", "gather"]

CONTINUED_STEPS = 120
HELD_OUT = 512


def diagnose(
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
) -> Diagnosis:
    """Say how collapsed a trained model is, why, and what to change.

    Parameters
    ----------
    probe : Probe
        The model; see `uncollapse.probes.open_probe`.
    data, target, given : array, Rows, file name or anything else that `forecast` takes, walked more than once
        What the model was trained on.
    objective : Objective, optional
        As the model was trained; the probe's own when left out.
    scale : float
        Multiplies data and target, as the loader of the training did.
    drop_nonfinite : bool
    n_rows : int, optional
        Rows that the decoder is asked on; see `observe`.
    seed : int
        Of that sample and of the draws of z.
    learning_rate : float, optional
        At which training is continued for a moment, if it must be known whether it is finished; 1e-3 when left out.

    Returns
    -------
    Diagnosis

    Raises
    ------
    DataError, ObjectiveError
        The data do not fit the model, its posteriors are not finite, or its objective is not known.
    """
    facts = gather(
        probe, data, target, given, objective=objective, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows,
        seed=seed, learning_rate=learning_rate,
    )  # fmt: skip
    finding = find_cause(facts)
    return Diagnosis(
        name=probe.name,
        measurement=facts.measurement,
        decoded=facts.decoded,
        forecast=facts.forecast,
        linear_gap=facts.gap,
        linear_gap_error=facts.gap_error,
        cause=finding.cause,
        confidence=finding.confidence,
        verdict=_verdict(facts, finding),
        evidence=finding.evidence,
        remedies=remedies_for(facts, finding),
        notes=probe.notes,
    )


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
) -> Facts:
    """The numbers that `diagnose` judges; arguments and errors as there."""
    rows = as_rows(data)
    if not rows.repeatable:
        raise DataError(f"{rows.name}: is walked more than once here; pass an array, a file or a DataLoader")
    told = objective or probe.objective
    if told is None:
        raise ObjectiveError(
            f"{probe.name} does not say what it was trained on; give its loss (objective=Objective.from_loss(...), or "
            f"--recon, --reduction, --kl-weight, ...)"
        )
    seen = observe(probe, rows, target, given, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows, seed=seed)
    told = replace(told, n_latents=seen.measurement.sums.level_sizes[0])
    options: dict[str, Any] = {"scale": scale, "drop_nonfinite": drop_nonfinite}
    expected = forecast(rows, target, given=given, objective=told, **options)
    facts = _facts(probe, seen, expected, seed)
    if facts.in_doubt and _differentiable(probe, expected):
        return _tried(facts, probe, seen, told, learning_rate, seed)  # type: ignore[arg-type]
    return facts


def _facts(probe: Probe, seen: Observation, expected: Forecast, seed: int) -> Facts:
    found = decoded(probe, seen, expected.objective, seed=seed)
    x, y = (np.asarray(part, dtype=np.float64) for part in (seen.x, seen.y))
    floor = floor_losses(expected, x, y, seen.given)
    return Facts(seen.measurement, found, expected, floor, float(collapsed_losses(expected, y, seen.given).mean()))


def _differentiable(probe: Probe, expected: Forecast) -> bool:
    return hasattr(probe, "module") and not expected.objective.levels


def _tried(
    facts: Facts, probe: TorchProbe, seen: Observation, told: Objective, learning_rate: float | None, seed: int
) -> Facts:
    """Refine q, and train a copy for a moment: what is behind, encoder or training?"""
    from uncollapse.diagnosis.refine import refine
    from uncollapse.diagnosis.retrain import RATE, retrain

    refined = refine(probe, seen, told, seed=seed)
    n = len(seen.x)
    held = slice(0, min(HELD_OUT, n // 4))
    part = slice(held.stop, n)
    y = seen.x if seen.y is seen.x else seen.y
    condition = None if seen.given is None else seen.given[part]
    x_part = seen.x[part]
    settings: dict[str, Any] = {"n_steps": CONTINUED_STEPS, "learning_rate": learning_rate or RATE, "seed": seed}
    both, decoder = (
        retrain(
            probe, x_part, x_part if y is seen.x else y[part], condition, objective=told, decoder_only=alone, **settings
        )
        for alone in (False, True)
    )  # fmt: skip
    losses, alive = [], []
    for model in (decoder, probe, both):
        x_held, c_held = seen.x[held], None if seen.given is None else seen.given[held]
        q = model.encode(x_held, c_held)
        again = replace(seen, x=x_held, y=x_held if y is seen.x else y[held], given=c_held, posterior=q)
        found = decoded(model, again, told, seed=seed)
        losses.append(found.losses)
        measured = posterior_sums(q).measurement()
        alive.append(measured.n_alive)
    gains = losses[1] - losses[2]
    continued = Continued(
        gain=float(gains.mean()),
        gain_error=float(gains.std() / np.sqrt(len(gains))),
        alive_before=alive[1],
        alive_after=alive[2],
        n_steps=CONTINUED_STEPS,
        decoder_gain=float((losses[1] - losses[0]).mean()),
        encoder_odd=replace(facts, measurement=measured).encoder_odd,
    )
    return replace(facts, refined=refined, continued=continued)


def _verdict(facts: Facts, finding: Finding) -> str:
    what = CAUSES[finding.cause]
    sure = "" if finding.confidence == "high" else " (probably)"
    return f"{facts.n_alive} of {facts.n_latents} latents are alive: {what}{sure}."
