"""Sweeps: every cell once, whatever is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from uncollapse import DataError, Objective, OutputError
from uncollapse.cli import main
from uncollapse.files import locked
from uncollapse.training import Network, Setup, Training, grid, load, sweep, train
from uncollapse.training.cells import cell_id

BASE = Setup(Objective(n_latents=3), Network(hidden=(8,)), Training(epochs=3))


@pytest.fixture
def x(rng) -> np.ndarray:
    return (rng.standard_normal((120, 3)) @ rng.standard_normal((3, 5))).astype("f4")


def cell_files(out: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (out / "cells").glob("*.json")}


def test_a_sweep_has_a_row_for_every_cell(x, tmp_path):
    cells = grid(BASE, beta=(0.5, 2.0), decoder_variance=(1.0, "optimal", "learned"), seeds=2)
    assert len(cells) == 12
    columns = sweep(x, cells, tmp_path / "out", keep_models=True)
    table = parquet.read_table(tmp_path / "out" / "results.parquet").to_pydict()
    assert table["beta"] == columns["beta"] == [setup.objective.beta for setup in cells]
    assert table["seed"] == [0, 1] * 6
    assert set(table["decoder_variance_setting"]) == {"1.0", "optimal", "parameter"}
    assert set(table["status"]) == {"finished"}
    alone = train(x, objective=cells[0].objective, network=cells[0].network, training=cells[0].training)
    assert table["loss"][0] == pytest.approx(alone.evaluate(x).loss, rel=1e-4)
    model = load(tmp_path / "out" / "models" / f"{cell_id(cells[0])}.safetensors")
    assert model.evaluate(x).loss == table["loss"][0]


def test_the_forecasts_line_is_the_linear_optimum(x, tmp_path):
    fast = Training(estimator="analytic", learning_rate=0.03, epochs=30)
    cells = grid(Setup(Objective(n_latents=2), training=fast), beta=(0.5, 3.0), decoder_variance=(1.0, "learned"))
    columns = sweep(x, cells, tmp_path / "out")
    np.testing.assert_allclose(columns["loss"], columns["forecast_loss"], rtol=5e-3, atol=5e-3)
    assert columns["n_alive"] == columns["forecast_n_alive"]


def test_two_processes_find_what_one_does(x, tmp_path):
    cells = grid(BASE, beta=(0.5, 1.0, 2.0), seeds=2)
    one, two = (sweep(x, cells, tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    assert one["cell"] == two["cell"]
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-4)


def test_a_cell_that_fails_is_written_down_and_the_others_stand(x, tmp_path):
    wild = replace(BASE, training=Training(optimiser="sgd", learning_rate=50.0, epochs=3))
    plain = Setup(Objective(n_latents=3, decoder_variance="learned", beta=0.5), training=Training(warm_start=True))
    columns = sweep(x, [BASE, wild, plain], tmp_path / "out")
    assert columns["status"] == ["finished", "failed", "refused"]
    assert "learning rate" in columns["message"][1]
    assert "no optimal weights" in columns["message"][2]
    assert columns["loss"][2] is None


def test_the_folder_of_another_sweep_is_refused(x, tmp_path):
    out = tmp_path / "out"
    sweep(x, grid(BASE, beta=(0.5, 1.0)), out)
    before = cell_files(out)
    with pytest.raises(OutputError, match=r"other settings \(beta: 0.5, 1.0 → 0.5, 2.0\)"):
        sweep(x, grid(BASE, beta=(0.5, 2.0)), out)
    with pytest.raises(OutputError, match=r"other settings \(epochs: 3 → 4\)"):
        sweep(x, grid(replace(BASE, training=Training(epochs=4)), beta=(0.5, 1.0)), out)
    with pytest.raises(OutputError, match="other data"):
        sweep(x + 1, grid(BASE, beta=(0.5, 1.0)), out)
    assert cell_files(out) == before
    sweep(x, grid(BASE, beta=(0.5, 1.0)), out)
    assert cell_files(out) == before
    with pytest.raises(DataError, match="no poisson likelihood fits"):
        sweep(x, [BASE, replace(BASE, objective=Objective(likelihood="poisson"))], out)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made a folder"):
        sweep(x, [BASE], tmp_path / "file")


PROGRAM = """
import sys, numpy as np
from uncollapse import Objective
from uncollapse.training import *
if __name__ == "__main__":
    base = Setup(Objective(n_latents=3), Network(hidden=(8,)), Training(epochs=int(sys.argv[3])))
    cells = grid(base, beta=(0.5, 1.0, 2.0), hidden=((6,), (7,), (8,), (9,)))
    sweep(np.load(sys.argv[1]), cells, sys.argv[2], jobs=int(sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_sweep_goes_on(x, tmp_path, jobs):
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "program.py").write_text(PROGRAM)
    out = tmp_path / "out"
    words = [sys.executable, tmp_path / "program.py", tmp_path / "x.npy", out, "60", str(jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(words, env=environment, start_new_session=True)
    until = time.monotonic() + 120
    while len(list((out / "cells").glob("*.json"))) < 3 and running.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    before = cell_files(out)
    assert 3 <= len(before) < 12
    for _, content in before.values():
        json.loads(content)
    assert not (out / "results.parquet").exists()
    subprocess.run(words, env=environment, check=True)
    after = cell_files(out)
    assert len(after) == 12
    assert {name: after[name] for name in before} == before
    table = parquet.read_table(out / "results.parquet").to_pydict()
    assert len(set(table["cell"])) == 12
    assert set(table["status"]) == {"finished"}


def test_two_sweeps_at_once_in_one_folder_are_refused(x, tmp_path):
    with locked(tmp_path / ".lock", ""), pytest.raises(OutputError, match="another process works on this sweep"):
        sweep(x, [BASE], tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the cluster's own
def test_a_dask_cluster_loses_a_worker_and_no_cell(x, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    slow = replace(BASE, training=Training(epochs=40))
    cells = grid(slow, beta=(0.5, 1.0, 2.0), hidden=((6,), (7,), (8,), (9,)))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        import threading

        killed = []

        def kill_one():
            while len(list((tmp_path / "cells").glob("*.json"))) < 2:
                time.sleep(0.01)
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        columns = sweep(x, cells, tmp_path, backend="dask", jobs=-1)
        killer.join(10)
        assert killed
    assert columns["status"] == ["finished"] * 12
    assert len(cell_files(tmp_path)) == 12


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uncollapse.cli", *map(str, words)]
    environment = {**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_commands_train_and_sweep(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    words = [
        "train",
        tmp_path / "x.npy",
        "--out",
        tmp_path / "one",
        "--latents",
        3,
        "--analytic",
        "--learning-rate",
        0.05,
    ]
    first = run(*words, "--epochs", 4)
    assert first.returncode == 0, first.stderr
    assert "latents live after 4 epochs" in first.stdout
    more = run(*words, "--epochs", 6, "--cooling", 2)
    assert "after 6 epochs" in more.stdout
    facts = json.loads((tmp_path / "one" / "result.json").read_text())
    assert facts["loss"] == pytest.approx(facts["forecast"]["loss"], rel=1e-2)
    assert parquet.read_table(tmp_path / "one" / "history.parquet").num_rows == 6
    for told, changes in {"beta: 1.0 → 2.0": ("--epochs", 6, "--beta", 2), "epochs: 6 → 7": ("--epochs", 7)}.items():
        changed = run(*words, "--cooling", 2, *changes)
        assert changed.returncode == 2
        assert len(changed.stderr.strip().splitlines()) == 1
        assert told in changed.stderr

    words = ["sweep", tmp_path / "x.npy", "--out", tmp_path / "many", "--latents", "2,3", "--epochs", 2, "--seeds", 2]
    done = run(*words, "--beta", "0.5,1", "--decoder-variance", "1,learned", "--hidden", 8)
    assert done.returncode == 0, done.stderr
    assert "16 trainings." in done.stdout
    assert parquet.read_table(tmp_path / "many" / "results.parquet").num_rows == 16
    page = (tmp_path / "many" / "figures.html").read_text()
    assert "Latents alive" in page
    assert "forecast" in page


def test_mistakes_end_in_one_line(tmp_path, monkeypatch, capsys):
    def fails(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["uncollapse", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2, words
        return capsys.readouterr().err

    for message, words in {
        "activation must be one of relu, tanh, silu, got 'gelu'": ["train", "iris", "--activation", "gelu"],
        "no bernoulli likelihood fits": ["train", "iris", "--likelihood", "bernoulli"],
        "no poisson likelihood fits": ["sweep", "iris", "--likelihood", "poisson"],
        "expected numbers or learned or optimal": ["sweep", "iris", "--decoder-variance", "1,best"],
        "expected whole numbers": ["train", "iris", "--hidden", "a"],
        "learning_rate must be a positive number": ["train", "iris", "--learning-rate", 0],
        "from 0 to 5 (epochs, at most all of them), got 6": ["sweep", "iris", "--epochs", 5, "--cooling", 6],
        "no such file": ["sweep", "nothing.npy"],
    }.items():
        told = fails(*words, "--out", tmp_path / "out")
        assert message in told
        assert len(told.strip().splitlines()) == 1
    (tmp_path / "file").write_text("")
    assert "cannot be made a folder" in fails("train", "iris", "--out", tmp_path / "file")
