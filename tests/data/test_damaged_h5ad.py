"""Damaged .h5ad files: HDF5 itself can loop for ever over them, and no signal reaches Python then."""

import anndata
import numpy as np
import pytest

from uncollapse import SourceError
from uncollapse.data import hdf5
from uncollapse.data.hdf5 import read_h5ad


def test_a_file_over_which_hdf5_loops_ends_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MOST_SECONDS", 3.0)
    path = tmp_path / "x.h5ad"
    anndata.AnnData(np.ones((12, 3), np.float32)).write_h5ad(path)
    content = path.read_bytes()
    heap = content.index(b"GCOL") + 16  # the first object of the heap that holds the attributes' text
    path.write_bytes(content[:heap] + bytes(16) + content[heap + 16 :])
    with pytest.raises(SourceError, match=r"damaged: reading what it holds does not end; write the file again$"):
        read_h5ad(path)


def test_a_file_without_x_is_named(tmp_path):
    anndata.AnnData(obs={"k": [1, 2, 3]}).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(SourceError, match="its X is empty; move the layer"):
        read_h5ad(tmp_path / "x.h5ad")
