"""`uncollapse diagnose MODEL TEXT` as a user runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run

OWN = """
import torch
from torch import nn


class Mine(nn.Module):
    def __init__(self, n=30, h=12, latents=3):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.read, self.head = nn.Embedding(n, h), nn.GRU(h, h, batch_first=True), nn.Linear(h, 2 * latents)
        self.write, self.out = nn.GRU(h + latents, h, batch_first=True), nn.Linear(h, n)

    def encode(self, tokens, mask):
        return self.head(self.read(self.embed(tokens))[0][:, -1]).chunk(2, 1)

    def decode(self, tokens, z):
        before = nn.functional.pad(self.embed(tokens)[:, :-1], (0, 0, 1, 0))
        return self.out(self.write(torch.cat([before, z[:, None].expand(-1, tokens.shape[1], -1)], 2))[0])


def with_tokenizer():
    return Mine(), lambda line: [ord(c) % 30 for c in line]


class Peeking(Mine):
    def decode(self, tokens, z):
        return self.out(self.embed(tokens.flip(1)))
"""


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "mine.py").write_text(OWN, "utf-8")
    words = ["".join(rng.choice(list("abcdefg"), rng.integers(3, 12))) for _ in range(400)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n", "utf-8")
    np.save(tmp_path / "ids.npy", rng.integers(0, 7, (60, 5)))
    return tmp_path


def test_a_folder_that_train_wrote(folder):
    made = run("train", "words.txt", "--decoder", "gru", "--width", "8", "--beta", "5", "--epochs", "3", "--out", "f",
               cwd=folder)  # fmt: skip
    assert made.returncode == 0, made.stderr
    done = run("diagnose", "f", "words.txt", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "the objective does not let them live" in said[:110]
    assert "the fifth that was held out is used" in said
    assert "→ β 5 →" in said
    assert "sequences 80, " in said
    assert max(map(len, done.stdout.splitlines())) <= 80
    (folder / "other.txt").write_text("abc\n" * 90, "utf-8")
    facts = json.loads(run("diagnose", "f", "other.txt", "--json", "-", "--beta", "2", cwd=folder).stdout)
    assert (facts["beta"], facts["source"], facts["spectrum"]["n_samples"]) == (2.0, "other.txt", 90)
    assert any("not the sequences of its training" in note for note in facts["notes"])


def test_a_model_of_ones_own(folder):
    done = run("diagnose", "mine.py:Mine", "words.txt", "--json", "facts.json", "--inject", "write", cwd=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads((folder / "facts.json").read_text("utf-8"))
    assert facts["name"] == "Mine"
    assert {facts["spectrum"]["place"], facts["other"]["place"]} == {"z", "model.write"}
    assert facts["headline"] in " ".join(done.stdout.split())
    assert run("diagnose", "mine.py:with_tokenizer", "words.txt", cwd=folder).returncode == 0
    arrays = run("diagnose", "mine.py:Mine", "ids.npy", "--sequences", "--rows", "50", "--longest", "4", cwd=folder)
    assert arrays.returncode == 0, arrays.stderr
    assert "50, 200 tokens" in arrays.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mine.py:Peeking", "words.txt"], "the decoder is not causal"),
        (["mine.py:Mine", "none.txt"], "none.txt: no such file"),
        (["mine.py:none", "words.txt"], "has no 'none'"),
        (["mine.py:Mine", "words.txt", "--inject", "nowhere"], "the decoder has no submodule 'nowhere'; it has embed"),
        (["mine.py:Mine", "words.txt", "--spread", "std"], "--spread does not go with sequences; leave it out"),
        (["mine.py:Mine", "words.txt", "--html", "none/a.html"], "none/a.html"),
        (["mine.py:Mine", "words.txt", "--verify"], "--verify does not go with sequences"),
        (["mine.py:Mine", "words.txt", "--json", "words.txt"], "words.txt"),
        (["mine.py:Mine", "words.txt", "--rows", "3"], "n_sequences must be a whole number from 16"),
        (["mine.py:Mine", "ids.npy", "--inject", "out"], "--inject is of sequences: a text, or --sequences"),
        ([".", "words.txt"], "no such file"),
    ],
)
def test_what_does_not_go_is_one_line(words, message, folder):
    done = run("diagnose", *words, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_language_model_is_sent_to_forecast(folder):
    from uncollapse.data.tokens import open_tokens
    from uncollapse.sequences import SequenceTraining, save, train_language_model

    save(train_language_model(open_tokens(str(folder / "words.txt")), "window:1", SequenceTraining(1)), folder / "lm")
    done = run("diagnose", "lm", "words.txt", cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "a language model has no latents" in done.stderr
