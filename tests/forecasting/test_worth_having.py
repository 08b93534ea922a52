"""What a forecast says of other models than the one asked about: more latents, and no condition."""

from __future__ import annotations

import numpy as np
import pytest

from problems import rows_with_spectrum
from uncollapse import forecast, spectrum

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


def test_latents_worth_having_stand_above_the_water_and_above_the_noise(rng):
    x = rows_with_spectrum(np.array([9.0, 4.0, 0.1, 0.1, 0.1, 0.1]), 200, 6, rng)
    worth = [forecast(x, n_latents=1, beta=beta).n_worth_having for beta in (0.01, 2.0, 5.0, 20.0)]
    assert worth == [2, 2, 1, 0]  # at 0.01 the weak modes stand above the water, and are noise


def test_without_its_condition_a_model_meets_the_energy_of_the_target_itself(rng):
    given = rng.standard_normal((150, 2))
    x = given @ rng.standard_normal((2, 4)) * 2 + rng.standard_normal((150, 4)) * [2.0, 1.0, 0.7, 0.4]
    plain, conditional = forecast(x, beta=0.3, n_latents=3), forecast(x, given=given, beta=0.3, n_latents=3)
    alone = conditional.without_condition
    assert alone is not None
    assert alone.spectrum.total_energy == pytest.approx(((x - x.mean(axis=0)) ** 2).sum() / 150)
    assert alone.spectrum.total_energy > 1.5 * conditional.spectrum.total_energy
    for name in ("loss", "distortion", "rate", "n_alive"):
        assert getattr(alone, name) == pytest.approx(getattr(plain, name))
    np.testing.assert_allclose(alone.spectrum.strengths, spectrum(x).strengths)
    assert plain.without_condition is None
