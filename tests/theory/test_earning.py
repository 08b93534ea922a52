"""Which latents would be seen to earn: against simulated rows of the linear optimum."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.theory.earning import seen_to_earn


def rises(score, strength, level):
    """Of the loss of each row (β = 1, η² = τ) when the latent is held: from the closed form, term by term."""
    weight, variance = np.sqrt(strength - level), level / strength
    mean = weight * score / strength
    with_it = ((score - weight * mean) ** 2 + weight**2 * variance) / (2 * level)
    with_it += (mean**2 + variance - 1 - np.log(variance)) / 2
    return score**2 / (2 * level) - with_it


@pytest.mark.parametrize("level", [1.0, 0.03])
def test_the_rule_is_that_of_the_mean_rise_and_its_error_on_two_thirds_of_the_rows(rng, level):
    n = 900
    for ratio in (1.05, 1.1, 1.6, 3.0, 20.0):
        score = np.sqrt(ratio * level) * rng.standard_normal(400_000)
        rise = rises(score, ratio * level, level)
        seen = rise.mean() > 2 * rise.std() / np.sqrt(2 * n / 3)
        assert bool(seen_to_earn(np.array([ratio * level]), level, n)[0]) == seen, ratio


def test_more_rows_see_more_and_nothing_under_the_level_earns():
    strengths = np.linspace(0, 3, 200)
    few, many, most = (seen_to_earn(strengths, 1.0, n) for n in (100, 1000, 10**9))
    assert few.sum() < many.sum() < most.sum()
    assert not most[strengths <= 1].any()
    assert most[strengths > 1.001].all()


def test_it_knows_no_unit_and_no_overflow():
    strengths = np.array([5.0, 1.3, 1.0, 0.2])
    plain = seen_to_earn(strengths, 1.0, 2000)
    for power in (-900, 900):
        np.testing.assert_array_equal(seen_to_earn(np.ldexp(strengths, power), np.ldexp(1.0, power), 2000), plain)
    assert seen_to_earn(np.array([1e300]), 1e-300, 2000).all()
