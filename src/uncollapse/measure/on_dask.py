"""A model measured on Dask arrays: a copy of it on every worker, sums and samples merged as a tree."""

from __future__ import annotations

import pickle
import sys
import sysconfig
from functools import reduce
from operator import add
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from uncollapse.data.on_dask import checked_tables, over_chunks
from uncollapse.data.rows import as_rows
from uncollapse.errors import DataError, kind_and_line
from uncollapse.measure.observe import Seen, Walk, walked

__all__ = ["walked_on_dask"]


def walked_on_dask(walk: Walk, data: Any, target: Any, given: Any) -> Seen | None:
    """See `walked`; the sample is the same, but where rows are left out.

    Raises
    ------
    DataError
        The model cannot be sent to the workers, or is not known there.
    """
    if target is not None and given is not None:
        raise DataError("a conditional VAE predicts the data themselves: give the condition as given, and no target")
    other = [part for part in (target, given) if part is not None]
    tables = checked_tables([data, *other], "condition" if given is not None else "target")
    seen: Seen | None = over_chunks(tables, _of_chunk, _merged, [_packed(walk)])
    return seen


def _merged(group: list[Seen | None]) -> Seen | None:
    seen = [part for part in group if part is not None]
    return reduce(add, seen) if seen else None


def _packed(walk: Walk) -> bytes:
    """For the workers; classes of the user's own files go along, as no worker has these files."""
    import cloudpickle

    own = _own_modules(walk.probe)
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        packed: bytes = cloudpickle.dumps(walk)
    except Exception as error:  # a user's model may hold anything
        raise DataError(f"{walk.probe.name}: cannot be sent to the workers: {kind_and_line(error)}") from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    return packed


def _own_modules(probe: Any) -> list[ModuleType]:
    """Python files that a model's classes and functions come from, but for installed packages."""
    net = getattr(probe, "module", None)
    parts = [
        *(net.modules() if net is not None and hasattr(net, "modules") else ()),
        *getattr(probe, "__dict__", {}).values(),
        probe,
    ]
    names = {name for part in parts for name in (getattr(part, "__module__", None), type(part).__module__) if name}
    installed = [str(path) for path in (*sysconfig.get_paths().values(), Path(__file__).parents[1])]
    return [
        module
        for name in sorted(names)
        if (module := sys.modules.get(name)) is not None
        and (file := getattr(module, "__file__", None)) is not None
        and not any(str(Path(str(file)).absolute()).startswith(place) for place in installed)
    ]


def _of_chunk(chunk: list[np.ndarray], start: int, packed: bytes) -> Seen | None:
    walk: Walk = pickle.loads(packed)  # of our own making, a moment ago
    rows, *other = (as_rows(part, "the Dask array") for part in chunk)
    target = other[0] if walk.has_target else None
    given = other[0] if walk.has_condition else None
    return walked(walk, rows, target, given, start)
