"""A model as a user has it → its probe; or one line that asks for everything that the model does not say."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.data.rows import Rows, as_rows
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.inferring.opening import open_model
from uncollapse.inferring.result import Said
from uncollapse.measure.protocol import Probe, Spread, SpreadUnknown, is_probe
from uncollapse.objective import Objective

__all__ = ["loss_of", "probe_of"]

FEW_ROWS = 16
"""Rows that show what a model takes and gives."""


def probe_of(
    model: Any,
    data: Any,
    rows: Rows,
    *,
    objective: Objective | None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    given: Any = None,
    scale: Any = 1.0,
) -> Probe:
    """The probe of a model; a probe itself as it is.

    Parameters
    ----------
    model : object
        A probe, or anything that `open_probe` takes.
    data : object
        As the user gave it: images say the shape of a sample.
    rows : Rows
        The same, walked in blocks.
    objective : Objective or None
        As the user gave it.
    spread, input_shape
        As in `open_probe`.
    given : object
        The condition, as the user gave it.
    scale : float
        Multiplies the data.

    Raises
    ------
    ObjectiveError
        What the model does not say and the user did not, all in one line with the call to make.
    """
    if objective is not None:
        checks.instance(objective, "objective", Objective)
    if is_probe(model) and not isinstance(model, type):
        if spread is not None or input_shape is not None:
            raise ObjectiveError("spread and input_shape belong to open_probe; the probe that was given has its own")
        probe: Any = model
        missing: list[str] = []
    else:
        said = Said(
            spread=spread, input_shape=input_shape, scale=checks.number(scale, "scale", error=DataError), loss=True
        )
        probe, missing = _opened(model, data, rows, given, said)
    if objective is None and (probe is None or probe.objective is None):
        missing = [*missing, "objective"]
    if missing:
        raise _asked(type(model).__name__ if probe is None else probe.name, missing)
    known: Probe = probe
    return known


def _opened(model: Any, data: Any, rows: Rows, given: Any, said: Said) -> tuple[Any, list[str]]:
    """The probe, or None, and what must be said: a spread is found to be unknown when the first rows are encoded."""
    sample = _finite(rows.first(FEW_ROWS))
    of_condition = None if given is None else _finite(as_rows(given, "the condition").first(FEW_ROWS))
    images = getattr(data, "shape", ())
    sample = sample if said.input_shape else rows.shaped(sample)
    if said.input_shape is None and isinstance(images, tuple) and len(images) > 2:
        sample = sample.reshape(len(sample), *images[1:])
    try:
        with np.errstate(all="ignore"):  # what overflows is refused when it is measured
            found = open_model(model, sample, of_condition, said)
    except SpreadUnknown:
        return None, ["spread"]
    return found.probe, ["spread" for one in found.missing if one.typed.startswith("--spread")]


def loss_of(probe: Probe, objective: Objective | None) -> Objective:
    """The loss that the user gives, else the model's own."""
    result = probe.objective if objective is None else objective
    if result is None:
        raise _asked(probe.name, ["objective"])
    return checks.instance(result, "objective", Objective)


def _asked(name: str, missing: list[str]) -> ObjectiveError:
    lacks = {
        "spread": "what its encoder gives beside the mean (a log-variance, a variance or a standard deviation)",
        "objective": "what it was trained on, its loss",
    }
    calls = {"spread": "spread='log_variance'", "objective": "objective=Objective.from_loss('mse', kl_weight=1)"}
    options = {"spread": "--spread", "objective": "--recon, --reduction, --kl-weight"}
    return ObjectiveError(
        f"{name} does not say {'; nor '.join(lacks[item] for item in missing)}: with your own values, "
        f"diagnose(model, x, {', '.join(calls[item] for item in missing)}) "
        f"({', '.join(options[item] for item in missing)})"
    )


def _finite(some: np.ndarray) -> np.ndarray:
    return np.nan_to_num(some.astype(np.float64), posinf=0.0, neginf=0.0)
