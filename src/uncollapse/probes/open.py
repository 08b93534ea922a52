"""A model, wherever it comes from → its probe."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError, SourceError
from uncollapse.measure.protocol import Probe, Spread, check_spread
from uncollapse.objective import Objective
from uncollapse.probes.callables import CallableProbe
from uncollapse.probes.restated import with_objective

__all__ = ["open_probe"]

WHOLE_MODULES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin")

ASK_SPREAD = (
    "whether the encoder gives a log-variance, a variance or a standard deviation cannot be seen: say "
    "spread='log_variance', 'variance' or 'std' (--spread)"
)


def open_probe(
    model: Any,
    *,
    objective: Objective | None = None,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
    trust: bool = False,
) -> Probe:
    """See a trained model.

    Parameters
    ----------
    model : object or str
        One of: a `Trained`; a folder that `uncollapse train` wrote, or its checkpoint; a folder of pythae, or one of
        diffusers' AutoencoderKL; ``module:function``, a function of no arguments that returns a model, imported from
        the current folder; a model of pythae, scvi-tools, diffusers or Pyro; a PyTorch module with `encode` and
        `decode`; a pair of PyTorch modules or of functions on NumPy arrays, encoder and decoder; a `Probe`.
    objective : Objective, optional
        As trained, where the model does not say it; overrules what it says.
    spread : {"log_variance", "variance", "std"}, optional
        What the encoder gives beside the mean, where it cannot be read.
    input_shape : tuple of int, optional
        Of one sample, if the model does not take rows and does not say its shape.
    rows : ndarray of shape (n, d), optional
        A few rows of data, which a Pyro model must see to say its likelihood.
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
    if spread is not None:
        check_spread(spread)
    if isinstance(model, str | os.PathLike):
        probe: Any = _opened(os.fspath(model), spread, input_shape, rows, trust)
    else:
        probe = _seen(model, spread, input_shape, rows)
    if objective is None:
        return probe
    return with_objective(probe, objective)


def _seen(model: Any, spread: Spread | None, input_shape: tuple[int, ...] | None, rows: np.ndarray | None) -> Any:
    """Of an object. Its library is known by its class, so that none is imported that is not there already."""
    libraries = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    has_both = callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None))
    if has_both and hasattr(model, "decoder_variance") and hasattr(model, "notes"):
        return model  # a probe
    if "uncollapse" in libraries and type(model).__name__ == "Trained":
        from uncollapse.probes.own import own_probe

        return own_probe(model)
    if "pythae" in libraries:
        from uncollapse.probes.pythae import pythae_probe

        return pythae_probe(model, input_shape=input_shape)
    if "scvi" in libraries:
        from uncollapse.probes.scvi import scvi_probe

        return scvi_probe(model)
    if "diffusers" in libraries:
        from uncollapse.probes.diffusers import diffusers_probe

        return diffusers_probe(model, input_shape=input_shape)
    if "torch" in libraries:
        return _seen_module(model, spread, input_shape, rows)
    if isinstance(model, tuple | list) and len(model) == 2 and all(callable(part) for part in model):
        return _pair(model[0], model[1], spread, input_shape)
    if has_both:
        return replace(_pair(model.encode, model.decode, spread, input_shape), name=type(model).__name__)
    raise _unknown(model)


def _seen_module(
    module: Any, spread: Spread | None, input_shape: tuple[int, ...] | None, rows: np.ndarray | None
) -> Any:
    """Of a PyTorch module of no library that is known."""
    from uncollapse.probes.examples import module_probe
    from uncollapse.probes.pyro import is_pyro, pyro_probe

    if is_pyro(module):
        return pyro_probe(module, input_shape=input_shape, rows=rows)
    if callable(getattr(module, "encode", None)) and callable(getattr(module, "decode", None)):
        return module_probe(module, spread=spread, input_shape=input_shape)
    raise _unknown(module)


def _unknown(model: Any) -> ObjectiveError:
    return ObjectiveError(
        f"{type(model).__module__}.{type(model).__name__}: cannot be seen into: it needs encode(x) → mean, spread and "
        f"decode(z) → mean of x; or give the pair of functions (encode, decode)"
    )


def _pair(encoder: Any, decoder: Any, spread: Spread | None, input_shape: tuple[int, ...] | None) -> Any:
    if all(any(kind.__module__.startswith("torch.") for kind in type(part).__mro__) for part in (encoder, decoder)):
        from uncollapse.probes.examples import Pair, module_probe

        return module_probe(Pair(encoder, decoder), spread=spread, input_shape=input_shape)
    if spread is None:
        raise ObjectiveError(ASK_SPREAD)
    return CallableProbe(encoder, decoder, spread, input_shape=input_shape)


def _opened(
    text: str, spread: Spread | None, input_shape: tuple[int, ...] | None, rows: np.ndarray | None, trust: bool
) -> Any:
    """Of a name."""
    try:
        from uncollapse.probes import diffusers, own, pythae
    except ImportError:
        raise SourceError(f"{text}: to see into models, PyTorch is needed: pip install 'uncollapse[torch]'") from None
    path = Path(text)
    if (path / own.CHECKPOINT).is_file() or path.suffix == ".safetensors":
        return own.own_probe(path)
    for folder in (path, path / "final_model"):
        if (folder / pythae.CONFIG).is_file():
            return pythae.pythae_folder(folder, input_shape=input_shape, trust=trust)
    if (path / diffusers.CONFIG).is_file():
        return diffusers.diffusers_folder(path, input_shape=input_shape)
    if path.is_dir():
        hint = "; a folder of scvi-tools: load it with its data (SCVI.load) and hand over the model" if (
            path / "model.pt").is_file() else ""  # fmt: skip
        raise SourceError(f"{path}: holds no {own.CHECKPOINT}, {pythae.CONFIG} or {diffusers.CONFIG}{hint}")
    if path.suffix in WHOLE_MODULES:
        return _seen(_unpickled(path, trust), spread, input_shape, rows)
    if ":" in text and not path.exists():
        return _seen(_made(text), spread, input_shape, rows)
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
    except Exception as error:  # pickled code raises anything
        raise SourceError(f"{path}: cannot be loaded: {_line(error)}") from error
    if isinstance(loaded, dict):
        raise SourceError(f"{path}: holds weights and no model; give module:function that builds it and loads them")
    return loaded


def _made(text: str) -> Any:
    name, _, function = text.partition(":")
    with _current_folder_importable():
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # a user's module raises anything
            raise SourceError(f"{text}: {name} cannot be imported from here: {_line(error)}") from error
        make = getattr(module, function, None)
        if not callable(make):
            raise SourceError(f"{text}: {name} has no function {function!r}")
        try:
            return make()
        except (Exception, SystemExit) as error:
            raise SourceError(f"{text}: the function failed: {_line(error)}") from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": ")
