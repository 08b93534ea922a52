"""Blocks that come one after the other: generators, loaders, lists of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from uncollapse.data.blocks import Block, Rows, checked_array, is_sparse, rows_per_block, sparse_table
from uncollapse.errors import DataError, UncollapseError, first_line

__all__ = ["as_block", "iterable_rows"]


def iterable_rows(data: Iterable[Any], name: str, paired: bool) -> Rows:
    """Blocks of rows, or pairs of them, that an iterable gives."""
    if any(kind.__name__ == "IterableDataset" for kind in type(data).__mro__):
        raise DataError(
            f"{name}: an IterableDataset may give samples or batches; pass DataLoader(it, batch_size=256), or "
            f"DataLoader(it, batch_size=None) if it gives batches"
        )

    def blocks() -> Iterator[Any]:
        for group in _coalesced(data, name, paired):
            yield group if paired else group[0]

    # a DataLoader or a list can be walked again, a generator cannot
    try:
        repeatable = iter(data) is not data
    except Exception as error:
        raise DataError(f"{name}: cannot be iterated over: {first_line(error)}") from error
    return Rows(name, None, None, blocks, repeatable=repeatable, paired=paired)


def _items(data: Iterable[Any], name: str) -> Iterator[tuple[str, Any]]:
    """What the iterable gives, with a name for messages; what goes wrong inside it is said to be its own."""
    index = 0
    try:
        items = iter(data)
    except Exception as error:
        raise DataError(f"{name}: cannot be iterated over: {first_line(error)}") from error
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except UncollapseError:
            raise
        except Exception as error:
            raise DataError(f"{name}: the iterable fails at block {index}: {first_line(error)}") from error
        yield f"{name}, block {index}", item
        index += 1


def _coalesced(data: Iterable[Any], name: str, paired: bool) -> Iterator[tuple[Block, ...]]:
    """Cut large items and join small ones (a loader's batches) into blocks of a good size."""
    waiting: list[list[Block]] = []
    n_waiting, widths, step = 0, None, 1
    for where, item in _items(data, name):
        parts = _parts(item, where, paired)
        if parts[0].shape[0] == 0:
            continue
        if widths is not None and [part.shape[1] for part in parts] != widths:
            raise DataError(f"{where}: {parts[0].shape[1]} columns where earlier blocks have {widths[0]}")
        widths = [part.shape[1] for part in parts]
        step = rows_per_block(sum(widths))
        waiting.append(parts)
        n_waiting += parts[0].shape[0]
        if n_waiting >= step:
            joined = tuple(map(_stacked, zip(*waiting, strict=True)))
            whole = n_waiting - n_waiting % step
            for start in range(0, whole, step):
                yield tuple(part[start : start + step] for part in joined)
            waiting, n_waiting = [[part[whole:] for part in joined]], n_waiting - whole
        if n_waiting:  # what is kept while the next item is made: its maker may fill the same buffer again
            waiting[-1] = [part.copy() for part in waiting[-1]]
    if n_waiting:
        yield tuple(map(_stacked, zip(*waiting, strict=True)))


def _stacked(blocks: tuple[Block, ...]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    if any(map(is_sparse, blocks)):
        from scipy.sparse import vstack

        return vstack(blocks, format="csr")
    return np.concatenate(blocks)


def _parts(item: Any, where: str, paired: bool) -> list[Block]:
    if isinstance(item, Mapping):
        item = _rows_of(item, where)
    is_group = isinstance(item, list | tuple)
    if not paired:
        if is_group and len(item) == 0:
            raise DataError(f"{where}: an empty {type(item).__name__}; give an array of rows")
        return [as_block(item[0] if is_group else item, where)]
    if not is_group or len(item) != 2:
        raise DataError(f"{where}: expected a pair (x, y), got {type(item).__name__}")
    x, y = (as_block(part, where) for part in item)
    if x.shape[0] != y.shape[0]:
        raise DataError(f"{where}: {x.shape[0]} rows of x against {y.shape[0]} of y")
    return [x, y]


def _rows_of(batch: Mapping[Any, Any], where: str) -> Any:
    """The one entry of a loader's dict that has rows and columns."""
    tables = {name: value for name, value in batch.items() if len(getattr(value, "shape", None) or ()) >= 2}
    if len(tables) != 1:
        named = ", ".join(str(name)[:40] for name in list(tables or batch)[:6])
        what = "several arrays" if tables else "no array with rows and columns"
        raise DataError(f"{where}: a dict with {what} ({named}); give batches of one array")
    return next(iter(tables.values()))


def as_block(item: Any, where: str) -> Block:
    """One block of rows: a table, sparse or dense, or a tensor."""
    if is_sparse(item):
        return sparse_table(item, where)
    if hasattr(item, "detach"):
        item = _tensor(item, where)
    return checked_array(item, where, may_be_empty=True)


def _tensor(tensor: Any, where: str) -> Any:
    """A torch tensor that NumPy can read: it may be on another device, in a graph or in half precision."""
    layout = str(getattr(tensor, "layout", "torch.strided"))
    if getattr(tensor, "is_nested", False) or layout != "torch.strided":
        kind = "nested" if getattr(tensor, "is_nested", False) else layout.removeprefix("torch.")
        raise DataError(f"{where}: a {kind} tensor; pass a dense one (tensor.to_dense()) or a SciPy sparse matrix")
    if getattr(tensor, "is_meta", False):
        raise DataError(f"{where}: a tensor on the meta device holds no numbers; move it to a real device first")
    tensor = tensor.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
