"""NumPyro: VAEs as its SVI trains them, with networks in stax and in Flax, against the package's own numbers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from uncollapse import ObjectiveError, diagnose, measure_model, open_probe
from uncollapse.theory.posterior import log_ratio

jax = pytest.importorskip("jax")
numpyro = pytest.importorskip("numpyro")
pytestmark = pytest.mark.libraries

N_LATENTS, WIDTH = 3, 6


@pytest.fixture(scope="module")
def dist():
    import numpyro.distributions

    return numpyro.distributions


def rows(rng, n=1500):
    return (rng.standard_normal((n, 2)) * [2.0, 1.5] @ rng.standard_normal((2, WIDTH))
            + 0.5 * rng.standard_normal((n, WIDTH))).astype("float32")  # fmt: skip


def networks(kind):
    """encoder(x) → mean, log σ², and decoder(z) → mean of x, registered with NumPyro under their names."""
    if kind == "stax":
        from jax.example_libraries import stax

        encode, decode = stax.Dense(2 * N_LATENTS), stax.Dense(WIDTH)
        return (
            lambda: numpyro.module("encoder", encode, (WIDTH,)),
            lambda: numpyro.module("decoder", decode, (N_LATENTS,)),
        )
    from flax import linen
    from numpyro.contrib.module import flax_module

    return (
        lambda: flax_module("encoder", linen.Dense(2 * N_LATENTS), input_shape=(1, WIDTH)),
        lambda: flax_module("decoder", linen.Dense(WIDTH), input_shape=(1, N_LATENTS)),
    )


def vae(dist, kind="stax", *, beta=1.0, prior=None, likelihood="normal"):
    encoder, decoder = networks(kind)
    jnp = jax.numpy

    def model(x):
        decode = decoder()
        with numpyro.plate("rows", len(x)):
            with numpyro.handlers.scale(scale=beta):
                z = numpyro.sample("z", prior or dist.Normal(jnp.zeros(N_LATENTS), 1.0).to_event(1))
            out = decode(z)
            seen = dist.Normal(out, 0.7) if likelihood == "normal" else dist.Bernoulli(logits=out)
            numpyro.sample("x", seen.to_event(1), obs=x)

    def guide(x):
        encode = encoder()
        with numpyro.plate("rows", len(x)), numpyro.handlers.scale(scale=beta):
            mean, log_variance = jnp.split(encode(x), 2, axis=-1)
            numpyro.sample("z", dist.Normal(mean, jnp.exp(0.5 * log_variance)).to_event(1))

    return model, guide


def trained(model, guide, x, n_steps=3000):
    svi = numpyro.infer.SVI(model, guide, numpyro.optim.Adam(0.02), numpyro.infer.Trace_ELBO())
    return svi.run(jax.random.PRNGKey(0), n_steps, jax.numpy.asarray(x), progress_bar=False).params


@pytest.mark.parametrize("kind", ["stax", "flax"])
def test_the_bound_is_the_librarys_own(dist, rng, kind):
    x = rows(rng, 300)
    model, guide = vae(dist, kind, beta=2.0)
    params = trained(model, guide, x, 50)
    probe = open_probe((model, guide, params), rows=x[:20])
    assert (probe.objective.beta, probe.objective.n_latents) == (2.0, N_LATENTS)
    assert probe.objective.decoder_variance == pytest.approx(0.49)
    q = probe.encode(x)
    losses = []
    for _ in range(200):
        z = q.draw(rng)
        misfit = 0.5 * ((x - probe.decode(z)) ** 2).sum(1) / 0.49 + WIDTH / 2 * np.log(2 * np.pi * 0.49)
        losses.append(float((misfit + 2 * log_ratio(z, q.mean, q.variance)).sum()))
    elbo = numpyro.infer.Trace_ELBO(num_particles=200)
    own = float(elbo.loss(jax.random.PRNGKey(1), params, model, guide, jax.numpy.asarray(x)))
    assert own == pytest.approx(np.mean(losses), abs=5 * np.std(losses) / np.sqrt(100))


def test_causes_of_trained_models_are_named(dist, rng):
    x = rows(rng)
    healthy, weighed = vae(dist), vae(dist, beta=500.0)
    d = diagnose((*healthy, trained(*healthy, x)), x)
    assert d.cause in ("healthy", "rightly-dead")
    assert d.measurement.n_alive >= 2
    d = diagnose((*weighed, trained(*weighed, x)), x)
    assert d.cause == "objective"
    assert d.measurement.n_alive <= 1  # the last may still be on its way out


def test_a_mixture_as_a_prior_is_sampled(dist, rng):
    jnp = jax.numpy
    parts = dist.Normal(jnp.array([[-2.0] * N_LATENTS, [2.0] * N_LATENTS]), 0.5).to_event(1)
    mixture = dist.MixtureSameFamily(dist.Categorical(jnp.array([0.3, 0.7])), parts)
    x = rows(rng, 400)
    model, guide = vae(dist, prior=mixture)
    params = trained(model, guide, x, 300)
    m = measure_model((model, guide, params), x)  # without rows of its own the prior is not known
    assert not m.sampled
    probe = open_probe((model, guide, params), rows=x[:20])
    q = probe.encode(x)
    z = [q.draw(rng) for _ in range(300)]
    own = np.mean([log_ratio(each, q.mean, q.variance)
                   + (-0.5 * each**2).sum(1) - N_LATENTS / 2 * np.log(2 * np.pi)
                   - np.asarray(mixture.log_prob(jnp.asarray(each))) for each in z], axis=0)  # fmt: skip
    assert q.row_kl.mean() == pytest.approx(own.mean(), rel=0.02)
    d = diagnose((model, guide, params), x)
    assert d.confidence == "low"
    assert d.measurement.rate_error > 0


def test_models_that_cannot_be_read_are_refused_in_one_line(dist, rng):
    x = rows(rng, 50)
    model, guide = vae(dist)
    params = trained(model, guide, x, 2)

    def two(x):
        numpyro.sample("u", dist.Normal(0, 1))
        guide(x)

    def leaky(x):
        with numpyro.plate("rows", len(x)):
            z = numpyro.sample("z", dist.Normal(jax.numpy.zeros(N_LATENTS), 1.0).to_event(1))
            numpyro.sample("x", dist.Normal(z[:, :1] + x, 1.0).to_event(1), obs=x)

    with pytest.raises(ObjectiveError, match=r"latent sites are u \(Normal\), z \(Normal\); one Gaussian"):
        open_probe((model, two, params), rows=x)
    with pytest.raises(ObjectiveError, match="depends on the data beyond z"):
        open_probe((leaky, guide, params), rows=x)
    bernoulli = vae(dist, likelihood="bernoulli")
    assert open_probe((*bernoulli, params), rows=(x > 0) * 1.0).objective.likelihood == "bernoulli"
    fixed = (functools.partial(lambda width, x: model(x), 1), guide, params)
    assert open_probe(fixed, rows=x).objective is not None
