"""Pyro: its own VAE's shape, against Trace_ELBO."""

from __future__ import annotations

import math

import numpy as np
import pytest

from uncollapse import ObjectiveError
from uncollapse.probes import open_probe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.libraries
nn = torch.nn


@pytest.fixture(scope="module")
def pyro():
    import pyro

    return pyro


class Encoder(nn.Module):
    def __init__(self, d, n_latents):
        super().__init__()
        self.mean, self.log_scale = nn.Linear(d, n_latents), nn.Linear(d, n_latents)

    def forward(self, x):
        return self.mean(x), torch.exp(self.log_scale(x))


class VAE(nn.Module):
    """A Pyro VAE as its tutorial has it."""

    def __init__(self, pyro, likelihood="bernoulli", d=6, n_latents=3, kl_scale=1.0, logits=False, prior=None):
        super().__init__()
        self.pyro, self.likelihood, self.kl_scale, self.n_latents = pyro, likelihood, kl_scale, n_latents
        self.encoder = Encoder(d, n_latents)
        layers = [nn.Linear(n_latents, d)]
        if likelihood == "bernoulli" and not logits:
            layers.append(nn.Sigmoid())
        self.decoder = nn.Sequential(*layers)
        self.logits, self.prior = logits, prior

    def model(self, x):
        pyro, dist = self.pyro, self.pyro.distributions
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            zero = x.new_zeros(len(x), self.n_latents)
            with pyro.poutine.scale(scale=self.kl_scale):
                z = pyro.sample("latent", self.prior or dist.Normal(zero, zero + 1).to_event(1))
            out = self.decoder(z)
            if self.likelihood == "bernoulli":
                seen = dist.Bernoulli(logits=out) if self.logits else dist.Bernoulli(out, validate_args=False)
            else:
                seen = dist.Normal(out, pyro.param("noise", torch.tensor(0.5)))
            pyro.sample("obs", seen.to_event(1), obs=x)

    def guide(self, x):
        pyro, dist = self.pyro, self.pyro.distributions
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)), pyro.poutine.scale(scale=self.kl_scale):
            pyro.sample("latent", dist.Normal(*self.encoder(x)).to_event(1))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("kl_scale", [1.0, 4.0])
def test_the_objective_is_what_trace_elbo_minimises(pyro, rng, likelihood, kl_scale):
    torch.manual_seed(0)
    pyro.clear_param_store()
    x = rng.integers(0, 2, (50, 6)).astype("float32")
    vae = VAE(pyro, likelihood, kl_scale=kl_scale)
    probe = open_probe(vae, rows=x[:4])
    assert probe.objective.beta == kl_scale
    assert probe.objective.likelihood == likelihood
    assert probe.decoder_variance == (0.25 if likelihood == "gaussian" else None)
    q = probe.encode(x)
    pyro.clear_param_store()
    torch.manual_seed(1)
    loss = pyro.infer.TraceMeanField_ELBO().loss(vae.model, vae.guide, torch.tensor(x))
    torch.manual_seed(1)
    z = pyro.poutine.trace(vae.guide).get_trace(torch.tensor(x)).nodes["latent"]["value"]  # that of the loss
    decoded = probe.decode(z.detach().numpy())
    if likelihood == "gaussian":
        misfit = ((x - decoded) ** 2 / 0.5).sum(1) + 6 / 2 * math.log(2 * math.pi * 0.25)
    else:
        misfit = -(x * np.log(decoded) + (1 - x) * np.log(1 - decoded)).sum(1)
    assert misfit.mean() + kl_scale * q.kl.sum(1).mean() == pytest.approx(loss / len(x), rel=1e-5)


def test_kl_is_that_of_the_guides_own_distribution(pyro, rng):
    x = rng.standard_normal((50, 6))
    vae = VAE(pyro)
    q = open_probe(vae).encode(x)
    with torch.no_grad():
        mean, scale = vae.encoder(torch.tensor(x).float())
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, scale), normal(0.0, 1.0))
    assert np.allclose(q.kl, expected, rtol=1e-4, atol=1e-6)


def test_seeing_leaves_parameters_and_random_numbers_alone(pyro, rng):
    pyro.clear_param_store()
    vae = VAE(pyro)
    state = torch.get_rng_state()
    open_probe(vae, rows=np.zeros((2, 6))).encode(np.zeros((2, 6)))
    assert not len(pyro.get_param_store())
    assert torch.equal(state, torch.get_rng_state())


def test_parameters_of_the_store_are_the_trained_ones(pyro):
    pyro.clear_param_store()
    pyro.param("noise", torch.tensor(0.25))
    probe = open_probe(VAE(pyro, "gaussian"), rows=np.zeros((2, 6)))
    assert probe.decoder_variance == 0.0625
    assert list(pyro.get_param_store().keys()) == ["noise"]
    pyro.clear_param_store()


def test_without_rows_the_objective_is_asked_for(pyro):
    probe = open_probe(VAE(pyro))
    assert probe.objective is None
    assert any("give rows" in note for note in probe.notes)


def test_a_decoder_that_gives_logits_is_refused(pyro):
    with pytest.raises(ObjectiveError, match="decoder.z. is not the mean of the site 'obs'"):
        open_probe(VAE(pyro, logits=True), rows=np.zeros((2, 6)))


def test_a_mixture_as_a_prior_is_sampled_as_the_library_would(pyro, rng):
    torch.manual_seed(0)
    parts = pyro.distributions.Normal(torch.tensor([[-2.0] * 3, [2.0] * 3]), 0.5).to_event(1)
    mixture = pyro.distributions.MixtureSameFamily(pyro.distributions.Categorical(torch.tensor([0.3, 0.7])), parts)
    vae = VAE(pyro, prior=mixture)
    x = (rng.random((300, 6)) > 0.5).astype("float32")
    probe = open_probe(vae, rows=x[:20])
    assert probe.objective.likelihood == "bernoulli"
    q = probe.encode(x)
    own = torch.distributions.Independent(
        torch.distributions.Normal(torch.tensor(q.mean), torch.tensor(q.variance).sqrt()), 1
    )
    z = own.sample((400,))
    expected = (own.log_prob(z) - mixture.log_prob(z.float())).mean()
    assert q.row_kl.mean() == pytest.approx(float(expected), rel=0.02)
