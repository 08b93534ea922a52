"""Signals, kills, and an output that is full or closed: nothing is lost, nothing is left over, one line at most."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from seeds import SEED
from uncollapse.training import load

N_KILLS = int(os.environ.get("UNCOLLAPSE_KILLS", "12"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "COLUMNS": "80"}
UNMEASURED = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("COV")}
"""Without coverage, which could not write its own file where files must stay small."""
COMMAND = [sys.executable, "-m", "uncollapse.cli"]


def start(*words: object, **how) -> subprocess.Popen:
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT} | how
    return subprocess.Popen([*COMMAND, *map(str, words)], text=True, **how)


def finished(*words: object) -> None:
    running = start(*words)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said


@pytest.fixture
def x(tmp_path, rng) -> Path:
    np.save(tmp_path / "x.npy", (rng.standard_normal((120, 3)) @ rng.standard_normal((3, 5))).astype("f4"))
    return tmp_path / "x.npy"


def train_words(x: Path, out: Path, epochs: int = 600) -> list[object]:
    return ["train", x, "--out", out, "--latents", 2, "--hidden", 6, "--epochs", epochs, "--batch-size", 40]


def sweep_words(x: Path, out: Path) -> list[object]:
    return ["sweep", x, "--out", out, "--latents", 2, "--hidden", 6, "--epochs", 150, "--beta", "0.5,1,2",
            "--decoder-variance", "1,learned", "--keep-models"]  # fmt: skip


def temporary(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix == ".tmp" or path.name.startswith("tmp")]


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"),
                                                      (signal.SIGTERM, 143, "terminated")])  # fmt: skip
def test_a_signal_ends_a_training_in_one_line_and_keeps_its_epochs(x, tmp_path, number, code, word):
    out = tmp_path / "out"
    running = start(*train_words(x, out, 10**6))
    until = time.monotonic() + 60
    while not (out / ".checkpoint.safetensors.lock").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(4)
    sent = time.monotonic()
    running.send_signal(number)
    printed, said = running.communicate(timeout=20)
    assert time.monotonic() - sent < 3  # a second, and what a loaded machine adds
    assert (running.returncode, printed, said) == (code, "", f"uncollapse: {word}\n")
    assert load(out / "checkpoint.safetensors").n_epochs >= 1
    assert not temporary(out)


@pytest.mark.parametrize("words", [("forecast", "digits", "--bootstrap", "100000"), ("forecast", "digits", "--pilot")])
def test_a_signal_ends_a_forecast(words):
    running = start(*words)
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    printed, said = running.communicate(timeout=20)
    assert (running.returncode, printed, said) == (130, "", "uncollapse: interrupted\n")


@pytest.mark.parametrize("words", [("--help",), ("forecast", "iris"), ("forecast", "iris", "--json", "-"),
                                   ("train", "--help"), ("reproduce", "--list"), ("--version",)])  # fmt: skip
@pytest.mark.parametrize("kind", ["full", "closed", "no reader"])
def test_an_output_that_takes_nothing_is_one_line_or_none(words, kind):
    if kind == "full":
        with open("/dev/full", "w") as full:
            running = start(*words, stdout=full)
            _, said = running.communicate(timeout=60)
    elif kind == "closed":
        line = "exec " + " ".join([*COMMAND, *words]) + " >&-"
        running = subprocess.Popen(["sh", "-c", line], env=ENVIRONMENT, text=True, stderr=subprocess.PIPE)
        _, said = running.communicate(timeout=60)
    else:
        ours, theirs = os.pipe()
        os.close(ours)
        running = start(*words, stdout=theirs)
        os.close(theirs)
        _, said = running.communicate(timeout=60)
    assert running.returncode not in (0, 120)
    assert len(said.splitlines()) <= 1, said
    assert "Traceback" not in said


def killed_again_and_again(words: list[object], folder: Path, n_kills: int, longest: float, check) -> None:
    """Kill a command after random times, so many times; where it ends before that, it begins again from nothing."""
    chance, n_killed = random.Random(SEED), 0
    for _ in range(10 * n_kills):
        running = start(*words, env=UNMEASURED)
        try:
            running.communicate(timeout=chance.uniform(0.2, longest))
            shutil.rmtree(folder)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            n_killed += 1
        check()
        if n_killed == n_kills:
            return
    pytest.fail(f"killed {n_killed} times in {10 * n_kills} tries: it ends before it can be killed")


@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_as_if_it_never_was(x, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    began = time.monotonic()
    finished(*train_words(x, whole))
    longest = time.monotonic() - began

    def readable() -> None:
        if (broken / "checkpoint.safetensors").exists():
            load(broken / "checkpoint.safetensors")
        if (broken / "result.json").exists():
            json.loads((broken / "result.json").read_text())

    killed_again_and_again(train_words(x, broken), broken, N_KILLS // 2, longest, readable)
    finished(*train_words(x, broken))
    one, two = (json.loads((folder / "result.json").read_text()) for folder in (whole, broken))
    clock = ("seconds", "finished_at")
    assert {k: v for k, v in one.items() if k not in clock} == {k: v for k, v in two.items() if k not in clock}
    assert not temporary(broken)


@pytest.mark.slow
def test_a_sweep_killed_again_and_again_ends_as_if_it_never_was(x, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    began = time.monotonic()
    finished(*sweep_words(x, whole))
    longest = time.monotonic() - began

    def readable() -> None:
        for path in (broken / "cells").glob("*.json"):
            json.loads(path.read_text())
        for path in (broken / "models").glob("*.safetensors"):
            load(path)

    killed_again_and_again(sweep_words(x, broken), broken, N_KILLS // 2, longest, readable)
    finished(*sweep_words(x, broken))
    one, two = (parquet.read_table(folder / "results.parquet").to_pydict() for folder in (whole, broken))
    assert one["cell"] == two["cell"]
    assert set(two["status"]) == {"finished"}
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-4)  # cells are stacked as they are left over
    assert not temporary(broken)


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_full_disk_keeps_the_old_answer(tmp_path, option):
    path = tmp_path / "answer"
    path.write_text("old")
    running = start("forecast", "iris", "--bootstrap", 0, option, path, preexec_fn=small_files, env=UNMEASURED)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 2
    assert said == f"uncollapse: {path}: cannot be written: File too large\n"
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("answer", "old")]


@pytest.mark.parametrize("words", [train_words, sweep_words])
def test_a_full_disk_ends_training_in_one_line(x, tmp_path, words):
    running = start(*words(x, tmp_path / "out"), preexec_fn=small_files, env=UNMEASURED)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 2
    assert len(said.splitlines()) == 1, said
    assert "File too large" in said
    assert not temporary(tmp_path / "out")
