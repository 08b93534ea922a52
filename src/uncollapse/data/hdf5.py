"""HDF5 files: plain ones, and those of AnnData."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from uncollapse import checks
from uncollapse.data.blocks import Rows
from uncollapse.data.stores import encoded, only_table, sliced
from uncollapse.errors import SourceError, first_line

__all__ = ["read_h5ad", "read_hdf5"]

MOST_SECONDS = 10.0
"""For reading what an HDF5 file says of what it holds; whole files take milliseconds."""

LOOK = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    chosen = file.get(sys.argv[2]) if sys.argv[2] else file
    nodes = [] if chosen is None else [chosen]
    if isinstance(chosen, h5py.Group):
        chosen.visititems(lambda name, node: nodes.append(node))
    for node in nodes:
        dict(node.attrs)
        getattr(node, "shape", None), getattr(node, "dtype", None)
"""


def read_h5ad(path: Path, key: str = "") -> Rows:
    """A matrix of an AnnData file, dense or sparse: X, or the one named, such as ``layers/counts``, ``obsm/X_pca``."""
    path = checks.as_path(path, "the .h5ad file", error=SourceError)
    try:
        import anndata  # noqa: F401
        import h5py
    except ImportError:
        raise SourceError(f"{path}: .h5ad needs anndata; pip install 'uncollapse[io]'") from None
    _look_first(path, key or "X", "as .h5ad")
    try:
        file = h5py.File(path, "r")
        node = file.get(key or "X")
        tables = [] if node is not None else _tables(file)
    except Exception as error:  # h5py raises what it likes on a damaged file
        raise SourceError(f"{path}: cannot be read as .h5ad: {first_line(error)}") from error
    if key:
        name = f"{path}::{key}"
        return sliced(name, encoded(name, only_table(str(path), tables, key) if node is None else node))
    if node is None or (hasattr(node, "shape") and node.shape is None):
        raise SourceError(f"{path}: its X is empty; move the layer you train on to X, or name it: {path}::layers/NAME")
    return sliced(str(path), encoded(str(path), node))


def read_hdf5(path: Path, key: str) -> Rows:
    """An array of an HDF5 file, read from disk block by block: the one named, or the only one with rows and columns."""
    path = checks.as_path(path, "the HDF5 file", error=SourceError)
    try:
        import h5py
    except ImportError:
        raise SourceError(f"{path}: HDF5 needs h5py; pip install 'uncollapse[io]'") from None
    _look_first(path, key, "as HDF5")
    try:
        file = h5py.File(path, "r")
        node = file.get(key) if key else None
        tables = [] if node is not None else _tables(file)
    except Exception as error:
        raise SourceError(f"{path}: cannot be read as HDF5: {first_line(error)}") from error
    if node is None:
        key = only_table(str(path), tables, key)
        node = file[key]
    name = f"{path}::{key}"
    return sliced(name, encoded(name, node))


def _tables(file: Any) -> list[str]:
    """Names of all arrays of numbers with rows and columns, in folders too."""
    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        if len(getattr(node, "shape", None) or ()) >= 2 and node.dtype.kind in "fiub":
            names.append(name)

    file.visititems(visit)
    return names


def _look_first(path: Path, key: str, kind: str) -> None:
    # on a damaged file the HDF5 library can loop for ever, and no signal reaches Python: so a child looks first
    try:
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, str(path.absolute()), key],
            timeout=MOST_SECONDS,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{path}: damaged: reading what it holds does not end; write the file again") from None
    except ValueError:  # a NUL in the key
        raise SourceError(f"{path}: no array has such a name: {checks.shown(key)}") from None
    if looked.returncode:
        why = looked.stderr.strip().rpartition("\n")[2] or f"HDF5 ended with code {looked.returncode}"
        raise SourceError(f"{path}: cannot be read {kind}: {why.partition(': ')[2] or why}; is it damaged?")
