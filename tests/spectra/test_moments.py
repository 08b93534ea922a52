"""Moments: one pass, exact, mergeable, whatever holds the rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from seeds import SEED
from uncollapse import DataError, UncollapseWarning, moments, spectrum
from uncollapse.data import blocks as blocks_module
from uncollapse.data.rows import as_rows


def reference(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """Covariance by NumPy in extended precision."""
    joint = np.hstack([x, y]) if y is not None else x
    wide = joint.astype(np.longdouble)
    centred = wide - wide.mean(axis=0)
    return (centred.T @ centred / len(wide)).astype(float)


@pytest.fixture
def small_blocks(monkeypatch):
    """Cut everything into blocks of 16 rows, so that merging happens on small data."""
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1)


@seed(SEED)
@settings(max_examples=30, deadline=None, database=None)
@given(
    n=st.integers(2, 200),
    d=st.integers(1, 6),
    cut=st.floats(0, 1),
    offset=st.sampled_from([0.0, 1.0, 1e6]),
    dtype=st.sampled_from([np.float64, np.float32, np.int32, np.uint8, np.bool_]),
    data_seed=st.integers(0, 2**32 - 1),
)
def test_parts_merge_into_the_whole(n, d, cut, offset, dtype, data_seed):
    x = (np.random.default_rng(data_seed).standard_normal((n, d)) * 3 + offset) % 250
    x = x.astype(dtype)
    k = min(max(int(cut * n), 1), n - 1)
    merged, whole = moments(x[:k]) + moments(x[k:]), moments(x)
    exact = reference(x)
    tolerance = (1e-4 if dtype == np.float32 else 1e-12) * max(np.trace(exact), 1e-300)
    for result in (merged, whole):
        assert result.n_samples == n
        np.testing.assert_allclose(result.mean, x.astype(float).mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(result.second_moment(), exact, atol=tolerance, rtol=0)


@pytest.mark.usefixtures("small_blocks")
def test_every_kind_of_source_gives_the_same_moments(rng, tmp_path):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((100, 5)) + 3
    np.save(tmp_path / "x.npy", x)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(x), torch.arange(100)), batch_size=7
    )
    sources = {
        "array": x,
        "fortran order": np.asfortranarray(x),
        "images": x.reshape(100, 5, 1),
        "memory map": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "slice of a memory map": np.load(tmp_path / "x.npy", mmap_mode="r")[:],
        "sparse": sp.csr_matrix(x),
        "sparse array": sp.coo_array(x),
        "iterator": (x[i : i + 9] for i in range(0, 100, 9)),
        "one big block": iter([x]),
        "sparse blocks": [sp.csr_array(x[:30]), sp.csr_array(x[30:])].__iter__(),
        "tensor": torch.tensor(x),
        "loader": loader,
    }
    for name, source in sources.items():
        result = moments(source)
        np.testing.assert_allclose(result.second_moment(), reference(x), atol=1e-12, err_msg=name)


@pytest.mark.usefixtures("small_blocks")
def test_a_window_on_a_memory_map_reads_the_right_rows(rng, tmp_path):
    x = rng.standard_normal((90, 4))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for part in (mapped[13:77], mapped[5:][20:30], mapped[::2], mapped[:, 1:3]):
        np.testing.assert_allclose(moments(part).second_moment(), reference(np.array(part)), atol=1e-13)


@pytest.mark.usefixtures("small_blocks")
def test_input_and_target_are_walked_in_step(rng):
    x, y = rng.standard_normal((100, 3)), rng.standard_normal((100, 40))
    expected = reference(x, y)
    for pair in (
        moments(x, y),
        moments(x, sp.csr_array(y)),
        moments(zip(np.split(x, 5), np.split(y, 5), strict=True), paired=True),
    ):
        assert (pair.n_inputs, pair.has_target) == (3, True)
        np.testing.assert_allclose(pair.second_moment(), expected, atol=1e-12)


def test_a_large_mean_costs_no_digits(rng):
    """float64 with a mean of 10⁶ standard deviations: strengths to 1e-8 of the largest."""
    x = rng.standard_normal((5000, 10)) * np.arange(1, 11)
    shifted = x + 1e7
    exact = np.linalg.eigvalsh(reference(shifted))[::-1]
    assert np.abs(spectrum(shifted).strengths - exact).max() < 1e-8 * exact[0]


def test_a_drifting_mean_costs_no_digits(rng, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 1000)
    x = rng.standard_normal((3000, 5)) + np.repeat([0.0, 1e6, -1e6], 1000)[:, None]
    np.testing.assert_allclose(moments(x).second_moment(), reference(x), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_narrow_types_are_accurate_to_one_in_a_hundred_thousand(rng, dtype):
    x = np.clip(rng.standard_normal((60_000, 30)) * np.linspace(5, 40, 30) + 120, 0, 255).astype(dtype)
    exact = np.linalg.eigvalsh(reference(x))[::-1]
    assert np.abs(spectrum(x).strengths - exact).max() < 1e-5 * exact[0]


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.2, 1.0, 10.0])
def test_float32_columns_of_two_values_are_accurate_wherever_their_mean_lies(rng, mean):
    """Their products are rounded all the same way: the hardest case for sums in float32."""
    sides = np.where(rng.random((20_000, 150)) < 0.5, -1.0, 1.0)
    x = ((sides + mean) * rng.uniform(0.3, 3, 150)).astype(np.float32)
    exact = np.linalg.eigvalsh(np.cov(x.astype(float), rowvar=False, ddof=0))[::-1]
    assert np.abs(spectrum(x).strengths - exact).max() < 1e-5 * exact[0]


@pytest.mark.parametrize(("mean", "share"), [(0.0, 0.2), (5.0, 1.2)])
def test_rows_are_copied_only_to_take_a_mean_out_and_then_into_one_block(rng, monkeypatch, mean, share):
    monkeypatch.setattr(blocks_module, "BLOCK_ENTRIES", 2**20)
    x = rng.standard_normal((40_000, 100), dtype=np.float32) + np.float32(mean)
    tracemalloc.start()
    moments(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < share * 2**20 * x.itemsize


def test_blocks_of_any_size_and_type_share_their_memory_and_nothing_else(rng):
    kinds = [(300, np.float32), (700, np.uint8), (1, np.float64), (500, np.float32)]
    blocks = [(rng.standard_normal((n, 70)) * 20 + 120).astype(dtype) for n, dtype in kinds]
    kept = [block.copy() for block in blocks]
    np.testing.assert_allclose(
        moments(iter(blocks)).second_moment(), reference(np.vstack(blocks).astype(float)), atol=1e-3
    )
    assert all(map(np.array_equal, blocks, kept))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e18, 1e30])
def test_float32_data_of_extreme_size_neither_vanish_nor_overflow(rng, size):
    x = (rng.standard_normal((200, 3)) * size).astype(np.float32)
    np.testing.assert_allclose(moments(x).second_moment(), reference(x), rtol=1e-9, atol=1e-12 * size**2)


def test_constant_columns_have_exactly_no_energy(rng):
    x = np.hstack([rng.standard_normal((500, 2)), np.full((500, 1), 0.1), np.full((500, 1), 1e9)])
    for dtype in (np.float64, np.float32):
        assert (np.diagonal(moments(x.astype(dtype)).scatter)[2:] == 0).all()


def test_scaling_commutes_with_summing(rng):
    x = rng.standard_normal((50, 4))
    factors = np.array([1.0, 2.0, 0.5, 3.0])
    np.testing.assert_allclose(moments(x).scaled(factors).scatter, moments(x * factors).scatter, rtol=1e-12)


def test_rows_that_are_not_finite_are_counted_and_located(rng):
    x = rng.standard_normal((500, 4))
    x[123, 2], x[400, 0] = np.nan, np.inf
    with pytest.raises(DataError, match=r"2 value\(s\) are NaN or infinite, the first in row 123, column 2"):
        moments(x)
    with pytest.raises(DataError, match="row 123, column 6"):
        moments(np.zeros((500, 4)), x)


@pytest.mark.usefixtures("small_blocks")
def test_values_that_are_not_finite_are_counted_across_blocks(rng):
    x = rng.standard_normal((500, 4))
    x[[17, 123, 400], [1, 2, 3]] = np.nan
    with pytest.raises(DataError, match="3 value.* row 17, column 1"):
        moments(x)
    with pytest.raises(DataError, match="3 value.* row 17, column 1"):
        moments(iter(np.split(x, 10)))


@pytest.mark.usefixtures("small_blocks")
def test_rows_that_are_not_finite_can_be_left_out(rng):
    x = rng.standard_normal((100, 4))
    x[[3, 50]] = np.nan
    x[60:80, 0] = np.inf  # a whole block
    finite = np.isfinite(x).all(axis=1)
    with pytest.warns(UncollapseWarning, match="left out 22 of 100 rows"):
        result = moments(x, drop_nonfinite=True)
    np.testing.assert_allclose(result.second_moment(), reference(x[finite]), atol=1e-12)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(5), "reshape to"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros((3, 0)), "empty"),
        (np.zeros((3, 2), complex), "complex"),
        (np.array([["a", "b"]]), "expected numbers"),
        (np.array([[object(), 1]]), "expected numbers"),
        (sp.csr_matrix((0, 4)), "empty"),
        (sp.csr_matrix((2, 2), dtype=complex), "real numbers"),
        (iter([]), "empty"),
        (iter([np.zeros((2, 3)), np.zeros((2, 4))]), "block 1: 4 columns where earlier blocks have 3"),
        (3.0, "cannot read rows"),
    ],
)
def test_unfit_data_are_refused_in_one_line(data, message):
    with pytest.raises(DataError, match=message) as caught:
        moments(data)
    assert "\n" not in str(caught.value)


def test_input_and_target_of_different_length_are_refused(rng):
    x, y = np.zeros((10, 2)), np.zeros((9, 1))
    with pytest.raises(DataError, match="10 rows and .* 9"):
        moments(x, y)
    with pytest.raises(DataError, match="ends after 9 rows"):
        moments(iter([x]), y)
    with pytest.raises(DataError, match="2 rows of x against 3 of y"):
        moments(iter([(np.zeros((2, 1)), np.zeros((3, 1)))]), paired=True)
    with pytest.raises(DataError, match="cannot merge"):
        moments(x) + moments(np.zeros((10, 3)))


def test_one_row_is_too_few_for_a_spectrum():
    with pytest.raises(DataError, match=r"only 1 row\(s\)"):
        spectrum(np.zeros((1, 3)))


def test_an_array_is_not_copied_where_no_shift_is_needed(rng):
    x = rng.standard_normal((100, 3))
    assert all(np.shares_memory(block, x) for block in as_rows(x).blocks())
