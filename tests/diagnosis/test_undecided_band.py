"""The residual test decides only outside its band: above the water level by two errors, or a share of it below."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from uncollapse.diagnosis.facts import Facts
from uncollapse.theory.residual import ResidualSpectrum


def verdict(strength: float, error: float, *, n_dead: int, water_level: float = 4.0) -> str:
    """What the residual says, in the words of the record."""
    residual = ResidualSpectrum(np.array([strength]), np.eye(1), np.array([strength]), np.array([error]), 100)
    facts = SimpleNamespace(decoder=SimpleNamespace(residual=residual), water_level=water_level, n_dead=n_dead)
    if Facts.should_live.fget(facts):
        return "should live"
    return "rightly dead" if Facts.settled.fget(facts) else "undecided"


@pytest.mark.parametrize(
    ("strength", "error", "n_dead", "says"),
    [
        (4.3, 0.1, 1, "should live"),
        (4.3, 0.2, 1, "undecided"),  # less than two errors above
        (4.19, 0.1, 1, "undecided"),
        (3.9, 0.0, 1, "undecided"),
        (3.01, 0.0, 1, "undecided"),  # a dead latent: a quarter of the level
        (2.99, 0.0, 1, "rightly dead"),
        (2.9, 0.1, 1, "undecided"),  # two errors reach into the band
        (2.79, 0.1, 1, "rightly dead"),
        (3.61, 0.0, 0, "undecided"),  # no dead latent: a tenth
        (3.59, 0.0, 0, "rightly dead"),
    ],
)
def test_the_band_of_the_residual_test(strength, error, n_dead, says):
    assert verdict(strength, error, n_dead=n_dead) == says


def test_the_band_grows_with_the_water_level():
    assert verdict(2.99, 0.0, n_dead=1, water_level=40.0) == "rightly dead"
    assert verdict(31.0, 0.0, n_dead=1, water_level=40.0) == "undecided"
