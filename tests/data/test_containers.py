"""Everything that may hold a table: the same rows, or one line that says what to pass."""

from __future__ import annotations

import decimal
import fractions

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from uncollapse import DataError, SourceError, moments, spectrum
from uncollapse.data.rows import as_rows, dense
from uncollapse.data.sources import open_source

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def table_of(data, **how) -> np.ndarray:
    return np.vstack([dense(block) for block in as_rows(data, **how).blocks()]).astype(float)


SAME = {
    "nested lists": lambda x: x.tolist(),
    "tuple of tuples": lambda x: tuple(map(tuple, x.tolist())),
    "list of vectors": list,
    "list of tensors": lambda x: [torch.tensor(row) for row in x],
    "read-only": lambda x: np.require(x, requirements=["C"]).copy(),
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "matrix": np.matrix,
    "masked": np.ma.masked_array,
    "data frame": pd.DataFrame,
    "tensor in a graph": lambda x: torch.tensor(x, requires_grad=True),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
    "one block": lambda x: iter([x]),
    "unequal blocks": lambda x: [x[:3], x[3:]],
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", SAME)
def test_every_container_gives_the_same_rows(rng, kind):
    x = rng.standard_normal((10, 3))
    np.testing.assert_array_equal(table_of(SAME[kind](x)), x)


def test_images_in_lists_are_samples_where_that_is_clear(rng):
    images = rng.random((5, 4, 4, 3))
    np.testing.assert_array_equal(table_of(images.tolist()), images.reshape(5, 48))
    np.testing.assert_array_equal(table_of(images), images.reshape(5, 48))
    for listed in (list(images), [torch.tensor(image) for image in images], list(images[..., 0])):
        with pytest.raises(DataError, match=r"a list of 5 arrays of shape 4×4.* np.stack\(list\) for samples, iter"):
            as_rows(listed)


@quiet
@pytest.mark.parametrize("n_modes", [None])
def test_a_generator_may_fill_one_buffer_again_and_again(rng, n_modes):
    x = rng.standard_normal((60, 4)) * [4, 3, 2, 1]

    def filled():
        buffer = np.empty((7, 4))
        for start in range(0, 56, 7):
            buffer[:] = x[start : start + 7]
            yield buffer

    np.testing.assert_allclose(spectrum(filled()).strengths, spectrum(x[:56]).strengths, rtol=1e-12)


def raising(kind):
    yield np.ones((3, 2))
    raise kind("lost the connection\nand more")


def test_an_iterators_own_error_is_kept_as_the_cause():
    for kind in (OSError, TypeError, IndexError):
        with pytest.raises(DataError, match="the data: the iterable fails at block 1: lost the connection$") as caught:
            moments(raising(kind))
        assert isinstance(caught.value.__cause__, kind)


class Rude:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no numbers for you")


NOT_ROWS = [
    "data.npy", b"data", None, 3.0, np.nan, pd.NA, decimal.Decimal(1), fractions.Fraction(1), 10**400,
    np.datetime64("2020-01-01"), {"a": [1]}, {1, 2}, object(), int, Rude(), [], [[]], [[], []], [[[]]], [[1, 2], [3]],
    ["ab", "cd"], [None, None], [1, 2, 3], np.array("a"), np.array([[None, 1]]), np.zeros((0, 3)), np.zeros((3, 0)),
    np.zeros(5), np.array([[1j, 2]]), np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    np.array([["2020-01-01"]], dtype="datetime64[D]"), sp.coo_array(np.arange(3)), sp.csr_array(np.array([[1j]])),
    torch.ones(3, 2).to_sparse(), torch.empty(3, 2, device="meta"), torch.ones(3, 2, dtype=torch.complex64),
    memoryview(b"abc"), lambda: None,
]  # fmt: skip


@pytest.mark.parametrize("data", NOT_ROWS, ids=lambda data: type(data).__name__)
def test_what_holds_no_rows_is_refused_in_one_line(data):
    for call in (moments, spectrum):
        with pytest.raises(DataError) as caught:
            call(data)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused():
    with pytest.raises(DataError, match="a nested tensor; pass a dense one"):
        spectrum(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))


def test_sparse_arrays_of_three_dimensions_are_refused():
    cube = sp.coo_array((np.ones(2), (np.array([0, 1]), np.array([0, 1]), np.array([0, 1]))), shape=(2, 2, 2))
    with pytest.raises(DataError, match="a sparse array needs rows and columns"):
        spectrum(cube)


def test_a_mapped_file_that_is_replaced_still_gives_what_was_mapped(rng, tmp_path, monkeypatch):
    from uncollapse.data import blocks as blocks_module

    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)
    path, x = tmp_path / "x.npy", rng.standard_normal((200, 3))
    np.save(path, x)
    mapped = np.load(path, mmap_mode="r")
    for other in (rng.standard_normal((200, 3)), rng.standard_normal((2, 3))):
        np.save(tmp_path / "other.npy", other)
        (tmp_path / "other.npy").replace(path)
        np.testing.assert_array_equal(table_of(mapped), x)
    path.unlink()
    np.testing.assert_array_equal(table_of(mapped), x)


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 64


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2), }\n")),
        ("x.npy", npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**60}, 2), }}\n")),
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os'), 2), }\n")),
        ("x.npy", npy("(" * 300)),
        ("x-idx2-ubyte", bytes([0, 0, 8, 2]) + b"\xff" * 8),
        ("x-idx3-ubyte", bytes([0, 0, 14, 3]) + b"\xff\xff\xff\xff" * 3),
        ("x-idx2-ubyte", bytes([0, 0, 8, 2, 0, 0, 0, 9, 0xF0, 0, 0, 0])),
        ("x.h5ad", b"\x89HDF\r\n\x1a\n" + b"\0" * 500),
        ("x.h5ad", b"no"),
        ("x.npz", b"PK\x03\x04" + b"\0" * 50),
    ],
)
def test_damaged_headers_end_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        for _ in open_source(str(tmp_path / name)).blocks():
            pass
    assert "\n" not in str(caught.value)
    assert "--modes" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_names_that_no_file_can_have_end_in_one_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in (str(tmp_path / "a"), "x" * 5000 + ".npy", "~nobody-of-that-name/x.npy", "a\0b.npy", "", 3, None, b"x"):
        with pytest.raises(SourceError) as caught:
            open_source(name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
