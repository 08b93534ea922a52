"""One sample a file: files decoded one by one become blocks, and those that cannot be read are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from uncollapse.data.blocks import Rows, rows_per_block, sample_shape_of
from uncollapse.errors import SourceError, UncollapseError, first_line, shortened, warn

__all__ = ["Files", "rows_of_files", "sides"]

Files = Callable[[], Iterator[tuple[str, Any]]]
"""A fresh walk over the files: what messages call each, and what `decode` opens."""

MOST_NAMED = 3
"""Broken files that a message names."""

MOST_SAID = 80
"""Characters of what is wrong with each."""


def rows_of_files(
    name: str,
    files: Files,
    decode: Callable[[Any], np.ndarray],
    *,
    what: str,
    n_files: int | None,
    skip_broken: str,
    mixed: Callable[[str, np.ndarray, str, np.ndarray], str],
) -> tuple[Rows, tuple[int, ...]]:
    """The rows that `decode` makes of each file, all of one shape, and that shape.

    Parameters
    ----------
    name : str
        What messages call the whole.
    files : Files
    decode : callable
        Gives the sample; whatever it raises but our own errors makes the file a broken one.
    what : str
        A plural: "images".
    n_files : int or None
        How many there are, where that is known.
    skip_broken : str
        What to type to leave broken files out; "" where that has been typed.
    mixed : callable
        Says what to do about two samples of different shapes, given their names and themselves.

    Raises
    ------
    SourceError
        No file can be read; while reading: broken files, or two shapes.
    """
    named, first = _first(name, files, decode, what)
    step = rows_per_block(first.size) if n_files is None else min(rows_per_block(first.size), n_files)
    told: list[bool] = []

    def blocks() -> Iterator[np.ndarray]:
        broken: list[str] = []
        n_seen, n_kept = 0, 0
        block: np.ndarray | None = None
        for where, file in files():
            n_seen += 1
            sample = _decoded(decode, file, where, broken)
            if sample is None or (broken and skip_broken):  # after a broken one only the count goes on
                continue
            if sample.shape != first.shape:
                raise SourceError(f"{name}: {mixed(named, first, where, sample)}")
            if block is None:
                block = np.empty((step, first.size), sample.dtype)
            elif sample.dtype != block.dtype:
                block = block.astype(np.promote_types(block.dtype, sample.dtype))
            block[n_kept] = sample.ravel()
            n_kept += 1
            if n_kept == step:
                yield block
                n_kept, block = 0, None  # before the next one is made
        if broken and skip_broken:
            raise SourceError(f"{name}: {_count(broken, n_seen, what)}; mend them, or leave them out: {skip_broken}")
        if broken and not told:
            told.append(True)
            warn(f"{name}: {_count(broken, n_seen, what)} and left out")
        if block is not None:
            yield block[:n_kept]

    shape = sample_shape_of((1, *first.shape))
    return Rows(name, first.size, n_files if skip_broken else None, blocks, sample_shape=shape), first.shape


def sides(sample: np.ndarray) -> str:
    """The shape in a message."""
    return "x".join(map(str, sample.shape)) or "a single number"


def _first(name: str, files: Files, decode: Callable[[Any], np.ndarray], what: str) -> tuple[str, np.ndarray]:
    broken: list[str] = []
    n_seen = 0
    for where, file in files():
        n_seen += 1
        sample = _decoded(decode, file, where, broken)
        if sample is None:
            continue
        if sample.size == 0:
            raise SourceError(f"{name}: {where} is empty, shape {sides(sample)}")
        return where, sample
    if not broken:
        raise SourceError(f"{name}: holds no {what}")
    raise SourceError(f"{name}: {_count(broken, n_seen, what)}; there are no others")


def _decoded(decode: Callable[[Any], np.ndarray], file: Any, where: str, broken: list[str]) -> np.ndarray | None:
    try:
        return decode(file)
    except (UncollapseError, MemoryError):
        raise
    except Exception as error:  # theirs: each format fails in its own way
        broken.append(f"{where} ({shortened(first_line(error), MOST_SAID)})" if len(broken) < MOST_NAMED else "")
        return None


def _count(broken: list[str], n_seen: int, what: str) -> str:
    more = ", …" if len(broken) > MOST_NAMED else ""
    return f"{len(broken)} of {n_seen} {what} cannot be read: {', '.join(broken[:MOST_NAMED])}{more}"
