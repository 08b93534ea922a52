"""`uncollapse forecast TEXT --decoder FILE:FUNCTION`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from commandline import run

OWN = """
import torch
from torch import nn


class Bigram(nn.Module):
    def __init__(self, n=30):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.back = nn.Embedding(n, 4), nn.Linear(4, n)

    def forward(self, x):
        return self.back(self.embed(x))


def with_tokenizer():
    return Bigram(), lambda line: [ord(c) % 30 for c in line]


def failing():
    raise RuntimeError("no weights")


def bad_tokenizer():
    return Bigram(), lambda line: line[99]


class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        self.inject = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return torch.distributions.Normal(self.inject(torch.zeros_like(x)), 1.0)
"""


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    (tmp_path / "mine.py").write_text(OWN, "utf-8")
    words = ["".join(rng.choice(list("abcdefg"), rng.integers(3, 12))) for _ in range(200)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n", "utf-8")
    (tmp_path / "words.jsonl").write_text("\n".join(json.dumps({"text": word}) for word in words), "utf-8")
    np.save(tmp_path / "images.npy", rng.standard_normal((200, 16)))
    return tmp_path


@pytest.mark.parametrize("source", ["words.txt", "words.jsonl"])
@pytest.mark.parametrize("function", ["Bigram", "with_tokenizer"])
def test_text_is_read_and_the_answer_comes_first(folder, source, function):
    done = run("forecast", folder / source, "--decoder", f"{folder}/mine.py:{function}", "--html", folder / "r.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("A latent added at embed lives below β = ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "What the decoder leaves for a latent to say" in (folder / "r.html").read_text("utf-8")


def test_numbers_in_the_shape_of_a_sample(folder):
    words = ("--decoder", f"{folder}/mine.py:Pixels", "--input-shape", "1,4,4", "--json", "-")
    done = run("forecast", folder / "images.npy", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["width"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["words.txt", "mine.py:failing"], "the function failed: RuntimeError: no weights"),
        (["words.txt", "mine.py:bad_tokenizer"], "the tokenizer failed: IndexError"),
        (["words.txt", "mine.py:nothing"], "has no 'nothing'"),
        (["nothing.txt", "mine.py:Bigram"], "no such file"),
        (["words.txt", "mine.py:Bigram", "--pilot"], "--pilot: with --decoder the loss is the decoder's own"),
        (["words.txt", "mine.py:Bigram", "--inject", "elsewhere"], "has no submodule 'elsewhere'; it has embed, back"),
        (["images.npy", "mine.py:Pixels", "--input-shape", "3,3"], "the data have 16 numbers a sample"),
        (["words.txt", "mine.py:Bigram", "--beta", "0"], "beta"),
        (["words.txt", "mine.py:Bigram", "--longest", "0"], "longest"),
    ],
)
def test_mistakes_are_one_line(folder, words, message):
    source, function, *more = words
    done = run("forecast", folder / source, "--decoder", f"{folder}/{function}", *more)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
