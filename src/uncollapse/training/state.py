"""Trained models and checkpoints on disk: tensors as safetensors, everything else as JSON in the same file's header.

One file, written aside and renamed, is either the old state or the new one; a checksum tells damage. Nothing is
pickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uncollapse.checks import as_path, instance
from uncollapse.errors import OutputError, SourceError, UncollapseError
from uncollapse.files import write_bytes
from uncollapse.training.architecture import architecture
from uncollapse.training.config import Setup
from uncollapse.training.result import Trained

__all__ = ["load", "model_bytes", "read_state", "save", "state_bytes"]

FORMAT = "uncollapse-training-1"
HISTORY = "history."
LATENT_KL = "latent_kl"


def save(trained: Trained, path: str | Path, extra: dict[str, Tensor] | None = None, **facts: Any) -> None:
    """Write a model, its setup and history to one file; `load` gives it back.

    Parameters
    ----------
    extra : dict of Tensor, optional
        More to keep: what a training needs to go on.
    **facts
        JSON-ready values to keep beside them.

    Raises
    ------
    OutputError
        The file cannot be written; what was there before stays.
    """
    instance(trained, "what is saved", Trained)
    write_bytes(as_path(path, "path", error=OutputError), model_bytes(trained, extra, **facts))


def model_bytes(trained: Trained, extra: dict[str, Tensor] | None = None, **facts: Any) -> bytes:
    """The content of the file that `save` writes."""
    tensors = {f"parameters.{name}": value for name, value in trained.parameters.items()}
    tensors |= {HISTORY + name: torch.from_numpy(column) for name, column in trained.history.items()}
    tensors[LATENT_KL] = torch.from_numpy(trained.latent_kl)
    a = trained.architecture
    known = {
        "setup": trained.setup.to_dict(),
        "widths": [a.n_inputs, a.n_targets, a.n_given],
        "status": trained.status,
        "message": trained.message,
        "seconds": trained.seconds,
    }
    return state_bytes(tensors | (extra or {}), {**known, **facts})


def load(path: str | Path) -> Trained:
    """Read a model, or the model inside a checkpoint.

    Raises
    ------
    SourceError
        Missing, damaged, or not such a file.
    """
    tensors, facts = read_state(as_path(path, "path", error=SourceError))
    try:
        setup = Setup.from_dict(facts["setup"])
        return Trained(
            setup,
            architecture(setup, *facts["widths"]),
            _under("parameters.", tensors),
            {name: value.numpy() for name, value in _under(HISTORY, tensors).items()},
            tensors[LATENT_KL].numpy(),
            facts["status"],
            facts["message"],
            facts["seconds"],
        )
    except (KeyError, TypeError, UncollapseError) as error:
        raise SourceError(f"{path}: not a model of this version: {error}") from None


def state_bytes(tensors: dict[str, Tensor], facts: dict[str, Any], kind: str = FORMAT) -> bytes:
    """Tensors, and JSON-ready facts in their header, as the content of a file of one kind."""
    from safetensors.torch import save as to_bytes

    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return to_bytes(plain, {"format": kind, "facts": json.dumps(facts), "checksum": _checksum(plain)})


def read_state(path: Path, kind: str = FORMAT) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `state_bytes` made, or a `SourceError` that names the file."""
    from safetensors import SafetensorError, safe_open

    try:
        there = path.is_file()
    except OSError as error:
        raise SourceError(f"{str(path)[:200]}: cannot be read: {error.strerror}") from None
    if not there:
        raise SourceError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{path}: damaged, nothing was loaded ({reason}); restore it or train anew") from None
    if metadata.get("format") != kind:
        raise SourceError(f"{path}: not a file of uncollapse's training, or of another version")
    if metadata.get("checksum") != _checksum(tensors):
        raise SourceError(f"{path}: damaged, nothing was loaded (its checksum is wrong); restore it or train anew")
    return tensors, json.loads(metadata["facts"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(np.atleast_1d(value.numpy()).data)
    return digest.hexdigest()
