"""Every study of Dang et al. 2024, and what its summary asks for, at the quick preset; and what they share."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from uncollapse import forecast
from uncollapse.objective import Objective
from uncollapse.studies import STUDIES
from uncollapse.studies.dang_common import n_modes_carried, pairs, quarter_and_rest
from uncollapse.studies.dang_converged import converged, half_as_long
from uncollapse.studies.further import gaussian
from uncollapse.studies.study import Request, run_study
from uncollapse.training import Network, Schedule, Setup, Training

BY_NAME = {study.name: study for study in STUDIES if study.name.startswith(("dang-", "further-"))}
EXACT = [
    "dang-linear-vae",
    "dang-linear-vae-fixed",
    "dang-cvae-linear",
    "dang-cvae-correlation",
    "dang-mhvae-linear",
    "dang-theorems",
    "further-partly-learned",
    "further-first-three",
]
SAMPLED = [
    "dang-vae-relu",
    "dang-cvae-relu",
    "dang-mhvae-relu",
    "dang-cvae-digits",
    "dang-mhvae-samples",
    "dang-mhvae-cnn",
    "further-other-data",
    "further-boundary",
]


def _run(name: str, mnist_dir: Path, out: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    study = BY_NAME[name]
    run_study(study, Request("quick", mnist_dir if study.needs_data else None), out)
    assert (out / "figure.svg").stat().st_size > 0
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"paper", "ours", "theory"} <= set(rows[0]) or "quantity" in rows[0]
    return json.loads((out / "summary.json").read_text()), rows


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def test_the_two_lists_are_all_studies() -> None:
    assert set(EXACT) | set(SAMPLED) == set(BY_NAME)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_linear_studies_agree_with_theory_to_a_thousandth_in_loss(name: str, mnist_dir: Path, tmp_path: Path) -> None:
    summary, rows = _run(name, mnist_dir, tmp_path)
    if name == "dang-theorems":  # a dead mode just under the water takes longer to vanish than `quick` has
        values = [float(row["difference"]) for row in rows if row["quantity"] != "loss"]
        assert max(values) < 0.1
    else:
        assert summary["verdict"] == "reproduced", summary["because"]
    losses = [row for row in rows if row.get("quantity", "loss") == "loss"]
    if "loss ours" in rows[0] and name != "dang-cvae-correlation":  # there the closed form reaches 0
        np.testing.assert_allclose(_column(rows, "loss ours"), _column(rows, "loss theory"), rtol=1e-3)
    elif name.startswith("dang") and name != "dang-cvae-correlation":
        np.testing.assert_allclose(_column(losses, "ours"), _column(losses, "theory"), rtol=1e-3)
    else:
        assert _column(rows, "relative difference").max() < 1e-3


@pytest.mark.slow
def test_relu_cvae_collapses_more_with_larger_beta_and_eta(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("dang-cvae-relu", mnist_dir, tmp_path)
    for varied in "βη":
        kls = _column([row for row in rows if row["varied"] == varied], "KL ours")
        assert (np.diff(kls) < 0).all()
    assert rows[-1]["ours"] == "0"  # at η = 2 all but the mean is under water


@pytest.mark.slow
def test_fixed_sigma_leaves_no_latent_idle(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("dang-vae-relu", mnist_dir, tmp_path)
    learned, fixed = [[row for row in rows if row["Σ"] == kind] for kind in ("learned", "fixed")]
    assert all(row["ours"] == "16" for row in fixed)
    assert _column(learned, "least carried by a latent").min() < _column(fixed, "least carried by a latent").min()


@pytest.mark.slow
def test_upper_level_of_the_relu_hierarchy_carries_less_as_its_beta_grows(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("dang-mhvae-relu", mnist_dir, tmp_path)
    kls = _column([row for row in rows if row["varied"] == "β2"], "z2 KL ours")
    assert (np.diff(kls) < 0).all()


@pytest.mark.slow
def test_linear_cvae_of_each_digit_is_at_the_closed_form(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("dang-cvae-digits", mnist_dir, tmp_path)
    linear = [row for row in rows if row["network"] == "linear"]
    np.testing.assert_allclose(_column(linear, "loss ours"), _column(linear, "loss theory (linear)"), rtol=1e-3)
    assert min(linear, key=lambda row: float(row["KL ours"]))["digit"] == "1"  # of 0, 1, 7 the most alike


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dang-mhvae-samples", "dang-mhvae-cnn"])
def test_hierarchies_tell_both_levels(name: str, mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run(name, mnist_dir, tmp_path)
    at = {(float(row["beta1"]), float(row["beta2"])): float(row["z2 KL ours"]) for row in rows}
    largest = max(beta for _, beta in at)
    assert at[1.0, largest] < at[1.0, 1.0]


@pytest.mark.slow
def test_map_of_collapse_equals_theory_on_linear_models(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("further-boundary", mnist_dir, tmp_path)
    linear = [row for row in rows if row["model"].startswith("linear")]
    assert [row["ours"] for row in linear] == [row["theory"] for row in linear]
    for model in ("ReLU, constant β", "ReLU, from below", "tanh, constant β"):
        own = [row for row in rows if row["model"] == model]
        assert int(own[0]["ours"]) > 0  # well below the predicted β
        assert int(own[-1]["ours"]) == 0  # 5 % above it
    first, second = (float(row["beta"]) for row in rows if row["model"].startswith("any network"))
    assert first == pytest.approx(float(np.linalg.eigvalsh(np.cov(gaussian(2000, 5).T, ddof=0))[-1]), rel=1e-5)
    assert first <= second < 1.1 * first  # of Gaussian rows the two are one


@pytest.mark.slow
def test_other_data_collapse_where_forecast(mnist_dir: Path, tmp_path: Path) -> None:
    _, rows = _run("further-other-data", mnist_dir, tmp_path)
    linear = [row for row in rows if row["network"] == "linear" and row["loss theory"]]
    assert [row["ours"] for row in linear] == [row["theory"] for row in linear]
    np.testing.assert_allclose(_column(linear, "loss ours"), _column(linear, "loss theory"), rtol=1e-3)
    counts = [row for row in rows if row["critical beta"]]
    assert int(counts[0]["ours"]) > 0  # at half the predicted β
    assert int(counts[-1]["ours"]) == 0  # 5 % above it


def test_columns_of_a_converged_network_are_those_of_its_own_rows(rng: np.random.Generator) -> None:
    x = rng.standard_normal((300, 4)) * np.array([3.0, 1.0, 0.5, 0.2])
    training = Training(epochs=4, cooling=2, schedule=Schedule("linear", warmup=1.6))
    objective = Objective(n_latents=2, bias=False)
    p, columns = converged(objective, Network(hidden=(4,)), training, (x, None), (x, None))
    assert p.trained.n_epochs == 4
    assert columns["loss held out, ours"] == pytest.approx(columns["loss ours"])
    # the linear optimum's loss by its weights, against the closed form
    assert columns["loss held out, linear optimum"] == pytest.approx(columns["loss theory (linear)"], rel=1e-5)
    assert columns["KL ours"] == pytest.approx(p.evaluation.kl.sum())
    assert columns["ours"] == p.evaluation.n_alive


def test_half_as_long_keeps_the_shape_of_the_training() -> None:
    whole = Training(epochs=10, cooling=5, schedule=Schedule("linear", warmup=4))
    half = half_as_long(whole)
    assert (half.epochs, half.cooling, half.schedule.warmup) == (5, 2, 2.0)
    assert half.learning_rate == whole.learning_rate


@pytest.mark.parametrize("masked", [False, True])
def test_no_pictures_have_no_quarters(masked) -> None:
    corner, rest = quarter_and_rest(np.empty((0, 4, 4)), masked=masked)  # none are held out at `full`
    assert (corner.shape, rest.shape) == ((0, 4), (0, 16 if masked else 12))


def test_quarter_is_the_bottom_left_one_and_nothing_is_lost() -> None:
    picture = np.arange(16.0).reshape(1, 4, 4)
    corner, rest = quarter_and_rest(picture)
    assert corner.tolist() == [[8, 9, 12, 13]]
    assert sorted([*corner[0], *rest[0]]) == list(range(16))
    _, masked = quarter_and_rest(picture, masked=True)
    assert (masked[0][[8, 9, 12, 13]] == 0).all()
    assert masked.sum() == rest.sum()


def test_modes_are_counted_whatever_the_rotation_of_equal_latents(rng: np.random.Generator) -> None:
    # latents of one fixed width may share the only living mode: two coordinates move, one mode lives
    x = rng.standard_normal((400, 3)) * np.array([3.0, 0.3, 0.2])
    objective = Objective(n_latents=2, encoder_variance=0.5)
    (p,) = pairs([Setup(objective, training=Training(estimator="analytic", learning_rate=0.02, epochs=10))], x)
    assert forecast(x, objective=objective).n_alive == 1
    assert n_modes_carried(p, x) == 1
