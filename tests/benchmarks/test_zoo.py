"""The record of planted models at its smallest size: one plant of each kind that needs no image files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.errors.UncollapseWarning")


@pytest.fixture(autouse=True)
def _zoo(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "zoo"))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "zoo" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]  # short names such as `sets` are the zoo's own only here


def test_every_cause_but_one_is_planted_on_two_networks_or_sets_at_least():
    from planted import CASES

    from uncollapse.diagnosis.result import CAUSES

    where = {cause: {(case.data, case.net) for case in CASES if case.cause == cause} for cause in CAUSES}
    assert not where.pop("cannot-tell")
    assert all(len(found) >= 2 for found in where.values())
    assert len(CASES) >= 60


@pytest.mark.parametrize("cause", ["condition", "slow", "encoder-lags", "hierarchy"])
def test_a_plant_is_found(cause):
    from judge import judge_all
    from planted import CASES

    case = next(case for case in CASES if case.cause == cause and case.data in ("lowrank", "explained"))
    ((_, row),) = judge_all([2], [case])
    assert row["found"] == cause


def test_the_residual_record_judges_models_with_a_dead_latent_and_tries_them():
    from residual_record import one_set
    from sets import load

    tried, models = one_set(load("lowrank", 2), 2, levels=(0.3,), lengths=((4, False),), least=4, nets=("tanh", "silu"))
    assert len(models) == 2
    assert {row["said"] for row in tried} <= {"should live", "rightly dead", "undecided"}
    for row in tried:
        assert row["alive"] < row["latents"]
        assert np.isfinite([row[f"{how}_gain"] for how in ("restart", "anew", "plain")]).all()


def test_training_on_starts_where_the_model_is():
    from ensembles import go_on, grid, started
    from sets import load

    data = load("lowrank", 2)
    (model,) = started(grid(data, (0.3,), ((20, False),), 0, ("tanh",)), data)
    (after,) = go_on([model], data, 1, warm=False)
    assert after.history["loss"][0] < 1.02 * model.history["loss"][-1]
    assert after.history["loss"][0] < 0.9 * model.history["loss"][0]
