"""A model, wherever it comes from → its probe."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError, SourceError, UncollapseError, kind_and_line
from uncollapse.measure.protocol import RAISED, Probe, Spread, SpreadUnknown, check_spread, is_probe
from uncollapse.objective import Objective
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.frameworks import of_object, of_path
from uncollapse.probes.inputs import check_rows
from uncollapse.probes.numpyro import is_numpyro, numpyro_probe
from uncollapse.probes.outputs import check_outputs
from uncollapse.probes.priors import with_prior
from uncollapse.probes.restated import with_objective
from uncollapse.reading.named import maker_named

__all__ = ["WEIGHTS", "as_object", "has_both", "open_probe"]

WEIGHTS = (".pt", ".pth", ".ckpt", ".bin")
WHOLE_MODULES = (".pkl", ".pickle", *WEIGHTS)

ASK_SPREAD = (
    "whether the encoder gives a log-variance, a variance or a standard deviation cannot be known: say "
    "spread='log_variance', 'variance' or 'std' (--spread)"
)


def open_probe(
    model: Any,
    *,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    outputs: tuple[int, int] | None = None,
    prior: Any = None,
    trust: bool = False,
) -> Probe:
    """Open a trained model of any library, so that it can be measured and diagnosed.

    Parameters
    ----------
    model : object or str
        One of: a `Trained`; a folder that `uncollapse train` wrote, or its checkpoint; a folder of pythae, or one of
        diffusers' AutoencoderKL; a file of Keras; a folder with ``encoder.onnx`` and ``decoder.onnx`` (or ``.keras``),
        or the two paths of ONNX; ``module:function``, a function of no arguments that returns a model, imported from
        the current folder; a model of pythae, scvi-tools, diffusers, Pyro, Keras or Flax (of Linen with its params, as
        a pair); the triple (model, guide, params) of NumPyro; a PyTorch module with `encode` and `decode`; a pair of
        PyTorch modules, Keras or Flax models or functions on NumPy arrays, encoder and decoder; a `Probe`.
    objective : Objective, optional
        As trained, where the model does not say it; overrules what it says.
    spread : {"log_variance", "variance", "std"}, optional
        What the encoder gives beside the mean, where it cannot be read.
    input_shape : tuple of int, optional
        Of one sample, if the model does not take rows and does not say its shape.
    rows : ndarray of shape (n, d), optional
        A few rows of data, which a model of Pyro or NumPyro must see to say its likelihood.
    outputs : tuple of two int, optional
        Positions of mean and spread in what the encoder gives, from 0, if it gives more than the two: (1, 2) for
        (z, mean, log-variance). Read from what the encoder does when left out.
    prior : torch distribution, or callable z (n, l) → log p(z) (n,), optional
        Where it is not N(0, I): a mixture, a flow. The KL is then sampled. A function gets and gives NumPy arrays.
    trust : bool
        Load pickled models, which may run any code.

    Returns
    -------
    Probe

    Raises
    ------
    SourceError
        Not found, damaged, or a file that would run code.
    ObjectiveError
        A model of unknown kind, or one whose convention must be said.

    Examples
    --------
    >>> probe = open_probe((lambda x: (x / 2, 0 * x), lambda z: 2 * z), spread="log_variance")
    >>> probe.decode(np.ones((1, 3)))
    array([[2., 2., 2.]])
    """
    how = _Reading(
        None if spread is None else check_spread(spread),
        None if input_shape is None else checks.counts(input_shape, "input_shape", least=1),
        None if rows is None else check_rows(rows, "rows", "open_probe"),
        check_outputs(outputs),
        checks.flag(trust, "trust"),
    )
    if objective is not None:
        checks.instance(objective, "objective", Objective)
    probe: Any = _of_name(_text(model), how) if isinstance(model, str | os.PathLike) else _of_object(model, how)
    probe = probe if objective is None else with_objective(probe, objective)
    return probe if prior is None else with_prior(probe, prior)


def as_object(model: Any) -> Any:
    """The model that ``FILE:FUNCTION`` or ``module:function`` makes; anything else as it is.

    Raises
    ------
    SourceError
        No such function, or it fails.
    """
    if not isinstance(model, str | os.PathLike):
        return model
    text = _text(model)
    try:
        is_function = ":" in text and not Path(text).exists()
    except OSError:  # too long a name
        return model
    return _made(text) if is_function else model


@dataclass(frozen=True)
class _Reading:
    """How a model is to be read, as far as the user says it."""

    spread: Spread | None
    input_shape: tuple[int, ...] | None
    rows: np.ndarray | None
    outputs: tuple[int, int] | None
    trust: bool

    @property
    def of_frameworks(self) -> dict[str, Any]:
        """All of it, by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def _text(model: str | os.PathLike[Any]) -> str:
    text = os.fsdecode(os.fspath(model))
    if not text.strip() or "\0" in text:
        raise SourceError(f"{checks.shown(text)} names no model; give a folder with a checkpoint, or module:function "
                          f"that returns the model")  # fmt: skip
    return text


def _of_object(model: Any, how: _Reading) -> Any:
    """Of an object. Its library is known by its class, so that none is imported that is not there already."""
    if isinstance(model, type):
        raise ObjectiveError(f"{model.__name__} is a class; give a trained model of it")
    if is_probe(model):
        return model
    libraries = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    if "uncollapse" in libraries and type(model).__name__ == "Trained":
        from uncollapse.probes.own import own_probe

        return own_probe(model)
    if "pythae" in libraries:
        from uncollapse.probes.pythae import pythae_probe

        return pythae_probe(model, input_shape=how.input_shape)
    if "scvi" in libraries:
        from uncollapse.probes.scvi import scvi_probe

        return scvi_probe(model)
    if "diffusers" in libraries:
        from uncollapse.probes.diffusers import diffusers_probe

        return diffusers_probe(model, input_shape=how.input_shape)
    if (known := of_object(model, **how.of_frameworks)) is not None:
        return known
    if "torch" in libraries:
        return _of_module(model, how)
    if is_numpyro(model):
        return numpyro_probe(*model, input_shape=how.input_shape, rows=how.rows)
    if isinstance(model, tuple | list) and len(model) == 2 and all(callable(part) for part in model):
        return _pair(model[0], model[1], how)
    if has_both(model):
        return replace(_pair(model.encode, model.decode, how), name=type(model).__name__)
    raise _unknown(model)


def has_both(model: Any) -> bool:
    """Whether a model has `encode` and `decode`."""
    try:
        return callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None))
    except RAISED:  # an object's own __getattr__ raises anything
        return False


def _of_module(module: Any, how: _Reading) -> Any:
    """Of a PyTorch module of no library that is known."""
    from uncollapse.probes.examples import module_probe
    from uncollapse.probes.pyro import is_pyro, pyro_probe

    if is_pyro(module):
        return pyro_probe(module, input_shape=how.input_shape, rows=how.rows)
    if has_both(module):
        return module_probe(module, spread=how.spread, input_shape=how.input_shape, outputs=how.outputs)
    raise _unknown(module)


def _unknown(model: Any) -> ObjectiveError:
    kind = type(model)
    return ObjectiveError(
        f"{kind.__module__}.{kind.__name__}: cannot be read: it needs encode(x) → mean, spread and "
        f"decode(z) → mean of x; or give the pair of functions (encode, decode)"
    )


def _pair(encoder: Any, decoder: Any, how: _Reading) -> Any:
    if all(any(kind.__module__.startswith("torch.") for kind in type(part).__mro__) for part in (encoder, decoder)):
        from uncollapse.probes.examples import Pair, module_probe

        pair = Pair(encoder, decoder)
        return module_probe(pair, spread=how.spread, input_shape=how.input_shape, outputs=how.outputs)
    if how.spread is None:
        raise SpreadUnknown(ASK_SPREAD)
    return CallableProbe(encoder, decoder, how.spread, input_shape=how.input_shape, outputs=how.outputs)


def _of_name(text: str, how: _Reading) -> Any:
    """Of a folder, a file or ``module:function``."""
    try:
        return _of_path(text, Path(text), how)
    except UncollapseError:
        raise
    except OSError as error:  # too long a name, a folder that may not be read
        raise SourceError(f"{checks.shown(text)}: {error.strerror or error}") from error


def _of_path(text: str, path: Path, how: _Reading) -> Any:
    try:
        from uncollapse.probes import diffusers, own, pythae
    except ImportError:
        raise SourceError(f"{text}: to open models, PyTorch is needed: pip install 'uncollapse[torch]'") from None
    if (path / own.CHECKPOINT).is_file() or path.suffix == ".safetensors":
        return own.own_probe(path)
    for folder in (path, path / "final_model"):
        if (folder / pythae.CONFIG).is_file():
            return pythae.pythae_folder(folder, input_shape=how.input_shape, trust=how.trust)
    if (path / diffusers.CONFIG).is_file():
        return diffusers.diffusers_folder(path, input_shape=how.input_shape)
    if (known := of_path(text, **how.of_frameworks)) is not None:
        return known
    if path.is_dir():
        hint = "; a folder of scvi-tools: load it with its data (SCVI.load) and hand over the model" if (
            path / "model.pt").is_file() else ""  # fmt: skip
        raise SourceError(f"{path}: holds no {own.CHECKPOINT}, {pythae.CONFIG} or {diffusers.CONFIG}{hint}")
    if path.suffix in WHOLE_MODULES:
        return _of_object(_unpickled(path, how.trust), how)
    if ":" in text and not path.exists():
        return _of_object(_made(text), how)
    what = "is no model that is known" if path.exists() else "no such file or folder"
    raise SourceError(f"{text}: {what}; give a folder with a checkpoint, or module:function that returns the model")


def _unpickled(path: Path, trust: bool) -> Any:
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    if not trust:
        raise SourceError(f"{path}: loading a pickled model runs the code in it; if you trust it, say so (--trust), or "
                          f"give module:function that returns the model")  # fmt: skip
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    except RAISED as error:  # pickled code raises anything
        raise SourceError(f"{path}: cannot be loaded: {kind_and_line(error)}") from error
    if isinstance(loaded, dict):
        raise SourceError(f"{path}: holds weights and no model; give module:function that builds it and loads them")
    return loaded


def _made(text: str) -> Any:
    name, _, function = text.partition(":")
    if name.endswith(".py"):
        return _called(maker_named(text), text)
    with _current_folder_importable():
        try:
            module = importlib.import_module(name)
        except RAISED as error:  # a user's module raises anything
            raise SourceError(f"{text}: {name} cannot be imported from here: {kind_and_line(error)}") from error
        make = getattr(module, function, None)
        if not callable(make):
            raise SourceError(f"{text}: {name} has no function {function!r}")
        return _called(make, text)


def _called(make: Any, text: str) -> Any:
    try:
        return make()
    except RAISED as error:  # a user's function raises anything
        raise SourceError(f"{text}: the function failed: {kind_and_line(error)}") from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before
