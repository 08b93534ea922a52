"""Of data that never change the answer is that there is nothing to code."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import Objective, diagnose

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def model(mean):
    """Posteriors with this mean for every row, and a decoder that shows 0."""
    return lambda x: (np.full((len(x), 2), mean), np.ones((len(x), 2))), lambda z: np.zeros((len(z), 4))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_dead_latents_are_right_and_the_data_are_named_first(value):
    d = diagnose(model(0.0), np.full((60, 4), value), spread="std", objective=Objective(beta=4.0))
    assert d.verdict.startswith("The data are constant: there is nothing to code.")
    assert (d.cause, d.confidence, d.secondary) == ("rightly-dead", "high", ())
    assert [remedy.change for remedy in d.remedies] == ["give data that vary, or leave it"]


def test_latents_that_pay_for_constant_data_are_no_sound_model():
    d = diagnose(model(2.0), np.full((60, 4), 3.0), spread="std", objective=Objective(beta=4.0))
    assert d.verdict.startswith("The data are constant: there is nothing to code.")
    assert d.n_alive == 2
    assert d.cause not in ("healthy", "rightly-dead")


def test_data_of_which_one_column_varies_are_not_constant(rng):
    x = np.zeros((60, 4))
    x[:, 1] = rng.standard_normal(60)
    d = diagnose(model(0.0), x, spread="std", objective=Objective(beta=40.0))
    assert "constant" not in d.verdict
