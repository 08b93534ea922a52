"""Sums of one part of the rows in each process of `torch.distributed` → the sums of all rows, in every process."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import reduce
from operator import add
from typing import Any, TypeVar

import numpy as np

from uncollapse.errors import DataError
from uncollapse.measure.sums import PosteriorSums
from uncollapse.spectra.one_pass import Moments

__all__ = ["over_processes"]

Sums = TypeVar("Sums", Moments, PosteriorSums)


def over_processes(part: Sums, group: Any = None) -> Sums:
    """The sums of the rows of all processes; each calls this with those of its own rows.

    Parameters
    ----------
    part : Moments or PosteriorSums
        Of this process's rows; the same columns, or the same model, in all.
    group : ProcessGroup, optional
        Of `torch.distributed`; all processes when left out.

    Returns
    -------
    Moments or PosteriorSums
        The same in every process, merged in the order of their ranks.

    Raises
    ------
    DataError
        `torch.distributed` has not begun, or the processes hold sums of different shapes.

    Notes
    -----
    Only float64 numbers are sent; nothing is pickled. With NCCL they go through the process's current GPU.

    Examples
    --------
    In each process, after ``torch.distributed.init_process_group("gloo")``::

        mine = moments(x[rank::world_size])
        forecast(over_processes(mine), beta=4.0)
    """
    if not isinstance(part, Moments | PosteriorSums):
        raise DataError(f"sums of a part of the rows are due, Moments or PosteriorSums, got {type(part).__name__}")
    import torch
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        raise DataError("torch.distributed has not begun here; call torch.distributed.init_process_group first")
    device = torch.device("cuda" if distributed.get_backend(group) == "nccl" else "cpu")
    names = [item.name for item in fields(part) if item.name not in FIXED and getattr(part, item.name) is not None]
    values = {name: np.asarray(getattr(part, name), dtype=np.float64) for name in names}
    flat = torch.as_tensor(np.concatenate([value.ravel() for value in values.values()]), device=device)
    n = distributed.get_world_size(group)
    shapes = [torch.zeros(SHAPE_NUMBERS, dtype=torch.int64, device=device) for _ in range(n)]
    distributed.all_gather(shapes, torch.as_tensor(_shape_of(part), device=device), group=group)
    if any(not torch.equal(shape, shapes[0]) for shape in shapes):  # all_gather itself would wait, or mix them
        raise DataError("the processes hold sums of different columns or models; all parts must be of one table")
    parts = [torch.empty_like(flat) for _ in range(n)]
    distributed.all_gather(parts, flat, group=group)
    return reduce(add, (_filled(part, values, one.cpu().numpy()) for one in parts))


FIXED = ("n_inputs", "level_sizes", "latent_shape")
"""Fields that describe the table or the model, the same in all processes."""

SHAPE_NUMBERS = 4


def _shape_of(part: Any) -> np.ndarray:
    """What must agree: the kind of sums, inputs or levels, columns or latents, and whether its KL was sampled."""
    if isinstance(part, Moments):
        return np.array([0, part.n_inputs, len(part.mean), 0])
    return np.array([1, len(part.level_sizes), len(part.kl), int(part.beyond is None)])


def _filled(like: Any, values: dict[str, np.ndarray], flat: np.ndarray) -> Any:
    """Numbers as they came, in the form of `like`."""
    result, start = {}, 0
    for name, value in values.items():
        given = flat[start : start + value.size].reshape(value.shape)
        start += value.size
        own = getattr(like, name)
        result[name] = given.astype(own.dtype) if isinstance(own, np.ndarray) else type(own)(given)
    return replace(like, **result)
