"""Newton's sums and steps of generalised linear models, against numerical derivatives and SciPy's optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from uncollapse.theory.glm import (
    FARTHEST,
    MOST_STEP,
    RIDGE,
    NewtonSums,
    conditional_mean,
    newton_step,
    newton_sums,
    sum_of,
)
from uncollapse.theory.loglikelihood import negative_log_likelihood

N, D, P, R = 60, 3, 3, 2.5
LIKELIHOODS = ("bernoulli", "poisson", "negative-binomial", "categorical")


def problem(rng, likelihood):
    design = np.column_stack([np.ones(N), rng.standard_normal((N, P - 1))])
    sizes = None
    if likelihood == "bernoulli":
        y = (rng.random((N, D)) < 0.4).astype(float)
    elif likelihood == "categorical":
        y = rng.multinomial(7, [0.2, 0.3, 0.5], size=N).astype(float)
        sizes = y.sum(axis=1)
    else:
        y = rng.poisson(3.0, (N, D)).astype(float)
        sizes = rng.uniform(0.5, 2.0, N)
    return design, y, sizes, 0.3 * rng.standard_normal((P, D))


def cost(likelihood, design, y, sizes, coefficients):
    mean = conditional_mean(likelihood, design, coefficients, sizes)
    return negative_log_likelihood(likelihood, y, mean, dispersion=R).sum()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_gradient_is_that_of_the_likelihood(rng, likelihood):
    design, y, sizes, at = problem(rng, likelihood)
    r = R if likelihood == "negative-binomial" else np.inf
    sums = newton_sums(likelihood, y, design, at, sizes, r)
    for i in range(P):
        for j in range(D):
            step = np.zeros((P, D))
            step[i, j] = 1e-5
            slope = (
                cost(likelihood, design, y, sizes, at + step) - cost(likelihood, design, y, sizes, at - step)
            ) / 2e-5
            assert sums.gradient[i, j] == pytest.approx(-slope, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_information_is_the_expected_curvature_of_each_column(rng, likelihood):
    """Expected: with the mean in place of y the second derivative is the information itself (of categories, more)."""
    design, _, sizes, at = problem(rng, likelihood)
    r = R if likelihood == "negative-binomial" else np.inf
    mean = conditional_mean(likelihood, design, at, sizes)
    sums = newton_sums(likelihood, mean, design, at, sizes, r)
    assert sums.n_rows == N
    assert sums.information.shape == (D, P, P)
    for i in range(P):
        for j in range(D):
            step = np.zeros((P, D))
            step[i, j] = 1e-3
            up, here, down = (cost(likelihood, design, mean, sizes, at + s * step) for s in (1, 0, -1))
            curvature = (up - 2 * here + down) / 1e-6
            if likelihood == "categorical":
                assert sums.information[j, i, i] > curvature
            else:
                assert sums.information[j, i, i] == pytest.approx(curvature, rel=1e-3)
    np.testing.assert_allclose(sums.information, np.swapaxes(sums.information, 1, 2))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_steps_lead_to_scipys_optimum(rng, likelihood):
    design, y, sizes, at = problem(rng, likelihood)
    r = R if likelihood == "negative-binomial" else np.inf
    for _ in range(200):
        at = newton_step(at, newton_sums(likelihood, y, design, at, sizes, r))
    prior = RIDGE * np.einsum("dpp->d", newton_sums(likelihood, y, design, at, sizes, r).information) / P

    def penalised(flat):
        b = flat.reshape(P, D)
        mean = conditional_mean(likelihood, design, b, sizes)
        misfit = negative_log_likelihood(likelihood, y, mean, dispersion=r).sum()
        return misfit + (prior * b[1:] ** 2).sum() / 2

    best = minimize(penalised, at.ravel(), method="BFGS", options={"gtol": 1e-8})
    # of categories a common shift of slopes moves the ridge alone, and slowly
    assert penalised(at.ravel()) <= best.fun + (1e-2 if likelihood == "categorical" else 1e-6)
    np.testing.assert_allclose(
        conditional_mean(likelihood, design, at, sizes),
        conditional_mean(likelihood, design, best.x.reshape(P, D), sizes),
        rtol=1e-3,
    )


def test_blocks_add_up(rng):
    design, y, sizes, at = problem(rng, "poisson")
    whole = newton_sums("poisson", y, design, at, sizes)
    halves = [newton_sums("poisson", y[part], design[part], at, sizes[part]) for part in (slice(0, 20), slice(20, N))]
    both = sum_of(halves)
    np.testing.assert_allclose(both.gradient, whole.gradient)
    np.testing.assert_allclose(both.information, whole.information)
    assert both.n_rows == N


def test_a_step_is_bounded_and_so_is_what_it_leads_to():
    huge = NewtonSums(np.array([[1e9], [-1e9]]), np.eye(2)[None], 10)
    np.testing.assert_allclose(newton_step(np.zeros((2, 1)), huge), [[MOST_STEP], [-MOST_STEP]])
    assert conditional_mean("poisson", np.ones((1, 1)), np.full((1, 1), 1e9))[0, 0] == pytest.approx(np.exp(FARTHEST))
    assert conditional_mean("bernoulli", np.ones((1, 1)), np.full((1, 1), -1e9))[0, 0] > 0


def test_the_ridge_spares_the_constant_and_holds_the_rest(rng):
    """One row of work by hand: information 4 and 1, gradient 2 and 3, at coefficients 1 and 1."""
    sums = NewtonSums(np.array([[2.0], [0.3]]), np.diag([4.0, 1.0])[None], 10)
    prior = RIDGE * 2.5
    new = newton_step(np.ones((2, 1)), sums)
    assert new[0, 0] == pytest.approx(1 + 2.0 / 4, rel=1e-9)
    assert new[1, 0] == pytest.approx(1 + (0.3 - prior) / (1 + prior), rel=1e-9)


def test_sizes_multiply_the_mean():
    design, coefficients = np.ones((2, 1)), np.log([[3.0]])
    np.testing.assert_allclose(conditional_mean("poisson", design, coefficients, np.array([1.0, 4.0])), [[3.0], [12.0]])
    shares = conditional_mean("categorical", design, np.log([[1.0, 3.0]]), np.array([1.0, 8.0]))
    np.testing.assert_allclose(shares, [[0.25, 0.75], [2.0, 6.0]])


def test_the_ridge_is_a_share_of_the_information_however_small():
    small = NewtonSums(np.array([[0.0], [0.003]]), np.diag([0.04, 0.01])[None], 10)
    prior = RIDGE * 0.025
    assert newton_step(np.ones((2, 1)), small)[1, 0] == pytest.approx(1 + (0.003 - prior) / (0.01 + prior), rel=1e-9)


def test_a_column_without_information_stays(rng):
    design, _, _, _ = problem(rng, "poisson")
    zero = NewtonSums(np.zeros((P, 1)), np.zeros((1, P, P)), len(design))
    np.testing.assert_array_equal(newton_step(np.ones((P, 1)) * [[1.0], [0.0], [0.0]], zero), [[1.0], [0.0], [0.0]])
