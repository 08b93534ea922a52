"""`uncollapse sweep TEXT --decoder …` as a user runs it."""

from __future__ import annotations

import csv
import json

import pytest

from commandline import run

SHORT = ("--epochs", "2", "--width", "8", "--encoder", "counts")


@pytest.fixture
def text(tmp_path, rng):
    lines = ["".join(rng.choice(list("abcde"), size=rng.integers(2, 9))) for _ in range(60)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_it_prints_a_table_and_writes_three_files(text, tmp_path):
    out = tmp_path / "out"
    done = run("sweep", text, "--decoder", "window:0", "--beta", "0.5,4", "--latents", "1,2", "--seeds", "2", *SHORT,
               "--keep-models", "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("By λ a latent lives below β = ")
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {(row["beta"], row["n_latents"], row["seed"]) for row in rows} == {
        (beta, n, seed) for beta in ("0.5", "4.0") for n in ("1", "2") for seed in ("0", "1")
    }
    answer = json.loads((out / "result.json").read_text("utf-8"))
    assert answer["source"] == str(text)
    assert [cell["loss"] for cell in answer["cells"]] == [float(row["loss"]) for row in rows]
    assert len(list((out / "models").iterdir())) == 8
    assert "<h2>Each training</h2>" in (out / "figures.html").read_text("utf-8")
    again = run("sweep", text, "--decoder", "window:0", "--beta", "0.5,4", "--latents", "1,2", "--seeds", "2", *SHORT,
                "--keep-models", "--out", out)  # fmt: skip
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoder", "window:x"], "a decoder is gru, transformer or window:K"),
        (["--decoder", "gru", "--hidden", "3"], "--hidden does not go with --decoder; leave it out"),
        (["--decoder", "gru", "--jobs", "2"], "--jobs does not go with --decoder"),
        (["--decoder", "gru", "--decoder-variance", "1"], "--decoder-variance does not go with --decoder"),
        (["--decoder", "gru", "--beta", "a"], "--beta: expected numbers"),
        (["--decoder", "gru", "--beta", "0"], "beta must be"),
        (["--decoder", "gru", "--latents", "1.5"], "--latents: expected whole numbers"),
        (["--decoder", "gru", "--schedule", "tanh"], "as constant or linear, got 'tanh'"),
        (["--encoder", "gru"], "--encoder is of sequences; name their decoder too"),
    ],
)
def test_what_does_not_go_together_is_one_line(words, message, text, tmp_path):
    done = run("sweep", text, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
