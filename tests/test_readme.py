"""What README and docs show is what happens."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uncollapse.diagnosis.result import CAUSES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
ELSEWHERE = (".onnx", "exported/", ".keras", "--scheduler")
"""In commands that need other libraries (tests/libraries) or a cluster (tests/commands/test_scheduler.py)."""

MADE = {"command.md", "results.md", "gallery.md", "strangers.md"}
"""Pages that scripts write."""


def test_the_python_example_prints_what_its_comments_say():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    comments = [line.split("# ")[1] for line in code.splitlines() if line.startswith("print(")]
    assert printed[0] == comments[0]
    promised = comments[1].split(": ")[1].rstrip(".")
    assert printed[1].startswith(promised)
    assert printed[2].startswith("[")


def test_the_output_shown_is_the_output_of_make_demo():
    (shown,) = re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)
    (words,) = re.findall(r"uncollapse (forecast digits.*) --html", (ROOT / "Makefile").read_text("utf-8"))
    command = [sys.executable, "-m", "uncollapse.cli", *words.split()]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.rstrip() for line in printed.splitlines()][: len(shown.splitlines())] == shown.rstrip(
        "\n"
    ).splitlines()


def commands() -> list[str]:
    """Those in tables, and those on a line of their own."""
    with_tables = README + "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("which.md", "index.md"))
    tables = re.findall(r"`(uncollapse [^`]* [^`]*)`", with_tables)
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md") if page.name not in MADE]
    lines = re.findall(r"^(uncollapse .*)$", "\n".join(pages), flags=re.MULTILINE)
    return sorted(line for line in {*tables, *lines} if not any(word in line for word in ELSEWHERE))


MY_MODEL = """
from torch import nn
from uncollapse.probes.examples import Pair

def build():
    model = Pair(nn.Linear(64, 4), nn.Linear(2, 64))
    model.encode = lambda x: model.encoder(x).chunk(2, dim=1)
    model.reparameterize = lambda mean, s: mean + (s / 2).exp() * mean.new_empty(mean.shape).normal_()
    return model
"""


MY_DECODER = """
from torch import nn

def build():
    return nn.Sequential(nn.Embedding(40, 8), nn.Linear(8, 40))
"""
MY_NETWORK = """
import torch
from torch import nn

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(20, 4), nn.Linear(2, 20)

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def reparameterize(self, mean, log_variance):
        return mean + torch.randn_like(mean) * (log_variance / 2).exp()

    def decode(self, z):
        return self.decoder(z)
"""


ANSWERS = {
    "uncollapse diagnose softplus.pth": "Cause: encoder-stuck",
    "uncollapse diagnose relu.pth": "Cause: encoder-stuck",
    "uncollapse diagnose coarse.pth": "spans 4 of 64 dimensions",
    "uncollapse diagnose early digits --scale 0.0625": "mutual information",
    "uncollapse revive coarse.pth": "linear path",
    "uncollapse loss losses.py:summed": "water level 0.00078",
    "uncollapse loss losses.py:free_nats": "a KL under 3 nats in all costs nothing",
    "uncollapse loss losses.py:of_means": "the variances' part",
    "uncollapse loss my_vae.py:loss digits": "water level 32",
    "uncollapse forecast digits --scale 0.0625 --latents 30 --free-bits-total 3": "8 of 30 latents will live",
    "uncollapse forecast digits --scale 0.0625 --recon mse --latents 8 --sweep --kl-budget 10": "10 nats",
    "uncollapse forecast digits --scale 0.0625 --recon mse --reduction mean --kl-weight 1": "will die",
}
"""What a command must say, by how it begins: the answers that docs/threads.md gives."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Folder with the first page's file of weights and its variants, each beside the file of its class."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copy(ROOT / "docs" / "my_vae.py", folder)
    subprocess.run([sys.executable, "my_vae.py"], check=True, cwd=folder)
    variants = _script("variants")
    for name in variants.FAULTS:
        variants.plant(folder, name)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a model as the pages train it, by its name."""
    folder = tmp_path_factory.mktemp("trained")

    def find(name: str, data: Path) -> Path:
        if not (folder / name).exists():
            (command,) = [
                shown for shown in commands() if shown.startswith("uncollapse train") and name in shown.split()
            ]
            words = [sys.executable, "-m", "uncollapse.cli", *shlex.split(command)[1:]]
            subprocess.run(words, capture_output=True, check=True, cwd=data)
            shutil.move(data / name, folder / name)
        return folder / name

    return find


@pytest.mark.parametrize("command", commands())
def test_every_command_shown_runs(command, tmp_path, rng, trained, request):
    _put_data_there(tmp_path, rng)
    words = [sys.executable, "-m", "uncollapse.cli", *shlex.split(command)[1:]]
    if "x.npy" in words:
        shutil.copytree(request.getfixturevalue("weights"), tmp_path, dirs_exist_ok=True)
    elif words[3] in ("diagnose", "revive") and ":" not in words[4]:
        shutil.copytree(trained(words[4], tmp_path), tmp_path / words[4])
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    for start, answer in ANSWERS.items():
        assert not command.startswith(start) or answer in " ".join(result.stdout.split())
    for option, path in pairwise(words):
        assert option not in ("--out", "--html") or (tmp_path / path).exists()


def _put_data_there(tmp_path, rng):
    x = rng.random((200, 20)) ** np.linspace(0.2, 3, 20)
    for name in ("data.npy", "inputs.npy"):
        np.save(tmp_path / name, x)
    np.save(tmp_path / "outputs.npy", x[:, :5] ** 2)
    np.save(tmp_path / "counts.npy", rng.poisson(5 * x) + 1)
    images = (rng.random((100, 5, 5)) * 255).astype(np.uint8)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(header + images.tobytes())
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i:03d}.png")
    (tmp_path / "my_model.py").write_text(MY_MODEL)
    (tmp_path / "my_decoder.py").write_text(MY_DECODER)
    (tmp_path / "my_network.py").write_text(MY_NETWORK)
    names = ["".join(rng.choice(list("abcdefghij"), rng.integers(3, 9))) for _ in range(200)]
    for name in ("names.txt", "molecules.smi"):
        (tmp_path / name).write_text("\n".join(names) + "\n")
    shutil.copy(ROOT / "docs" / "my_vae.py", tmp_path)
    threads = (ROOT / "docs" / "threads.md").read_text("utf-8")
    (tmp_path / "losses.py").write_text("".join(re.findall(r"```python\n(# losses.py\n.*?)```", threads, re.DOTALL)))


def _loss_shown():
    """The loss of docs/losses.md, the command that reads it, and the answer shown."""
    page = (ROOT / "docs" / "losses.md").read_text("utf-8")
    return re.search(r"\$ cat my_vae.py\n(.*?)\$ (uncollapse loss [^\n]*)\n(.*?)```", page, re.DOTALL).groups()


def test_the_loss_shown_is_read_as_shown(tmp_path):
    code, command, shown = _loss_shown()
    (tmp_path / "my_vae.py").write_text(code)
    words = [sys.executable, "-m", "uncollapse.cli", *shlex.split(command)[1:]]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert result.stdout == shown


def test_each_answer_is_that_of_a_command_shown():
    for start in ANSWERS:
        assert any(command.startswith(start) for command in commands()), start


def test_the_diagnoses_shown_are_those_that_are_made(tmp_path, trained, weights):
    examples = _script("show_examples")
    shown = [found for page in examples.PAGES for found in examples.BLOCK.findall(page.read_text("utf-8"))]
    ours = ("vae", "early")
    for name in ours:
        shutil.copytree(trained(name, tmp_path), tmp_path / name)
    shutil.copytree(weights, tmp_path, dirs_exist_ok=True)
    own = {command: text for command, text in shown if command.split()[2] in (*ours, "weights.pth")}
    assert len({command.split()[2] for command in own}) == len(ours) + 1
    for command, text in own.items():
        found = examples.answer(command, tmp_path)
        assert examples.words_of(found) == examples.words_of(text)


def test_the_first_page_has_every_cause():
    table = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE) == list(CAUSES)


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_and_tests_named_in_the_docs_exist():
    for page in (ROOT / "docs").glob("*.md"):
        for name, test in re.findall(
            r"`(?:tests/|src/uncollapse/)?(\w+/\w+\.py)(?:::(test_\w+))?", page.read_text("utf-8")
        ):
            places = [ROOT / folder / name for folder in ("src/uncollapse", "tests", "benchmarks", "")]
            (place,) = [place for place in places if place.exists()] or [None]
            assert place, f"{page.name} names {name}"
            assert f"def {test}" in place.read_text("utf-8") or not test, f"{page.name} names {name}::{test}"
