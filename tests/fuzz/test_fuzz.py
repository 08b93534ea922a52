"""Odd inputs at every door end in a right answer or a clear error; `make fuzz` tries a hundred thousand."""

from __future__ import annotations

import pytest

from fuzz.doors import DOORS, lines, tried
from fuzz.outcomes import Attempt, judged
from seeds import SEED
from uncollapse import UncollapseError, UncollapseWarning

N_QUICK = 1500


@pytest.mark.parametrize("name", DOORS)
def test_whatever_comes_in_gets_a_right_answer_or_a_clear_error(name):
    counts, bad = tried(DOORS[name], max(20, N_QUICK * DOORS[name].share // 1000), SEED)
    assert not bad, "\n".join(lines(bad))
    assert counts["right"] or name == "odd data"
    assert counts["clear error"] or name in ("containers", "forecasts", "plain settings")


def test_the_judge_knows_each_outcome(monkeypatch):
    import time
    import warnings

    def fails(error):
        def call():
            raise error

        return call

    monkeypatch.setattr("fuzz.outcomes.MOST_SECONDS", 0.05)
    assert judged(Attempt("", lambda: 1)).kind == "right"
    assert judged(Attempt("", lambda: 1, lambda answer: "off by one")).kind == "wrong"
    assert judged(Attempt("", lambda: 1, expected="error")).kind == "wrong"
    assert judged(Attempt("", fails(UncollapseError("said in one line")))).kind == "clear error"
    assert judged(Attempt("", fails(UncollapseError("in\ntwo")))).kind == "wrong"
    assert judged(Attempt("", fails(UncollapseError("refused")), expected="answer")).kind == "wrong"
    assert judged(Attempt("", fails(TypeError("inside")))).kind == "traceback"
    assert judged(Attempt("", fails(SystemExit(1)))).kind == "traceback"
    assert judged(Attempt("", lambda: time.sleep(5))).kind == "hang"
    assert judged(Attempt("", lambda: warnings.warn("theirs", RuntimeWarning, stacklevel=1))).kind == "wrong"
    assert judged(Attempt("", lambda: warnings.warn("ours", UncollapseWarning, stacklevel=1))).kind == "right"
