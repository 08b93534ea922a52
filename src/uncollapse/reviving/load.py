"""A user's module + a folder → the module to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uncollapse.errors import DataError, SourceError, first_line
from uncollapse.inferring.result import Inference
from uncollapse.measure.protocol import Spread, is_probe
from uncollapse.reviving.as_read import read_again
from uncollapse.reviving.digest import digest_of
from uncollapse.reviving.folder import TRAINED, check_belongs, read_folder

__all__ = ["load_revived"]


def load_revived(
    module: Any,
    folder: str | Path,
    *,
    spread: Spread | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> Any:
    """The model that `revive` built, on the user's own module; training may go on from it.

    Parameters
    ----------
    module : object
        The model as it was revived, with the same weights: a PyTorch module, or anything that `open_probe` takes and
        that has one behind it; or what `open_weights` gives.
    folder : str or path
        That `uncollapse revive` or `Revived.write` wrote.
    spread, input_shape
        As in `open_probe`; as they were when it was revived, when left out.

    Returns
    -------
    Module
        In the class of the user's own where that has `encode` and `decode`, so that `forward` and all else stay; else
        one with ``encode(x) → (mean, log-variance)``, ``decode(z)`` and ``forward(x)``.

    Raises
    ------
    SourceError
        No revived model there, or a damaged one.
    DataError
        The folder belongs to another model: by its shapes, or by a digest of its weights.
    ObjectiveError
        There is no PyTorch module behind the model.
    """
    from uncollapse.reviving.module import revived_module

    kept = read_folder(folder)
    module = module.probe if isinstance(module, Inference) else module
    as_it_is = is_probe(module) and not isinstance(module, type)
    probe: Any = module if as_it_is else read_again(module, kept.how_read, spread=spread, input_shape=input_shape)
    check_belongs(kept, digest_of(probe), str(folder))
    result = revived_module(probe, kept.additions, kept.objective)
    trained = Path(folder) / TRAINED
    if trained.is_file():
        from safetensors.torch import load_file

        try:
            result.load_state_dict(load_file(trained))
        except RuntimeError as error:
            raise DataError(f"{trained}: belongs to another model: {first_line(error)}") from None
        except Exception as error:  # safetensors raises its own kind on damaged bytes
            raise SourceError(f"{trained}: cannot be read: {first_line(error)}") from error
    return result
