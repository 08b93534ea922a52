"""A revived model on disk: arrays as safetensors, everything else as JSON; no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.bill.additions import Additions
from uncollapse.errors import DataError, OutputError, SourceError, first_line
from uncollapse.files import made_folder, write_bytes, write_text
from uncollapse.objective import Objective
from uncollapse.reviving.result import Revived

__all__ = ["ARRAYS", "FACTS", "TRAINED", "Kept", "is_revived", "read_folder", "write_folder"]

ARRAYS, FACTS, TRAINED = "additions.safetensors", "revived.json", "trained.safetensors"


class Kept:
    """What a folder holds.

    Attributes
    ----------
    additions : Additions
    objective : Objective
    digest : str
        Of the weights of the model that the additions belong to.
    model : str
        What that model was called when it was opened.
    how_read : dict
        How it was read; empty in older folders.
    facts : dict
        The whole of the JSON file.
    """

    def __init__(self, additions: Additions, facts: dict[str, Any]) -> None:
        self.additions, self.facts = additions, facts
        self.objective = Objective.from_dict(facts["objective"])
        self.digest, self.model = str(facts["digest"]), str(facts["model"])
        self.how_read: dict[str, Any] = dict(facts.get("how_read") or {})


def is_revived(path: Path) -> bool:
    """Whether a folder holds a revived model."""
    return (path / FACTS).is_file() and (path / ARRAYS).is_file()


def write_folder(revived: Revived, folder: str | Path, **more: Any) -> Path:
    """Write arrays and facts; `load_revived` gives the model back.

    Parameters
    ----------
    revived : Revived
    folder : str or path
        Made if it is not there; a revived model in it is replaced.
    **more
        JSON-ready values to keep beside them.

    Raises
    ------
    OutputError
        There is nothing to write, or it cannot be written.
    """
    from safetensors.numpy import save

    checks.instance(revived, "revived", Revived, error=OutputError)
    if revived.additions is None:
        raise OutputError("there is nothing to write: nothing was to be gained, the model stays as it is")
    place = made_folder(checks.as_path(folder, "folder", error=OutputError))
    arrays = {name: np.ascontiguousarray(array) for name, array in revived.additions.arrays().items()}
    facts = {**revived.to_dict(), "objective": revived.objective.to_dict(), **more}
    write_bytes(place / ARRAYS, save(arrays))
    write_text(place / FACTS, json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return place


def read_folder(folder: str | Path) -> Kept:
    """What `write_folder` wrote.

    Raises
    ------
    SourceError
        No such folder, or a damaged one.
    """
    from safetensors.numpy import load

    place = checks.as_path(folder, "folder", error=SourceError)
    if not is_revived(place):
        raise SourceError(f"{place}: holds no revived model ({FACTS} and {ARRAYS}); `uncollapse revive` writes one")
    try:
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        additions = Additions.from_arrays(load((place / ARRAYS).read_bytes()))
        return Kept(additions, facts)
    except Exception as error:  # damaged bytes and odd JSON end in as many ways
        raise SourceError(f"{place}: a damaged revived model: {first_line(error)}") from error


def check_belongs(kept: Kept, digest: str, where: str) -> None:
    """Refuse the additions of another model.

    Raises
    ------
    DataError
        The weights are not those that the additions were made for.
    """
    if kept.digest and digest != kept.digest:
        raise DataError(f"{where}: these additions belong to another model, or to other weights of this one; load the "
                        f"weights with which it was revived")  # fmt: skip
