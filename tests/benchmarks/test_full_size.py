"""Hours at the papers' own size: a few epochs are run, and all are counted."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from uncollapse.objective import Objective
from uncollapse.studies.study import Result, Study
from uncollapse.training import Network, Setup, Training, train, train_all
from uncollapse.training.loop import Run

ROOT = Path(__file__).parents[2]
EPOCHS = 20_000


@pytest.fixture
def full_size(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = pytest.importorskip("full_size")
    monkeypatch.setattr(module, "TIMED", 0.05)
    return module


def study_of(run) -> Study:
    return Study("a-study", "a paper", "something", run)


def test_a_study_is_reckoned_from_few_epochs(full_size, rng):
    x, seen, one_epoch = rng.standard_normal((64, 3)), [], Run._one_epoch

    def count(run, on_epoch):
        seen.append(run.epoch)
        one_epoch(run, on_epoch)

    def study(request):
        assert request.preset == "full"
        setups = [Setup(Objective(n_latents=2), Network(), Training(epochs=EPOCHS, seed=seed)) for seed in (0, 1)]
        for model in train_all(setups, x, stack=1):
            assert len(model.history["loss"]) == EPOCHS  # a study may look at each
        raise ValueError("the end\nof it")

    with patch.object(Run, "_one_epoch", count):
        row = full_size.reckon(study_of(study), None)
    assert len(seen) < EPOCHS / 10
    assert float(row["hours of one core"]) > 2 * (EPOCHS - len(seen)) * 1e-5 / 3600  # no epoch takes ten microseconds
    assert row["stopped by"] == "ValueError: the end"


def test_what_is_not_training_counts_as_it_is_and_nothing_stays_cut_short(full_size, rng):
    x, whole = rng.standard_normal((64, 3)), Run.go

    def study(request):
        from matplotlib.figure import Figure

        train(x, objective=Objective(n_latents=1), training=Training(epochs=3))
        return Result([{"ours": 1}], Figure(), {}, "reproduced", "so")

    row = full_size.reckon(study_of(study), None)
    assert row["stopped by"] == ""
    assert float(row["of it trainings"]) <= float(row["hours of one core"])
    assert Run.go is whole


def test_fewer_images_are_seen_and_their_hours_are_multiplied(full_size, mnist_dir):
    seen = []

    def study(request):
        seen.append(len(request.mnist(400)))
        train(request.mnist(400), objective=Objective(n_latents=1), training=Training(epochs=EPOCHS, batch_size=10))
        raise ValueError

    row = full_size.reckon(study_of(study), mnist_dir, one_in=20)
    assert seen == [20]
    assert row["from one image in"] == "20"
    least = 20 * 2 * EPOCHS * 1e-5 / 3600  # two steps an epoch, none of which takes ten microseconds
    assert least < float(row["of it trainings"]) <= float(row["hours of one core"])
