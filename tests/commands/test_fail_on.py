"""`diagnose --fail-on`: exit codes for scripts, the answer printed all the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commandline import run
from uncollapse.commands.fail_on import FAILED, causes_named
from uncollapse.diagnosis.result import CAUSES
from uncollapse.errors import ObjectiveError
from uncollapse.sequence_diagnosis.result import CAUSES as OF_SEQUENCES

MODEL = """
import numpy as np


def dead():
    return lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z


def sequences():
    import torch

    class Still(torch.nn.Module):
        def encode(self, tokens, mask):
            return torch.zeros(len(tokens), 2), torch.zeros(len(tokens), 2)

        def decode(self, tokens, z):
            return z.sum(1)[:, None, None] * torch.arange(8.0).expand(*tokens.shape, 8)

    return Still()
"""


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "mine.py").write_text(MODEL, "utf-8")
    np.save(tmp_path / "x.npy", rng.standard_normal((200, 3)) * [3.0, 2.0, 1.0])
    return tmp_path


def diagnose(folder, *words):
    # at a weight of 20 the objective's own optimum is collapsed
    settings = ("--spread", "std", "--beta", "20", "--budget", "1")
    return run("diagnose", "mine.py:dead", "x.npy", *settings, *words, cwd=folder)


@pytest.mark.parametrize("causes", ["objective", "convention,objective", " objective , slow", "any", "any,healthy"])
def test_a_cause_that_is_named_ends_in_its_exit_code_and_a_line(causes, folder):
    done = diagnose(folder, "--fail-on", causes)
    assert (done.returncode, done.stderr) == (FAILED, "uncollapse: --fail-on: the cause is objective\n")
    assert "Cause: objective" in done.stdout
    assert FAILED == 3


@pytest.mark.parametrize("words", [(), ("--fail-on", "convention,slow"), ("--fail-on", "healthy")])
def test_any_other_cause_ends_well(words, folder):
    done = diagnose(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_answer_is_written_before_it_fails(folder):
    done = diagnose(folder, "--fail-on", "any", "--json", "-")
    assert done.returncode == FAILED
    assert json.loads(done.stdout)["cause"] == "objective"
    diagnose(folder, "--fail-on", "any", "--json", "answer.json", "--html", "page.html")
    assert (folder / "answer.json").is_file()
    assert (folder / "page.html").is_file()


@pytest.mark.parametrize("causes", ["objectiv", "", "objective,", "objective;slow"])
def test_an_unknown_name_is_one_line_with_the_list_before_any_work(causes, folder):
    done = run("diagnose", "no-such-model", "x.npy", "--fail-on", causes, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("uncollapse: --fail-on: ")
    assert line.endswith(f"is no cause; name some of any, {', '.join(CAUSES)}")


def test_sequences_have_causes_of_their_own(folder):
    (folder / "text.txt").write_text("abcd\nbcda\ndabc\ncdab\n" * 30, "utf-8")
    words = ("diagnose", "mine.py:sequences", "text.txt", "--beta", "1", "--fail-on")
    wrong = run(*words, "convention", cwd=folder)
    assert wrong.returncode == 2
    assert wrong.stderr.strip().endswith(f"name some of any, {', '.join(OF_SEQUENCES)}")
    done = run(*words, "any", cwd=folder)
    cause = done.stderr.strip().removeprefix("uncollapse: --fail-on: the cause is ")
    assert (done.returncode, cause in OF_SEQUENCES) == (FAILED, True), done.stderr


def test_any_is_all_but_healthy():
    assert causes_named("any", CAUSES) == set(CAUSES) - {"healthy"}
    assert causes_named(None, CAUSES) == set()
    with pytest.raises(ObjectiveError, match="'Any' is no cause"):
        causes_named("Any", CAUSES)
