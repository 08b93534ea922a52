"""Numbers wider than float64, long doubles and integers beyond 2^53: centred in their own kind, then rounded.

Rounded first, a spread of 1e-6 about a mean of 1e12 is gone. The difference to the first row keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from uncollapse.data.blocks import Block, is_sparse

__all__ = ["less", "offset_of", "relative"]

EXACT = 2**53
"""Integers up to this size are floats."""


def relative(
    blocks: Iterator[tuple[Block, ...]],
) -> tuple[Iterator[tuple[Block, ...]], tuple[np.ndarray | None, ...]]:
    """The same blocks, each part that needs it less its offset, and the offsets: the first row, or None."""
    first = next(blocks, None)
    if first is None:
        return iter(()), ()
    offsets = tuple(map(offset_of, first))
    whole = chain([first], blocks)
    if all(offset is None for offset in offsets):
        return whole, offsets
    return (tuple(map(less, parts, offsets)) for parts in whole), offsets


def offset_of(block: Block) -> np.ndarray | None:
    """The first row of a block whose numbers do not fit a float64; None where they do."""
    if block.shape[0] == 0:
        return None
    values = block.data if is_sparse(block) else block
    wide = block.dtype.kind == "f" and block.dtype.itemsize > 8
    if not wide and block.dtype.kind in "iu" and block.dtype.itemsize == 8 and values.size:
        wide = bool(values.max() > EXACT or values.min() < -EXACT)
    if not wide:
        return None
    first: np.ndarray = block[[0]].toarray()[0] if is_sparse(block) else block[0]
    return np.where(np.isfinite(first), first, np.zeros_like(first))


def less(block: Block, offset: np.ndarray | None) -> Block:
    """The block less the offset, as float64."""
    if offset is None:
        return block
    if is_sparse(block):
        block = block.toarray()
    if block.dtype.kind not in "iu" or offset.dtype.kind not in "iu":
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            near: np.ndarray = np.subtract(block, offset).astype(np.float64)
        return near
    rough = block.astype(np.float64) - offset.astype(np.float64)
    exact = (block.astype(np.uint64) - offset.astype(np.uint64)).view(np.int64)  # modulo 2^64, right where it is small
    return np.where(np.abs(rough) < 2.0**62, exact.astype(np.float64), rough)
