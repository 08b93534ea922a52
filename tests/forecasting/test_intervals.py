"""The interval that is printed beside the number alive."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse import forecast
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.forecasting.words import verdict

pytestmark = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")


@pytest.mark.parametrize("shape", [(60, 50), (120, 100), (60, 80), (40, 40)])
@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_latents", [None, 8])
def test_the_count_in_the_headline_lies_in_its_interval(shape, beta, n_latents, rng):
    x = rng.standard_normal(shape)
    f = forecast(x, beta=beta, n_latents=n_latents)
    intervals = bootstrap(x, f, n_samples=30)
    low, high = intervals.n_alive
    assert 0 <= low <= f.n_alive <= high <= max(f.n_usable, f.n_alive)
    assert (f"({low} to {high} on another sample)" in verdict(f, intervals)) == (low < high)


@pytest.mark.parametrize(("n", "d"), [(60, 50), (200, 180)])
def test_other_samples_of_the_same_size_fall_about_where_the_interval_says(n, d, rng):
    x = rng.standard_normal((n, d))
    low, high = bootstrap(x, forecast(x, beta=0.5), n_samples=60).n_alive
    others = [forecast(rng.standard_normal((n, d)), beta=0.5).n_alive for _ in range(20)]
    assert low - 2 <= np.median(others) <= high + 2
