"""Trained model + data → Diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uncollapse.diagnosis.causes import Finding, find_cause
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.gather import gather
from uncollapse.diagnosis.remedies import remedies_for
from uncollapse.diagnosis.result import CAUSES, Diagnosis
from uncollapse.objective import Objective

if TYPE_CHECKING:
    from uncollapse.probes.probe import Probe

__all__ = ["diagnose"]


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
        decoder=facts.decoder,
        forecast=facts.forecast,
        linear_gap=facts.gap,
        linear_gap_error=facts.gap_error,
        cause=finding.cause,
        confidence=finding.confidence,
        verdict=_verdict(facts, finding),
        evidence=finding.evidence,
        remedies=remedies_for(facts, finding),
        notes=(*probe.notes, *facts.notes),
    )


def _verdict(facts: Facts, finding: Finding) -> str:
    what = CAUSES[finding.cause]
    sure = "" if finding.confidence == "high" else " (probably)"
    return f"{facts.n_alive} of {facts.n_latents} latents are alive: {what}{sure}."
