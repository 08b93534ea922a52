"""Categorical decoders: their likelihood, their metric, and what a path gains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import gammaln, softmax
from scipy.stats import multinomial
from torch import nn

from uncollapse import DataError, Objective, diagnose, load_revived, revive
from uncollapse.measure.decoder import measure_decoder
from uncollapse.measure.observe import observe
from uncollapse.probes.callables import CallableProbe
from uncollapse.theory.likelihoods import categorical_entropy
from uncollapse.theory.loglikelihood import entry_information, in_totals, negative_log_likelihood, score
from uncollapse.training import Network, Training, train

D = 6


def topics(rng, n, total):
    """Rows of categories whose logits are linear in two numbers."""
    p = softmax(rng.standard_normal((n, 2)) @ rng.standard_normal((2, D)) * 1.5, axis=1)
    return rng.multinomial(total, p).astype(float)


def test_the_likelihood_is_the_multinomial_one_but_for_its_constant(rng):
    y, p = topics(rng, 20, 7), softmax(rng.standard_normal((20, D)), axis=1)
    own = negative_log_likelihood("categorical", y, p)
    constant = gammaln(8) - gammaln(y + 1).sum(axis=1)
    np.testing.assert_allclose(own, constant - [multinomial.logpmf(a, 7, b) for a, b in zip(y, p, strict=True)])
    np.testing.assert_allclose(negative_log_likelihood("categorical", y, 7 * p), own)


def test_at_the_mean_it_is_the_entropy(rng):
    y = topics(rng, 300, 4)
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    assert negative_log_likelihood("categorical", y, mean).mean() == pytest.approx(categorical_entropy(y.mean(axis=0)))


def test_on_scores_the_diagonal_metric_is_the_whole_one(rng):
    y, p = topics(rng, 50, 3), softmax(rng.standard_normal(D))
    mean = in_totals("categorical", y, np.broadcast_to(p, y.shape))
    g = score("categorical", y, mean)
    whole = np.linalg.pinv(3 * (np.diag(p) - np.outer(p, p)))
    np.testing.assert_allclose(
        (g**2 / entry_information("categorical", mean)).sum(axis=1), np.einsum("nd,de,ne->n", g, whole, g)
    )


class Softmax(nn.Module):
    """A VAE of categories whose decoder ignores z."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(D, 4), nn.Linear(2, D)
        nn.init.zeros_(self.encoder.weight)
        nn.init.zeros_(self.encoder.bias)
        nn.init.zeros_(self.decoder.weight)

    def encode(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def decode(self, z):
        return torch.softmax(self.decoder(z), 1)

    def reparameterize(self, mean, log_variance):
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


@pytest.mark.parametrize("total", [1, 30])
def test_a_dead_model_of_categories_comes_to_life(rng, total, tmp_path):
    y = topics(rng, 3000, total)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Softmax()
    objective = Objective(likelihood="categorical", beta=0.2 * total, n_latents=2)
    better = revive(model, y, objective=objective)
    assert better.gain > 5 * better.gain_error
    assert better.alive_after == 2
    better.write(tmp_path)
    loaded = load_revived(model, tmp_path)
    rows = torch.tensor(y[:40], dtype=torch.float32)
    with torch.no_grad():
        mean = loaded.encode(rows)[0]
        decoded = loaded.decode(mean).numpy()
    np.testing.assert_allclose(mean.numpy(), better.probe.encode(y[:40]).mean, atol=1e-3)
    np.testing.assert_allclose(decoded, better.probe.decode(mean.numpy()), atol=1e-4)
    np.testing.assert_allclose(decoded.sum(axis=1), 1, atol=1e-5)


def test_a_trained_one_is_diagnosed(rng):
    y = topics(rng, 1000, 20)
    o = Objective(likelihood="categorical", beta=1.0, n_latents=4)
    trained = train(y, objective=o, network=Network(hidden=(32,)), training=Training(epochs=60), device="cpu")
    found = diagnose(trained, y)
    assert found.measurement.n_alive >= 2
    assert found.decoder.loss < categorical_entropy(y.mean(axis=0))


def test_logits_are_no_probabilities(rng):
    y = topics(rng, 100, 1)
    model = CallableProbe(
        lambda x: (np.zeros((len(x), 1)), np.ones((len(x), 1))), lambda z: -np.ones((len(z), D)), "std"
    )
    o = Objective(likelihood="categorical", n_latents=1)
    with pytest.raises(DataError, match="softmax"):
        measure_decoder(model, observe(model, y), o)
