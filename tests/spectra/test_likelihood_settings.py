"""Dispersions and size factors: every form with an obvious meaning is taken, everything else refused in one line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from count_tables import counts
from uncollapse import DataError, spectrum

quiet = pytest.mark.filterwarnings("ignore::uncollapse.UncollapseWarning")

WRONG = [
    "mean", "", b"total", {}, {"a": 1}, object(), len, True, np.True_, [True] * 60, 1j, np.full(60, 1j), 0, -1.0,
    np.nan, [1.0, None], pd.NA, [pd.NA] * 60, np.datetime64("2020-01-01"), np.full(60, np.timedelta64(1, "s")),
    10**400, [10**400] * 60, [[1.0], [1.0, 2.0]], [], np.empty((0, 0)), sp.eye_array(60),
    torch.empty(60, device="meta"), torch.ones(60).to_sparse(), Decimal("NaN"), range(0, 60),
]  # fmt: skip


@quiet
@pytest.mark.parametrize("name", ["dispersion", "size_factors"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: type(w).__name__)
def test_what_is_no_positive_number_is_refused_in_one_line(rng, name, wrong):
    y = counts(rng, n=60)[0]
    with pytest.raises(DataError, match=name.replace("_", "[_ ]").replace("dispersion", "dispersions?")) as caught:
        spectrum(y, likelihood="negative-binomial", **{name: wrong})
    assert "\n" not in str(caught.value)


@quiet
@pytest.mark.parametrize("form", [list, tuple, np.float32, np.longdouble, pd.Series, torch.tensor, np.c_.__getitem__])
def test_size_factors_are_taken_in_every_form(rng, form):
    y, s, _ = counts(rng, n=60)
    s = s.astype(np.float32).astype(float)
    expected = spectrum(y, likelihood="poisson", size_factors=s)
    np.testing.assert_array_equal(spectrum(y, likelihood="poisson", size_factors=form(s)).strengths, expected.strengths)


@quiet
@pytest.mark.parametrize(
    "two", [Fraction(2), Decimal(2), np.int8(2), np.array(2), torch.tensor(2.0), [2, 2.0, Fraction(2), 2]]
)
def test_dispersions_are_taken_in_every_form(rng, two):
    y = counts(rng, n=60)[0]
    expected = spectrum(y, likelihood="negative-binomial", dispersion=2.0)
    np.testing.assert_array_equal(
        spectrum(y, likelihood="negative-binomial", dispersion=two).strengths, expected.strengths
    )


@quiet
def test_an_infinite_dispersion_is_a_poisson_column(rng):
    y = counts(rng, n=60)[0]
    expected = spectrum(y, likelihood="poisson").strengths
    for infinite in (np.inf, [np.inf] * 4):
        np.testing.assert_allclose(
            spectrum(y, likelihood="negative-binomial", dispersion=infinite).strengths, expected, rtol=1e-12
        )


@quiet
@pytest.mark.parametrize("mode", ["warn", "raise"])
def test_numbers_beyond_float64_end_in_one_line_under_any_setting_of_numpy(mode):
    for y in (np.full((4, 3), 1e308), np.full((4, 3), np.longdouble("1e4000"))):
        for likelihood in ("poisson", "negative-binomial", "categorical"):
            for more in ({}, {"size_factors": "total"}, {"n_modes": 1}):
                with np.errstate(all=mode), pytest.raises(DataError) as caught:
                    spectrum(y, likelihood=likelihood, **more)
                assert "\n" not in str(caught.value)


def test_a_long_double_that_no_float64_holds_is_refused_even_where_it_is_constant():
    """Its spread would be fine, its mean would be infinite."""
    y = np.tile(np.array(["1e4000", "1", "2"]).astype(np.longdouble), (6, 1))
    y[:, 1] += np.arange(6)
    for more in ({}, {"n_modes": 1}):
        with np.errstate(all="raise"), pytest.raises(DataError, match="leave the range of float64"):
            spectrum(y, **more)
