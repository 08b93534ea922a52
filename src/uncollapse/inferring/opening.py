"""A model in any form → its probe, read by its library where one is known, else inferred."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.data.changed import affine, n_classes_of, one_hot
from uncollapse.data.rows import Rows, as_rows
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.inferring.result import Inference, Said
from uncollapse.measure.protocol import Probe, Spread
from uncollapse.probes.open import WEIGHTS, as_object, has_both, open_probe

__all__ = ["open_model", "open_weights", "tables_for"]

FEW_ROWS, MANY_ROWS = 16, 64
KERAS = (".keras", ".h5")
MSGPACK = ".msgpack"


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
    if said.model is not None and isinstance(model, str | os.PathLike):
        path = Path(os.fspath(model))
        if path.suffix in KERAS:
            return _keras(path, rows, said)
        if path.suffix == MSGPACK or (path.is_dir() and _is_orbax(path)):
            return _flax(path, rows, said)
    if _is_weights(model, said):
        from uncollapse.inferring.infer import infer

        return infer(model, rows, given, said, n_classes=n_classes)
    held = as_object(model)
    x = np.nan_to_num(np.asarray(rows[:FEW_ROWS], dtype=np.float64), posinf=0.0, neginf=0.0) * (said.scale or 1.0)
    few = None if given is None else given[:FEW_ROWS]
    try:
        probe = _opened(held, x, few, said, labels=n_classes > 0)
    except (ObjectiveError, DataError) as refused:
        if not _is_module(held):
            raise
        from uncollapse.inferring.infer import infer

        try:
            return infer(held, rows, given, said, n_classes=n_classes)
        except ObjectiveError as error:
            if has_both(held):  # what its own encode or decode did says more
                raise refused from error
            raise error from refused
    return Inference(probe, scale=said.scale or 1.0)


def open_weights(
    weights: str | Path,
    model: str,
    data: Any,
    given: Any = None,
    *,
    arguments: dict[str, Any] | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    scale: float | None = None,
    trust: bool = False,
) -> Inference:
    """Open a file of weights with the class they belong to; what it gives goes to `diagnose` and `revive`.

    Parameters
    ----------
    weights : str or Path
        .pth, .pt, .bin, .ckpt, .safetensors.
    model : str
        ``my_vae.py:VAE``, or a file with one class that fits. Of the file only what the class needs is run.
    data, given : array, Rows, or anything else that holds rows
        What the model was trained on; a condition may be a column of labels.
    arguments : dict, optional
        Of the class, where the weights do not tell them.
    spread, input_shape
        As in `open_probe`; inferred when left out.
    scale : float, optional
        Multiplies the data; inferred when left out.
    trust : bool
        Unpickle the file, which may run any code.

    Returns
    -------
    Inference
        `found` lists what was inferred and why; `missing`, what could not be.

    Raises
    ------
    SourceError, ObjectiveError, DataError
        As in `infer`.
    """
    said = Said(model, dict(arguments or {}), spread, input_shape, scale, False, trust)
    given = np.asarray(given)[:, None] if getattr(given, "ndim", 2) == 1 else given
    rows, condition = as_rows(data), None if given is None else as_rows(given, "the condition")
    n_classes = 0 if condition is None else n_classes_of(condition)
    x = rows.shaped(rows.first(MANY_ROWS))
    of_condition = None if condition is None else condition.first(MANY_ROWS)
    return open_model(weights, x, of_condition, said, n_classes=n_classes)


def tables_for(found: Inference, rows: Rows, given: Rows | None) -> tuple[Rows, Rows | None]:
    """Data and condition as the model takes them, but for the scale, which what measures applies.

    Parameters
    ----------
    found : Inference
    rows, given : Rows
        In their own range; labels as a column.
    """
    if found.shift:
        rows = affine(rows, 1.0, found.shift / found.scale)
    if found.n_classes and given is not None:
        given = one_hot(given, found.n_classes)
    return rows, given


def _opened(model: Any, x: np.ndarray, given: np.ndarray | None, said: Said, *, labels: bool) -> Probe:
    """As `open_probe` has it, images as images first; a module must encode a few rows, to show what it lacks."""
    is_shaped = x.ndim > 2 and said.input_shape is None and ("torch" in _roots(model) and "keras" not in _roots(model))
    images = [tuple(x.shape[1:])] if is_shaped else []
    x = x.reshape(len(x), -1) if not is_shaped else x
    refused: DataError | None = None
    for shape in [*images, said.input_shape]:
        probe = open_probe(model, spread=said.spread, input_shape=shape, rows=x, trust=said.trust)
        if not (labels or images or _is_module(model)):
            break
        try:
            probe.encode(x.reshape(len(x), -1), given)
        except DataError as error:
            refused = error
            continue
        return probe
    if refused is not None and _is_module(model):
        raise refused
    return probe


def _is_weights(model: Any, said: Said) -> bool:
    """Whether it is a file of weights whose class is another file's."""
    if said.model is not None:
        return True
    is_path = isinstance(model, str | os.PathLike)
    return is_path and Path(os.fspath(model)).suffix in WEIGHTS and not said.trust


def _keras(path: Path, rows: np.ndarray, said: Said) -> Inference:
    """Of a file of Keras with the file of its classes, or of the function that makes what the weights belong to."""
    from uncollapse.inferring.construct import source_named
    from uncollapse.probes.keras_files import imported, keras_file

    imported(str(path))  # with a back end, which the file may set in a line that is not run
    source, name = source_named(str(said.model))
    make = getattr(source.module, name) if name else next(iter(source.classes()), None)
    x = np.asarray(rows).reshape(len(rows), -1)
    probe = keras_file(path, make=make, trust=said.trust, spread=said.spread, input_shape=said.input_shape, rows=x)
    return Inference(probe, scale=said.scale or 1.0)


def _is_orbax(folder: Path) -> bool:
    from uncollapse.probes.flax_files import is_orbax

    return is_orbax(folder)


def _flax(path: Path, rows: np.ndarray, said: Said) -> Inference:
    """Of weights of Flax with the file of the module, or of the function that makes it; arguments as they are said."""
    from uncollapse.inferring.construct import source_named
    from uncollapse.probes.flax_files import flax_weights

    source, name = source_named(str(said.model))
    make = getattr(source.module, name) if name else next(iter(source.classes()), None)
    make = None if make is None else partial(make, **said.arguments)
    x = np.asarray(rows).reshape(len(rows), -1)
    probe = flax_weights(path, make, spread=said.spread, input_shape=said.input_shape, rows=x)
    return Inference(probe, scale=said.scale or 1.0)


def _is_module(model: Any) -> bool:
    """Whether it is a PyTorch module of no library that is known."""
    roots = _roots(model)
    return "torch" in roots and not roots & {"pythae", "scvi", "diffusers", "pyro", "keras", "uncollapse"}


def _roots(model: Any) -> set[str]:
    """The packages that a model's classes come from."""
    return {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
