"""How close the strengths of pure noise come to each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from uncollapse.theory.noise import EQUAL, FEWEST_EQUAL, made_equal

N_ROWS = 2000


def strengths_of_noise(rng: np.random.Generator, d: int) -> np.ndarray:
    x = rng.standard_normal((N_ROWS, d)) * 3
    return np.linalg.eigvalsh(x.T @ x / N_ROWS)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_variance_of_noises_strengths_is_a_chi_square(d, rng):
    strengths = np.array([strengths_of_noise(rng, d) for _ in range(300)])
    values = d * N_ROWS / 2 * strengths.var(axis=1) / strengths.mean(axis=1) ** 2
    assert kstest(values, chi2(d * (d + 1) / 2 - 1).cdf).pvalue > 1e-6


def test_two_columns_of_noise_can_look_whitened_and_as_many_as_are_asked_for_cannot(rng):
    def chance(d: int) -> float:
        return float(chi2.cdf(EQUAL**2 * d**2 / 2, d * (d + 1) / 2 - 1))

    assert chance(2) == pytest.approx(1 / 400, rel=0.01)
    assert chance(FEWEST_EQUAL) == pytest.approx(1 / 5e10, rel=0.1)
    assert not any(made_equal(strengths_of_noise(rng, FEWEST_EQUAL), N_ROWS) for _ in range(300))
