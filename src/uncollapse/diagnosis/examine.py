"""Trained model + data → Diagnosis."""

from __future__ import annotations

from typing import Any

from uncollapse.bill.budget import BUDGET
from uncollapse.data.rows import Rows, as_rows, is_dask
from uncollapse.diagnosis.causes import find_cause
from uncollapse.diagnosis.gather import gather
from uncollapse.diagnosis.opening import probe_of
from uncollapse.diagnosis.remedies import remedies_for
from uncollapse.diagnosis.result import Diagnosis
from uncollapse.diagnosis.verdict import verdict
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.inferring.opening import tables_for
from uncollapse.inferring.result import Inference
from uncollapse.measure.protocol import Spread
from uncollapse.objective import Objective
from uncollapse.probes.own_rows import with_own_rows
from uncollapse.probes.sized import with_dispersion, with_sizes

__all__ = ["diagnose"]


def diagnose(
    model: Any,
    data: Any = None,
    target: Any = None,
    given: Any = None,
    *,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    scale: float = 1.0,
    drop_nonfinite: bool = False,
    n_rows: int | None = None,
    seed: int = 0,
    learning_rate: float | None = None,
    budget: float = BUDGET,
    dispersion: Any = None,
    size_factors: Any = None,
) -> Diagnosis:
    """Say how collapsed a trained model is, why, and what to change.

    Parameters
    ----------
    model : object
        A model, or its probe: anything that `open_probe` takes, such as a PyTorch module with `encode` and `decode`, or
        one with `forward` alone; or what `infer` gives for a file of weights.
    data, target, given : array, Rows, file name or anything else that `forecast` takes, walked more than once
        What the model was trained on. Of a model of scvi-tools its own cells when left out; else perhaps an AnnData.
    objective : Objective, optional
        As the model was trained; the model's own when left out, if it says it.
    spread : {"log_variance", "variance", "std"}, optional
        What the encoder gives beside the mean, if the model does not say it.
    input_shape : tuple of int, optional
        Of one sample, such as (1, 28, 28); that of the data when left out.
    scale : float
        Multiplies data and target, as the loader of the training did.
    drop_nonfinite : bool
    n_rows : int, optional
        Rows that the decoder is asked on; see `observe`.
    seed : int
        Of that sample and of the draws of z.
    learning_rate : float, optional
        At which training is continued for a moment, if it must be known whether it is finished; 1e-3 when left out.
    budget : float
        Seconds for the bill and for trials; the cheap lines come first, and what was not tried is said.
    dispersion : float, array of shape (n_targets,), or "estimated"
        r of a negative binomial decoder, where the model does not say it; see `spectrum`.
    size_factors : array of shape (n_samples,), or "total"
        What the decoder's output is multiplied by in each row to be the mean of its counts, where the model does not do
        that itself; see `spectrum`.

    Returns
    -------
    Diagnosis

    Raises
    ------
    DataError, ObjectiveError
        The data do not fit the model, or its posteriors are not finite; or the model does not say its loss or what its
        encoder gives: one line then asks for all that is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import Objective
    >>> x = np.random.default_rng(0).standard_normal((200, 3)) * [3.0, 2.0, 1.0]
    >>> still = (lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z)  # an encoder that says nothing
    >>> diagnose(still, x, spread="std", objective=Objective(beta=20.0)).cause
    'objective'
    """
    data, given = with_own_rows(model, data, given)
    rows = as_rows(data)
    if isinstance(model, Inference):
        if is_dask(data):
            raise DataError("a model that was inferred takes its data changed; give its probe and Dask arrays as it "
                            "takes them")  # fmt: skip
        model, objective, scale, rows, given = _taken(model, objective, scale, rows, given)
    probe = probe_of(model, data, rows, objective=objective, spread=spread, input_shape=input_shape,
                     given=given, scale=scale)  # fmt: skip
    probe = with_dispersion(probe, dispersion)
    if size_factors is not None:
        if is_dask(data):
            raise DataError("size factors are taken row by row, which Dask arrays are not; give an array or a file")
        probe, given = with_sizes(probe, size_factors, rows, given)
    tables = (data if is_dask(data) else rows, target, given)
    facts = gather(
        probe, *tables, objective=objective, scale=scale, drop_nonfinite=drop_nonfinite, n_rows=n_rows,
        seed=seed, learning_rate=learning_rate, budget=budget, dispersion=dispersion,
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
        verdict=verdict(facts, finding),
        evidence=finding.evidence,
        remedies=remedies_for(facts, finding),
        leads=facts.leads,
        bill=facts.bill,
        secondary=finding.secondary,
        weight=facts.weight,
        notes=(*probe.notes, *facts.notes),
    )


def _taken(found: Inference, objective: Objective | None, scale: float, rows: Rows, given: Any) -> tuple[Any, ...]:
    """Probe, loss, scale and tables of a model that was inferred."""
    missing = [one for one in found.missing if objective is None or not one.typed.startswith("--recon")]
    if missing:
        raise ObjectiveError(f"{found.probe.name} does not say {'; and '.join(one.what for one in missing)}")
    rows, condition = tables_for(found, rows, None if given is None else as_rows(given, "the condition"))
    return found.probe, objective or found.objective, scale * found.scale, rows, condition
