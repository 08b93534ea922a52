"""The weight at which a linear VAE is at rest is the one that it was made for."""

from __future__ import annotations

import numpy as np
import pytest

from diagnosed import linear_model
from uncollapse import Objective, forecast
from uncollapse.bill.sample import make_sample
from uncollapse.bill.weight import implied_weight
from uncollapse.measure.observe import observe
from uncollapse.theory.rest import implied_weights


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


def test_latents_as_wide_as_the_prior_say_nothing(rng):
    w, error = implied_weights(rng.standard_normal((10, 2)), np.ones((10, 2)))
    assert np.isnan(w).all()
    assert np.isnan(error).all()
