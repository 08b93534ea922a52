"""`uncollapse train TEXT --decoder …` as a user runs it."""

from __future__ import annotations

import pytest

from commandline import run
from uncollapse.sequences import load


@pytest.fixture
def text(tmp_path, rng):
    lines = ["".join(rng.choice(list("abcde"), size=rng.integers(2, 9))) for _ in range(60)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_it_trains_and_writes_a_folder_that_can_be_read(text, tmp_path):
    done = run("train", text, "--decoder", "window:2", "--latents", "3", "--epochs", "4", "--width", "16", "--encoder",
               "positions", "--word-dropout", "0.2", "--schedule", "linear", "--warm-up", "2", "--beta", "0.5",
               "--free-bits", "0.1", "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 3 latents live after 4 epochs, on the fifth held out." in done.stdout
    assert "nats per token" in done.stdout
    setup = load(tmp_path / "out").setup
    assert (setup.decoder.name, setup.decoder.width, setup.encoder) == ("window:2", 16, "positions")
    assert (setup.beta, setup.warm_up, setup.word_dropout, setup.free_bits) == (0.5, 0.5, 0.2, 0.1)
    assert (setup.n_latents, setup.training.epochs) == (3, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoder", "window:-1"], "a decoder is gru, transformer or window:K with K = 0, 1, 2, …, got 'window:-1'"),
        (["--decoder", "gru", "--hidden", "3"], "--hidden does not go with --decoder; leave it out"),
        (["--decoder", "gru", "--likelihood", "poisson"], "--likelihood does not go with --decoder"),
        (["--width", "3"], "--width is of sequences; name their decoder too"),
        (["--decoder", "gru", "--schedule", "tanh"], "as constant or linear, got 'tanh'"),
        (["--decoder", "gru", "--warm-up", "3"], "--warm-up goes with --schedule linear"),
        (["--decoder", "gru", "--schedule", "linear", "--epochs", "3"], "--warm-up 10 is longer than the 3 epochs"),
        (["--decoder", "gru", "--encoder", "cnn"], "encoder must be one of gru, positions, counts"),
    ],
)
def test_what_does_not_go_together_is_one_line(words, message, text, tmp_path):
    done = run("train", text, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_source_without_sequences_is_one_line(text, tmp_path):
    for source, message in ((tmp_path / "none.txt", "no such file"), (tmp_path / "few.txt", "are too few; give 10")):
        (tmp_path / "few.txt").write_text("a\nb\n", encoding="utf-8")
        done = run("train", source, "--decoder", "gru", "--out", tmp_path / "out")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr
