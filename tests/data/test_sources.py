"""Names and files → rows: every kind read, every damage named in one line."""

from __future__ import annotations

import gzip
import pickle
import struct

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import datasets

from uncollapse import SourceError, moments
from uncollapse.data import blocks as blocks_module
from uncollapse.data.embedded import EMBEDDED
from uncollapse.data.rows import dense
from uncollapse.data.sample import RowSample
from uncollapse.data.sources import open_source
from uncollapse.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


@pytest.fixture
def table(rng):
    return np.round(rng.standard_normal((200, 5)) * (rng.random((200, 5)) < 0.5), 3)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 200)


def write(kind: str, table: np.ndarray, path) -> str:
    if kind == "npy":
        np.save(path / "t.npy", table)
    elif kind == "npz":
        np.savez(path / "t.npz", train=table, labels=table[:, 0])
    elif kind == "csv":
        np.savetxt(path / "t.csv", table, delimiter=",", header="a,b,c,d,e", comments="", fmt="%.3f")
    elif kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        columns = {name: table[:, i] for i, name in enumerate("abcde")}
        pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), path / "t.parquet")
    elif kind in ("h5ad", "sparse.h5ad"):
        anndata = pytest.importorskip("anndata")
        anndata.AnnData(sp.csr_matrix(table) if "sparse" in kind else table).write_h5ad(path / f"t.{kind}")
    elif kind == "zarr":
        pytest.importorskip("zarr").save(path / "t.zarr", table)
    elif kind == "sparse.zarr":
        pytest.importorskip("anndata").AnnData(sp.csr_matrix(table)).write_zarr(path / "t.sparse.zarr")
    return str(path / f"t.{kind}")


@pytest.mark.filterwarnings("ignore")  # the stores' own deprecations
@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet", "h5ad", "sparse.h5ad", "zarr", "sparse.zarr"])
def test_every_kind_of_file_gives_its_rows_back(kind, table, tmp_path):
    rows = open_source(write(kind, table, tmp_path))
    assert rows.n_columns == 5
    for _ in range(2):  # every file can be read again
        np.testing.assert_array_equal(np.vstack([dense(block) for block in rows.blocks()]), table)


def idx(array: np.ndarray, code: int) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize(("dtype", "code"), [(np.uint8, 8), (np.int16, 11), (np.float32, 13), (np.float64, 14)])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_idx_files_of_every_type(dtype, code, name, rng, tmp_path):
    images = (rng.random((70, 3, 4)) * 200).astype(dtype)
    content = idx(images, code)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    rows = open_source(str(tmp_path / name))
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), images.reshape(70, 12))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_those_of_scikit_learn(name):
    load = getattr(datasets, "load_" + name.replace("-", "_"))
    expected = load(scaled=False).data if name == "diabetes" else load().data
    np.testing.assert_allclose(np.vstack(list(open_source(name).blocks())), expected)


def test_mnist_is_read_as_it_is(mnist_dir):
    total = moments(open_source(str(mnist_dir / "t10k-images-idx3-ubyte.gz")))
    assert (total.n_samples, len(total.mean)) == (10_000, 784)
    with pytest.raises(SourceError, match="labels"):
        open_source(str(mnist_dir / "t10k-labels-idx1-ubyte.gz"))


def test_a_semicolon_table_without_header_and_with_gaps(tmp_path):
    (tmp_path / "t.csv").write_text("1;2\n3;\n\n5;NA\n7;8\n")
    block = np.vstack(list(open_source(str(tmp_path / "t.csv")).blocks()))
    np.testing.assert_array_equal(block, [[1, 2], [3, np.nan], [5, np.nan], [7, 8]])


def damaged(path):
    """File name → content → what the message must say."""
    np.save(path / "whole.npy", np.zeros((100, 5)))
    whole = (path / "whole.npy").read_bytes()
    np.savez(path / "two.npz", a=np.zeros((3, 2)), b=np.zeros((3, 2)))
    two = (path / "two.npz").read_bytes()
    np.savez(path / "objects.npz", a=np.array([[object()]]))
    np.save(path / "objects.npy", np.array([[object()]]), allow_pickle=True)
    images = idx(np.zeros((10, 2, 2), np.uint8), 8)
    return {
        "truncated.npy": (whole[:300], "cannot be read as a .npy file"),
        "empty.npy": (b"", "cannot be read as a .npy file"),
        "text.npy": (b"hello", "cannot be read as a .npy file"),
        "pickled.npy": ((path / "objects.npy").read_bytes(), "could run code"),
        "bare.npy": (pickle.dumps([1]), "could run code"),
        "pickled.npz": ((path / "objects.npz").read_bytes(), "could run code"),
        "several.npz": (two, r"several arrays \(a, b\); name one as"),
        "several.npz::c": (two, "holds no array 'c'; it has a, b"),
        "broken.npz": (two[:100], "cannot be read as a .npz file"),
        "wrong-idx3-ubyte": (b"\x01\x02\x03\x04" + images, "wrong magic number 01020304"),
        "short-idx3-ubyte": (images[:-7], "truncated, 8 rows where the header says 10"),
        "header-idx3-ubyte": (images[:9], "truncated inside its header"),
        "none-idx3-ubyte": (b"", "wrong magic number"),
        "cut-idx3-ubyte.gz": (gzip.compress(images)[:-12], "cannot be read as an idx file|truncated"),
        "notzip-idx3-ubyte.gz": (b"\x1f\x8bnonsense", "cannot be read as an idx file"),
        "text.csv": (b"a,name,b\n1,bob,2\n3,eve,4\n", "column name holds text, first 'bob' in data row 0"),
        "commas.csv": (b"a;b\n1,5;2\n", "column a has decimal commas, first '1,5' in data row 0; write decimal points"),
        "bare_commas.csv": (b"1,5;2,25;3,0\n1,5;2,5;3,5\n", "decimal commas, first '1,5'; write decimal points"),
        "quoted.csv": (b'a,b\n"1,5","2,5"\n', "column a, b has decimal commas, first '1,5'"),
        "header.csv": (b"a,b,c\n", "header.csv: empty, no rows came"),
        "names.txt": (b"anna\n", "text, where rows of numbers are read; .*--decoder gru, .* named .csv"),
        "rows.jsonl": (b'{"text": "anna"}\n', "text, where rows of numbers are read; .*--decoder gru"),
        "ragged.csv": (b"1,2\n3\n", "data row 1 has 1 columns where 2 are expected"),
        "empty.csv": (b"", "empty"),
        "binary.csv": (b"\xff\xfe\x00", "cannot be read as CSV"),
        "x.parquet": (b"PAR1nonsense", "cannot be read as Parquet"),
        "x.h5ad": (b"nonsense", "cannot be read as .h5ad"),
        "x.xlsx": (b"", "unknown kind of file .xlsx"),
        "x": (b"", r"unknown kind of file \(no ending\)"),
        "plain.npy::a": (whole, "drop '::a'"),
    }


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_named_in_one_line(tmp_path):
    for name, (content, message) in damaged(tmp_path).items():
        (tmp_path / name.split("::")[0]).write_bytes(content)
        with pytest.raises((SourceError, DataError), match=message) as caught:
            moments(open_source(str(tmp_path / name)))
        assert "\n" not in str(caught.value), name
        assert str(tmp_path) in str(caught.value), name


@pytest.mark.filterwarnings("ignore")
def test_missing_things_are_named(tmp_path):
    with pytest.raises(SourceError, match="no such file, and no embedded data set either .*digits"):
        open_source("nothing.npy")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match="a directory"):
        open_source(str(tmp_path / "folder.csv"))
    zarr = pytest.importorskip("zarr")
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(SourceError, match="holds 0 arrays"):
        open_source(str(tmp_path / "empty.zarr"))
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"a": [1.0], "city": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column city holds no numbers"):
        open_source(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("text", ["1\n2\n", "1,2\n3,4\n", "1,2\t\n3,4\t\n", "1;2\n3;4\n", "a;b\n1;2\n3;4\n"])
def test_commas_between_cells_are_no_decimal_commas(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    assert sum(len(block) for block in open_source(str(tmp_path / "x.csv")).blocks()) == 2


def test_a_sample_knows_nothing_of_data_made_from_the_same_seed():
    """Numbers of numpy's own generator at seed 0 choose which rows are on; they must not choose the sample as well."""
    on = np.random.default_rng(0).random(4000) < 0.05
    sample = RowSample(1000, seed=0)
    sample.add(on[:, None].astype(float))
    assert sample.parts[0].mean() == pytest.approx(0.05, abs=0.03)
