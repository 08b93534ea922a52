"""The second threshold: known variance proxies, an independent search, and rows far out that must not decide."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from thresholds.laboratory import Case, collapsed, gaussian, global_beta
from uncollapse import Objective, forecast, spectrum
from uncollapse.forecasting.zones import about_zones

N = 6000


@pytest.mark.parametrize("kind", ["normal", "uniform", "balanced"])
def test_where_stable_is_best_both_thresholds_are_one(rng, kind):
    draw = {"normal": rng.standard_normal, "uniform": rng.random, "balanced": lambda n: rng.integers(0, 2, n) * 2.0}
    s = spectrum(draw[kind]((N, 1)))
    found = s.global_threshold
    assert found.level >= s.strengths[0]
    assert found.interval[0] == pytest.approx(s.strengths[0], rel=1e-9)
    assert found.level < 1.15 * s.strengths[0]


def test_of_an_unbalanced_coin_it_is_the_variance_proxy_of_kearns_and_saul(rng):
    """(1 − 2p)/(2 log((1 − p)/p)), the optimal sub-Gaussian variance of a Bernoulli variable."""
    p = 0.05
    x = (rng.random((20_000, 1)) < p).astype(float)
    p = float(x.mean())
    proxy = (1 - 2 * p) / (2 * np.log((1 - p) / p))
    found = spectrum(x).global_threshold
    assert found.level == pytest.approx(proxy, rel=0.03)
    assert found.interval[0] < proxy < found.interval[1]


def test_it_agrees_with_a_search_that_shares_no_code(rng):
    """That of the threshold laboratory, on all rows, finds a little more: it may choose by what it is judged on."""
    x = np.where(rng.random((300, 1)) < 0.1, 3.0, 0.0) + 0.3 * rng.standard_normal((300, 4))
    y = torch.tensor(x)
    case = Case(gaussian, y, y)
    theirs = float(global_beta(case, collapsed(case)))
    found = spectrum(x).global_threshold
    assert found.level == pytest.approx(theirs, rel=0.15)


def test_one_row_far_out_decides_nothing(rng):
    x = rng.standard_normal((2000, 30))
    plain = spectrum(x).global_threshold.level
    x[7] *= 12
    s = spectrum(x)
    assert (x[7] ** 2).sum() / (2 * np.log(2000)) > 2 * s.strengths[0]  # memorising it would pay
    assert s.global_threshold.level == pytest.approx(max(plain, s.strengths[0]), rel=0.1)


def test_a_rare_factor_in_many_columns_is_found(rng):
    on = (rng.random((N, 1)) < 0.05) * 3.0
    direction = np.linalg.qr(rng.standard_normal((40, 1)))[0].T
    s = spectrum(on * direction + 0.1 * rng.standard_normal((N, 40)))
    assert s.global_threshold.level / s.strengths[0] == pytest.approx(3.1, rel=0.12)
    assert s.global_threshold.gain_at(1.3 * s.strengths[0]) > 0
    assert s.global_threshold.gain_at(9 * s.strengths[0]) == 0
    assert np.isnan(s.global_threshold.gain_at(0.5 * s.strengths[0]))


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "negative-binomial", "categorical"])
def test_other_likelihoods_have_one_too(rng, likelihood):
    on = rng.random((N, 1)) < 0.08
    rates = np.where(on, 9.0, 1.0) * np.array([1.0, 2.0, 0.5])
    y = rng.poisson(rates).astype(float)
    y[:, 1] += 1
    if likelihood == "bernoulli":
        y = (rng.random((N, 3)) < np.where(on, 0.9, 0.1)).astype(float)
    if likelihood == "categorical":
        y = np.where(on, rng.multinomial(9, [0.8, 0.1, 0.1], N), rng.multinomial(9, [0.1, 0.4, 0.5], N)).astype(float)
    s = spectrum(y, likelihood=likelihood)
    assert 1 <= s.global_threshold.level / s.strengths[0] < 4
    assert s.global_threshold.n_rows == N
    sparse = spectrum(sp.csr_array(y), likelihood=likelihood)
    assert sparse.global_threshold.level == pytest.approx(s.global_threshold.level, rel=1e-6)


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (lambda x: spectrum(x[:150]), "200 rows"),
        (lambda x: spectrum(x, x[:, :1]), "own target"),
        (lambda x: spectrum(x[:, 1:], given=x[:, :1]), "condition"),
        (lambda x: spectrum(x, bias=False), "biases"),
    ],
)
def test_where_it_is_not_known_it_says_why(rng, of, why):
    s = of(rng.standard_normal((400, 3)))
    assert s.global_threshold.level is None
    assert why in s.global_threshold.why_not
    assert s.to_dict()["global_threshold"] is None


def test_it_is_scaled_with_the_data_and_streams(rng):
    x = rng.exponential(size=(3000, 3)) * [2.0, 1.0, 0.5]
    one = spectrum(x).global_threshold
    assert spectrum(x, scale=10.0).global_threshold.level == pytest.approx(100 * one.level, rel=1e-4)
    streamed = spectrum(iter(np.array_split(x, 7)))
    assert streamed.global_threshold.level == pytest.approx(one.level, rel=1e-6)


def test_a_pickled_spectrum_still_knows(rng):
    x = rng.exponential(size=(500, 2))
    s = spectrum(x)
    later = pickle.loads(pickle.dumps(s))
    assert later.global_threshold.level == s.global_threshold.level


@pytest.mark.parametrize(
    "objective",
    [
        Objective(decoder_variance="learned"),
        Objective(encoder_variance=0.5),
        Objective(beta=50.0),
    ],
)
def test_a_forecast_says_where_its_water_stands(rng, objective):
    f = forecast(rng.standard_normal((2000, 2)) * [3.0, 1.0], objective=objective)
    known = f.global_threshold.level is not None
    assert known == (objective.beta == 50.0)
    assert f.zone in (("dead",) if known else ("alive", "over-first"))
    assert bool(about_zones(f)) == known
    assert f.to_dict()["zone"] == f.zone
