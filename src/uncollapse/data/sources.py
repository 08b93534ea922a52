"""A name or a path → rows: embedded data sets by name, files by what their name ends in."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path

from uncollapse.data.arrays import read_idx, read_npy, read_npz
from uncollapse.data.blocks import Rows, guarded
from uncollapse.data.embedded import EMBEDDED, read_embedded
from uncollapse.data.folders import read_folder
from uncollapse.data.hdf5 import read_h5ad, read_hdf5
from uncollapse.data.images import IMAGES
from uncollapse.data.parquets import read_parquet
from uncollapse.data.stores import read_zarr
from uncollapse.data.tables import read_csv
from uncollapse.data.tars import TARS, read_tars, shards
from uncollapse.data.tokens import JSON_LINES, TEXT
from uncollapse.errors import SourceError, first_line, shown

__all__ = ["open_source"]

MOST_SHOWN = 100
"""Characters of a file's name in a message."""


def open_source(source: str) -> Rows:
    """Open a named data set, a file or a folder as rows, reading no more of it yet than its first sample.

    Parameters
    ----------
    source : str
        An embedded set (``digits``, ``iris``, …), a file or a folder:

        * .npy, .npz, .csv, idx (also .gz), .h5, .hdf5, .h5ad (AnnData), .zarr (formats 2 and 3). One array of several
          is named after a double colon: ``data.npz::train``, ``file.h5::train/images``, ``cells.h5ad::layers/counts``.
        * .parquet, or a folder of such parts, in subfolders too (what hive partitions are named is not read).
        * A folder of images (.png, .jpg, .bmp, .tiff, .webp), in subfolders too, sorted by name. Each is a row of
          channels x height x width numbers from 0 to 1 in float32, as PyTorch's ``ToTensor`` gives them. All need one
          size, or are stretched to one: ``photos::64``, ``photos::64x48`` (height x width), ``photos::64,grey``;
          ``grey`` and ``colour`` make one kind of both, ``skip-broken`` leaves out what cannot be read.
        * .tar, .tar.gz, also several: ``shards-{000..003}.tar``. A row is a sample, as WebDataset has it: its only
          member that is an image or a .npy array, or the one named: ``shards-{000..003}.tar::png,64``.

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
    if not isinstance(source, str) or not source.partition("::")[0]:
        raise SourceError(f"the source must be the name of a file or of an embedded data set, got {shown(source)}")
    if source in EMBEDDED:
        return read_embedded(source)
    name, _, key = source.partition("::")
    names = shards(name) if not _is_there(name) else [name]
    paths = [_existing(one) for one in names]
    if names != [name] or (name.lower().endswith(TARS) and not paths[0].is_dir()):
        return guarded(_of_tars(name, paths, key), SourceError)
    return guarded(_of_path(paths[0], key), SourceError)


def _of_path(path: Path, key: str) -> Rows:
    if path.is_dir() and not _is_zarr(path):
        return read_folder(path, key)
    reader = ".zarr" if path.is_dir() else _reader(path)
    if reader in _KEYED:
        return _KEYED[reader](path, key)
    if key:
        raise SourceError(f"{path}: only {', '.join(_KEYED)}, .tar and folders take a name after '::'; drop '::{key}'")
    return _PLAIN[reader](path)


def _of_tars(name: str, paths: list[Path], key: str) -> Rows:
    other = [path for path in paths if not path.name.lower().endswith(TARS)]
    if other:
        raise SourceError(f"{other[0]}: braces name several .tar files, and this is none; give one file")
    return read_tars(name, paths, key)


def _is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr store, of format 3 or 2."""
    return path.suffix.lower() == ".zarr" or any((path / own).exists() for own in ("zarr.json", ".zgroup", ".zarray"))


def _is_there(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


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


_PLAIN: dict[str, Callable[[Path], Rows]] = {
    ".npy": read_npy,
    ".csv": read_csv,
    ".parquet": read_parquet,
    "idx": read_idx,
}
_KEYED: dict[str, Callable[[Path, str], Rows]] = {
    ".npz": read_npz,
    ".zarr": read_zarr,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5ad": read_h5ad,
}


def _reader(path: Path) -> str:
    ending = path.suffix.lower()
    if ending in _PLAIN or ending in _KEYED:
        return ending
    # MNIST's own names: train-images-idx3-ubyte, with or without .gz
    if "idx" in path.name.removesuffix(".gz").rsplit(".", 1)[-1] or "-idx" in path.name:
        return "idx"
    if ending in IMAGES:
        raise SourceError(f"{path}: one image; give its folder, or {path.parent}::64x64 to resize all in it")
    if ending in (*TEXT, *JSON_LINES):
        raise SourceError(
            f"{path}: text, where rows of numbers are read; text is forecast with a decoder of tokens (--decoder gru, "
            f"transformer, window:K or your own), and a table of numbers is to be named .csv"
        )
    raise SourceError(
        f"{path}: unknown kind of file {ending or '(no ending)'}; known are {', '.join([*_PLAIN, *_KEYED])}, .tar, and "
        f"folders of images or of .parquet files"
    )
