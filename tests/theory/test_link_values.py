"""Means and natural parameters: values by hand, there and back, and where they end."""

from __future__ import annotations

import numpy as np
import pytest

from uncollapse.theory.link import LEAST, MOST_LOG, mean_of_natural, natural_of_mean


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson", "negative-binomial"])
def test_there_and_back_is_the_same(rng, likelihood):
    mean = rng.uniform(0.01, 0.99, (7, 3))
    assert mean_of_natural(likelihood, natural_of_mean(likelihood, mean)) == pytest.approx(mean, rel=1e-12)


def test_values_by_hand():
    assert natural_of_mean("bernoulli", np.array([0.2]))[0] == pytest.approx(np.log(0.25))
    assert natural_of_mean("poisson", np.array([5.0]))[0] == pytest.approx(np.log(5.0))
    assert natural_of_mean("gaussian", np.array([-5.0]))[0] == -5.0
    assert mean_of_natural("bernoulli", np.array([np.log(3.0)]))[0] == pytest.approx(0.75)
    assert mean_of_natural("negative-binomial", np.array([np.log(3.0)]))[0] == pytest.approx(3.0)
    assert mean_of_natural("gaussian", np.array([700.0]))[0] == 700.0


def test_ends_are_finite_and_symmetric():
    ends = natural_of_mean("bernoulli", np.array([0.0, 1.0]))
    assert ends == pytest.approx([np.log(LEAST), -np.log(LEAST)], rel=1e-7)
    assert natural_of_mean("poisson", np.array([0.0, LEAST / 2]))[:] == pytest.approx([np.log(LEAST)] * 2)
    assert mean_of_natural("poisson", np.array([1e4]))[0] == pytest.approx(np.exp(MOST_LOG))


def test_nothing_warns_far_out():
    with np.errstate(all="raise"):
        assert mean_of_natural("bernoulli", np.array([-1000.0]))[0] == 0.0
        assert mean_of_natural("poisson", np.array([-1000.0]))[0] == 0.0
