"""Data sets of Hugging Face's `datasets` itself, whole and streamed: the same rows as by hand."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

os.environ.setdefault("HF_HUB_OFFLINE", "1")
datasets = pytest.importorskip("datasets", reason="runs in the libraries' environment")
Image = pytest.importorskip("PIL.Image")

from uncollapse import DataError, forecast  # noqa: E402
from uncollapse.data import blocks as blocks_module  # noqa: E402
from uncollapse.data.rows import as_rows  # noqa: E402
from uncollapse.data.sources import open_source  # noqa: E402

N = 60


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)  # blocks of 16 rows


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (N, 6, 5, 3), dtype=np.uint8)


def data_of(pictures):
    features = {"image": datasets.Image(), "label": datasets.Value("int64"), "name": datasets.Value("string")}
    columns = {"image": list(map(Image.fromarray, pictures)), "label": list(range(N)), "name": ["a"] * N}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def twice(data, wanted):
    rows = as_rows(data)
    assert rows.n_columns == wanted.shape[1]
    for _ in range(2):
        blocks = list(rows.blocks())
        assert max(map(len, blocks)) <= 16
        np.testing.assert_array_equal(np.vstack(blocks), wanted)
    return rows


def test_a_column_of_images_is_read_whole_and_streamed(pictures):
    wanted = (pictures.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32).reshape(N, -1)
    data = data_of(pictures)
    assert twice(data, wanted).n_rows == N
    assert twice(data.to_iterable_dataset(num_shards=3), wanted).n_rows is None


@pytest.mark.parametrize("streamed", [False, True])
def test_columns_of_arrays_lists_and_numbers_are_read(streamed, rng):
    x = rng.standard_normal((N, 4, 3)).astype(np.float32)
    kinds = {
        "array": (
            {"x": x.tolist(), "y": [1] * N},
            {"x": datasets.Array2D((4, 3), "float32"), "y": datasets.Value("int8")},
        ),
        "list": ({"x": x.reshape(N, -1).tolist(), "y": ["a"] * N}, None),
        "numbers": ({f"c{i:02d}": column.tolist() for i, column in enumerate(x.reshape(N, -1).T)}, None),
    }
    for columns, features in kinds.values():
        data = datasets.Dataset.from_dict(columns, features=features and datasets.Features(features))
        data = data.to_iterable_dataset() if streamed else data
        rows = as_rows(data)
        for _ in range(2):
            np.testing.assert_allclose(np.vstack(list(rows.blocks())), x.reshape(N, -1), rtol=1e-6)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_a_format_of_ones_own_is_kept(kind, rng):
    x = rng.standard_normal((N, 5)).astype(np.float32)
    data = datasets.Dataset.from_dict({"x": x.tolist(), "label": [1] * N})
    twice(data.with_format(kind), x)
    twice(data.to_iterable_dataset().with_format(kind), x)


def test_digits_beyond_float32_are_kept(rng):
    x = rng.standard_normal((N, 5)) + 1e9
    for columns in ({"x": x.tolist()}, {f"c{j}": x[:, j].tolist() for j in range(5)}):
        data = datasets.Dataset.from_dict(columns)
        twice(data, x)
        twice(data.to_iterable_dataset(), x)


def test_a_transform_of_ones_own_is_kept(pictures):
    def halved(batch):
        return {"pixel_values": [np.asarray(image, np.float32) / 2 for image in batch["image"]]}

    twice(data_of(pictures).with_transform(halved), (pictures / np.float32(2)).reshape(N, -1).astype(np.float32))


def test_a_generator_that_is_called_again_is_walked_twice(rng):
    x = rng.standard_normal((N, 5))
    streamed = datasets.IterableDataset.from_generator(lambda: ({"x": row} for row in x))
    twice(streamed, x)


def test_a_forecast_is_that_of_the_numbers(rng):
    x = rng.standard_normal((200, 5)) * [5, 4, 3, 2, 1]
    data = datasets.Dataset.from_dict({"x": x.tolist()})
    ours, wanted = (forecast(given, n_latents=3).spectrum.strengths for given in (data, x))
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)


def test_what_is_no_table_is_named(pictures, rng):
    bad = {
        "holds splits; give one of them: data\\['train'\\]": datasets.DatasetDict(train=data_of(pictures)),
        "text holds no numbers": datasets.Dataset.from_dict({"text": ["a"], "label": [1]}),
        "empty, no samples": datasets.Dataset.from_dict({"x": []}),
        r"several arrays \(x, y\)": datasets.Dataset.from_dict({"x": [[1.0, 2]], "y": [[1.0, 2]]}),
        "object|shape|not a table": datasets.Dataset.from_dict({"x": [[1.0, 2], [1.0]]}),
    }
    mixed = [Image.fromarray(one) for one in pictures[:2]] + [Image.fromarray(pictures[0, :3])]
    bad["shapes 3x3x5 and 3x6x5; all need one shape: resize"] = datasets.Dataset.from_dict({"image": mixed})
    for match, data in bad.items():
        with pytest.raises(DataError, match=match) as caught:
            list(as_rows(data).blocks())
        assert "\n" not in str(caught.value)


def test_shards_that_webdataset_wrote_are_read(pictures, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = webdataset.ShardWriter(str(tmp_path / "s-%03d.tar"), maxcount=25, verbose=0)
    with writer:
        for i, picture in enumerate(pictures):
            writer.write({"__key__": f"{i:04d}", "png": picture, "npy": picture[0].astype(np.float32), "cls": i})
    wanted = (pictures.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32).reshape(N, -1)
    rows = open_source(f"{tmp_path}/s-{{000..002}}.tar::png")
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), wanted)
    rows = open_source(f"{tmp_path}/s-{{000..002}}.tar::npy")
    np.testing.assert_array_equal(np.vstack(list(rows.blocks())), pictures[:, 0].reshape(N, -1))
