"""A file of weights → tensors by name, without running any code in it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uncollapse.errors import SourceError, kind_and_line

__all__ = ["ENDINGS", "Weights", "read_weights"]

ENDINGS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")

PICKLED = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
"""How a pickle starts."""

WRAPPED = ("module.", "_orig_mod.", "model.", "net.", "vae.", "network.", "autoencoder.")
"""What stands before every name where a model was wrapped: DataParallel, torch.compile, a Lightning module."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file holds.

    Attributes
    ----------
    path : Path
    states : dict of str → dict of str → Tensor
        Each set of named tensors in the file, by its place in it; most files have one, at "".
    settings : dict
        Hyper-parameters that were saved beside them.
    whole : object
        A whole model, where the file is a pickle that is trusted.
    """

    path: Path
    states: dict[str, dict[str, Tensor]]
    settings: dict[str, Any] = field(default_factory=dict)
    whole: Any = None

    def variants(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Each set as it is, and without what stands before all of its names; and how it differs from the file's."""
        for place, state in sorted(self.states.items(), key=lambda item: -len(item[1])):
            at = f"under '{place}'" if place else ""
            yield at, state
            shorter = state
            while (before := next((p for p in WRAPPED if all(k.startswith(p) for k in shorter)), None)) and shorter:
                shorter = {name.removeprefix(before): value for name, value in shorter.items()}
                yield f"{at} without '{before}'".strip(), shorter
            for before in WRAPPED:  # a Lightning module may hold a metric or a loss with weights beside the model
                some = {k.removeprefix(before): v for k, v in state.items() if k.startswith(before)}
                if 0 < len(some) < len(state):
                    yield f"{at} those of '{before}'".strip(), some


def read_weights(path: Path, *, trust: bool = False) -> Weights:
    """Read a file of weights.

    Parameters
    ----------
    path : Path
        .pt, .pth, .bin (PyTorch), .ckpt (Lightning), .safetensors.
    trust : bool
        Unpickle what PyTorch's own reading of weights refuses.

    Raises
    ------
    SourceError
        Missing, damaged, no weights in it, or a pickle that would run code.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _loaded(path, trust)
    if isinstance(loaded, torch.nn.Module):
        return Weights(path, {"": dict(loaded.state_dict())}, whole=loaded)
    states = {place: _plain(state) for place, state in _states(loaded)}
    if not states:
        raise SourceError(f"{path}: holds no weights ({_content(loaded)}); save model.state_dict()")
    return Weights(path, states, _settings(loaded))


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # of the file's own kind
        raise SourceError(f"{path}: cannot be read as safetensors: {kind_and_line(error)}") from error


def _loaded(path: Path, trust: bool) -> Any:
    safe: list[Any] = [argparse.Namespace, set]  # what Lightning saves of hyper-parameters, and holds no code
    try:
        with torch.serialization.safe_globals(safe):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if not trust:
            raise _refused(path, error) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (Exception, SystemExit) as error:  # pickled code raises anything
        raise SourceError(f"{path}: cannot be loaded: {kind_and_line(error)}") from error


def _refused(path: Path, error: Exception) -> SourceError:
    with path.open("rb") as file:
        start = file.read(2)
    said = str(error)
    if start in (b"PK", *PICKLED) and ("weights_only" in said or "WeightsUnpickler" in said):
        return SourceError(
            f"{path}: holds more than weights, and loading it runs the code in it; save model.state_dict() instead, or "
            f"say that you trust the file (--trust)"
        )
    return SourceError(f"{path}: cannot be read as weights of PyTorch: {kind_and_line(error)}; is it damaged?")


def _states(loaded: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Sets of named tensors at any depth; an optimiser's are numbered and not named."""
    if isinstance(loaded, torch.nn.Module):
        yield place, dict(loaded.state_dict())
        return
    if not isinstance(loaded, Mapping) or depth > 3:
        return
    named = {k: v for k, v in loaded.items() if isinstance(k, str) and torch.is_tensor(v)}
    if named and any(k.endswith(("weight", "bias")) or v.ndim > 1 for k, v in named.items()):
        yield place, named
    for key, value in loaded.items():
        if isinstance(key, str) and "optim" not in key:
            yield from _states(value, f"{place}.{key}".strip("."), depth + 1)


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the processor, in single precision where it was less."""
    low = (torch.bfloat16, torch.float16)
    return {name: (v.float() if v.dtype in low else v).cpu() for name, v in state.items()}


def _settings(loaded: Any) -> dict[str, Any]:
    """Hyper-parameters that Lightning, and many by hand, save beside the weights."""
    if not isinstance(loaded, Mapping):
        return {}
    result: dict[str, Any] = {}
    for key in ("hyper_parameters", "hparams", "config", "args", "model_args", "model_config", "settings"):
        held = loaded.get(key)
        held = vars(held) if isinstance(held, argparse.Namespace) else held
        if isinstance(held, Mapping):
            result |= {str(name): value for name, value in held.items()}
    return result


def _content(loaded: Any) -> str:
    if isinstance(loaded, Mapping):
        return f"its keys are {', '.join(map(str, list(loaded)[:5]))}" if loaded else "it is empty"
    return f"it is a {type(loaded).__name__}"
