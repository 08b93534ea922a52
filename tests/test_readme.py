"""What README and docs show is what happens."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MADE = {"command.md", "results.md"}
"""Pages that `make docs` writes."""


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
    tables = re.findall(r"`(uncollapse [^`]* [^`]*)`", README + (ROOT / "docs" / "which.md").read_text("utf-8"))
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md") if page.name not in MADE]
    lines = re.findall(r"^(uncollapse .*)$", "\n".join(pages), flags=re.MULTILINE)
    return sorted({*tables, *lines})


@pytest.mark.parametrize("command", commands())
def test_every_command_shown_runs(command, tmp_path, rng):
    x = rng.random((200, 20)) ** np.linspace(0.2, 3, 20)
    for name in ("data.npy", "inputs.npy"):
        np.save(tmp_path / name, x)
    np.save(tmp_path / "outputs.npy", x[:, :5] ** 2)
    np.save(tmp_path / "counts.npy", rng.poisson(5 * x) + 1)
    images = (rng.random((100, 5, 5)) * 255).astype(np.uint8)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(header + images.tobytes())
    words = [sys.executable, "-m", "uncollapse.cli", *shlex.split(command)[1:]]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    for option, path in pairwise(words):
        assert option not in ("--out", "--html") or (tmp_path / path).exists()


def test_files_named_in_the_docs_exist():
    table = (ROOT / "docs" / "theory.md").read_text("utf-8")
    for name in re.findall(r"`((?:theory|data|report)?/?[a-z_]+\.py)(?:::[^`]*)?`", table):
        assert (ROOT / "src" / "uncollapse" / name).exists() or (ROOT / "tests" / name).exists(), name
    for name in re.findall(r"`test_optimum\.py::(\w+)`", table):
        assert name in (ROOT / "tests" / "test_optimum.py").read_text("utf-8")
