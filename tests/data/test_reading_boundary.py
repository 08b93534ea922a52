"""Whatever a reader is given ends in the right numbers or in one line that names it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from uncollapse import DataError, OutputError, SourceError
from uncollapse.data.arrays import read_idx, read_npy, read_npz
from uncollapse.data.embedded import read_embedded
from uncollapse.data.hdf5 import read_h5ad, read_hdf5
from uncollapse.data.mnist import fetch_mnist
from uncollapse.data.parquets import read_parquet
from uncollapse.data.rows import Rows, as_rows
from uncollapse.data.sources import open_source
from uncollapse.data.stores import read_zarr
from uncollapse.data.tables import read_csv
from uncollapse.data.vectors import read_vector

NEVER_PATHS = [None, 1, 0.5, b"x.npy", np.nan, object(), ["x.npy"], {}, np.array(["x"]), np.ones((2, 2)), torch.ones(2)]

READERS = {
    "open_source": open_source,
    "read_vector": read_vector,
    "read_embedded": read_embedded,
    "read_npy": read_npy,
    "read_npz": lambda path: read_npz(path, ""),
    "read_idx": read_idx,
    "read_csv": read_csv,
    "read_parquet": read_parquet,
    "read_h5ad": read_h5ad,
    "read_hdf5": lambda path: read_hdf5(path, ""),
    "read_zarr": lambda path: read_zarr(path, ""),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore")  # the stores' own deprecations, at import
def test_what_is_no_path_is_refused_in_one_line(reader):
    for wrong in NEVER_PATHS:
        with pytest.raises(SourceError) as caught:
            READERS[reader](wrong)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "name", ["~nobody-has-this-name/x.npy", "x" * 5000, "x" * 5000 + ".npy", "a\0b.npy", "loop.npy", ""]
)
def test_names_that_the_file_system_refuses_are_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    for reader in (open_source, read_vector):
        with pytest.raises(SourceError) as caught:
            reader(name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_a_path_is_taken_as_text_or_as_a_path(tmp_path):
    table = np.arange(6.0).reshape(3, 2)
    np.savetxt(tmp_path / "t.csv", table, delimiter=",")
    for path in (tmp_path / "t.csv", str(tmp_path / "t.csv")):
        for reader in (read_csv, open_source):
            np.testing.assert_array_equal(np.vstack(list(reader(path).blocks())), table)


@pytest.mark.parametrize("kind", ["flat.npy", "FLAT.NPY", "row.npy", "column.npy", "row.csv", "column.csv"])
def test_a_vector_may_be_flat_or_a_single_row_or_column(kind, tmp_path):
    values = np.arange(1.0, 6.0)
    shaped = {"r": values[None], "c": values[:, None]}.get(kind[0], values)
    if kind.endswith("csv"):
        np.savetxt(tmp_path / kind, shaped, delimiter=",", header="h" if kind[0] == "c" else "a,b,c,d,e", comments="")
    else:
        with (tmp_path / kind).open("wb") as file:
            np.save(file, shaped)
    np.testing.assert_array_equal(read_vector(str(tmp_path / kind)), values)


def test_a_vector_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "s.npy", np.arange(3.0))
    np.testing.assert_array_equal(read_vector("~/s.npy"), np.arange(3.0))


def test_a_table_taken_for_a_vector_is_refused_after_two_rows(tmp_path):
    """Of a huge table no more than a block is read: the damage in a later block is not even met."""
    lines = ["1,2"] * 40_000 + ["text,2"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(SourceError, match="t.csv: holds several rows of 2 columns where a single row or column"):
        read_vector(str(tmp_path / "t.csv"))


def test_long_cells_and_names_of_columns_stay_on_one_line(tmp_path):
    (tmp_path / "long.csv").write_text("a" * 200_000 + "\n1\n")
    with pytest.raises(SourceError, match="long.csv: cannot be read as CSV text: field larger"):
        open_source(str(tmp_path / "long.csv"))
    names = [f"{i} of a rather long sentence that goes on and on" for i in range(50)]
    (tmp_path / "many.csv").write_text(",".join(names) + "\n" + ",".join(["x"] * 50) + "\n")
    with pytest.raises(SourceError, match="column 0 of a rather .* and 42 more holds text, first 'x'") as caught:
        list(open_source(str(tmp_path / "many.csv")).blocks())
    assert len(str(caught.value)) < 700


def test_names_of_parquet_columns_stay_on_one_line(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"city\nname": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column city name holds no numbers"):
        open_source(str(tmp_path / "t.parquet"))


def test_an_empty_item_of_an_iterable_is_named():
    for item in ((), []):
        with pytest.raises(DataError, match="the data, block 1: an empty"):
            list(as_rows(iter([np.ones((2, 2)), item])).blocks())


class Odd:
    @property
    def shape(self):
        raise RuntimeError("mine")


def test_a_list_of_objects_with_a_shape_of_their_own_is_refused():
    with pytest.raises(DataError, match="the data, block 0"):
        list(as_rows([Odd()]).blocks())


@pytest.mark.parametrize("folder", [None, 1, b"x", ["x"]])
def test_mnist_needs_a_folder(folder):
    with pytest.raises(OutputError, match="the folder must be a path as text"):
        fetch_mnist(folder)


def test_mnist_needs_addresses_and_says_what_each_answered(tmp_path):
    for wrong in ("http://x/", None, [1], 5):
        with pytest.raises(SourceError, match="mirrors must be a list of addresses"):
            fetch_mnist(tmp_path, wrong)
    with pytest.raises(SourceError, match="train-images.* not fetched .no address/: .") as caught:
        fetch_mnist(tmp_path, ["no address/"])
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_place_of_a_file_of_mnist_does_not_count_as_the_file(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").mkdir()
    with pytest.raises(SourceError, match="not fetched"):
        fetch_mnist(Path(tmp_path), [])


def test_a_parquet_file_gives_as_many_rows_as_its_footer_says_or_none(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    whole, path = tmp_path / "whole.parquet", tmp_path / "x.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"a": np.arange(5.0)}), whole)
    content = whole.read_bytes()
    refused = []
    for at in [at for at in range(len(content) // 2, len(content)) if content[at] == 10]:  # 5 rows, as Parquet has it
        path.write_bytes(content[:at] + bytes([4]) + content[at + 1 :])
        try:
            rows = open_source(str(path))
            n_read = sum(len(block) for block in rows.blocks())
        except SourceError as error:
            refused.append(str(error))
        else:
            assert n_read == rows.n_rows
    assert any("holds 2 rows where 5 are expected" in line for line in refused)


def test_a_gzipped_idx_file_that_claims_a_huge_row_is_one_line(tmp_path):
    path = tmp_path / "x-idx2-ubyte.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x0e\x02" + (1).to_bytes(4, "big") + (2**32 - 1).to_bytes(4, "big") + bytes(64))
    with pytest.raises(SourceError, match="claims|truncated"):
        list(open_source(str(path)).blocks())


def test_an_array_file_of_python_2_is_read_like_any_other(tmp_path, rng):
    x = rng.standard_normal((1, 3))
    np.save(tmp_path / "x.npy", x)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(1, 3), } ", b"(1L, 3), }"))
    np.testing.assert_array_equal(next(iter(open_source(str(tmp_path / "x.npy")).blocks())), x)


def test_the_first_rows_are_those_of_the_table_and_an_empty_or_passing_one_is_refused():
    table = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(as_rows(table).first(4), table[:4])
    np.testing.assert_array_equal(as_rows(table).first(40), table)
    with pytest.raises(DataError, match="empty, no rows came"):
        Rows("nothing", 2, None, lambda: iter(())).first(4)
    with pytest.raises(DataError, match="walked more than once"):
        as_rows(block for block in [table]).first(4)
