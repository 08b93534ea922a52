"""Models of Keras, Flax and ONNX among what `open_probe` takes: which of them it is, without importing any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from uncollapse.errors import SourceError

__all__ = ["of_object", "of_path"]

ONNX = ".onnx"


def of_object(model: Any, *, trust: bool = False, **how: Any) -> Any:
    """Probe of a Keras or Flax model, or of a pair of either or of files of ONNX; None of anything else."""
    pair = tuple(model) if isinstance(model, tuple | list) and len(model) == 2 else None
    if pair and all(isinstance(part, str | os.PathLike) and os.fspath(part).endswith(ONNX) for part in pair):
        from uncollapse.probes.onnx import onnx_pair

        return onnx_pair(*pair, **how)
    libraries = [_libraries(part) for part in pair or (model,)]
    if all("keras" in part for part in libraries):
        from uncollapse.probes.keras import keras_probe

        return keras_probe(model, **how)
    if "flax" in libraries[0]:
        from uncollapse.probes.flax import flax_probe

        return flax_probe(model, **how)
    return None


def of_path(text: str, *, trust: bool = False, **how: Any) -> Any:
    """Probe of a file or folder of Keras, Flax or ONNX; None of anything else."""
    from uncollapse.probes import flax_files, keras_files, onnx

    path = Path(text)
    first, comma, second = text.partition(",")
    if comma and first.endswith(ONNX) and second.endswith(ONNX) and not path.exists():
        return onnx.onnx_pair(first, second.strip(), **how)
    if path.suffix == ONNX:
        raise SourceError(f"{path}: is one graph; give the folder with {onnx.ENCODER} and {onnx.DECODER}, or both "
                          f"files with a comma between")  # fmt: skip
    if (path / onnx.ENCODER).is_file():
        return onnx.onnx_folder(path, **how)
    if (path / keras_files.ENCODER).is_file():
        return keras_files.keras_folder(path, trust=trust, **how)
    if path.suffix in keras_files.ENDINGS and ":" not in text:
        return keras_files.keras_file(path, trust=trust, **how)
    if path.suffix == ".msgpack" or (path.is_dir() and flax_files.is_orbax(path)):
        return flax_files.flax_weights(path, None, **how)
    return None


def _libraries(part: Any) -> set[str]:
    return {kind.__module__.split(".")[0] for kind in type(part).__mro__}
