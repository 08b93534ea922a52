"""Moments on a cluster: two worker processes on this machine."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import DataError, moments, spectrum

da = pytest.importorskip("dask.array")


@pytest.fixture(scope="module")
def cluster():
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as local,
        Client(local),
    ):
        yield local


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")  # the cluster's own
def test_two_worker_processes_give_the_moments_of_one_pass(rng):
    x, y = rng.standard_normal((1000, 6)) + 5, rng.standard_normal((1000, 2))
    chunked = da.from_array(x, chunks=(130, 4))
    expected = moments(x)
    result = moments(chunked)
    assert result.n_samples == 1000
    np.testing.assert_allclose(result.scatter, expected.scatter, rtol=1e-10)
    pair = moments(chunked, da.from_array(y, chunks=(77, 2)))
    np.testing.assert_allclose(pair.scatter, moments(x, y).scatter, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(spectrum(chunked).strengths, spectrum(x).strengths, rtol=1e-10)
    np.testing.assert_allclose(spectrum(chunked, n_modes=2).strengths, spectrum(x).strengths[:2], rtol=1e-8)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_bad_chunks_are_named(rng):
    x = rng.standard_normal((100, 3))
    x[61, 1] = np.nan
    with pytest.raises(DataError, match="1 value.*row 61, column 1"):
        moments(da.from_array(x, chunks=(50, 3)))
    with pytest.raises(DataError, match="10 and 9 rows; both need one row per sample"):
        moments(da.zeros((10, 2)), da.zeros((9, 2)))
    with pytest.raises(DataError, match="needs a Dask target"):
        moments(da.zeros((10, 2)), np.zeros((10, 2)))
