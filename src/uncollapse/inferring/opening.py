"""A model in any form → its probe, read by its library where one is known, else inferred."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.errors import DataError, ObjectiveError
from uncollapse.inferring.result import Inference, Said
from uncollapse.probes.open import WEIGHTS, as_object, open_probe

__all__ = ["open_model"]

FEW_ROWS = 16


def open_model(
    model: Any, rows: np.ndarray, given: np.ndarray | None = None, said: Said | None = None, *, n_classes: int = 0
) -> Inference:
    """Open a trained model: as `open_probe` where that reads it, else by what can be inferred of it.

    Parameters
    ----------
    model, rows, given, said, n_classes
        As in `infer`; and anything that `open_probe` takes.

    Raises
    ------
    SourceError, ObjectiveError, DataError
        It cannot be read; of a module, what was tried.

    Examples
    --------
    >>> halves = (lambda x: (x / 2, 0 * x), lambda z: 2 * z)
    >>> open_model(halves, np.ones((4, 3)), said=Said(spread="log_variance")).found
    ()
    """
    said = said or Said()
    if _is_weights(model, said):
        from uncollapse.inferring.infer import infer

        return infer(model, rows, given, said, n_classes=n_classes)
    held = as_object(model)
    x = np.nan_to_num(np.asarray(rows[:FEW_ROWS], dtype=np.float64), posinf=0.0, neginf=0.0) * (said.scale or 1.0)
    try:
        probe = open_probe(held, spread=said.spread, input_shape=said.input_shape, rows=x, trust=said.trust)
        if n_classes or _is_module(held):
            probe.encode(x.reshape(len(x), -1), None if given is None else given[:FEW_ROWS])
    except (ObjectiveError, DataError) as refused:
        if not _is_module(held):
            raise
        from uncollapse.inferring.infer import infer

        try:
            return infer(held, rows, given, said, n_classes=n_classes)
        except ObjectiveError as error:
            raise error from refused
    return Inference(probe, scale=said.scale or 1.0)


def _is_weights(model: Any, said: Said) -> bool:
    """Whether it is a file of weights whose class is another file's."""
    if said.model is not None:
        return True
    is_path = isinstance(model, str | os.PathLike)
    return is_path and Path(os.fspath(model)).suffix in WEIGHTS and not said.trust


def _is_module(model: Any) -> bool:
    """Whether it is a PyTorch module of no library that is known."""
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    return "torch" in roots and not roots & {"pythae", "scvi", "diffusers", "pyro", "uncollapse"}
