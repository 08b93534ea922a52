"""A name or a path → rows: embedded data sets by name, files by what their name ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from uncollapse.checks import shown
from uncollapse.data.arrays import read_idx, read_npy, read_npz
from uncollapse.data.blocks import Block, Rows
from uncollapse.data.embedded import EMBEDDED, read_embedded
from uncollapse.data.stores import read_h5ad, read_zarr
from uncollapse.data.tables import read_csv, read_parquet
from uncollapse.errors import SourceError, UncollapseError, first_line

__all__ = ["open_source"]

MOST_SHOWN = 100
"""Characters of a file's name in a message."""


def open_source(source: str) -> Rows:
    """Open a named data set or a file as rows, reading nothing but its header yet.

    Parameters
    ----------
    source : str
        An embedded set (``digits``, ``iris``, …) or a path: .npy, .npz, .csv, .parquet, idx (also .gz), .h5ad, .zarr.
        One array inside a .npz or .zarr is named after a double colon: ``data.npz::train``.

    Returns
    -------
    Rows

    Raises
    ------
    SourceError
        Unknown name, missing or damaged file, a kind of file that is not read, or a missing extra.

    Examples
    --------
    >>> open_source("digits").n_columns
    64
    """
    if isinstance(source, PathLike):
        source = fspath(source)
    if not isinstance(source, str):
        raise SourceError(f"the source must be the name of a file or of an embedded data set, got {shown(source)}")
    if source in EMBEDDED:
        return read_embedded(source)
    name, _, key = source.partition("::")
    path = _existing(name)
    reader = _reader(path)
    if reader in _KEYED:
        return _guarded(_KEYED[reader](path, key))
    if key:
        raise SourceError(f"{source}: only .npz and .zarr hold several arrays; drop '::{key}'")
    if path.is_dir():
        raise SourceError(f"{name}: a directory; give the file inside it")
    return _guarded(_PLAIN[reader](path))


def _existing(name: str) -> Path:
    """The path of a file that is there; what the file system refuses to look up is said in its words."""
    short = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…"
    try:
        path = Path(name).expanduser()
        path.stat()
    except FileNotFoundError:
        known = ", ".join(EMBEDDED)
        raise SourceError(f"{short}: no such file, and no embedded data set either (those are {known})") from None
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a NUL, too long, nobody's home
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise SourceError(f"{short}: cannot be opened: {reason}") from None
    return path


def _guarded(rows: Rows) -> Rows:
    """The same rows; damage met while reading, which each library reports in its own way, becomes a `SourceError`."""

    def blocks() -> Iterator[Block]:
        inner = rows.blocks()
        while True:
            try:
                block = next(inner)
            except StopIteration:
                return
            except (UncollapseError, MemoryError):
                raise
            except Exception as error:
                raise SourceError(f"{rows.name}: cannot be read to its end: {first_line(error)}") from error
            yield block
            del block  # or the next one would be made while this one is held

    return replace(rows, blocks=blocks)


_PLAIN: dict[str, Callable[[Path], Rows]] = {
    ".npy": read_npy,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".h5ad": read_h5ad,
    "idx": read_idx,
}
_KEYED: dict[str, Callable[[Path, str], Rows]] = {".npz": read_npz, ".zarr": read_zarr}


def _reader(path: Path) -> str:
    ending = path.suffix.lower()
    if ending in _PLAIN or ending in _KEYED:
        return ending
    # MNIST's own names: train-images-idx3-ubyte, with or without .gz
    if "idx" in path.name.removesuffix(".gz").rsplit(".", 1)[-1] or "-idx" in path.name:
        return "idx"
    raise SourceError(
        f"{path}: unknown kind of file {ending or '(no ending)'}; known are .npy, .npz, .csv, .parquet, idx (.gz), "
        f".h5ad and .zarr"
    )
