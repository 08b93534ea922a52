"""Sweeps through joblib's back ends: the cells are those of one process, wherever they are trained."""

from __future__ import annotations

import numpy as np
import pytest
from joblib import parallel_config

from uncollapse import Objective, ObjectiveError
from uncollapse.training import Setup, Training, grid, sweep
from uncollapse.training import cells as cells_module

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def setups():
    base = Setup(Objective(n_latents=2), training=Training(epochs=2, estimator="analytic", steps_per_epoch=5))
    return grid(base, beta=(0.5, 1, 2), seeds=2)


@pytest.fixture
def x(rng):
    return rng.standard_normal((60, 3)) * [3.0, 1.0, 0.1]


@pytest.mark.parametrize("asked", ["by name", "around the call"])
def test_a_dask_cluster_trains_the_cells_of_one_process(x, setups, tmp_path, asked):
    distributed = pytest.importorskip("dask.distributed")
    expected = sweep(x, setups, tmp_path / "here")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        if asked == "by name":
            found = sweep(x, setups, tmp_path / "there", backend="dask")
        else:
            with parallel_config("dask"):
                found = sweep(x, setups, tmp_path / "there")
        trained = client.run(lambda: "torch" in __import__("sys").modules)
    assert all(trained.values())  # on both workers, and not on one
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-9)


def test_a_back_end_around_the_call_is_used_and_none_without_one(x, setups, tmp_path, monkeypatch):
    alone = []
    real = cells_module._alone
    monkeypatch.setattr(cells_module, "_alone", lambda *a: alone.append(a) or real(*a))
    sweep(x, setups, tmp_path / "one")
    assert alone
    del alone[:]
    with parallel_config("threading", n_jobs=2):
        sweep(x, setups, tmp_path / "two")
    assert not alone


def test_a_back_end_that_gives_all_results_at_its_end_works_a_round_at_a_time(x, setups, tmp_path, monkeypatch):
    """As Ray's does: a sweep that is stopped keeps the rounds that are done."""
    from joblib._parallel_backends import ThreadingBackend

    monkeypatch.setattr(ThreadingBackend, "supports_return_generator", False, raising=False)
    rounds = []
    real = cells_module._unit
    monkeypatch.setattr(cells_module, "_unit", lambda *a, **k: rounds.append(len(a[0])) or real(*a, **k))
    found = sweep(x, setups, tmp_path / "rounds", backend="threading", jobs=2)
    assert sum(rounds) == len(setups)
    np.testing.assert_allclose(found["loss"], sweep(x, setups, tmp_path / "here")["loss"], rtol=1e-9)


def test_ray_that_is_not_there_is_one_line(x, setups, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ObjectiveError, match="backend ray cannot be used here: install ray"):
        sweep(x, setups, tmp_path / "ray", backend="ray")
