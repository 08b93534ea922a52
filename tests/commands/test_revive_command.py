"""`uncollapse revive`: a folder with a better model, or the word that there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of ours that was stopped early, and its rows."""
    place = tmp_path_factory.mktemp("revive")
    rng = np.random.default_rng(0)
    np.save(place / "x.npy", rng.standard_normal((900, 3)) @ rng.standard_normal((3, 64)))
    done = run("train", "x.npy", "--latents", "4", "--hidden", "16", "--epochs", "2", "--out", "vae", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def test_a_better_model_is_written_and_said(folder):
    done = run("revive", "vae", "x.npy", "--out", "better", "--json", "facts.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Loss ")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert {p.name for p in (folder / "better").iterdir()} == {"additions.safetensors", "revived.json", "report.html"}
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["schema"] == "uncollapse.revived/1"
    assert facts["loss_after"] < facts["loss_before"]
    html = (folder / "better" / "report.html").read_text()
    assert len(html) < 1.5e6
    assert "data:image/bmp" in html


def test_training_goes_on(folder):
    done = run("revive", "vae", "x.npy", "--out", "on", "--train", "3", "--json", "-", cwd=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["trained"]["loss_after"] < facts["trained"]["loss_before"]
    assert (folder / "on" / "trained.safetensors").is_file()


NOTHING = """
import numpy as np
from uncollapse import Objective
from uncollapse.probes import CallableProbe

def build():
    dead = lambda x: (np.zeros((len(x), 2)), np.ones((len(x), 2)))
    return CallableProbe(dead, lambda z: np.zeros((len(z), 64)), spread="std", objective=Objective(n_latents=2))
"""


def test_nothing_to_gain_writes_nothing(folder):
    x = 0.1 * np.random.default_rng(1).standard_normal((900, 64))
    np.save(folder / "noise.npy", x - x.mean(axis=0))
    (folder / "nothing_model.py").write_text(NOTHING)
    done = run("revive", "nothing_model:build", "noise.npy", "--out", "none", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("There is nothing to gain")
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["revive", "vae", "x.npy"],
        ["revive", "nowhere", "x.npy", "--out", "o"],
        ["revive", "vae", "nowhere.npy", "--out", "o"],
        ["revive", "vae", "x.npy", "--out", ""],
        ["revive", "vae", "x.npy", "--out", "x.npy"],
        ["revive", "vae", "x.npy", "--out", "o", "--budget", "nan"],
        ["revive", "vae", "x.npy", "--out", "o", "--rows", "1"],
        ["revive", "vae", "x.npy", "--out", "o", "--scale", "0"],
        ["revive", "vae", "x.npy", "--out", "o", "--train", "-1"],
    ],
)
def test_mistakes_end_in_one_line(folder, words):
    done = run(*words, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
