"""`uncollapse diagnose`: whose loss counts, what is written, and mistakes in one line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from commandline import run
from diagnosed import two_modes
from uncollapse import UncollapseError, forecast
from uncollapse.commands.diagnose_command import diagnose

MODELS = """
import numpy as np
from uncollapse import Objective
from uncollapse.probes import CallableProbe

with np.load("weights.npz") as file:
    w = dict(file)

def known(**settings):
    return CallableProbe(
        lambda x: (x @ w["encoder"] + w["encoder_bias"], np.broadcast_to(w["std"], (len(x), 3))),
        lambda z: z @ w["decoder"].T + w["decoder_bias"],
        spread="std",
        name="known",
        objective=Objective(**{"n_latents": 3, "beta": 0.25, **settings}),
    )

def silent():
    from dataclasses import replace
    return replace(known(), objective=None)

def dead():
    from dataclasses import replace
    encoder = lambda x: (np.zeros((len(x), 3)), np.ones((len(x), 3)))
    decoder = lambda z: np.tile(w["decoder_bias"], (len(z), 1))
    return replace(silent(), encoder=encoder, decoder=decoder)

def as_written():
    from dataclasses import replace
    return replace(known(), objective=Objective.from_loss("mse", kl_weight=0.5, n_latents=3))

def broken():
    raise OSError("no weights here")
"""


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """The linear optimum at β = 0.25 as a model of three latents, its rows, and other tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "models_here", raising=False)
    x = two_modes(rng)
    w = forecast(x, n_latents=3, beta=0.25).weights
    kept = {name: value for name, value in asdict(w).items() if isinstance(value, np.ndarray)}
    np.savez(tmp_path / "weights.npz", std=kept.pop("encoder_std"), **kept)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "narrow.npy", x[:, :3])
    (tmp_path / "models_here.py").write_text(MODELS)
    return tmp_path


@pytest.fixture
def answer(folder, capsys):
    """The JSON of a call."""

    def ask(model="known", source="x.npy", **options):
        diagnose(f"models_here:{model}", source, json_to="-", **options)
        return json.loads(capsys.readouterr().out)

    return ask


def test_the_models_own_loss_is_used_and_json_has_every_key(answer):
    facts = answer()
    assert {
        "source", "model", "n_samples", "n_latents", "n_alive", "forecast_alive", "water_level", "kl_per_latent",
        "active_units", "mutual_information", "elbo", "linear_elbo", "linear_gap", "residual", "collapse_curve",
        "cause", "confidence", "verdict", "evidence", "remedies", "trials", "notes",
    } <= set(facts)  # fmt: skip
    assert (facts["water_level"], facts["n_latents"], facts["n_alive"], facts["forecast_alive"]) == (0.25, 3, 3, 3)
    assert facts["linear_gap"] == pytest.approx(0, abs=0.2)
    assert not [note for note in facts["notes"] if "not the model's own" in note]


def test_a_loss_that_disagrees_with_the_models_own_wins_and_is_told(answer):
    facts = answer(beta=100.0)
    assert facts["water_level"] == 100
    assert facts["forecast_alive"] == 0
    assert any("β = 100" in note and "not the model's own (β = 0.25" in note for note in facts["notes"])
    agreeing = answer(recon="mse", half=True, kl_weight=0.25)
    assert agreeing["water_level"] == 0.25
    assert not [note for note in agreeing["notes"] if "not the model's own" in note]


def test_a_loss_as_code_writes_it_is_answered_in_its_words(answer):
    facts = answer("dead", reduction="mean", kl_weight=2.0)
    assert facts["water_level"] == 5  # half of five features, twice
    assert facts["n_alive"] == facts["forecast_alive"] == 0
    assert any("kl_weight 2 → " in remedy["change"] for remedy in facts["remedies"])
    averaged = answer("silent", kl_reduction="mean", half=True)
    assert averaged["water_level"] == pytest.approx(1 / 3)  # over the model's own latents
    assert answer("as_written")["water_level"] == 0.25


def test_what_belongs_to_the_model_stays_when_its_loss_is_given(answer):
    assert answer(no_bias=True)["water_level"] == 0.25
    assert answer("silent", decoder_variance="0.5", beta=2.0)["water_level"] == 1.0


def test_a_model_at_rest_with_another_weight_is_asked_for_its_loss_and_promised_nothing(answer):
    facts = answer(beta=8.0)
    assert (facts["cause"], facts["confidence"]) == ("other-loss", "low")
    assert facts["implied_weight"]["implied"] == pytest.approx(0.25, rel=0.05)
    assert "its KL weight seems to be 0.2" in facts["remedies"][0]["change"]
    assert all(remedy["expected_alive"] is None for remedy in facts["remedies"])


def test_a_model_that_cannot_be_trained_here_is_diagnosed_all_the_same(answer):
    facts = answer("dead", beta=8.0, verify=True)
    assert facts["trials"] == []
    assert any(note.startswith("not verified: ") for note in facts["notes"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "models_here:silent"}, "does not say what it was trained on"),
        ({"model": "models_here:broken"}, "no weights here"),
        ({"model": "models_here:absent"}, "no function 'absent'"),
        ({"model": "not_here:f"}, "cannot be imported"),
        ({"model": "nowhere"}, "no such file or folder"),
        ({"source": "narrow.npy"}, "encoder"),
        ({"source": "nothing.npy"}, "no such file"),
        ({"beta": -1.0}, "beta must be a positive number"),
        ({"recon": "mse", "decoder_variance": "2"}, "not both"),
        ({"spread": "sigma"}, "sigma"),
        ({"rows": 1}, "--rows must be 2 or more"),
        ({"steps": 0}, "--steps must be 2 or more"),
        ({"input_shape": "1,x"}, "--input-shape: expected whole numbers"),
        ({"json_to": "x.npy"}, "is also an input"),
        ({"json_to": "no/such.json"}, "does not exist"),
    ],
)
def test_a_mistake_is_one_line(options, message, folder):
    call = {"model": "models_here:known", "source": "x.npy", **options}
    with pytest.raises(UncollapseError) as caught:
        diagnose(**call)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "model", ["", " ", ".", "round", "round/there", "~nobody/model", "x" * 5000, ":f", "os:", "os:sep"]
)
def test_a_model_that_is_none_is_one_line_in_a_folder_whose_links_run_in_a_circle(model, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "round").symlink_to("about")
    (folder / "about").symlink_to("round")
    with pytest.raises(UncollapseError) as caught:
        diagnose(model, "x.npy", json_to="out.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not (folder / "out.json").exists()


def test_the_command_prints_the_verdict_first_and_writes_whole_files(folder):
    result = run("diagnose", "models_here:known", "x.npy", "--json", "a.json", "--html", "a.html", cwd=folder)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("At this loss all 3 latents can live")
    assert max(map(len, lines)) <= 80
    assert json.loads((folder / "a.json").read_text("utf-8"))["source"] == "x.npy"
    assert (folder / "a.html").read_text("utf-8").rstrip().endswith("</html>")
    failed = run("diagnose", "models_here:silent", "x.npy", cwd=folder)
    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (2, "", 1)
    assert "--kl-weight" in failed.stderr


def test_a_trained_model_from_its_folder_to_a_remedy_that_was_tried(folder):
    words = ("x.npy", "--latents", 3, "--beta", 20, "--epochs", 8, "--out", "m")
    assert run("train", *words, cwd=folder).returncode == 0
    over = run("diagnose", "m", "x.npy", "--json", "m/result.json", cwd=folder)
    assert over.returncode == 2
    assert "is also an input" in over.stderr
    result = run("diagnose", "m", "x.npy", "--verify", "--steps", 200, "--json", "-", cwd=folder)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["water_level"] == 20
    assert facts["forecast_alive"] == 0
    assert len(facts["trials"]) == 1
    assert facts["trials"][0]["change"] in [remedy["change"] for remedy in facts["remedies"]]


@pytest.mark.parametrize("output", ["json_to", "html_to"])
def test_the_models_own_source_is_never_written_over(folder, output):
    before = (folder / "models_here.py").read_bytes()
    kind = str if output == "json_to" else Path
    with pytest.raises(UncollapseError, match="models_here.py: is also an input"):
        diagnose("models_here:known", "x.npy", **{output: kind("models_here.py")})
    assert (folder / "models_here.py").read_bytes() == before


@pytest.mark.parametrize("scale", [float("nan"), 0.0, float("inf")])
def test_a_scale_that_leaves_nothing_is_refused_before_reading(folder, scale):
    with pytest.raises(UncollapseError, match="--scale must be a finite number other than 0"):
        diagnose("nothing:there", "missing.npy", scale=scale)
