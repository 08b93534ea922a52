"""A model whose decoder has a variance of its own for each column, seen in units in which all are 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import DataError
from uncollapse.objective import Objective
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.open import open_probe

__all__ = ["per_column"]


def per_column(model: Any, variances: Any, *, beta: float = 1.0, **options: Any) -> Any:
    """Probe of the same model for data divided by the columns' standard deviations.

    −log p(y|z) of N(ŷ, diag η²) is that of N(ŷ/η, I) for y/η but for a constant, so everything that is known of one
    decoder variance holds for ``x / np.sqrt(variances)``: measure, diagnose and revive it with those rows.

    Parameters
    ----------
    model : object
        As in `open_probe`, or a probe.
    variances : array_like of shape (d,)
        η² of each column, as the model has them now.
    beta : float
        Weight of the KL.
    **options
        As in `open_probe`.

    Returns
    -------
    Probe

    Raises
    ------
    DataError
        Variances that are not positive.

    Examples
    --------
    >>> model = (lambda x: (x[:, :1] / 3, np.ones((len(x), 1))), lambda z: np.hstack([3 * z, 0 * z]))
    >>> probe = per_column(model, [9.0, 0.25], spread="std")
    >>> probe.decode(np.ones((1, 1)))
    array([[1., 0.]])
    """
    values = checks.array(variances, "variances", shape=(None,), error=DataError)
    if not (values > 0).all():
        raise DataError(f"variances must be positive numbers, got {values.min():g}")
    probe: Any = open_probe(model, **options)
    width = np.sqrt(values)
    objective = replace(probe.objective or Objective(), beta=beta, decoder_variance=1.0, loss=None)
    name = f"{probe.name}, each column in units of its own η"
    if hasattr(probe, "module"):
        return _of_module(probe, width, objective, name)
    return CallableProbe(
        lambda x, *given: _pair(probe.encode(x * width, *given)),
        lambda z, *given: probe.decode(z, *given) / width,
        spread="variance", name=name, objective=objective, decoder_variance=1.0, notes=probe.notes,
    )  # fmt: skip


def _pair(q: Any) -> tuple[np.ndarray, np.ndarray]:
    return q.mean, q.variance


def _of_module(probe: Any, width: np.ndarray, objective: Objective, name: str) -> Any:
    """Differentiable, so that it can be refined and trained on."""

    def encode(module: Any, x: Any, given: Any) -> Any:
        return probe.mean_and_log_variance(module, x * x.new_tensor(width).reshape(x.shape[1:]), given)

    def decode(module: Any, z: Any, given: Any) -> Any:
        out = probe.output(module, z, given)
        return out / out.new_tensor(width).reshape(out.shape[1:])

    functions: dict[str, Any] = {"mean_and_log_variance": encode, "output": decode}
    return replace(probe, name=name, **functions, objective=objective, decoder_variance=1.0, spread=None)
