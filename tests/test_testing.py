"""`assert_alive`: it holds where latents live, and says why where they do not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from diagnosed import linear_model, two_modes
from uncollapse import DataError, Objective, ObjectiveError, diagnose, forecast
from uncollapse.diagnosis import words
from uncollapse.testing import assert_alive


@pytest.fixture
def x(rng) -> np.ndarray:
    return two_modes(rng)


def test_it_returns_the_measurement_where_enough_live(x):
    model = linear_model(forecast(x, n_latents=3))
    found = assert_alive(model, x, at_least=2)
    assert (found.n_alive, found.n_samples) == (2, len(x))


def test_it_says_the_verdict_of_the_diagnosis_where_fewer_live(x):
    model = linear_model(forecast(x, n_latents=3), dead=(1,))
    with pytest.raises(AssertionError) as caught:
        assert_alive(model, x, at_least=2)
    d = diagnose(model, x, budget=5.0)
    said = str(caught.value)
    assert said.startswith("1 of 3 latents is alive, and 2 or more are due. ")
    assert f"{d.verdict} {words.finding(d)} Try: {d.remedies[0].change}." in said
    assert "\n" not in said


def test_a_weight_that_kills_is_named(x):
    still = (lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z)
    with pytest.raises(AssertionError, match=r"0 of 5 latents are alive, and 1 or more are due.*Cause: objective"):
        assert_alive(still, x, at_least=1, spread="std", objective=Objective(beta=20.0))


def test_without_a_loss_it_counts_and_asks_for_it(x):
    half = (lambda x: (x / 2 * [1, 1, 0, 0, 0], np.ones_like(x)), lambda z: 2 * z)
    assert assert_alive(half, x, at_least=2, spread="std").n_alive == 2
    with pytest.raises(AssertionError, match="3 or more are due. To hear why, give objective="):
        assert_alive(half, x, at_least=3, spread="std")


def test_latents_of_a_fixed_width_are_counted_as_a_diagnosis_counts_them(x):
    objective = Objective(beta=20.0, n_latents=2, encoder_variance=0.25)
    dead = (lambda x: (np.zeros((len(x), 2)), np.full((len(x), 2), 0.25)), lambda z: np.zeros((len(z), 5)))
    with pytest.raises(AssertionError, match="0 of 2 latents are alive"):  # though each has KL, for its width
        assert_alive(dead, x, at_least=1, spread="variance", objective=objective)


def test_scale_and_prior_are_those_of_the_training(x):
    model = linear_model(forecast(0.1 * x, beta=0.01, n_latents=3))
    expected = forecast(0.1 * x, beta=0.01, n_latents=3).n_alive
    assert assert_alive(model, x, at_least=expected, scale=0.1).n_alive == expected
    own_prior = (lambda x: (0 * x[:, :1], 4 + 0 * x[:, :1]), lambda z: np.zeros((len(z), 5)))
    with pytest.raises(AssertionError, match="0 of 1"):
        assert_alive(own_prior, x, at_least=1, spread="variance", objective=Objective(prior_variance=4.0))


@pytest.mark.parametrize("at_least", [0, 2.5, "two", None])
def test_a_number_that_is_none_is_refused(at_least, x):
    with pytest.raises(ObjectiveError, match="at_least must be a whole number from 1 on"):
        assert_alive(linear_model(forecast(x, n_latents=3)), x, at_least=at_least)


def test_more_than_there_are_is_a_mistake_and_no_failure(x):
    with pytest.raises(DataError, match="at_least is 4, and a linear VAE has 3 latents"):
        assert_alive(linear_model(forecast(x, n_latents=3)), x, at_least=4)


def test_what_the_encoder_gives_is_asked_for(x):
    with pytest.raises(ObjectiveError, match="spread='log_variance'"):
        assert_alive((lambda x: (x, x), lambda z: z), x, at_least=1)


def test_pytest_points_at_the_line_of_the_test(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\n"
        "from uncollapse.testing import assert_alive\n\n\n"
        "def test_the_latents_live():\n"
        "    still = (lambda x: (0 * x, np.ones_like(x)), lambda z: 0 * z)\n"
        "    assert_alive(still, np.eye(10), at_least=2, spread='std')\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", str(tmp_path), "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "test_mine.py:7: AssertionError" in done.stdout
    assert "0 of 10 latents are alive, and 2 or more are due. To hear why, give objective=" in done.stdout
    assert "testing.py" not in done.stdout
