"""The record of strangers' models at its smallest: a file is run as it stands, one command is typed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

STRANGERS = Path(__file__).parents[2] / "benchmarks" / "strangers"


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    monkeypatch.syspath_prepend(str(STRANGERS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "strangers" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]  # short names such as `record` are the record's own only here


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A case → its row in the record, from a training on few rows."""
    import record
    from cases import CASES
    from stranger_sets import write_sets

    def row_of(name, **changed):
        case = next(case for case in CASES if case.file == name)
        write_sets(tmp_path / "data", 300, [Path(case.data).stem])
        (tmp_path / "data" / "labels.npy").exists() or record.np.save(tmp_path / "data" / "labels.npy", range(300))
        shutil.copy(STRANGERS / "models" / f"{name}.py", tmp_path)
        if not (tmp_path / case.weights).exists():
            subprocess.run(
                [sys.executable, STRANGERS / "train_one.py", name, tmp_path], check=True, capture_output=True
            )
        return record.recorded(replace(case, **changed))

    monkeypatch.setattr(record, "FOLDER", tmp_path)
    monkeypatch.setattr(record, "BUDGET", 1.0)  # these need no trials
    return row_of


def test_a_planted_fault_is_found_and_held_against_what_is_known(recorded):
    row = recorded("saxs_vae")
    assert row["right"], row
    assert row["cause"] == "encoder-stuck"
    assert {"class", "arguments", "input shape", "spread", "loss"} <= {one["what"] for one in row["inferred"]}
    row = recorded("saxs_vae", loss=("gaussian", 2.0), shape=(10, 10), right=("healthy",))
    assert not row["right"]
    assert {name for name, ok in row["checks"].items() if not ok} == {"loss", "input shape", "cause"}


def test_a_model_that_is_outside_is_refused_for_its_reason(recorded):
    assert recorded("full_covariance")["right"]


def test_every_file_has_its_case_and_the_page_shows_each():
    import page
    from cases import ALL, CASES, HELD_BACK, LATER

    files = {path.stem for path in (STRANGERS / "models").glob("*.py")}
    assert files == {case.file for case in ALL}
    assert (len(CASES), len(HELD_BACK), len(LATER)) == (20, 5, 6)
    text = page.PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}.py`" in text for name in files)
