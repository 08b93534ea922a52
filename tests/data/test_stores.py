"""HDF5, AnnData and zarr: which array is meant, and one line for what is no table."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pytest
import zarr

from uncollapse import DataError, SourceError
from uncollapse.data.rows import as_rows
from uncollapse.data.sources import open_source

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:Writing zarr v2")


def refused(source, match):
    with pytest.raises(SourceError, match=match) as caught:
        for _ in open_source(str(source)).blocks():
            pass
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_hdf5_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["names"] = [["a", "b"], ["c", "d"]]
        file["flat"] = np.arange(4)
        file["complex"] = np.ones((2, 2), complex)
        file["none"] = np.ones((0, 2))
        file["null"] = h5py.Empty("f8")
        file.create_dataset("ragged", (2, 2), h5py.vlen_dtype(np.float64))
        file["records"] = np.zeros((2, 2), [("a", int)])
        file["gone"] = h5py.SoftLink("/nowhere")
        file["outside"] = h5py.ExternalLink("nothing.h5", "/x")
        file["empty group"] = h5py.Empty("f8")
        file.create_group("group/inner")
        file["group/one"] = 1.0
    refused(path, "x.h5::none: empty")
    refused(f"{path}::names", "names: expected real numbers, got object")
    refused(f"{path}::flat", r"flat: expected rows and columns, got shape \(4,\)")
    refused(f"{path}::complex", "complex: expected real numbers, got complex128")
    refused(f"{path}::null", r"null: expected rows and columns, got shape \(\)")
    refused(f"{path}::ragged", "ragged: expected real numbers, got object")
    refused(f"{path}::records", "records: expected real numbers")
    refused(f"{path}::group", "group: is a group, not an array; it holds inner, one$")
    for missing in ("nothing", "gone", "group/nothing", "flat/nothing"):
        refused(f"{path}::{missing}", f"holds no array '{missing}'; name one of none as")
    refused(f"{path}::outside", "outside")
    refused(f"{path}::a\0b", "no array")


def test_ragged_groups_and_several_arrays_are_listed(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for i in range(30):
            file[f"samples/{i:02d}"] = np.ones((i + 1, 3))
    refused(path, r"holds 30 arrays with rows and columns; name one of samples/00, .*, samples/07, … as \S+::NAME$")
    refused(f"{path}::samples", "samples: is a group, not an array; it holds 00, 01, ")
    assert open_source(f"{path}::samples/05").n_rows == 6


def test_files_that_are_no_hdf5_are_refused(tmp_path):
    for content in (b"", b"no", b"\x89HDF\r\n\x1a\n" + b"\0" * 500):
        (tmp_path / "x.h5").write_bytes(content)
        refused(tmp_path / "x.h5", "x.h5: cannot be read as HDF5: .*; is it damaged[?]$")


def test_gaps_in_hdf5_are_found_by_whoever_reads_them(rng, tmp_path):
    from uncollapse import forecast

    x = rng.standard_normal((50, 3))
    x[7, 1] = np.nan
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = x
    with pytest.raises(DataError, match="NaN|finite"):
        forecast(open_source(str(tmp_path / "x.h5")))
    with pytest.warns(UserWarning, match="left out 1 of 50 rows"):
        assert forecast(open_source(str(tmp_path / "x.h5")), drop_nonfinite=True).spectrum.n_samples == 49


def test_what_annotated_data_do_not_hold_is_said(tmp_path):
    path = tmp_path / "x.h5ad"
    anndata.AnnData(np.ones((4, 3), np.float32), obs={"k": [1.0, 2, 3, 4]}).write_h5ad(path)
    refused(f"{path}::layers/counts", "x.h5ad: holds no array 'layers/counts'; name one of X as")
    refused(f"{path}::obs", "obs: is a dataframe, not an array; it holds _index, k$")
    refused(f"{path}::obs/k", r"obs/k: expected rows and columns, got shape \(4,\)")


def test_an_object_without_x_or_with_a_closed_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"the AnnData object has no X; pass adata.layers\['NAME'\] or adata.obsm"):
        as_rows(anndata.AnnData(obs={"k": [1, 2]}))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"], file["words"] = np.ones((40, 3)), [["a"]]
        rows = as_rows(file["x"])
        with pytest.raises(DataError, match="the data: expected real numbers, got object"):
            as_rows(file["words"])
        with pytest.raises(DataError, match="the data: expected rows and columns"):
            as_rows(zarr.array(np.ones(3)))
    with pytest.raises(DataError, match="the data: cannot be read to its end"):
        list(rows.blocks())


@pytest.mark.parametrize("form", [2, 3])
def test_groups_of_zarr_are_searched_and_named(form, tmp_path):
    path = tmp_path / "store"  # known by what it holds, without .zarr
    root = zarr.open_group(path, mode="w", zarr_format=form)
    root.create_array("a/b/x", shape=(4, 2, 3), dtype="f4")[:] = 1.5
    root.create_array("a/labels", shape=(4,), dtype="i4")[:] = 1
    for source in (path, f"{path}::a/b/x"):
        np.testing.assert_array_equal(np.vstack(list(open_source(str(source)).blocks())), np.full((4, 6), 1.5))
    refused(f"{path}::a/b", "store::a/b: is a group, not an array; it holds x$")
    refused(f"{path}::a/labels", r"a/labels: expected rows and columns, got shape \(4,\)")
    refused(f"{path}::nothing", "store: holds no array 'nothing'; name one of a/b/x as")
    refused(f"{path / 'a' / 'b' / 'x'}::y", "is one array and has no names; drop '::y'$")
    root.create_array("c", shape=(4, 2), dtype="f4")
    refused(path, "store: holds 2 arrays with rows and columns; name one of a/b/x, c as")


def test_layers_of_a_zarr_store_of_anndata_are_read(tmp_path):
    import scipy.sparse as sp

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    anndata.AnnData(x, layers={"counts": sp.csr_matrix(x * 2)}).write_zarr(tmp_path / "x.zarr")
    np.testing.assert_array_equal(np.vstack(list(open_source(str(tmp_path / "x.zarr")).blocks())), x)
    block = next(iter(open_source(f"{tmp_path / 'x.zarr'}::layers/counts").blocks()))
    np.testing.assert_array_equal(block.toarray(), x * 2)
    refused(f"{tmp_path / 'x.zarr'}::obs", "obs: is a dataframe, not an array")


def test_words_that_name_nothing_in_a_plain_file_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    refused(f"{tmp_path / 'x.npy'}::a", "only .npz, .zarr, .h5, .hdf5, .h5ad, .tar and folders take a name after '::'")
    refused(tmp_path / "x.xyz", "no such file")
    (tmp_path / "x.xyz").touch()
    refused(tmp_path / "x.xyz", "unknown kind of file .xyz; known are .npy, .* and folders of images or of .parquet")
