"""Every kind of data on disk gives the rows that were written, twice, and one block of them at a time."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from pathlib import Path

import anndata
import h5py
import numpy as np
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
import scipy.sparse as sp
import torch
import zarr
from PIL import Image

from uncollapse import forecast
from uncollapse.data import blocks as blocks_module
from uncollapse.data.rows import as_rows, dense
from uncollapse.data.sources import open_source

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*not.*part in the Zarr:UserWarning")

N, SIDE = 960, 16  # so many that a reader's own buffers are far from half of them


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)  # blocks of 16 rows


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.integers(0, 256, (N, 3 * SIDE * SIDE), dtype=np.uint8)


def pictures(x):
    return x.reshape(N, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def member(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def saved(save) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def images(place, x):
    for i, picture in enumerate(pictures(x)):
        folder = place / "photos" / f"class {i * 3 // N}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{i:04d}.{('png', 'bmp', 'tiff')[i % 3]}")
    (place / "photos" / "labels.txt").write_text("cat")
    return "photos"


def hdf5(place, x):
    with h5py.File(place / "x.h5", "w") as file:
        file.create_dataset("train/images", data=x.reshape(N, 3, SIDE, SIDE), chunks=(8, 3, SIDE, SIDE))
        file["train/labels"] = np.arange(N)
        file["test/images"] = x[:3]
        file["names"] = ["a", "b"]
    return "x.h5::train/images"


def only_hdf5(place, x):
    with h5py.File(place / "x.hdf5", "w") as file:
        file["deep/down/x"], file["y"] = x, np.arange(N)
    return "x.hdf5"


def annotated(place, x):
    made = anndata.AnnData(
        np.zeros((N, x.shape[1]), np.float32), layers={"counts": sp.csr_matrix(x.astype(np.float32))}
    )
    made.layers["dense"], made.obsm["X_pca"] = x.astype(np.float32), x[:, ::2].astype(np.float32)
    made.write_h5ad(place / "x.h5ad")


def layer(place, x):
    annotated(place, x)
    return "x.h5ad::layers/counts"


def dense_layer(place, x):
    annotated(place, x)
    return "x.h5ad::layers/dense"


def zarr_of(form):
    def make(place, x):
        root = zarr.open_group(place / "x.zarr", mode="w", zarr_format=form)
        how = {"shards": (40, x.shape[1])} if form == 3 else {}
        array = root.create_array("train/images", shape=x.shape, chunks=(10, x.shape[1]), dtype=x.dtype, **how)
        array[:] = x
        root.create_array("train/labels", shape=(N,), dtype="i4")[:] = 1
        root.create_array("test/images", shape=(5, 2), dtype="i4")[:] = 1
        return "x.zarr::train/images"

    return make


def arrays_in_tars(place, x):
    for k in range(4):
        with tarfile.open(place / f"s-{k + 8:02d}.tar", "w") as tar:
            for i in range(k * N // 4, (k + 1) * N // 4):
                member(tar, f"./a/{i:04d}.x.npy", saved(lambda file, i=i: np.save(file, x[i].reshape(3, -1))))
                member(tar, f"./a/{i:04d}.cls", b"1")
    return "s-{08..11}.tar"


def images_in_a_tar(place, x):
    with tarfile.open(place / "s.tar.gz", "w:gz") as tar:
        for i, picture in enumerate(pictures(x)):
            picture = Image.fromarray(np.ascontiguousarray(picture))
            member(tar, f"{i:04d}.seg.png", saved(lambda file: Image.new("L", (4, 4)).save(file, "PNG")))
            member(tar, f"{i:04d}.pkl", b"cos\nsystem\n(S'false'\ntR.")
            member(tar, f"{i:04d}.png", saved(lambda file, p=picture: p.save(file, "PNG")))
    return "s.tar.gz::png"


FILES = {
    "images": images, "hdf5": hdf5, "the only array of a hdf5": only_hdf5, "sparse layer": layer,
    "dense layer": dense_layer, "zarr 3, sharded": zarr_of(3), "zarr 2": zarr_of(2), "arrays in tars": arrays_in_tars,
    "images in a tar": images_in_a_tar,
}  # fmt: skip


class Pictures:
    """In the manner of torchvision: (image of Pillow, label) by number."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return N

    def __getitem__(self, i):
        if not 0 <= i < N:
            raise IndexError(i)
        return Image.fromarray(self.x[i].reshape(3, SIDE, SIDE).transpose(1, 2, 0)), i % 3


class Tensors(torch.utils.data.Dataset):
    """Dicts of a tensor and a label."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return N

    def __getitem__(self, i):
        return {"image": torch.tensor(self.x[i].reshape(3, SIDE, SIDE)), "label": torch.tensor(1), "name": "a"}


def backed(place, x):
    anndata.AnnData(x.astype(np.float32)).write_h5ad(place / "b.h5ad")
    return anndata.read_h5ad(place / "b.h5ad", backed="r")


def backed_sparse(place, x):
    anndata.AnnData(sp.csr_matrix(x.astype(np.float32))).write_h5ad(place / "b.h5ad")
    return anndata.read_h5ad(place / "b.h5ad", backed="r")


def open_hdf5(place, x):
    hdf5(place, x)
    return h5py.File(place / "x.h5", "r")["train/images"]


def open_zarr(place, x):
    zarr_of(3)(place, x)
    return zarr.open(place / "x.zarr", mode="r")["train/images"]


OBJECTS = {
    "torchvision's manner": lambda place, x: Pictures(x), "dicts of tensors": lambda place, x: Tensors(x),
    "subset": lambda place, x: torch.utils.data.Subset(Pictures(x), range(N)), "backed": backed,
    "backed, sparse": backed_sparse, "h5py's array": open_hdf5, "zarr's array": open_zarr,
}  # fmt: skip


def in_range(kind):
    return 255 if kind in ("images", "images in a tar", "torchvision's manner", "subset") else 1


def opened(kind, place, x):
    if kind in OBJECTS:
        return as_rows(OBJECTS[kind](place, x))
    name, colon, key = FILES[kind](place, x).partition("::")
    return open_source(f"{place / name}{colon}{key}")


@pytest.mark.parametrize("kind", [*FILES, *OBJECTS])
def test_the_rows_are_those_written_twice_and_a_block_at_a_time(kind, x, tmp_path):
    rows = opened(kind, tmp_path, x)
    assert rows.n_columns == x.shape[1]
    assert rows.n_rows in (N, None)
    wanted = x.astype(np.float32) / np.float32(in_range(kind))
    for _ in range(2):
        start = 0
        for block in rows.blocks():
            assert block.shape[0] <= 16
            np.testing.assert_array_equal(dense(block), wanted[start : start + block.shape[0]])
            start += block.shape[0]
        assert start == N


@pytest.mark.parametrize("kind", [*FILES, *OBJECTS])
def test_a_pass_never_holds_all(kind, x, tmp_path):
    rows = opened(kind, tmp_path, x)
    whole = x.size * (8 if "sparse" in kind else 1 if "zarr" in kind else 4)  # as it would be in memory
    for block in rows.blocks():  # what is set up once
        del block
    tracemalloc.start()
    for block in rows.blocks():
        del block
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 2


def test_obsm_of_annotated_data_is_named_by_its_path(x, tmp_path):
    annotated(tmp_path, x)
    rows = open_source(f"{tmp_path / 'x.h5ad'}::obsm/X_pca")
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), x[:, ::2])


def test_annotated_data_in_memory_is_its_x(rng):
    x = rng.standard_normal((30, 3))
    np.testing.assert_array_equal(np.vstack(list(as_rows(anndata.AnnData(x)).blocks())), x)


def test_a_forecast_of_a_backed_object_is_that_of_its_numbers(x, tmp_path):
    x = x[:, :8] / 3  # whole numbers would be taken for counts
    f, wanted = (forecast(data, n_latents=4).spectrum.strengths for data in (backed(tmp_path, x), x))
    np.testing.assert_allclose(f, wanted, rtol=1e-5)


def test_a_part_of_a_backed_object_is_read_at_once_and_said(x, tmp_path):
    with pytest.warns(UserWarning, match="a part of a backed AnnData object is read into memory at once"):
        rows = as_rows(backed(tmp_path, x)[1::2])
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), x[1::2])


def test_a_matrix_kept_by_columns_is_read_once_and_said(rng, tmp_path):
    x = sp.random(60, 8, 0.5, "csc", random_state=rng)
    anndata.AnnData(x).write_h5ad(tmp_path / "x.h5ad")
    with pytest.warns(UserWarning, match=r"by columns \(CSC\), so all of it is read into memory; store it by rows"):
        rows = open_source(str(tmp_path / "x.h5ad"))
    np.testing.assert_array_equal(np.vstack([dense(block) for block in rows.blocks()]), x.toarray())


def parts(place: Path, table: pyarrow.Table) -> str:
    pyarrow.dataset.write_dataset(
        table, place / "t", format="parquet", partitioning=["split", "year"], partitioning_flavor="hive",
        max_rows_per_file=200, max_rows_per_group=50,
    )  # fmt: skip
    return str(place / "t")


def test_a_folder_of_parquet_is_read_part_by_part(rng, tmp_path):
    n, d = 3000, 32
    x = rng.standard_normal((n, d))
    columns = {f"c{j}": x[:, j] for j in range(d)}
    split = np.where(np.arange(n) < n // 2, "a", "b")
    source = parts(tmp_path, pyarrow.table(columns | {"split": split, "year": np.full(n, 2020)}))
    (tmp_path / "t" / "_SUCCESS").touch()
    rows = open_source(source)
    assert "split, year" in rows.note
    assert (rows.n_rows, rows.n_columns) == (n, d)
    independent = pyarrow.dataset.dataset(sorted(str(p) for p in Path(source).rglob("*.parquet"))).to_table()
    wanted = np.column_stack([independent[f"c{j}"].to_numpy() for j in range(d)])
    before = pyarrow.total_allocated_bytes()
    for _ in range(2):
        start = 0
        for block in rows.blocks():
            assert pyarrow.total_allocated_bytes() - before < x.nbytes / 4
            np.testing.assert_array_equal(block, wanted[start : start + len(block)])
            start += len(block)
        assert start == n


def test_parts_may_have_their_columns_in_another_order_and_no_others(tmp_path):
    (tmp_path / "t").mkdir()
    write = pyarrow.parquet.write_table
    write(pyarrow.table({"a": [1.0, 2], "b": [3, 4]}), tmp_path / "t" / "0.parquet")
    write(pyarrow.table({"b": [7.0], "a": [5.0]}), tmp_path / "t" / "1.parquet")
    rows = open_source(str(tmp_path / "t"))
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), [[1, 3], [2, 4], [5, 7]])
    write(pyarrow.table({"b": [7.0], "c": [5.0]}), tmp_path / "t" / "2.parquet")
    with pytest.raises(ValueError, match=r"2.parquet: its columns are not those of 0.parquet: a, c$"):
        open_source(str(tmp_path / "t"))


def test_loaders_may_give_dicts(x):
    loader = torch.utils.data.DataLoader(Tensors(x), batch_size=7)
    np.testing.assert_array_equal(np.vstack(list(as_rows(loader).blocks())), x)
