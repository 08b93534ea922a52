"""Errors and warnings: on one line, and at the line of who called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uncollapse import LinearVAE, forecast, moments, spectrum
from uncollapse.errors import first_line

CALLS = {
    "spectrum": lambda x: spectrum(x),
    "matrix-free": lambda x: spectrum(x, n_modes=3),
    "with a condition": lambda x: spectrum(x, given=x[:, :3]),
    "forecast": lambda x: forecast(x, n_latents=2),
    "estimator": lambda x: LinearVAE(2).fit(x),
    "moments": lambda x: moments(np.vstack([x, np.full(20, np.nan)]), drop_nonfinite=True),
}


@pytest.mark.parametrize("name", CALLS)
def test_warnings_point_at_the_line_that_called(name, rng):
    x = rng.standard_normal((10, 20))
    x[:, 0] = 1.0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        CALLS[name](x)
    assert {w.filename for w in said} == {__file__}


def test_the_first_line_of_a_foreign_error_says_something():
    assert first_line(ValueError("\n  two\nlines")) == "two"
    assert first_line(KeyError()) == "KeyError"
