"""The weight at which a linear VAE is at rest is the one that it was made for."""

from __future__ import annotations

import numpy as np
import pytest

from diagnosed import linear_model
from uncollapse import Objective, forecast
from uncollapse.bill.sample import make_sample
from uncollapse.bill.weight import implied_weight
from uncollapse.measure.observe import observe
from uncollapse.theory.rest import implied_weights, implied_weights_by_means


@pytest.mark.parametrize(("beta", "eta2", "prior"), [(1.0, 1.0, 1.0), (0.3, 2.0, 1.0), (5.0, 0.1, 3.0)])
def test_a_linear_optimum_says_its_weight(rng, beta, eta2, prior):
    x = rng.standard_normal((1500, 4)) * [4.0, 3.0, 2.0, 0.1]
    o = Objective(beta=beta, decoder_variance=eta2, prior_variance=prior, n_latents=3)
    model = linear_model(forecast(x, objective=o))
    found = implied_weight(make_sample(model, observe(model, x), o, eta2))
    assert len(found.values) == 3
    assert found.weight == pytest.approx(beta, rel=0.02)
    assert found.spread < 0.05


def test_a_model_of_another_weight_says_so(rng):
    x = rng.standard_normal((1500, 4)) * [4.0, 3.0, 2.0, 0.1]
    o = Objective(beta=0.2, n_latents=3)
    model = linear_model(forecast(x, objective=o))
    said = Objective(beta=1.0, n_latents=3)
    found = implied_weight(make_sample(model, observe(model, x), said, 1.0))
    assert found.stated == 1.0
    assert found.weight == pytest.approx(0.2, rel=0.05)


def test_weights_and_errors_by_hand():
    variance = np.array([[0.5, 1.0], [0.25, 3.0], [0.75, 2.0]])
    slopes = np.array([[0.3, -0.2], [0.9, -1.0], [0.0, -0.9]])
    prior = 1.5
    saved = (1 - variance / prior) / 2
    w, error = implied_weights(slopes, variance, prior)
    for j in range(2):
        expected = slopes[:, j].sum() / saved[:, j].sum()
        assert w[j] == pytest.approx(expected)
        left = slopes[:, j] - expected * saved[:, j]
        deviation = np.sqrt((left**2).mean() - left.mean() ** 2)
        assert error[j] == pytest.approx(deviation / np.sqrt(3) / abs(saved[:, j].mean()))


def test_weights_by_the_means_by_hand():
    mean, slopes = np.array([[1.0, 0.0], [-3.0, 0.0]]), np.array([[-4.0, 1.0], [-8.0, 1.0]])
    w = implied_weights_by_means(slopes, mean, 2.0)
    assert w[0] == pytest.approx(6.0 / 2.5)
    assert np.isnan(w[1])
    assert implied_weights_by_means(slopes[:, :1], mean[:, :1])[0] == pytest.approx(6.0 / 5.0)
    assert implied_weights_by_means(np.array([[-1.0]]), np.array([[0.01]]))[0] == pytest.approx(1e4)


def test_a_latent_hardly_narrower_than_the_prior_is_silent_in_both():
    variance = np.array([[0.9985, 0.9], [0.9985, 0.9]])
    w, error = implied_weights(np.array([[1.0, 1.0], [2.0, 3.0]]), variance)
    assert np.isnan(w).tolist() == np.isnan(error).tolist() == [True, False]
    w, error = implied_weights(np.ones((2, 1)), np.full((2, 1), 0.9))
    assert error[0] == pytest.approx(0.0, abs=1e-12)


def test_latents_as_wide_as_the_prior_say_nothing(rng):
    w, error = implied_weights(rng.standard_normal((10, 2)), np.ones((10, 2)))
    assert np.isnan(w).all()
    assert np.isnan(error).all()
