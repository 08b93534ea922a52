"""Keras models in files → their probes. What would run code that lies in a file is refused unless it is trusted."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.errors import SourceError, first_line, kind_and_line
from uncollapse.measure.protocol import RAISED, Spread
from uncollapse.probes.keras import keras_probe

__all__ = ["ENDINGS", "imported", "keras_file", "keras_folder"]

ENDINGS = (".keras", ".h5", ".hdf5")
WEIGHTS = ".weights.h5"
ENCODER, DECODER = "encoder.keras", "decoder.keras"

RUN_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
"""Classes whose configuration holds code, or names a file with some."""

KERAS = (
    "activations", "backend", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "models",
    "ops", "optimizers", "random", "regularizers",
)  # fmt: skip
"""Parts of Keras that describe models; other names of it (get_file among them) belong in no configuration."""


def keras_file(
    path: str | Path,
    *,
    make: Callable[..., Any] | None = None,
    trust: bool = False,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
) -> Any:
    """Probe of a Keras model in a file.

    Parameters
    ----------
    path : path
        A model (``.keras``, or an older ``.h5``), or weights (``.weights.h5``, or an ``.h5`` without the model).
    make : callable, optional
        Of weights: gives the model, built, without arguments. Of a model: a class or function whose module holds the
        classes that the file names.
    trust : bool
        Run code that lies in the file (Lambda layers).
    spread, input_shape, rows, outputs
        As in `open_probe`.

    Raises
    ------
    SourceError
        Not there, damaged, of classes that are not known, or with code in it.
    """
    model = _loaded(Path(path), make, trust)
    return keras_probe(model, spread=spread, input_shape=input_shape, rows=rows, outputs=outputs)


def keras_folder(folder: str | Path, *, make: Callable[..., Any] | None = None, trust: bool = False, **how: Any) -> Any:
    """Probe of a folder with ``encoder.keras`` and ``decoder.keras``; options as in `keras_file`."""
    pair = tuple(_loaded(Path(folder) / name, make, trust) for name in (ENCODER, DECODER))
    return keras_probe(pair, **how)


def _loaded(path: Path, make: Callable[..., Any] | None, trust: bool) -> Any:
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    keras = imported(str(path))
    try:
        config = _config(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: is no model of Keras, or damaged: {first_line(error)}") from error
    if config is None:
        return _weighted(path, make)
    own = _classes_beside(make, keras)
    if not trust:
        _check(config, {*own, *_registered(keras)}, path)
    try:
        return keras.saving.load_model(str(path), custom_objects=own, compile=False, safe_mode=not trust)
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{path}: Keras cannot load it: {kind_and_line(error)}") from error


def _config(path: Path) -> Any:
    """The model's description; None of weights alone."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    try:
        import h5py
    except ImportError:
        raise SourceError(f"{path}: to read it, h5py is needed: pip install h5py") from None
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    return None if text is None else json.loads(text)


def _weighted(path: Path, make: Callable[..., Any] | None) -> Any:
    if make is None:
        raise SourceError(f"{path}: holds weights and no model; say FILE:FUNCTION that makes the model of Keras, built")
    try:
        model = make()
    except RAISED as error:  # a user's function raises anything
        raise SourceError(f"{path}: the function that makes its model failed: {kind_and_line(error)}") from error
    try:
        if all(part.built for part in model._flatten_layers(include_self=False)):
            model.built = True  # one whose parts are built has all its weights, called or not
        model.load_weights(str(path))
    except RAISED as error:  # the library raises anything
        raise SourceError(f"{path}: does not fit {type(model).__name__}: {kind_and_line(error)}") from error
    return model


def _check(config: Any, known: set[str], path: Path) -> None:
    """Refuse what would run code of the file, and classes that nobody named."""
    for part in _parts(config):
        name, module = part.get("class_name"), part.get("module")
        if name in RUN_CODE:
            raise SourceError(f"{path}: holds {name}, which runs code that lies in the file; if you trust it, say so "
                              f"(--trust)")  # fmt: skip
        registered = part.get("registered_name") or name
        if {str(name), str(registered), str(registered).rpartition(">")[2]} & known:
            continue
        words = str(module).split(".")
        of_keras = words[0] == "keras" and (len(words) < 2 or words[2 if words[1:2] == ["src"] else 1] in KERAS)
        if "module" in part and module not in (None, "builtins") and not of_keras:
            raise SourceError(_asked(path, name))
        if "module" in part and module is None and part.get("registered_name"):
            raise SourceError(_asked(path, name))


def _asked(path: Path, name: Any) -> str:
    return (f"{path}: needs a class of yours, {name}; say FILE:CLASS that has it, or hand over the model from "
            f"MODULE:FUNCTION that loads it")  # fmt: skip


def _parts(config: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(config, Mapping):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _parts(value)


def _registered(keras: Any) -> set[str]:
    names = {str(name) for name in keras.saving.get_custom_objects()}
    return names | {name.rpartition(">")[2] for name in names}


def _classes_beside(make: Callable[..., Any] | None, keras: Any) -> dict[str, Any]:
    """Classes of Keras's kind in the module of the class or function that the user named."""
    if make is None:
        return {}
    around = getattr(make, "__globals__", None) or getattr(sys.modules.get(make.__module__), "__dict__", {})
    found = {name: value for name, value in around.items()
             if inspect.isclass(value) and issubclass(value, keras.layers.Layer)}  # fmt: skip
    return found | ({make.__name__: make} if inspect.isclass(make) else {})


def imported(where: str) -> Any:
    """Keras. Where it is not there yet, and neither its back end is said nor TensorFlow installed, on PyTorch."""
    if importlib.util.find_spec("keras") is None:
        raise SourceError(f"{where}: is a model of Keras, which is not installed: pip install keras")
    with _backend("torch" if _to_choose() else None):
        try:
            import keras
        except ImportError as error:
            raise SourceError(f"{where}: Keras cannot be imported: {first_line(error)}; its back end is TensorFlow "
                              f"unless KERAS_BACKEND says torch or jax") from error  # fmt: skip
    return keras


def _to_choose() -> bool:
    """Whether nobody said a back end, and the one that Keras falls back to is not there."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND") or importlib.util.find_spec("tensorflow") is not None:
        return False
    settings = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "keras.json")
    try:
        return json.loads(settings.read_text()).get("backend", "tensorflow") == "tensorflow"
    except (OSError, ValueError, AttributeError):
        return True


@contextmanager
def _backend(name: str | None) -> Iterator[None]:
    """What Keras reads of the environment when it is imported, and the environment as it was afterwards."""
    before = os.environ.get("KERAS_BACKEND")
    if name is not None:
        os.environ["KERAS_BACKEND"] = name
    try:
        yield
    finally:
        if name is not None:
            if before is None:
                del os.environ["KERAS_BACKEND"]
            else:
                os.environ["KERAS_BACKEND"] = before
