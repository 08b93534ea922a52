"""Files of plain arrays: NumPy's .npy and .npz, and the idx format of MNIST."""

from __future__ import annotations

import gzip
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from uncollapse import checks
from uncollapse.data.blocks import Rows, rows_per_block, sample_shape_of
from uncollapse.data.rows import as_rows
from uncollapse.errors import SourceError, first_line

__all__ = ["read_idx", "read_npy", "read_npz"]

MOST_BYTES = 2**50
"""A header that claims more (1 PB) is damaged."""

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_npy(path: Path) -> Rows:
    """A .npy file, memory-mapped. Pickled objects are refused."""
    path = checks.as_path(path, "the .npy file", error=SourceError)
    try:
        with warnings.catch_warnings():  # a header that Python 2 wrote is read like any other
            warnings.filterwarnings("ignore", "Reading .* additional header parsing")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy evaluates the header, so anything may come of a damaged one
        raise _damaged(path, "a .npy file", error) from error
    if min(array.shape, default=0) < 0:
        raise SourceError(f"{path}: its header has a negative size, shape {array.shape}; save the file again")
    return as_rows(array, str(path))


def read_npz(path: Path, key: str) -> Rows:
    """One array of a .npz file: the one named, or the only one with rows and columns."""
    path = checks.as_path(path, "the .npz file", error=SourceError)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # closed if it is no archive too
            names = list(archive.files)
            chosen = _only(path, names, key, lambda name: archive[name].ndim >= 2)
            array = archive[chosen]
    except SourceError:
        raise
    except Exception as error:
        raise _damaged(path, "a .npz file", error) from error
    return as_rows(array, f"{path}::{chosen}")


def read_idx(path: Path) -> Rows:
    """An idx file, plain or gzipped, read block by block. Format: the header MNIST's page describes."""
    path = checks.as_path(path, "the idx file", error=SourceError)
    dtype, shape, header_size = _idx_header(path)
    if len(shape) < 2:
        raise SourceError(f"{path}: holds a list of {shape[0]} numbers (labels?), not rows of features")
    n, d = shape[0], math.prod(shape[1:])
    if n * d * dtype.itemsize > MOST_BYTES:
        raise SourceError(f"{path}: its header claims {n:,} rows of {d:,} numbers, which no file holds; get it again")
    row, step = d * dtype.itemsize, rows_per_block(d)

    def truncated(have: int) -> SourceError:
        return SourceError(f"{path}: truncated, {have} rows where the header says {n}; get the file again")

    def blocks() -> Iterator[np.ndarray]:
        with _opened(path) as file:
            if not isinstance(file, gzip.GzipFile) and (size := path.stat().st_size) < header_size + n * row:
                raise truncated((size - header_size) // row)  # before memory is asked for what is not there
            file.read(header_size)
            for start in range(0, n, step):
                wanted = min(step, n - start) * row
                try:
                    content = file.read(wanted)
                except (OSError, EOFError, zlib.error) as error:
                    raise _damaged(path, "an idx file", error) from None
                except MemoryError:
                    raise SourceError(f"{path}: its header claims rows of {d:,} numbers, more than the memory holds; "
                                      f"get it again") from None  # fmt: skip
                if len(content) < wanted:
                    raise truncated(start + len(content) // row)
                yield np.frombuffer(content, dtype).reshape(-1, d)

    return Rows(str(path), d, n, blocks, sample_shape=sample_shape_of(shape))


def _idx_header(path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    try:
        with _opened(path) as file:
            magic = file.read(4)
            n_dims = magic[3] if len(magic) == 4 else 0
            sizes = file.read(4 * n_dims)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, "an idx file", error) from None
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or n_dims == 0:
        raise SourceError(f"{path}: wrong magic number {magic.hex() or '(empty)'}; an idx file of bytes begins 0000 08")
    if len(sizes) < 4 * n_dims:
        raise SourceError(f"{path}: truncated inside its header; get the file again")
    shape = struct.unpack(f">{n_dims}I", sizes)
    if 0 in shape:
        raise SourceError(f"{path}: empty, shape {shape}")
    return np.dtype(IDX_TYPES[magic[2]]), shape, 4 + 4 * n_dims


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_gzip else path.open("rb")  # type: ignore[return-value]


def _only(path: Path, names: list[str], key: str, fits: Any) -> str:
    """The array meant: the one named by `key`, or the only one that `fits`."""
    if key:
        if key not in names:
            raise SourceError(f"{path}: holds no array '{key}'; it has {', '.join(names) or 'none'}")
        return key
    candidates = [name for name in names if fits(name)]
    if len(candidates) != 1:
        what = "no array with rows and columns" if not candidates else f"several arrays ({', '.join(candidates)})"
        raise SourceError(f"{path}: holds {what}; name one as {path}::NAME")
    return candidates[0]


def _damaged(path: Path, kind: str, error: Exception) -> SourceError:
    reason = first_line(error)
    if "pickle" in reason.lower() or "objects in dtype" in reason:
        reason = "it holds pickled objects, which could run code; save plain numbers instead"
    return SourceError(f"{path}: cannot be read as {kind}: {reason}")
