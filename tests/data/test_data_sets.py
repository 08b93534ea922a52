"""Data sets of samples in Python: what of a sample is its row, and one line for what cannot be one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from uncollapse import DataError, forecast
from uncollapse.data.rows import as_rows


class Samples:
    """By number only, as PyTorch's data sets are."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def table_of(data) -> np.ndarray:
    return np.vstack(list(as_rows(data).blocks()))


PICTURE = np.arange(30, dtype=np.uint8).reshape(2, 5, 3)
X = torch.arange(6.0).reshape(2, 3)
GIVEN = {
    "tensor": (X, X),
    "half tensor in a graph": (X.bfloat16().requires_grad_(), X),
    "array": (X.numpy(), X),
    "tensor and label": ((X, 3), X),
    "list of both": ([X, 3], X),
    "numbers": ([1.0, 2, 3], [1, 2, 3]),
    "numbers in lists": ([[1, 2], [3, 4]], [1, 2, 3, 4]),
    "dict": ({"x": X, "label": 3, "name": "a"}, X),
    "dict of numbers": ({"a": 1.5, "b": True, "c": np.float32(3)}, [1.5, 1, 3]),
    "dict of numbers in a list": ({"x": [1.0, 2], "label": 1}, [1, 2]),
    "image": (Image.fromarray(PICTURE), PICTURE.transpose(2, 0, 1) / np.float32(255)),
    "image and label": ((Image.fromarray(PICTURE[..., 0]), 1), PICTURE[..., 0] / np.float32(255)),
    "image in a dict": ({"image": Image.fromarray(PICTURE), "y": 1}, PICTURE.transpose(2, 0, 1) / np.float32(255)),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_the_numbers_of_a_sample_are_its_row(kind):
    item, wanted = GIVEN[kind]
    rows = as_rows(Samples([item] * 5))
    assert (rows.n_rows, rows.n_columns, rows.repeatable) == (5, np.asarray(wanted).size, True)
    np.testing.assert_array_equal(table_of(Samples([item] * 5)), np.tile(np.ravel(wanted), (5, 1)))


BAD = {
    "no samples": ([], "the data: empty, no samples"),
    "a number": ([1.0], "the data, sample 0: expected an image, an array or a tensor, got float"),
    "text": (["a"], "sample 0: expected an image, an array or a tensor, got str"),
    "nothing": ([None], "got NoneType"),
    "an empty tuple": ([()], "an empty tuple; give"),
    "an empty dict": ([{}], "the empty sample holds no numbers"),
    "two arrays": ([{"x": X, "mask": X}], r"several arrays \(x, mask\); pass a data set with one of them"),
    "text in a dict": ([{"text": "a", "label": 1}], "text holds no numbers; pass a data set without"),
    "no numbers in it": ([torch.ones(0, 3)], "sample 0 is empty|empty, shape"),
    "ragged lists": ([[[1, 2], [3]]], "not a table of numbers"),
    "complex": ([np.ones(3) * 1j], "complex numbers"),
    "sparse": ([X.to_sparse()], "a sparse_coo tensor"),
    "two shapes": ([X, X, X[:1]], "sample 0 is 2x3 and sample 2 is 1x3; all need one shape"),
    "two kinds of image": (
        [Image.new("L", (3, 2)), Image.new("RGB", (3, 2))], "sample 0 is 1x2x3 and sample 1 is 3x2x3",
    ),
    "an image of 32 bits": ([Image.new("F", (3, 2))], "32-bit numbers have no largest value"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_sample_is_named(kind):
    items, match = BAD[kind]
    with pytest.raises(DataError, match=match) as caught:
        table_of(Samples(items))
    assert "\n" not in str(caught.value)


class Failing(Samples):
    def __getitem__(self, i):
        if i == 3:
            raise FileNotFoundError("no such image\nat all")
        return self.items[i]


class Endless(Samples):
    def __len__(self):
        raise TypeError("it has no end")


def test_a_data_sets_own_errors_are_kept_as_the_cause():
    with pytest.raises(DataError, match="the data: the data set fails at sample 3: no such image$") as caught:
        table_of(Failing([X] * 5))
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(DataError, match="the data: its length is not known: it has no end"):
        as_rows(Endless([X]))


def test_gaps_are_found_by_whoever_reads_them():
    with pytest.raises(DataError, match="finite|NaN"):
        forecast(Samples([torch.tensor([1.0, float("nan")])] * 5))


def test_pytorchs_own_data_sets_are_read(rng):
    x = rng.standard_normal((40, 3))
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.zeros(40))
    np.testing.assert_array_equal(table_of(tensors), x)
    np.testing.assert_array_equal(table_of(torch.utils.data.Subset(tensors, [3, 1])), x[[3, 1]])
    np.testing.assert_array_equal(table_of(tensors + tensors), np.vstack([x, x]))


class Streamed(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([torch.ones(2, 3)] * 4)


def test_streams_of_samples_or_batches_are_taken_through_a_loader():
    with pytest.raises(DataError, match=r"may give samples or batches; pass DataLoader\(it, batch_size=256\), or"):
        as_rows(Streamed())
    assert table_of(torch.utils.data.DataLoader(Streamed(), batch_size=2)).shape == (4, 6)
    assert table_of(torch.utils.data.DataLoader(Streamed(), batch_size=None)).shape == (8, 3)


def test_a_loaders_dict_of_several_arrays_is_refused():
    for batch, match in (
        (
            {"x": np.ones((3, 2)), "mask": np.ones((3, 2))},
            r"a dict with several arrays \(x, mask\); give batches of one",
        ),
        ({"label": np.ones(3)}, r"a dict with no array with rows and columns \(label\)"),
    ):
        with pytest.raises(DataError, match=match):
            list(as_rows(iter([batch])).blocks())
