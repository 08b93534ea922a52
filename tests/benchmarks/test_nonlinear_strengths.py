"""Estimates of the number alive that train no network: right where the answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from seeds import SEED


@pytest.fixture(autouse=True)
def _zoo(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "zoo"))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "zoo" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]  # short names are the zoo's own only here


def gaussian(strengths, n=900):
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((n, len(strengths)))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(n * np.array(strengths))  # those are its strengths exactly
    return x @ np.linalg.qr(rng.standard_normal((len(strengths),) * 2))[0]


def arc(span, n=900):
    """A part of a circle of radius one in a plane of five dimensions, with a little noise."""
    rng = np.random.default_rng(SEED)
    angle = rng.uniform(0, span, n)
    plane = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    return np.column_stack([np.cos(angle), np.sin(angle)]) @ plane.T + 0.02 * rng.standard_normal((n, 5))


@pytest.mark.parametrize(
    "candidate",
    [
        "linear",
        "components in order",
        "what is left",
        "what is left, bent codes",
        "what is left, noisy scores",
        "denoiser",
        "centres of a mixture",
        "parts of a mixture",
        "random features",
    ],
)
def test_on_gaussian_data_every_estimate_is_the_linear_count(candidate):
    from nonlinear_strengths import CANDIDATES

    for strengths in ([8.0, 4.0, 0.1, 0.05], [3.0, 0.2]):
        found = CANDIDATES[candidate](gaussian(strengths), 1.0)
        expected = sum(s > 1 for s in strengths)
        slack = candidate == "random features"  # a bent code can take the place of a linear one, which then comes after
        for earning in (False, True):
            assert expected <= round(found.number(1.0, earning=earning)) <= expected + slack


def test_none_is_left_out_of_that():
    from nonlinear_strengths import CANDIDATES

    (mark,) = test_on_gaussian_data_every_estimate_is_the_linear_count.pytestmark
    assert mark.args[1] == list(CANDIDATES)


@pytest.mark.parametrize("candidate", ["components in order", "what is left"])
def test_half_a_circle_needs_one_latent_and_a_whole_one_two(candidate):
    from nonlinear_strengths import CANDIDATES

    half, whole, level = arc(np.pi), arc(2 * np.pi), 0.02
    assert CANDIDATES["linear"](half, level).number(level, earning=True) == 2
    assert CANDIDATES[candidate](half, level).number(level, earning=True) == 1
    assert CANDIDATES[candidate](whole, level).number(level, earning=True) == 2


def test_a_denoiser_sees_one_direction_along_a_circle():
    from nonlinear_strengths import CANDIDATES

    assert round(CANDIDATES["denoiser"](arc(2 * np.pi), 0.02).number(0.02, earning=False)) == 1


def test_a_latent_is_seen_to_earn_as_a_count_on_rows_says():
    """Against the loss of each row with and without the latent, from its closed form."""
    from nonlinear_strengths import number

    n, level, strength = 600, 1.0, np.linspace(1.05, 1.8, 12)
    rises = []
    for s in strength:
        score = np.sqrt(s) * np.sqrt(2) * np.array([np.sqrt(1 + a) for a in (-0.999, 0.999)])  # t of mean 2
        score = score / np.sqrt(np.mean(score**2) / s)
        weight, variance = s - level, level / s
        mean = score * np.sqrt(weight) / s
        with_it = (score - np.sqrt(weight) * mean) ** 2 / 2 + weight * variance / 2
        with_it += (mean**2 + variance - 1 - np.log(variance)) / 2
        rise = (score**2 / 2 - with_it).mean()
        deviation = np.ptp(score**2 / 2 - with_it) / np.ptp(score**2 / s) * np.sqrt(2)  # as if t were chi-squared
        rises.append(rise > 2 * deviation / np.sqrt(2 * n / 3))
    assert 0 < sum(rises) < len(rises)
    assert [number(np.array([s]), level, n, earning=True) for s in strength] == [int(r) for r in rises]


def test_the_page_is_what_the_tables_make():
    from judge import read_rows
    from nonlinear_strengths_record import BENT_ENDS, BENT_NAME, NAME, OTHERS_ENDS, OTHERS_NAME, part
    from pilot_page import PAGE

    networks = {1000: read_rows("pilots-calibration.csv"), 21: read_rows("pilots.csv")}
    others, bent = ((read_rows(a), read_rows(b)) for a, b in ((OTHERS_NAME, OTHERS_ENDS), (BENT_NAME, BENT_ENDS)))
    text = part(read_rows(NAME), networks, others, bent)
    assert text in PAGE.read_text(encoding="utf-8")
