"""Conditions with any likelihood: the fit against scikit-learn, strengths against the loss itself, and training."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from uncollapse import DataError, Objective, diagnose, forecast, spectrum
from uncollapse.forecasting.intervals import bootstrap
from uncollapse.theory.glm import conditional_mean
from uncollapse.theory.loglikelihood import entry_information, negative_log_likelihood, score
from uncollapse.training import Network, Schedule, Training, train

D, N = 6, 2500
LIKELIHOODS = ("bernoulli", "poisson", "negative-binomial", "categorical")


def drawn(rng, likelihood, n=N, latent=1.0):
    """Condition of three columns, two hidden factors, six columns of the likelihood."""
    c = rng.standard_normal((n, 3))
    natural = 0.5 * c @ rng.standard_normal((3, D)) + latent * rng.standard_normal((n, 2)) @ rng.standard_normal((2, D))
    if likelihood == "bernoulli":
        return c, (rng.random((n, D)) < 1 / (1 + np.exp(-natural))).astype(float)
    mean = np.exp(0.3 * natural + 1)
    if likelihood == "poisson":
        return c, rng.poisson(mean).astype(float)
    if likelihood == "negative-binomial":
        return c, rng.negative_binomial(3.0, 3 / (3 + mean)).astype(float)
    p = np.exp(natural)
    return c, rng.multinomial(12, p / p.sum(axis=1, keepdims=True)).astype(float)


def fitted(s, c, likelihood, y):
    k = s.condition
    design = np.column_stack([np.ones(len(c)), c - k.mean])
    sizes = y.sum(axis=1) if likelihood == "categorical" else None
    return conditional_mean(likelihood, design, np.vstack([k.intercept, k.regression.T]), sizes)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
def test_the_fit_is_scikit_learns(rng, likelihood):
    c, y = drawn(rng, likelihood)
    s = spectrum(y, given=c, likelihood=likelihood)
    for j in (0, D - 1):
        if likelihood == "bernoulli":
            theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(c, y[:, j]).coef_[0]
        else:
            theirs = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(c, y[:, j]).coef_
        np.testing.assert_allclose(s.condition.regression[j], theirs, atol=2e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_at_the_fit_scores_and_conditions_are_uncorrelated(rng, likelihood):
    """The normal equations, to the ridge: nothing linear in the condition is left."""
    c, y = drawn(rng, likelihood)
    s = spectrum(y, given=c, likelihood=likelihood)
    r = 3.0 if likelihood == "negative-binomial" else np.inf
    if likelihood == "negative-binomial":
        s = spectrum(y, given=c, likelihood=likelihood, dispersion=r)
    g = score(likelihood, y, fitted(s, c, likelihood, y), r)
    left = np.column_stack([np.ones(len(c)), c]).T @ g / len(c)
    assert np.abs(left).max() < 2e-3 * np.abs(g).mean()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_strongest_mode_is_where_a_small_path_stops_to_pay(rng, likelihood):
    """The loss itself along a small linear path in the leading direction, by quadrature over z: it falls iff β < λ₁."""
    c, y = drawn(rng, likelihood, latent=1.3)
    r = 3.0 if likelihood == "negative-binomial" else np.inf
    options = {"dispersion": r} if likelihood == "negative-binomial" else {}
    s = spectrum(y, given=c, likelihood=likelihood, **options)
    mean = fitted(s, c, likelihood, y)
    g = score(likelihood, y, mean, r)
    scale = s.target_scale
    v = s.basis.decoder[:, 0]
    top = float(s.strengths[0])
    u = (g * scale) @ v
    np.testing.assert_allclose((u**2).mean(), top, rtol=1e-8)
    np.testing.assert_allclose(1 / scale**2, entry_information(likelihood, mean, r).mean(axis=0), rtol=1e-8)
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    weights = weights / weights.sum()

    def gain(beta, eps=0.02):
        a, b = eps / np.sqrt(top), eps
        loss = 0.0
        natural = np.log(mean) if likelihood != "bernoulli" else np.log(mean / (1 - mean))
        for node, weight in zip(nodes, weights, strict=True):
            moved = natural + np.outer(a * u + node, b * scale * v)
            if likelihood == "bernoulli":
                m = 1 / (1 + np.exp(-moved))
            elif likelihood == "categorical":
                m = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
            else:
                m = np.exp(moved)
            loss = loss + weight * negative_log_likelihood(likelihood, y, m, dispersion=r)
        before = negative_log_likelihood(likelihood, y, mean, dispersion=r)
        # with the best width of q the path at this size changes the loss by eps²(β − λ)-like terms; here s² = 1
        return float((before - loss).mean() - beta * (a**2 * (u**2).mean()) / 2)

    # −ab λ + ½ b² + ½β a²λ with a = ε/√λ, b = ε: (ε²/2)(1 + β − 2√λ)
    assert gain(0.0) == pytest.approx(0.02**2 / 2 * (2 * np.sqrt(top) - 1), rel=0.1)
    assert gain(2 * np.sqrt(top) - 1 + 0.3) < 0 < gain(2 * np.sqrt(top) - 1 - 0.3)


def test_a_condition_that_says_nothing_changes_nothing(rng):
    _, y = drawn(rng, "poisson")
    noise = rng.standard_normal((N, 2))
    with_it, without = spectrum(y, given=noise, likelihood="poisson"), spectrum(y, likelihood="poisson")
    np.testing.assert_allclose(with_it.strengths, without.strengths, rtol=0.02)
    np.testing.assert_allclose(with_it.condition.strengths_without, without.strengths)
    assert (with_it.condition.explained < 0.02).all()


def test_categories_as_columns_take_the_batches_out(rng):
    """Counts of two batches with other means: given the batch, what is left is noise of strength 1."""
    batch = rng.integers(0, 2, N)
    y = rng.poisson(np.where(batch[:, None] == 1, [9.0, 2.0, 4.0], [3.0, 6.0, 4.0])).astype(float)
    s = spectrum(y, given=np.eye(2)[batch], likelihood="poisson")
    assert s.strengths[0] < 1.15
    assert s.condition.strengths_without[0] > 2
    assert s.condition.rank == 1


@pytest.mark.parametrize(("level", "lives"), [(0.7, True), (1.2, False)])
def test_networks_live_below_and_die_above(rng, level, lives):
    c, y = drawn(rng, "bernoulli", latent=1.5)
    f = forecast(y, given=c, likelihood="bernoulli")
    o = Objective(likelihood="bernoulli", beta=level * f.critical_beta, n_latents=2)
    how = Training(epochs=80, learning_rate=5e-3, cooling=30, seed=3, schedule=Schedule("linear", warmup=40))
    model = train(y, given=c, objective=o, network=Network(hidden=(32,), activation="tanh"), training=how, device="cpu")
    kl = model.evaluate(y, given=c).kl
    assert (kl.max() > 0.02) == lives
    found = diagnose(model, y, given=c)
    assert found.forecast.n_alive == (1 if lives else 0) or found.forecast.n_alive == 2
    if not lives:
        assert found.cause in ("objective", "condition")


def test_what_does_not_fit_is_one_line(rng):
    c, y = drawn(rng, "bernoulli", n=300)
    with pytest.raises(DataError, match="several times"):
        spectrum(iter([y]), given=iter([c]), likelihood="bernoulli")
    f = forecast(y, given=c, likelihood="bernoulli")
    with pytest.raises(DataError, match="no intervals are known"):
        bootstrap(y, f, given=c)
