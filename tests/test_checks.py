"""What the boundary takes, and what it refuses in one line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from uncollapse import checks
from uncollapse.errors import DataError, ObjectiveError

HALVES = [
    0.5, Fraction(1, 2), Decimal("0.5"), np.float32(0.5), np.longdouble(0.5), np.array(0.5), np.array([0.5]),
    torch.tensor(0.5), torch.tensor([[0.5]]),
]  # fmt: skip
NO_NUMBERS = [
    "0.5", b"0.5", None, True, np.bool_(True), 1j, np.nan, np.inf, pd.NA, Decimal("NaN"), [0.5], {}, object,
    np.array([0.5, 1.0]), np.datetime64("2020-01-01"), np.timedelta64(1, "s"), torch.empty(1, device="meta"), object(),
]  # fmt: skip


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", HALVES, ids=lambda v: type(v).__name__)
def test_what_is_plainly_a_number_is_taken_as_one(value):
    assert checks.positive(value, "beta") == 0.5
    assert type(checks.positive(value, "beta")) is float


@pytest.mark.parametrize("value", [*NO_NUMBERS, Rude()], ids=lambda v: type(v).__name__)
def test_what_is_no_number_is_refused_in_one_line(value):
    for check in (checks.number, checks.positive, checks.count):
        with pytest.raises(DataError, match="^beta must be ") as caught:
            check(value, "beta", error=DataError)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


def test_a_number_too_large_for_a_float_is_said_to_be():
    with pytest.raises(ObjectiveError, match="beta must be a finite number, got a number too large for a float"):
        checks.number(10**400, "beta")


def test_counts_are_whole_and_in_their_range():
    assert checks.count(np.int64(2), "n") == checks.count(2.0, "n") == checks.count(Fraction(2), "n") == 2
    assert checks.count(10**18 + 1, "n") == 10**18 + 1  # a float would lose the last digit
    for wrong in (2.5, -1, 9):
        with pytest.raises(ObjectiveError, match="n must be a whole number from 0 to 8, got"):
            checks.count(wrong, "n", most=8)
    assert checks.counts(3, "hidden", least=1) == (3,)
    assert checks.counts(np.array([3, 4]), "hidden", least=1) == (3, 4)
    with pytest.raises(ObjectiveError, match="each of hidden must be a whole number from 1 on, got 0"):
        checks.counts([4, 0], "hidden", least=1)


def test_a_size_is_what_numpy_can_count():
    assert checks.size(2**63 - 1, "n_latents") == 2**63 - 1
    assert checks.size(0, "n_levels", least=0) == 0
    for wrong in (2**63, 10**400, 1e30):
        with pytest.raises(ObjectiveError, match=r"n_latents must be a whole number below 2\^63, got"):
            checks.size(wrong, "n_latents")
    with pytest.raises(ObjectiveError, match="n_latents must be a whole number from 1 on, got 0"):
        checks.size(0, "n_latents")


def test_sizes_that_lie_where_nothing_can_read_them_are_refused():
    with pytest.raises(ObjectiveError, match="hidden must be whole numbers, got Tensor of shape 3"):
        checks.counts(torch.ones(3, dtype=torch.int64, device="meta"), "hidden")


def test_a_pair_is_two_positive_numbers():
    assert checks.pair(np.array([1, 2]), "reach") == (1.0, 2.0)
    assert checks.pair((Fraction(1, 2), Decimal(2)), "reach") == (0.5, 2.0)
    for wrong in (1.0, None, "ab", [1.0], [1.0, 2.0, 3.0], [1.0, True], [1.0, 0.0], [1.0, None], np.ones((2, 2))):
        with pytest.raises(ObjectiveError, match="reach must be two positive numbers, got"):
            checks.pair(wrong, "reach")


def test_a_flag_is_true_or_false_and_nothing_like_it():
    assert checks.flag(np.bool_(False), "half") is False
    for wrong in ("False", 1, 0.0, None, [True, False]):
        with pytest.raises(ObjectiveError, match="half must be True or False, got"):
            checks.flag(wrong, "half")


def test_words_kinds_and_functions():
    assert checks.one_of("mean", "reduction", ("sum", "mean")) == "mean"
    for wrong in ("average", None, np.array(["mean", "sum"])):
        with pytest.raises(ObjectiveError, match="reduction must be one of sum, mean, got"):
            checks.one_of(wrong, "reduction", ("sum", "mean"))
    assert checks.instance(1.5, "x", (int, float)) == 1.5
    with pytest.raises(ObjectiveError, match="x must be an int or float, got 'a'"):
        checks.instance("a", "x", (int, float))
    with pytest.raises(ObjectiveError, match="encode must be a function, got 3"):
        checks.function(3, "encode")


def test_arrays_are_finite_real_and_of_the_shape_asked_for():
    taken = checks.array([Fraction(1, 2), Decimal(2)], "betas", shape=(None,))
    assert taken.dtype == np.float64
    np.testing.assert_array_equal(taken, [0.5, 2.0])
    np.testing.assert_array_equal(checks.array(torch.ones(2, 3), "u", shape=(2, 3)), np.ones((2, 3)))
    for wrong in (["a"], [[1, 2], [3]], [None], [1j], object(), np.ones((2, 2)), 1.0, [np.datetime64("2020")]):
        with pytest.raises(ObjectiveError, match=r"betas must be an array of shape \(any,\), got"):
            checks.array(wrong, "betas", shape=(None,))
    with pytest.raises(ObjectiveError, match="betas must be finite numbers"):
        checks.array([1.0, np.nan], "betas")
    with pytest.raises(ObjectiveError, match="betas must not be below 0, got -1"):
        checks.array([1.0, -1.0], "betas", least=0)


class NoAttributes:
    def __getattr__(self, name):
        raise RuntimeError("no")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_hides_its_shape_is_refused_as_anything_else_is():
    nested = torch.nested.nested_tensor([torch.zeros(2)], layout=torch.strided)
    for value in (nested, NoAttributes()):
        with pytest.raises(DataError, match="^beta must be .* got (Tensor|NoAttributes)"):
            checks.number(value, "beta", error=DataError)
        with pytest.raises(DataError, match="^betas must be "):
            checks.array(value, "betas", error=DataError)


def test_infinite_numbers_are_taken_only_where_asked_for():
    np.testing.assert_array_equal(checks.array([1, np.inf], "dispersion", infinite=True), [1, np.inf])
    for wrong in ([1, np.nan], [1, None]):
        with pytest.raises(ObjectiveError, match="dispersion must be finite numbers"):
            checks.array(wrong, "dispersion", infinite=True)
    with pytest.raises(ObjectiveError, match="dispersion must be finite numbers"):
        checks.array([1, np.inf], "dispersion")
