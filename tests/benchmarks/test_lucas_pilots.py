"""The pilots of Lucas et al.'s Table 1: settings that are said to change do, and the lines say what was trained."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pilots(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = pytest.importorskip("lucas_pilots")
    monkeypatch.setattr(module, "LATENTS", 3)
    return module


@pytest.fixture
def tiny(pilots):
    return replace(pilots.BASE, name="tiny", hidden=(6,), epochs=4, images=120, batch=40, multiplication="float32")


def _lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def pixels(rng, n=120):
    signal = rng.standard_normal((n, 3)) @ rng.standard_normal((3, 9)) - 4.0
    return (signal + 0.1 * rng.standard_normal((n, 9))).astype(np.float32)


def test_a_pilot_is_measured_four_times_with_its_settings_beside(pilots, tiny, rng):
    lines = pilots.train(tiny, pixels(rng))
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["steps"] for line in lines] == [3, 6, 9, 12]
    assert all(line["hidden"] == "6" and line["row"] == "σ² = 1" for line in lines)
    for line in lines:  # σ² = 1: the ELBO from its own tuned σ² and KL
        misfit = 9 * line["tuned σ²"]
        assert line["ELBO"] == pytest.approx(-misfit / 2 - 4.5 * np.log(2 * np.pi) - line["KL"], rel=1e-4)


@pytest.mark.parametrize("change", [
    {"coordinates": "axes"}, {"encoder_sees": "centred"}, {"decoder_predicts": "centred"}, {"start": "glorot"},
    {"clip": 0.01}, {"rate": 1e-2}, {"cooling": 2}, {"batch": 20}, {"multiplication": "bfloat16"},
])  # fmt: skip
def test_each_setting_changes_the_training(pilots, tiny, rng, change):
    x = pixels(rng)
    plain, changed = (pilots.train(pilot, x)[-1]["ELBO"] for pilot in (tiny, replace(tiny, **change)))
    assert plain != changed


def test_a_centred_decoder_starts_nearer_to_data_far_from_zero(pilots, tiny, rng):
    x = pixels(rng)
    far, near = (pilots.train(replace(tiny, decoder_predicts=what), x)[0] for what in ("as it is", "centred"))
    assert near["ELBO under the linear optimum's"] < far["ELBO under the linear optimum's"]


def test_the_optimal_rule_has_sigma_at_its_optimum_all_along(pilots, tiny, rng):
    lines = pilots.train(replace(tiny, row=9, sigma_rule="optimal"), pixels(rng))
    for line in lines:
        assert line["ELBO"] == pytest.approx(line["σ²-tuned ELBO"], rel=1e-4)


def test_lines_replace_older_ones_of_their_name_and_keep_the_others(pilots, monkeypatch, tmp_path, rng):
    monkeypatch.setattr(pilots, "OUT", tmp_path / "pilots.csv")
    first, second = (replace(pilots.PILOTS[i], hidden=(4,), epochs=2, batch=60) for i in (0, 1))
    x = pixels(rng)
    for pilot in (second, first, second):
        pilots._write(pilot.name, pilots.train(pilot, x))
    names = [row["name"] for row in _lines(tmp_path / "pilots.csv")]
    assert names == [first.name] * 2 + [second.name] * 2


def test_every_kept_line_belongs_to_a_pilot_of_the_script(pilots):
    known = {pilot.name: pilot for pilot in pilots.PILOTS}
    assert len(known) == len(pilots.PILOTS)
    rows = _lines(pilots.OUT)
    for row in rows:
        pilot = known[row["name"]]
        written = (row["row"], float(row["rate"]), row["hidden"], int(row["batch"]), row["start"])
        assert written == (pilot.case.name, pilot.rate, "-".join(map(str, pilot.hidden)), pilot.batch, pilot.start)
    assert {row["name"] for row in rows} == set(known)
