"""Upper levels that do not earn: the loss with level 1 alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

from uncollapse import Level, Objective
from uncollapse.bill.make import bill_of
from uncollapse.bill.sample import make_sample
from uncollapse.measure.observe import observe
from uncollapse.measure.posterior import posterior
from uncollapse.theory.posterior import aggregate_gaussian, gaussian_kl

N = 900


def two_levels(rng, told: float, upper_kl: float, betas=(1.0, 1.0)):
    """Level 1 has posteriors of mean x; its prior given z2 takes the share `told` of each mean; level 2 costs."""
    x = rng.standard_normal((N, 2)) * 2
    objective = Objective(levels=(Level(beta=betas[0]), Level(beta=betas[1])), n_latents=2)

    def encode(rows, given=None):
        n = len(rows)
        kl = np.hstack([gaussian_kl(rows, np.full((n, 2), 0.5), 1.0, told * rows), np.full((n, 2), upper_kl)])
        mean = np.hstack([rows, np.zeros((n, 2))])
        prior = np.hstack([told * rows, np.zeros((n, 2))])
        return posterior(mean, variance=np.full((n, 4), 0.5), prior_mean=prior, kl=kl, level_sizes=(2, 2))

    model = SimpleNamespace(name="two levels", objective=None, decoder_variance=None, trained_for=None, notes=(),
                            encode=encode, decode=lambda z, given=None: z)  # fmt: skip
    sample = make_sample(model, observe(model, x, n_rows=N), objective, 1.0)
    return sample, bill_of(sample).line("upper")


def test_an_upper_level_that_tells_nothing_is_better_left_out(rng):
    sample, line = two_levels(rng, told=0.0, upper_kl=0.3)
    judge = sample.parts[2]
    by_hand = judge.q.kl.sum(axis=1) - gaussian_kl(judge.q.mean[:, :2], 0.5, 4.5).sum(axis=1)
    assert line.gain == pytest.approx(by_hand.mean(), abs=0.1)
    assert line.gain > 0.6
    assert line.counts


def test_its_weight_counts(rng):
    _, line = two_levels(rng, told=1.0, upper_kl=0.3, betas=(0.1, 10.0))
    assert line.gain > 5


def test_an_upper_level_that_earns_stays(rng):
    assert two_levels(rng, told=1.0, upper_kl=0.1)[1] is None


def test_no_gaussian_is_nearer_than_that_of_the_moments(rng):
    mean, variance = rng.standard_normal((50, 3)), rng.random((50, 3)) + 0.1

    def cost(p):
        return gaussian_kl(mean, variance, np.exp(p[3:]), p[:3]).sum(axis=1).mean()

    best = minimize(cost, np.zeros(6), method="L-BFGS-B", tol=1e-12)
    m, s = aggregate_gaussian(mean, variance)
    np.testing.assert_allclose(np.r_[m, np.log(s)], best.x, atol=1e-4)
