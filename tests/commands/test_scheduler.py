"""A cluster of two worker processes: the same answers as here, whatever happens to a worker, and errors in one line."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from commandline import run
from uncollapse import DataError, Objective, SourceError, UncollapseError, diagnose, forecast, open_probe
from uncollapse.commands.cluster import check_workers, refuse_here
from uncollapse.data.shared import shared_array
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.measure.observe import observe

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("dask.distributed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
SCALES = [4.0, 2.0, 1.0, 0.5, 0.2]


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as local,
        distributed.Client(local),
    ):
        yield local


@pytest.fixture
def client(cluster):
    return distributed.default_client()


@pytest.fixture
def x(rng):
    return rng.standard_normal((3000, len(SCALES))) * SCALES + 3


def same(one, other) -> None:
    np.testing.assert_allclose(one.critical_betas, other.critical_betas, rtol=1e-9)
    first, second = one.spectrum.global_threshold, other.spectrum.global_threshold
    np.testing.assert_allclose(first.level, second.level, rtol=1e-9)
    np.testing.assert_allclose(first.interval, second.interval, rtol=1e-9)


def written(x, folder, kind: str) -> str:
    path = folder / f"x.{kind}"
    if kind == "npy":
        np.save(path, x)
    elif kind == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table({f"c{i}": column for i, column in enumerate(x.T)})
        parquet.write_table(table, path, row_group_size=700)
    else:
        import zarr

        zarr.create_array(path, data=x, chunks=(640, 2))
    return str(path)


@pytest.mark.parametrize("kind", ["npy", "parquet", "zarr"])
def test_workers_read_the_blocks_themselves_and_both_thresholds_are_those_of_one_machine(
    client, x, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr("uncollapse.data.blocks.BLOCK_ENTRIES", 700 * len(SCALES))
    monkeypatch.setattr("uncollapse.data.shared.chunk_rows", lambda d: 700)
    array = shared_array(written(x, tmp_path, kind))
    assert array.numblocks[0] >= 4
    np.testing.assert_array_equal(array.compute(), x)
    same(forecast(array, beta=2.0), forecast(x, beta=2.0))


def test_an_array_of_images_is_read_as_rows(client, rng, tmp_path):
    images = rng.standard_normal((60, 3, 4))
    np.save(tmp_path / "images.npy", images)
    np.testing.assert_array_equal(shared_array(str(tmp_path / "images.npy")).compute(), images.reshape(60, 12))


def _slow(block):
    time.sleep(0.2)
    return block


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(client, cluster, x):
    slow = da.from_array(x, chunks=(150, -1)).map_blocks(_slow, dtype=x.dtype, meta=np.empty((0, 0)))
    name = next(iter(client.scheduler_info()["workers"]))
    killer = threading.Timer(0.8, lambda: client.restart_workers([name], timeout=60))
    killer.start()
    found = forecast(slow, beta=2.0)
    killer.join()
    same(found, forecast(x, beta=2.0))


def test_a_model_of_a_user_s_own_file_is_measured_on_the_workers(client, x, tmp_path):
    torch = pytest.importorskip("torch")
    (tmp_path / "halved.py").write_text(
        "import torch\n"
        "FACTOR = 2.0\n"
        "class Halved(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.to_z, self.back = torch.nn.Linear(5, 4), torch.nn.Linear(2, 5)\n"
        "    def encode(self, x):\n"
        "        return (self.to_z(x) / FACTOR).chunk(2, 1)\n"
        "    def decode(self, z):\n"
        "        return self.back(z)\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return Halved().double()\n"
    )
    assert torch
    probe = open_probe(f"{tmp_path / 'halved.py'}:build", spread="log_variance")
    here, there = observe(probe, x), observe(probe, da.from_array(x, chunks=(400, 3)))
    np.testing.assert_allclose(there.measurement.sums.kl, here.measurement.sums.kl, rtol=1e-10)
    np.testing.assert_allclose(there.measurement.sums.mean_square, here.measurement.sums.mean_square, rtol=1e-9)
    np.testing.assert_array_equal(there.measurement.sums.below, here.measurement.sums.below)
    np.testing.assert_array_equal(there.x, here.x)  # the same sample, so the bill is on the same rows
    o = Objective(beta=1.0)
    answers = [diagnose(probe, data, objective=o, budget=0.0) for data in (x, da.from_array(x, chunks=(700, 5)))]
    assert answers[0].cause == answers[1].cause
    assert answers[0].decoder.elbo == pytest.approx(answers[1].decoder.elbo, rel=1e-9)
    for one, other in zip(*(answer.bill.tried for answer in answers), strict=True):
        assert one.gain == pytest.approx(other.gain, rel=1e-6, abs=1e-9)


def test_rows_of_a_condition_go_along(client, x):
    c = x[:, :1] ** 2

    def encode(rows, given):
        return rows[:, :2] / 2 + given, np.ones((len(rows), 2))

    probe = open_probe((encode, lambda z, given: np.hstack([z, z, given])), spread="std")
    here = observe(probe, x, given=c)
    there = observe(probe, da.from_array(x, chunks=(500, -1)), given=da.from_array(c, chunks=(900, 1)))
    np.testing.assert_allclose(there.measurement.sums.kl, here.measurement.sums.kl, rtol=1e-10)
    np.testing.assert_array_equal(there.given, here.given)


def test_rows_that_are_not_finite_are_named_and_left_out(client, x):
    probe = open_probe(
        (lambda x: (x[:, :2], np.ones((len(x), 2))), lambda z: np.hstack([z, z, z[:, :1]])), spread="std"
    )
    x[1234, 2] = np.nan
    with pytest.raises(DataError, match="NaN or infinite, the first in row 1234, column 2 "):
        observe(probe, da.from_array(x, chunks=(500, -1)))
    found = observe(probe, da.from_array(x, chunks=(500, -1)), drop_nonfinite=True)
    assert found.measurement.n_samples == len(x) - 1


def test_intervals_of_workers_are_as_wide_as_those_of_one_machine(client, x):
    f = forecast(x, beta=2.0)
    here, there = bootstrap(x, f, n_samples=400), bootstrap(da.from_array(x, chunks=(500, -1)), f, n_samples=400)
    ratio = np.diff(there.critical_betas[:3]) / np.diff(here.critical_betas[:3])
    assert ((ratio > 0.6) & (ratio < 1.6)).all()  # each width is known to some 10 %
    with pytest.raises(DataError, match="2999 rows came where the forecast saw 3000"):
        bootstrap(da.from_array(x[1:], chunks=(500, -1)), f, n_samples=10)


def test_the_command_gives_the_numbers_of_one_machine(cluster, x, tmp_path):
    path = written(x, tmp_path, "npy")
    words = ("forecast", path, "--beta", "2", "--bootstrap", "0", "--json", "-")
    here, there = run(*words), run(*words, "--scheduler", cluster.scheduler_address)
    assert there.returncode == 0, there.stderr
    one, other = json.loads(here.stdout), json.loads(there.stdout)
    betas = [[mode["critical_beta"] for mode in facts["modes"]] for facts in (one, other)]
    np.testing.assert_allclose(*betas, rtol=1e-9)
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-9)
    assert one["global_threshold"] == pytest.approx(other["global_threshold"], rel=1e-9)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch, tmp_path, x):
    result = run("forecast", written(x, tmp_path, "npy"), "--scheduler", "tcp://127.0.0.1:1")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "no Dask scheduler answers there" in result.stderr


def test_a_worker_that_lacks_a_package_is_named(client, cluster):
    worker = next(iter(client.scheduler_info()["workers"]))
    with pytest.raises(UncollapseError, match="lacks no_such_package; install it there") as caught:
        check_workers(client, "tcp://here", ("numpy", "no_such_package"))
    assert "\n" not in str(caught.value)
    client.run(_pretend, workers=[worker])
    try:
        with pytest.raises(UncollapseError, match=f"worker {worker} has other versions: numpy 0.0.1 there, "):
            check_workers(client, "tcp://here", ("numpy",))
    finally:
        client.run(_stop_pretending, workers=[worker])


def _pretend():
    import numpy

    numpy.real_version, numpy.__version__ = numpy.__version__, "0.0.1"


def _stop_pretending():
    import numpy

    numpy.__version__ = numpy.real_version


def test_a_cluster_without_workers_is_one_line():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        distributed.Client(empty, set_as_default=False) as lonely,
        pytest.raises(UncollapseError, match="no worker is connected to it; start some"),
    ):
        check_workers(lonely, "tcp://here", ("numpy",), seconds=0.2)


def test_what_cannot_run_on_a_cluster_says_so(tmp_path, x):
    with pytest.raises(UncollapseError, match="--nonlinear, --pilot: works on this machine's own copy"):
        refuse_here("tcp://here", nonlinear=True, pilot=True, modes=False)
    refuse_here(None, nonlinear=True)
    np.savetxt(tmp_path / "x.csv", x[:5], delimiter=",")
    with pytest.raises(SourceError, match="is read from its beginning on, so workers cannot share it"):
        shared_array(str(tmp_path / "x.csv"))


def test_a_path_that_a_worker_does_not_see_is_said(client, tmp_path, x):
    path = tmp_path / "x.npy"
    np.save(path, x)
    first, second = shared_array(str(path)), shared_array(str(path))
    path.unlink()
    with pytest.raises(SourceError, match=r"no such file.* on worker tcp://.*every worker must see the path"):
        forecast(first)
    np.save(path, x[:, :3])
    with pytest.raises(SourceError, match="is another file on worker"):
        forecast(second)


def test_a_model_that_cannot_be_sent_is_one_line(client, x):
    lock = threading.Lock()
    probe = open_probe((lambda x: (x[:, :2], lock and np.ones((len(x), 2))), lambda z: z), spread="std")
    with pytest.raises(DataError, match="cannot be sent to the workers: TypeError"):
        observe(replace(probe, name="the model"), da.from_array(x, chunks=(500, -1)))


def test_diagnose_and_sweep_work_on_the_cluster_that_is_named(cluster, x, tmp_path):
    pytest.importorskip("torch")
    path, folder = written(x, tmp_path, "npy"), str(tmp_path / "vae")
    where = ("--scheduler", cluster.scheduler_address)
    trained = run("train", path, "--latents", "2", "--epochs", "2", "--out", folder)
    assert trained.returncode == 0, trained.stderr
    words = ("diagnose", folder, path, "--budget", "0", "--json", "-")
    here, there = run(*words), run(*words, *where)
    assert there.returncode == 0, there.stderr
    one, other = json.loads(here.stdout), json.loads(there.stdout)
    assert one["cause"] == other["cause"]
    assert one["n_samples"] == other["n_samples"] == len(x)
    for kind in ("n_alive", "n_earning"):
        assert one[kind] == other[kind]
    swept = run("sweep", path, "--latents", "1,2", "--epochs", "1", "--out", str(tmp_path / "many"), *where)
    assert swept.returncode == 0, swept.stderr
    assert "2 trainings." in swept.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("forecast", "iris", "--pilot", "--scheduler", "tcp://here:1"), "--pilot: works on this machine's own copy"),
        (("forecast", "iris", "--modes", "2", "--scheduler", "tcp://here:1"), "--modes: works on this machine's own"),
        (("forecast", "iris", "--device", "cpu"), "--device is for what is trained or run"),
        (("diagnose", "vae", "iris", "--verify", "--scheduler", "tcp://here:1"), "--verify: works on this machine's"),
        (("diagnose", "vae", "iris", "--device", "cpu", "--scheduler", "tcp://here:1"), "--device: works on this"),
        (("sweep", "iris", "--out", "many", "--scheduler", "nowhere"), "no Dask scheduler answers there"),
        (("train", "iris", "--out", "one", "--device", "cuda:77"), "device cuda:77: no such device here; PyTorch sees"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(words, says, tmp_path):
    result = run(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
