"""The data of a training: one tensor each for x, y and the condition, checked and finite."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uncollapse.data.rows import Rows, as_rows, dense
from uncollapse.errors import DataError
from uncollapse.spectra.one_pass import Moments, moments, nonfinite_error
from uncollapse.training.likelihoods import check_fits

__all__ = ["Table", "table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to train on.

    Attributes
    ----------
    x : Tensor of shape (n, d0)
    y : Tensor of shape (n, d2)
        `x` itself unless there is a target.
    given : Tensor of shape (n, c) or None
        The condition.
    name : str
    """

    x: Tensor
    y: Tensor
    given: Tensor | None
    name: str

    @property
    def widths(self) -> tuple[int, int, int]:
        """Columns of x, y and the condition."""
        return self.x.shape[1], self.y.shape[1], 0 if self.given is None else self.given.shape[1]

    @property
    def n_rows(self) -> int:
        """Rows."""
        return len(self.x)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.x.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the training."""
        return self.x.dtype

    def take(self, chosen: Tensor | None, generators: list[torch.Generator]) -> tuple[Tensor, Tensor, Tensor | None]:
        """x, y and the condition (M, B, ·) of the rows each member chose, shape (M, B); of all without a choice."""
        xs = _taken(self.x, chosen, len(generators))
        ys = xs if self.y is self.x else _taken(self.y, chosen, len(generators))
        return xs, ys, None if self.given is None else _taken(self.given, chosen, len(generators))

    def largest(self) -> float:
        """Largest size of a number in x."""
        return float(self.x.abs().max())

    def to(self, device: torch.device, dtype: torch.dtype) -> Table:
        """The same rows elsewhere; x and y stay one tensor if they were."""
        x = self.x.to(device, dtype)
        y = x if self.y is self.x else self.y.to(device, dtype)
        return replace(self, x=x, y=y, given=None if self.given is None else self.given.to(device, dtype))

    def fingerprint(self) -> str:
        """Short hash of all numbers, by which a checkpoint knows its data again."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.x, None if self.y is self.x else self.y, self.given):
            digest.update(b"-" if part is None else repr(tuple(part.shape)).encode())
            if part is not None:
                digest.update(part.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def moments(self) -> Moments:
        """Moments of the columns [x | y | condition], y left out when it is x."""
        others = [part for part in (None if self.y is self.x else self.y, self.given) if part is not None]
        rest = torch.cat(others, 1).cpu().numpy() if others else None
        return moments(self.x.cpu().numpy(), rest)


def table(
    data: Any,
    target: Any = None,
    given: Any = None,
    *,
    likelihood: str = "gaussian",
    scale: float = 1.0,
    drop_nonfinite: bool = False,
) -> Table:
    """Read rows into memory.

    Parameters
    ----------
    data, target, given : array, Rows or anything else that `uncollapse.forecast` takes
        What the encoder sees, what the decoder predicts (the data themselves when left out), and the condition that
        both see.
    likelihood : str
        The target must fit it.
    scale : float
        Multiplies the data, and the target.
    drop_nonfinite : bool
        Leave out rows with NaN or infinite values in any part.

    Raises
    ------
    DataError
        Not finite, of different lengths, or unfit for the likelihood.

    Examples
    --------
    >>> table(np.eye(3)).widths
    (3, 3, 0)
    """
    if isinstance(data, Table):
        return data
    if target is not None and given is not None:
        raise DataError("a conditional VAE predicts the data themselves: give the condition as given, and no target")
    sources = [(data, "the data", scale), (target, "the target", scale), (given, "the condition", 1.0)]
    read = [None if source is None else _read(source, name, factor) for source, name, factor in sources]
    name = data.name if isinstance(data, Rows) else "the data"
    present = [part for part in read if part is not None]
    lengths = {len(part) for part in present}
    if len(lengths) > 1:
        raise DataError(f"{name}: parts of {' and '.join(map(str, sorted(lengths)))} rows; they need one row a sample")
    finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in present])
    if not finite.all():
        if not drop_nonfinite:
            raise nonfinite_error(name, np.hstack(present), 0, iter(()))
        read = [None if part is None else part[finite] for part in read]
    if not finite.any() or finite.sum() < 2:
        raise DataError(f"{name}: {int(finite.sum())} row(s) to train on; give two or more")
    tensors = [None if part is None else torch.from_numpy(part) for part in read]
    x, y, condition = tensors
    assert x is not None
    y = x if y is None else y
    check_fits(likelihood, y, name)
    return Table(x, y, condition, name)


def _taken(rows: Tensor, chosen: Tensor | None, n_members: int) -> Tensor:
    if chosen is None:
        return rows.expand(n_members, *rows.shape)
    return rows.index_select(0, chosen.reshape(-1)).view(*chosen.shape, rows.shape[1])


def _read(source: Any, name: str, scale: float) -> np.ndarray:
    rows = as_rows(source, name)
    blocks = [np.asarray(dense(block)) for block in rows.blocks()]
    if not blocks:
        raise DataError(f"{rows.name}: empty, no rows came")
    whole = np.concatenate(blocks)
    kept = whole.dtype if whole.dtype in (np.float32, np.float64) else np.float32
    if whole.dtype.kind in "iu" and whole.itemsize > 2:
        kept = np.dtype(np.float64)  # whole numbers beyond 2^24 are not float32's
    with np.errstate(over="ignore"):
        return np.multiply(whole, scale, dtype=kept) if scale != 1 else whole.astype(kept)
