"""Every study of Wang & Ziyin 2022 at its quick size, and its central claim."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from uncollapse.studies import STUDIES, Request, Result, run_study, wang_ziyin
from uncollapse.studies.wang_ziyin_mnist import collapse_beta
from uncollapse.training import Network

BY_NAME = {study.name: study for study in STUDIES if study.name.startswith("wang-")}


def quick(name: str, out, data=None) -> Result:
    result = run_study(BY_NAME[name], Request("quick", data), out)
    with open(out / "table.csv") as file:
        assert len(list(csv.DictReader(file))) == len(result.rows)
    assert json.loads((out / "summary.json").read_text())["verdict"] == result.verdict
    assert (out / "figure.svg").stat().st_size > 0
    assert {"paper", "ours", "theory"} <= set(result.rows[0])
    return result


def picked(result: Result, quantity: str, **case: object) -> list[dict]:
    return [
        row
        for row in result.rows
        if row["quantity"].startswith(quantity) and all(row[name] == value for name, value in case.items())
    ]


def test_every_figure_and_table_has_a_study():
    assert set(BY_NAME) == {f"wang-fig-{i}" for i in (1, 2, 3, 4, 5)} | {"wang-table-1"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tolerance"), [("wang-fig-1", 2e-2), ("wang-fig-4", 1e-3), ("wang-fig-5", 2e-2)])
def test_regression_follows_the_theory_and_collapses_at_its_beta(name, tolerance, tmp_path):
    result = quick(name, tmp_path)
    (collapse,) = picked(result, "complete collapse")
    assert collapse["ours"] == pytest.approx(collapse["theory"], rel=0.05)
    losses = picked(result, "loss")
    assert len(losses) == 7
    assert [row["ours"] for row in losses] == pytest.approx([row["theory"] for row in losses], rel=tolerance)
    for row in picked(result, "mean σ"):
        assert row["ours"] == pytest.approx(row["theory"], abs=0.05)
    assert result.verdict == "reproduced"


@pytest.mark.slow
def test_other_first_weights_are_tried_where_the_first_end_off_the_line(monkeypatch):
    monkeypatch.setattr(wang_ziyin, "OTHER_SEEDS", (1, 2))
    result = wang_ziyin._regression(Request(), wang_ziyin.Kind("linear", Network(encoder_variance="data"), 0.0))
    others = picked(result, wang_ziyin.OTHERS)
    assert len(others) == 2 * 7  # no loss is exactly on the line
    assert [row["ours"] for row in others] == pytest.approx([row["theory"] for row in others], rel=1e-2)
    assert len({row["ours"] for row in others}) == len(others)
    assert result.verdict == "reproduced in part"
    assert "0 of 2 (lowest loss" in result.because


@pytest.mark.slow
def test_five_regimes_of_a_learned_decoder_variance(tmp_path):
    result = quick("wang-table-1", tmp_path)
    settled = [row for row in picked(result, "decoder variance") if row["theory"] is not None]
    assert [row["ours"] for row in settled] == pytest.approx([row["theory"] for row in settled], rel=0.01)
    assert {row["regime"] for row in settled} >= {"no collapse", "partial collapse", "complete collapse"}
    with_residual = [row for row in settled if row["residual"] == "counted" and row["paper"] is not None]
    assert all(abs(row["paper"] / row["theory"] - 1) > 0.2 for row in with_residual)
    assert all(
        row["ours"] == row["theory"]
        for row in picked(result, "alive")
        if row["regime"] in {r["regime"] for r in settled}
    )
    runaway, *flat = [row["ours"] for row in picked(result, "decoder variance", latents=4, residual="none")]
    assert runaway < 1e-3
    assert max(flat) > 1.5 * min(flat)
    assert np.ptp([row["ours"] for row in picked(result, "loss", latents=4, residual="none")][1:]) < 1e-3


@pytest.mark.slow
def test_mnist_collapses_at_the_predicted_beta_and_the_linear_count_is_reported(mnist_dir, tmp_path):
    result = quick("wang-fig-2", tmp_path, mnist_dir)
    collapse = picked(result, "complete collapse", training="warm-up")[0]
    assert collapse["ours"] == pytest.approx(collapse["theory"], rel=0.05)
    critical = collapse["theory"]
    alive = {(row["training"], row["beta"] > critical): row for row in picked(result, "alive")}
    assert alive["warm-up", True]["ours"] == alive["plain", True]["ours"] == 0
    assert alive["warm-up", False]["ours"] >= 1
    for kind in ("plain", "warm-up"):
        assert picked(result, "top residual", training=kind)
        (dead,) = [row for row in picked(result, "top residual", training=kind) if row["beta"] > critical]
        assert dead["ours"] == pytest.approx(critical, rel=0.02)  # nothing is explained: the strength itself


@pytest.mark.slow
def test_samples_vary_less_as_beta_grows_and_hardly_at_the_end(mnist_dir, tmp_path):
    result = quick("wang-fig-3", tmp_path, mnist_dir)
    spread = [row["ours"] for row in picked(result, "variance of samples")]
    assert len(spread) == 6
    assert spread[0] > spread[3] > spread[5]
    assert spread[5] < 1e-2 * spread[0]
    assert picked(result, "modes left", beta=6.0)[0]["ours"] == 0


def test_where_collapse_begins():
    betas = np.array([1.0, 2.0, 3.0, 5.0])
    assert collapse_beta(betas, np.array([True, False, True, False])) == 4.0
    assert np.isnan(collapse_beta(betas, np.array([True, True, True, True])))
    assert np.isnan(collapse_beta(betas, np.zeros(4, bool)))
