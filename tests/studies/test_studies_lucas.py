"""Lucas et al. 2019 at its smallest size, and the formulas behind its collapse measure."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats as st

from uncollapse import Objective
from uncollapse.studies import STUDIES
from uncollapse.studies.lucas_data import in_own_axes, logit_pixels
from uncollapse.studies.lucas_deep import FULL, MNIST, STANDARD
from uncollapse.studies.lucas_table import (
    Found,
    average,
    falls_with_noise,
    pairs_in_order,
    paper_offset,
    passes,
    train_centred,
)
from uncollapse.studies.study import Request, Result, run_study
from uncollapse.theory.posterior import collapsed_share, gaussian_kl, tuned_elbo

BY_NAME = {study.name: study for study in STUDIES}


@pytest.fixture
def quick(mnist_dir, tmp_path):
    def run(name: str) -> Result:
        pytest.importorskip("matplotlib")
        result = run_study(BY_NAME[name], Request("quick", mnist_dir), tmp_path)
        assert json.loads((tmp_path / "summary.json").read_text())["preset"] == "quick"
        assert (tmp_path / "table.csv").stat().st_size
        assert (tmp_path / "figure.svg").stat().st_size
        return result

    return run


def test_kl_is_that_of_scipys_normals_by_simulation(rng):
    mean, variance, prior = 0.7, 0.3, 2.0
    z = rng.normal(mean, np.sqrt(variance), 400_000)
    ratio = st.norm.logpdf(z, mean, np.sqrt(variance)) - st.norm.logpdf(z, 0, np.sqrt(prior))
    assert gaussian_kl(np.array(mean), np.array(variance), prior) == pytest.approx(ratio.mean(), abs=0.01)


def test_collapsed_share_counts_latents_row_by_row(rng):
    kl = rng.exponential(rng.uniform(0.001, 0.5, 30), size=(500, 30))
    epsilons = np.array([1e-3, 1e-2, 0.1, 1.0])
    counted = [np.mean([np.mean(kl[:, i] < eps) >= 0.99 for i in range(30)]) for eps in epsilons]
    np.testing.assert_array_equal(collapsed_share(kl, epsilons, 0.01), counted)


def test_tuned_elbo_is_the_best_over_decoder_variances(rng):
    from scipy.optimize import minimize_scalar

    misfit, d, rate = rng.uniform(1, 50), 7, 3.0
    negative = minimize_scalar(lambda log_s: misfit / (2 * np.exp(log_s)) + d / 2 * (np.log(2 * np.pi) + log_s) + rate)
    assert tuned_elbo(misfit, d, rate) == pytest.approx(-negative.fun)


def test_logit_pixels_invert_to_levels_with_uniform_noise(rng):
    levels = rng.integers(0, 256, (200, 50)).astype(float)
    back = (1 / (1 + np.exp(-logit_pixels(levels).astype(float))) - 1e-6) / (1 - 2e-6) * 256 - levels
    assert -1e-3 < back.min() < back.max() < 1 + 1e-3
    assert back.mean() == pytest.approx(0.5, abs=0.02)


def test_own_axes_are_an_orthogonal_change_of_coordinates(rng):
    x = rng.standard_normal((40, 6)) @ rng.standard_normal((6, 6)) + 3
    turned = in_own_axes(x, 6)
    np.testing.assert_allclose(turned @ turned.T, (x - x.mean(0)) @ (x - x.mean(0)).T, atol=1e-9)
    covariance = turned.T @ turned
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-9)


def test_the_papers_elbos_miss_half_d_log_2():
    learned = [case for case in MNIST if case.learned]
    assert len(learned) == 5
    for case in learned:  # the same in every row, so no accident of one of them
        assert paper_offset((case,), 784) == pytest.approx(784 / 2 * np.log(2), abs=1.6)


def test_the_papers_own_collapse_falls_with_the_noise_as_asked_of_ours():
    for learned in (False, True):
        assert falls_with_noise([case.paper[3] for case in MNIST if case.learned == learned])
    assert not falls_with_noise([50.0, 30.0, 35.0, 45.0])  # it may not creep up either
    assert not falls_with_noise([50.0, 50.0, 0.0])


def test_pairs_in_order_counts_only_pairs_that_are_clearly_apart():
    assert pairs_in_order([90.0, 30.0, 25.0], [5.0, 4.0, 6.0]) == (1, 2)


def test_a_learned_sigma_has_the_steps_to_come_up_from_its_start():
    for plan in (STANDARD, FULL):
        for case in MNIST:
            steps = plan.steps * (plan.epochs_of(case) - plan.epochs)
            if case.learned:  # Adam moves a parameter by its learning rate a step
                assert steps * plan.rate >= abs(np.log(case.variance)), case.name
            elif case.variance >= 0.1:
                assert steps == 0


def test_standard_and_full_take_about_as_many_steps():
    for case in MNIST:
        standard, full = (plan.steps * plan.epochs_of(case) for plan in (STANDARD, FULL))
        assert standard == pytest.approx(full, rel=0.1), case.name


def test_a_share_passes_a_level_between_the_middles_of_two_epochs():
    curve = np.array([0.0, 10.0, 10.0, 30.0])  # known at 0.5, 1.5, 2.5, 3.5 epochs
    assert passes(curve, 20.0) == pytest.approx(3.0)
    assert passes(curve, 5.0) == pytest.approx(1.0)
    assert passes(curve, 31.0) is None
    assert passes(curve, 0.0) == 0.5


def test_processes_train_what_one_process_trains(rng):
    from uncollapse.training import Setup, Training

    x = rng.standard_normal((40, 5))
    setups = [Setup(Objective(n_latents=2), training=Training(epochs=2, batch_size=10, seed=seed)) for seed in range(2)]
    apart, together = train_centred(x, setups, processes=2), train_centred(x, setups)
    for one, other in zip(apart, together, strict=True):
        assert one.setup == other.setup
        np.testing.assert_allclose(one.encode(x)[0], other.encode(x)[0], rtol=1e-5, atol=1e-6)


def test_the_average_over_seeds_is_that_of_each_number(rng):
    def found() -> Found:
        return Found(tuple(rng.random(5)), rng.random(61), float(rng.random()), rng.random(7))

    one, other = found(), found()
    both = average([one, other])
    np.testing.assert_allclose(both.values, [(a + b) / 2 for a, b in zip(one.values, other.values, strict=True)])
    np.testing.assert_allclose(both.curve, (one.curve + other.curve) / 2)
    np.testing.assert_allclose(both.dead, (one.dead + other.dead) / 2)
    assert both.silent == pytest.approx((one.silent + other.silent) / 2)


def test_fig_1_stability_flips_at_the_eigenvalues(quick):
    result = quick("lucas-fig-1")
    assert result.verdict == "reproduced", result.because


@pytest.mark.slow
def test_fig_2_trained_elbo_is_ppcas_maximum_likelihood(quick):
    result = quick("lucas-fig-2")
    for row in result.rows:
        assert row["theory"] == pytest.approx(row["pPCA maximum likelihood"], rel=1e-9)
        assert 0 <= row["relative gap"] < 1e-3, row
    assert result.verdict == "reproduced", result.because


@pytest.mark.slow
def test_fig_3_analytic_beats_stochastic(quick):
    result = quick("lucas-fig-3")
    assert result.verdict == "reproduced", result.because
    assert all(row["ours"] <= row["theory"] + 1e-6 for row in result.rows if row["theory"])


@pytest.mark.slow
def test_fig_4_nothing_beats_the_closed_form_of_the_linear_encoder(quick):
    result = quick("lucas-fig-4")
    assert len(result.rows) == 4
    for row in result.rows:  # the sampled ELBO of 1,000 images has an error of about a nat
        assert row["theory"] - 400 < row["ours"] < row["theory"] + 5, row


@pytest.mark.slow
def test_table_1_a_large_noise_level_collapses_most(quick):
    result = quick("lucas-table-1-fig-5-6")
    collapse = {row["case"]: row["ours"] for row in result.rows if row["quantity"] == "collapse %"}
    assert len(collapse) == 10
    assert not any("paper, with log 2π" in row for row in result.rows)  # its pixels are fewer than the paper's
    assert collapse["σ² = 10"] > max(collapse[f"σ² = {v}"] for v in ("1", "0.1", "0.01", "0.001"))
    levels = [row["theory"] for row in result.rows if row["case"] == "any network"]
    assert len(levels) == 2
    assert 0 < levels[0] <= levels[1]
    for case in ("σ² = 10", "σ² from 10, learned"):
        found = {row["quantity"]: row["ours"] for row in result.rows if row["case"] == case}
        gain, twice_error = found["nats that revive adds to the ELBO"], found["twice the standard error of these"]
        assert gain == 0 or gain > twice_error
        assert found["latents of mean KL > 0.01 after revive"] > found["latents of mean KL > 0.01 before revive"]


@pytest.mark.slow
def test_annealing_wakes_latents_that_die_again(quick):
    rows = {row["quantity"]: row["ours"] for row in quick("lucas-annealing").rows if row["case"] == "σ² = 10"}
    assert rows["dead %, annealed, end"] >= rows["dead %, annealed, KL weight ½"] + 10


def test_cases_are_objectives_of_the_water_level_they_name():
    assert [case.objective(200) for case in MNIST[:1]] == [Objective(n_latents=200, decoder_variance=10.0)]
