"""Numbers at the edge of their type: the right strengths, or one line, on every path."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from uncollapse import DataError, forecast, moments, spectrum

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def exact_covariance(rows: list[list[int]]) -> np.ndarray:
    """In rational arithmetic, whatever the size of the numbers."""
    n, d = len(rows), len(rows[0])
    mean = [Fraction(sum(row[j] for row in rows), n) for j in range(d)]
    return np.array(
        [[float(sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in rows) / n) for j in range(d)] for i in range(d)]
    )


def strengths_of(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(covariance)[::-1]


@quiet
@pytest.mark.parametrize("n_modes", [None, 2])
@pytest.mark.parametrize(("dtype", "centre"), [(np.int64, 2**60), (np.int64, -(2**62)), (np.uint64, 2**63 + 5)])
def test_integers_beyond_2_to_the_53_keep_their_spread(rng, dtype, centre, n_modes):
    small = rng.integers(-50, 50, (60, 4)) * [4, 3, 2, 1]
    rows = [[int(v) + centre for v in row] for row in small]
    x = np.array(rows, dtype=dtype)
    expected = strengths_of(exact_covariance(rows))[:n_modes]
    np.testing.assert_allclose(spectrum(x, n_modes=n_modes).strengths, expected, rtol=1e-9)
    np.testing.assert_allclose(spectrum(iter([x[:10], x[10:]])).strengths[:n_modes], expected, rtol=1e-9)


@quiet
def test_sparse_integers_beyond_2_to_the_53_are_as_exact_as_dense_ones(rng):
    x = rng.integers(-50, 50, (60, 4)) * [4, 3, 2, 1]
    x[:, 0] += 2**60
    expected = strengths_of(exact_covariance(x.tolist()))
    np.testing.assert_allclose(spectrum(sp.csr_array(x)).strengths, expected, rtol=1e-9)


@quiet
def test_long_doubles_that_no_float64_holds_are_refused(rng):
    x = (np.longdouble(10) ** 400) + rng.standard_normal((20, 2)).astype(np.longdouble)
    with pytest.raises(DataError):
        spectrum(x)


@quiet
def test_integers_that_fill_their_whole_range_do_not_wrap_around(rng):
    x = rng.integers(-(2**63), 2**63 - 1, (50, 3))
    expected = strengths_of(exact_covariance(x.tolist()))
    np.testing.assert_allclose(spectrum(x).strengths, expected, rtol=1e-12)


@quiet
@pytest.mark.parametrize("n_modes", [None, 2])
def test_long_doubles_keep_a_spread_that_float64_would_lose(rng, n_modes):
    small = rng.standard_normal((80, 4)) * [1e-6, 5e-7, 2e-7, 1e-7]
    x = small.astype(np.longdouble) + np.longdouble(10) ** 12
    around = (x - x[0]).astype(np.float64)  # exact in long double
    expected = strengths_of(np.cov(around.T, ddof=0))
    np.testing.assert_allclose(spectrum(x, n_modes=n_modes).strengths, expected[:n_modes], rtol=1e-9)
    dask_array = pytest.importorskip("dask.array")
    np.testing.assert_allclose(spectrum(dask_array.from_array(x, chunks=(30, 4))).strengths, expected, rtol=1e-9)


@quiet
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("size", [1e-140, 1e-100, 1e-80, 1e90, 1e120, 1e140])
def test_the_matrix_free_path_holds_at_any_size(rng, size, kind):
    x = rng.standard_normal((200, 30)) * np.geomspace(3, 0.1, 30)
    expected = strengths_of(np.cov(x.T, ddof=0))[:3]
    s = spectrum(kind(x * size), n_modes=3)
    np.testing.assert_allclose(s.strengths / size**2, expected, rtol=1e-5)
    assert (np.abs(s.strengths / size**2 - expected) <= s.strength_errors / size**2 + 1e-12).all()


@quiet
@pytest.mark.parametrize("size", [1e-170, 1e160])
def test_sizes_whose_squares_do_not_exist_are_refused(rng, size):
    x = rng.standard_normal((50, 6)) * size
    for n_modes in (None, 2):
        with pytest.raises(DataError, match="squares leave the range of float64"):
            spectrum(x, n_modes=n_modes)


@quiet
@pytest.mark.parametrize("mean", [1.0, 1e3, 1e6, 1e8])
def test_sparse_data_far_from_zero_are_as_exact_as_their_bound_says(rng, mean):
    x = rng.standard_normal((500, 12)) * np.geomspace(3, 0.5, 12)
    x[:, :6] += mean  # full columns far out, and columns about zero
    x[:, 6:][rng.random((500, 6)) < 0.7] = 0.0
    wide = x.astype(np.longdouble)
    exact = strengths_of(((wide - wide.mean(0)).T @ (wide - wide.mean(0)) / 500).astype(float))[:4]
    s = spectrum(sp.csr_array(x), n_modes=4)
    assert (np.abs(s.strengths - exact) <= s.strength_errors + 4 * np.finfo(float).eps * exact[0]).all()
    np.testing.assert_allclose(s.strengths, exact, rtol=1e-6)


@quiet
@pytest.mark.parametrize("n_modes", [None, 3])
def test_no_warning_of_numpy_leaks(rng, n_modes):
    with np.errstate(all="raise"):
        for size in (1e-150, 1e-80, 1.0, 1e140):
            spectrum(rng.standard_normal((40, 5)) * size, n_modes=n_modes)
        for size in (1e-170, 1e200):
            with pytest.raises(DataError):
                spectrum(rng.standard_normal((40, 5)) * size, n_modes=n_modes)


@quiet
def test_a_matrix_free_spectrum_can_be_pickled_and_copied(rng):
    x = rng.standard_normal((60, 8))
    for s in (
        spectrum(x, n_modes=3),
        spectrum(x, n_modes=3).leading(2),
        spectrum(x).leading(2),
        spectrum(x, given=x[:, :2]),
    ):
        for twin in (pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
            np.testing.assert_array_equal(twin.strengths, s.strengths)
            np.testing.assert_array_equal(twin.basis.decoder, s.basis.decoder)


@quiet
def test_settings_become_plain_values(rng):
    x = rng.standard_normal((60, 8))
    s = spectrum(x, n_modes=np.int64(3), bias=np.bool_(True), ddof=np.int32(1), scale=Fraction(1, 2))
    assert (type(s.centred), s.rank) == (bool, 3)
    assert forecast(s, beta=0.1, n_latents=2).n_alive == 2
    assert spectrum(x, n_modes=10**18).rank == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_modes": 2.5}, "n_modes must be a whole number from 1 on, got 2.5"),
        ({"n_modes": True}, "n_modes must be a whole number"),
        ({"bias": 16}, "bias must be True or False, got 16"),
        ({"drop_nonfinite": "no"}, "drop_nonfinite must be True or False, got 'no'"),
        ({"paired": "no"}, "paired must be True or False"),
        ({"ddof": 40}, "ddof must be below the number of rows, 40; got 40"),
        ({"ddof": 40, "n_modes": 2}, "ddof must be below the number of rows"),
        ({"ddof": -1}, "ddof must be a whole number from 0 on"),
        ({"scale": "2"}, "scale must be a finite number other than 0, got '2'"),
        ({"likelihood": None}, "likelihood must be one of gaussian, "),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(rng, settings, message):
    with pytest.raises(DataError, match=message):
        spectrum(rng.standard_normal((40, 6)), **settings)


def test_what_moments_are_not_told_to_drop_is_not_dropped(rng):
    with pytest.raises(DataError, match="drop_nonfinite must be True or False"):
        moments(rng.standard_normal((4, 2)), drop_nonfinite="no")
