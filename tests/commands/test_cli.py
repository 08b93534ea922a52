"""The command as a user runs it: one process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from commandline import forecast_json, run


def test_json_alone_on_standard_output_with_every_key():
    answer = forecast_json("digits", "--beta", "2", "--latents", "16")
    assert {
        "n_samples", "n_features", "n_targets", "total_energy", "residual_energy", "objective", "water_level", "status",
        "n_alive", "critical_beta", "loss", "elbo", "modes",
    } <= set(answer)  # fmt: skip
    assert {"beta", "decoder_variance", "decoder_variance_learned", "prior_variance", "n_latents"} <= set(
        answer["objective"]
    )
    mode = answer["modes"][0]
    assert {"index", "strength", "critical_beta", "alive", "kl", "distortion", "encoder_std", "above_noise"} <= set(
        mode
    )
    assert (answer["n_samples"], answer["n_features"], answer["n_alive"], answer["status"]) == (1797, 64, 16, "alive")
    assert mode["index"] == 1
    assert answer["elbo"] == pytest.approx(-answer["loss"] - 32 * np.log(2 * np.pi))


def test_mnist_at_the_papers_setting(mnist_dir):
    source = mnist_dir / "train-images-idx3-ubyte.gz"
    answer = forecast_json(source, "--scale", 1 / 255, "--beta", 3.5, "--latents", 5)
    strengths = [mode["strength"] for mode in answer["modes"][:5]]
    np.testing.assert_allclose(strengths, [5.1168, 3.7413, 3.2527, 2.8416, 2.5671], atol=5e-5)
    assert answer["total_energy"] == pytest.approx(52.725, abs=5e-4)
    assert (answer["n_alive"], answer["status"]) == (2, "partial")


def test_a_loss_as_code_writes_it():
    answer = forecast_json("digits", "--recon", "mse", "--reduction", "mean", "--kl-weight", "1", "--latents", "8")
    assert answer["water_level"] == 32
    same = forecast_json("digits", "--beta", "32", "--latents", "8")
    assert same["n_alive"] == answer["n_alive"]
    text = run("forecast", "digits", "--reduction", "mean", "--latents", "30").stdout
    assert "kl_weight below" in text
    averaged = forecast_json("digits", "--kl-reduction", "mean", "--latents", "8", "--half")
    assert averaged["water_level"] == pytest.approx(1 / 8)
    summed = forecast_json("digits", "--reduction", "mean", "--kl-batch-sum", "128")
    assert summed["water_level"] == 128 * 32


def test_bernoulli_is_an_estimate_and_says_so():
    answer = forecast_json("digits", "--recon", "bce", "--scale", 1 / 16)
    assert not answer["exact"]
    assert answer["loss"] is None
    text = run("forecast", "digits", "--recon", "bce", "--scale", 1 / 16, "--beta", "3").stdout
    assert text.startswith("About ")
    said = " ".join(text.split())
    assert f"That collapse is stable from β = {answer['critical_beta']:.4g} on is exact. The number alive is an" in said
    assert "Exact for linear" not in said


def test_a_target_and_learned_variances(tmp_path, rng):
    x = rng.standard_normal((300, 4))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x @ rng.standard_normal((4, 6)) + rng.standard_normal((300, 6)))
    answer = forecast_json(
        tmp_path / "x.npy", "--target", tmp_path / "y.npy", "--decoder-variance", "learned", "--latents", 3
    )
    assert (answer["n_features"], answer["n_targets"]) == (4, 6)
    assert answer["objective"]["decoder_variance_learned"]
    assert answer["objective"]["decoder_variance"] == pytest.approx(answer["distortion"] / 6)  # d loss/d variance = 0
    assert answer["residual_energy"] > 0
    assert answer["intervals"]["n_alive"][0] <= answer["n_alive"] <= answer["intervals"]["n_alive"][1]


def test_an_ill_posed_objective_is_an_answer():
    answer = forecast_json("iris", "--decoder-variance", "learned", "--beta", "0.5")
    assert answer["status"] == "ill-posed"
    assert answer["loss"] is None
    text = run("forecast", "iris", "--decoder-variance", "learned", "--beta", "0.5").stdout
    assert text.startswith("This objective is ill-posed")


@pytest.mark.parametrize(
    "words",
    [
        ["digits"],
        ["digits", "--latents", "30", "--decoder-variance", "10"],
        ["digits", "--beta", "1000"],
        ["wine", "--encoder-variance", "0.5,0.1,2"],
        ["iris", "--latents", "9", "--no-bias", "--bootstrap", "0"],
        ["iris", "--latents", "1"],
        ["breast-cancer", "--decoder-variance", "learned", "--latents", "4"],
    ],
)
def test_the_terminal_output_fits_eighty_columns_and_begins_with_the_verdict(words):
    result = run("forecast", *words)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "will live" in lines[0] + lines[1] or "collapse" in lines[0].lower() + lines[1]
    assert "water" in result.stdout
    assert "critical β" in result.stdout


def test_files_are_written_whole(tmp_path):
    result = run("forecast", "iris", "--json", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "a.json").read_text())["source"] == "iris"
    assert (tmp_path / "a.html").read_text().rstrip().endswith("</html>")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.html", "a.json"]


def bad_calls(path) -> dict[str, list]:
    x = np.ones((30, 3))
    x[7, 1] = np.nan
    np.save(path / "nan.npy", x)
    np.save(path / "flat.npy", np.zeros(5))
    np.save(path / "short.npy", np.random.default_rng(0).standard_normal((29, 2)))
    np.save(path / "fine.npy", np.random.default_rng(0).standard_normal((30, 2)))
    np.save(path / "complex.npy", np.zeros((3, 2), complex))
    np.save(path / "one.npy", np.zeros((1, 2)))
    return {
        "1 value(s) are NaN or infinite, the first in row 7, column 1": ["nan.npy"],
        "reshape to (samples, features)": ["flat.npy"],
        "29": ["fine.npy", "--target", "short.npy"],
        "complex": ["complex.npy"],
        "--bootstrap must be 0, for no intervals, or 2 to 100,000, got -4": ["fine.npy", "--bootstrap", "-4"],
        "--bootstrap must be 0, for no intervals, or 2 to 100,000, got 1": ["fine.npy", "--bootstrap", "1"],
        "only 1 row(s)": ["one.npy"],
        "no such file": ["nothing.npy"],
        "beta must be a positive number": ["iris", "--beta", "-1"],
        "beta must be a positive number ": ["iris", "--beta", "nan"],
        "decoder_variance must be": ["iris", "--decoder-variance", "0"],
        "expected a number or 'learned'": ["iris", "--decoder-variance", "big"],
        "n_latents must be": ["iris", "--latents", "0"],
        "prior_variance must be": ["iris", "--prior-variance", "0"],
        "recon must be one of mse, bce": ["iris", "--recon", "mae"],
        "not both": ["iris", "--recon", "mse", "--decoder-variance", "2"],
        "leave [0, 1]": ["iris", "--recon", "bce"],
        "scale must be": ["iris", "--scale", "0"],
        "is a directory": ["iris", "--html", "."],
        "does not exist": ["iris", "--json", "no/such/folder.json"],
        "n_modes must be": ["iris", "--modes", "0"],
    }


def test_mistakes_end_in_one_line_and_exit_code_two(tmp_path):
    for message, words in bad_calls(tmp_path).items():
        result = run("forecast", *words, cwd=tmp_path)
        assert result.returncode == 2, words
        assert result.stdout == "", words
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert message.strip() in result.stderr, words
        assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob("*.json"))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can create files")
def test_an_unwritable_folder_is_refused():
    result = run("forecast", "iris", "--html", "/proc/self/a.html")
    assert result.returncode == 2
    assert "/proc/self/a.html" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_rows_that_are_not_finite_can_be_left_out(tmp_path, rng):
    x = rng.standard_normal((30, 3))
    x[7, 1] = np.nan
    np.save(tmp_path / "nan.npy", x)
    answer = forecast_json(tmp_path / "nan.npy", "--drop-nonfinite")
    assert answer["n_samples"] == 29
    assert any("left out 1 of 30 rows" in note for note in answer["warnings"])


def test_help_and_version():
    assert "--kl-weight" in run("forecast", "--help").stdout
    assert run("--version").stdout.strip().count(".") == 2


@pytest.mark.parametrize("width", [40, 60, 132])
def test_a_command_is_as_wide_as_columns_says(width):
    words = [sys.executable, "-m", "uncollapse.cli", "forecast", "iris", "--latents", "3"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "COLUMNS": str(width)}, check=True)
    widest = max(len(line.rstrip()) for line in done.stdout.splitlines())
    assert min(width, 80) - 20 < widest <= width


@pytest.mark.parametrize("option", ["--level-betas", "--beta", "--encoder-variance", "--level-variances"])
def test_a_long_value_is_cut_in_the_message(option):
    done = run("forecast", "iris", option, "a" * 3000)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 500
