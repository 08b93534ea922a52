"""Committed verdicts are those that today's rules give to the committed tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = (
    "lucas-fig-4", "lucas-annealing", "wang-fig-1", "wang-fig-4", "wang-fig-5", "wang-fig-2", "wang-table-1",
    "dang-cvae-digits", "dang-mhvae-samples",
    "further-other-data", "further-boundary", "further-partly-learned", "further-first-three",
)  # fmt: skip


@pytest.fixture
def judge_again(monkeypatch):
    for needed in ("matplotlib", "torch"):
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return pytest.importorskip("judge_again")


def test_every_study_that_its_table_decides_is_looked_at(judge_again):
    assert set(judge_again.JUDGES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_verdict_is_todays_of_its_table(judge_again, name):
    rows = judge_again.table(ROOT / "results" / name / "table.csv")
    summary = json.loads((ROOT / "results" / name / "summary.json").read_text("utf-8"))
    assert judge_again.JUDGES[name](rows) == (summary["verdict"], summary["because"])


@pytest.mark.parametrize("name", ["wang-fig-1", "wang-fig-4"])
def test_no_collapse_in_sight_is_none(judge_again, name):
    rows = judge_again.table(ROOT / "results" / name / "table.csv")
    rows = [row | {"ours": float("nan")} if row["beta"] is None else row for row in rows]
    assert judge_again.JUDGES[name](rows)[0] == "not reproduced"


@pytest.mark.parametrize(("name", "quantity"), [("wang-fig-1", "mean σ_1"), ("wang-fig-4", "loss")])
def test_what_is_off_the_line_is_reproduced_in_part(judge_again, name, quantity):
    rows = judge_again.table(ROOT / "results" / name / "table.csv")
    rows = [row | {"ours": row["ours"] + 1} if row["quantity"] == quantity else row for row in rows]
    assert judge_again.JUDGES[name](rows)[0] == "reproduced in part"


def test_decoder_variances_that_meet_show_no_freedom(judge_again):
    rows = judge_again.table(ROOT / "results" / "wang-table-1" / "table.csv")
    rows = [
        row | {"ours": 0.4} if row["quantity"] == "decoder variance" and "= d2" in row["regime"] else row
        for row in rows
    ]  # fmt: skip
    verdict, because = judge_again.JUDGES["wang-table-1"](rows)
    assert verdict == "reproduced in part"
    assert "no freedom is seen" in because


def test_an_encoder_that_is_far_from_its_end_reproduces_in_part(judge_again):
    rows = [{"ours": -10.0 - i, "theory": -5.0} for i in range(4)]
    assert judge_again.JUDGES["lucas-fig-4"](rows)[0] == "reproduced"
    assert judge_again.JUDGES["lucas-fig-4"]([row | {"theory": 90.0} for row in rows])[0] == "reproduced in part"
    assert judge_again.JUDGES["lucas-fig-4"](rows[::-1])[0] == "not reproduced"
