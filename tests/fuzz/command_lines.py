"""Command lines of any words: an answer, or exit code 2 and one line on standard error."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from fuzz.outcomes import Attempt, clear
from uncollapse import UncollapseError
from uncollapse.cli import main

__all__ = ["command_lines"]

VALUES = [
    "1", "2", "0", "-1", "0.5", "1e20", "1e400", "1e-400", "nan", "inf", "", " ", "x", "1,2", "1,learned", "learned",
    ",", "1,,2", "--beta", "0x10", "१", "9" * 400, "a" * 5000, "\u2028", "None", "True", "1e3", "3.0", "2,2", "poisson",
    "bernoulli", "gaussian", "mse", "bce", "mean", "sum", "total", "optimal", "/nowhere/x", "~nobody-there/x", ".", "/",
]  # fmt: skip
COMMANDS = ["forecast", "forecast", "forecast", "diagnose", "revive", "train", "sweep", "reproduce", "", "fly"]
MODELS = ["nothing", "", "no_module:build", "LOOP", "DATA", "a:b:c", "os:getcwd", "x" * 3000]
SOURCES = [
    "iris", "iris", "iris", "DATA", "nothing.npy", "", "LOOP", "LABELS", "x" * 3000, "DATA::x", "~nobody/a.npy",
    "PHOTOS", "PHOTOS::2,grey", "PHOTOS::0", "PHOTOS::skip-broken", "PHOTOS::x", "s-{0..2}.tar", "{", "{1..}.tar::png",
]  # fmt: skip
OPTIONS = {
    "forecast": [
        "--beta", "--latents", "--decoder-variance", "--encoder-variance", "--prior-variance", "--scale", "--recon",
        "--reduction", "--kl-weight", "--kl-reduction", "--batch-size", "--likelihood", "--dispersion",
        "--size-factors", "--target", "--given", "--modes", "--bootstrap", "--level-betas", "--level-variances",
        "--learning-rate", "--features", "--kl-batch-sum", "--seed",
    ],
    "diagnose": [
        "--beta", "--recon", "--scale", "--spread", "--input-shape", "--rows", "--target", "--given", "--budget",
    ],
    "revive": ["--beta", "--recon", "--scale", "--spread", "--input-shape", "--rows", "--budget", "--train", "--out"],
    "train": ["--beta", "--latents", "--hidden", "--cooling", "--learning-rate", "--likelihood", "--batch-size"],
    "sweep": ["--beta", "--latents", "--jobs", "--backend", "--seeds", "--epochs", "--decoder-variance"],
    "reproduce": ["--preset", "--out"],
}  # fmt: skip
FLAGS = ["--no-bias", "--drop-nonfinite", "--nonlinear", "--help", "--list", "--half", "--trust", "--verify"]


@cache
def place() -> Path:
    """A folder with a table, labels, images, and two links that point at each other."""
    folder = Path(tempfile.mkdtemp(prefix="uncollapse-fuzz-"))
    np.save(folder / "data.npy", np.random.default_rng(0).random((30, 3)))
    np.save(folder / "labels.npy", np.arange(5))
    (folder / "photos").mkdir()
    for i in range(6):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (3, 2, 3), dtype=np.uint8)).save(
            folder / "photos" / f"{i}.png"
        )
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder


def source_of(word: str) -> str:
    """Names that stand for files of the folder."""
    names = {"DATA": "data.npy", "LABELS": "labels.npy", "LOOP": "a", "PHOTOS": "photos"}
    head, _, tail = word.partition("::")
    return str(place() / names[head]) + (f"::{tail}" if tail else "") if head in names else word


def run(words: list[str]) -> tuple[int, str, str]:
    """The command in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["uncollapse", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(place()):
            main()
        code: Any = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def flaw(answer: tuple[int, str, str]) -> str:
    """What is wrong with an exit, or ""."""
    code, out, err = answer
    if code == 0:
        return "" if out or err else "exit 0 and not a word"
    if code != 2:
        return f"exit code {code}"
    lines = [line for line in err.strip().splitlines() if line and not line.startswith("uncollapse: warning")]
    if len(lines) != 1 or not clear(lines[0]):
        return f"exit 2 with {len(lines)} lines: {err[:200]!r}"
    if out.strip() and "say what to do" not in err:  # without a word it prints the help too
        return f"exit 2 after an answer: {out[:80]!r}"
    raise UncollapseError(lines[0])


@st.composite
def command_lines(draw: st.DrawFn) -> Attempt:
    """A subcommand (or none), a source, and up to four options with values."""
    command = draw(st.sampled_from(COMMANDS))
    words = [command] if command else []
    if command in ("diagnose", "revive"):
        words.append(draw(st.sampled_from(MODELS)))
    words += [draw(st.sampled_from(SOURCES))] if command in ("forecast", "diagnose", "revive", "train", "sweep") else []
    options = OPTIONS.get(command, OPTIONS["forecast"])
    for _ in range(draw(st.integers(0, 4))):
        words += [draw(st.sampled_from(options)), draw(st.sampled_from(VALUES))]
    words += draw(st.lists(st.sampled_from(FLAGS), max_size=1))
    if command in ("train", "sweep"):  # no long trainings: the options before the last of a kind are overruled
        words += ["--epochs", draw(st.sampled_from(["0", "1", "-1", "x"]))]
    words = [source_of(word) for word in words]
    return Attempt(f"uncollapse {' '.join(map(repr, words))}"[:400], lambda: run(words), flaw)
