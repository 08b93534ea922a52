"""Flax: NNX and Linen, against their own calls and the same weights in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from twins import N_FEATURES, N_HIDDEN, N_LATENTS, Twin, rows
from uncollapse import (
    DataError,
    Objective,
    ObjectiveError,
    SourceError,
    diagnose,
    load_revived,
    open_probe,
    revive,
    verify,
)
from uncollapse.measure.protocol import SpreadUnknown
from uncollapse.probes.flax_files import flax_weights
from uncollapse.probes.retrain import retrain

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
pytest.importorskip("flax")
pytestmark = pytest.mark.libraries
jnp = jax.numpy

import flax.linen as nn  # noqa: E402
import optax  # noqa: E402
from flax import nnx, serialization  # noqa: E402


class Linen(nn.Module):
    """With methods."""

    def setup(self):
        self.hidden, self.mean, self.log_variance = nn.Dense(N_HIDDEN), nn.Dense(N_LATENTS), nn.Dense(N_LATENTS)
        self.back, self.out = nn.Dense(N_HIDDEN), nn.Dense(N_FEATURES)

    def encode(self, x):
        h = jnp.tanh(self.hidden(x))
        return self.mean(h), self.log_variance(h)

    def decode(self, z):
        return self.out(jnp.tanh(self.back(z)))

    def __call__(self, x, key):
        mean, log_variance = self.encode(x)
        return self.decode(mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)), mean, log_variance


class Network(nnx.Module):
    """With dropout, batch norm and a draw of z before mean and standard deviation."""

    def __init__(self, rngs):
        self.fc, self.spread = nnx.Linear(N_FEATURES, N_LATENTS, rngs=rngs), nnx.Linear(N_FEATURES, 3, rngs=rngs)
        self.out, self.norm = nnx.Linear(N_LATENTS, N_FEATURES, rngs=rngs), nnx.BatchNorm(N_FEATURES, rngs=rngs)
        self.dropout, self.rngs = nnx.Dropout(0.5, rngs=rngs), rngs

    def encode(self, x):
        x = self.dropout(self.norm(x))
        m, s = self.fc(x), nnx.softplus(self.spread(x))
        return m + s * jax.random.normal(self.rngs.noise(), m.shape), m, s

    def decode(self, z):
        return self.out(z)


@pytest.fixture(scope="module")
def trained():
    """Linen, trained on a unit Gaussian ELBO, with its data."""
    x = rows(np.random.default_rng(0))
    model = Linen()
    variables = model.init(jax.random.key(0), x[:2], jax.random.key(1))
    optimiser = optax.adam(5e-3)

    def loss(v, key):
        out, mean, log_variance = model.apply(v, x, key)
        kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1)
        return (0.5 * ((out - x) ** 2).sum(1) + kl).mean()

    @jax.jit
    def step(v, state, key):
        gradient = jax.grad(loss)(v, key)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(v, updates), state

    state = optimiser.init(variables)
    for key in jax.random.split(jax.random.key(2), 1500):
        variables, state = step(variables, state, key)
    return model, variables, x


def test_encoding_and_decoding_are_flaxs_own(trained):
    model, variables, x = trained
    mean, log_variance = model.apply(variables, x, method=model.encode)
    for given in ((model, variables), (model, variables["params"]), model.bind(variables)):
        probe = open_probe(given, input_shape=(N_FEATURES,))
        q = probe.encode(x)
        np.testing.assert_allclose(q.mean, mean, atol=1e-6)
        np.testing.assert_allclose(np.log(q.variance), log_variance, atol=1e-5)
        np.testing.assert_allclose(probe.decode(q.mean), model.apply(variables, mean, method=model.decode), atol=1e-5)
        assert any("log-variance: it has log_variance" in note for note in probe.notes)


def test_the_diagnosis_is_that_of_the_same_weights_in_pytorch(trained):
    model, variables, x = trained
    twin = Twin({name: (part["kernel"], part["bias"]) for name, part in variables["params"].items()})
    objective = Objective(n_latents=N_LATENTS)
    ours, theirs = (
        diagnose(open_probe(m, spread="log_variance"), x, objective=objective, budget=300)
        for m in ((model, variables), twin)
    )
    np.testing.assert_allclose(ours.measurement.kl, theirs.measurement.kl, rtol=1e-4, atol=1e-6)
    assert (ours.cause, ours.verdict) == (theirs.cause, theirs.verdict)
    assert ours.measurement.n_alive == 2


def test_gradients_are_those_of_the_same_weights_in_pytorch(trained):
    model, variables, x = trained
    twin = Twin({name: (part["kernel"], part["bias"]) for name, part in variables["params"].items()})
    plan = {"objective": Objective(n_latents=N_LATENTS), "n_steps": 30, "seed": 3}
    losses = []
    for given in ((model, variables), twin):
        probe = open_probe(given, spread="log_variance")
        after = retrain(probe, x, x, **plan, learning_rate=0.01)
        before = probe.encode(x).mean
        assert np.abs(after.encode(x).mean - before).max() > 1e-3
        np.testing.assert_array_equal(probe.encode(x).mean, before)  # the user's own stays
        losses.append(after.encode(x).mean)
    np.testing.assert_allclose(*losses, atol=5e-3)


def test_an_untrained_model_is_revived_and_trains(trained, tmp_path):
    _, _, x = trained
    model = Linen()
    variables = model.init(jax.random.key(7), x[:2], jax.random.key(1))
    objective = Objective(n_latents=N_LATENTS)
    better = revive((model, variables), x, objective=objective, spread="log_variance", budget=300)
    assert better.loss_after < better.loss_before
    better.write(tmp_path)
    module = load_revived((model, variables), tmp_path)
    mean, _ = module.encode(torch.tensor(x[:50]))
    np.testing.assert_allclose(mean.detach(), better.probe.encode(x[:50]).mean, atol=1e-3)
    mean.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    d = verify(diagnose((model, variables), x, objective=objective, budget=300), (model, variables), x, n_steps=100)
    assert all(trial.loss_after < trial.loss_before for trial in d.trials)


def test_nnx_is_read_in_evaluation_mode_and_left_as_it_is(rng):
    x = rows(rng, 50)
    model = Network(nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, (nnx.Param, nnx.BatchStat, nnx.RngCount))))
    probe = open_probe(model, input_shape=(N_FEATURES,))
    q = probe.encode(x)
    after = nnx.to_pure_dict(nnx.state(model, (nnx.Param, nnx.BatchStat, nnx.RngCount)))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), before, after))
    assert not model.dropout.deterministic
    assert any("standard deviation: so its own draws" in note for note in probe.notes)
    model.eval()
    _, mean, std = model.encode(jnp.asarray(x))
    np.testing.assert_allclose(q.mean, mean, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(q.variance), std, rtol=1e-5)


class Example(nn.Module):
    """As in Flax's own example: no methods but `generate`, the decoder gives logits, a key for z."""

    def setup(self):
        self.encoder, self.decoder = Outputs(), nn.Dense(N_FEATURES)

    def __call__(self, x, z_rng):
        mean, _ = self.encoder(x)
        return self.decoder(mean)

    def generate(self, z):
        return nn.sigmoid(self.decoder(z))


class Outputs(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic: bool):
        x = nn.Dropout(0.5)(x, deterministic=deterministic)
        return nn.Dense(2, name="fc2_mean")(x), nn.Dense(2, name="fc2_logvar")(x)


def test_flaxs_own_example_decodes_by_generate_and_without_dropout(rng):
    model = Example()
    variables = {
        "params": {
            "encoder": {n: {"kernel": rng.standard_normal((N_FEATURES, 2)), "bias": np.zeros(2)}
                        for n in ("fc2_mean", "fc2_logvar")},
            "decoder": {"kernel": rng.standard_normal((2, N_FEATURES)), "bias": np.ones(N_FEATURES)},
        }
    }  # fmt: skip
    probe = open_probe((model, variables), input_shape=(N_FEATURES,))
    x, z = rng.standard_normal((9, N_FEATURES)), rng.standard_normal((9, 2))
    params = variables["params"]
    np.testing.assert_allclose(probe.encode(x).mean, x @ params["encoder"]["fc2_mean"]["kernel"], atol=1e-5)
    logits = z @ params["decoder"]["kernel"] + 1
    np.testing.assert_allclose(probe.decode(z), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_weights_of_msgpack_and_orbax_give_the_same(trained, tmp_path):
    import orbax.checkpoint as ocp

    model, variables, x = trained
    expected = open_probe((model, variables), spread="log_variance").encode(x).mean
    state = {"params": variables["params"], "step": np.array(3), "opt_state": {"0": {}}}
    (tmp_path / "w.msgpack").write_bytes(serialization.to_bytes(variables))
    (tmp_path / "s.msgpack").write_bytes(serialization.msgpack_serialize(jax.tree.map(np.asarray, state)))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "orbax", variables)
    with ocp.CheckpointManager(tmp_path / "steps") as manager:
        for step, of_step in ((2, jax.tree.map(lambda a: 0 * a, variables)), (10, variables)):
            manager.save(step, args=ocp.args.StandardSave(of_step))
            manager.wait_until_finished()
    for name in ("w.msgpack", "s.msgpack", "orbax", "steps"):
        probe = flax_weights(tmp_path / name, Linen, input_shape=(N_FEATURES,))
        np.testing.assert_array_equal(probe.encode(x).mean, expected, err_msg=name)
        with pytest.raises(SourceError, match="weights and no model; say FILE:FUNCTION"):
            open_probe(tmp_path / name)


def test_weights_of_nnx_give_the_same_and_those_of_another_model_are_refused(tmp_path, rng):
    import orbax.checkpoint as ocp

    x = rows(rng, 20)
    model = Network(nnx.Rngs(3))
    expected = open_probe(model).encode(x).mean
    pure = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, (nnx.Param, nnx.BatchStat))))
    (tmp_path / "w.msgpack").write_bytes(serialization.msgpack_serialize(pure))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "orbax", nnx.state(model, (nnx.Param, nnx.BatchStat)))
    for name in ("w.msgpack", "orbax"):
        probe = flax_weights(tmp_path / name, lambda: Network(nnx.Rngs(0)))
        np.testing.assert_array_equal(probe.encode(x).mean, expected)
    del pure["fc"]
    (tmp_path / "less.msgpack").write_bytes(serialization.msgpack_serialize(pure))
    with pytest.raises(SourceError, match="holds no weights fc/bias and 1 more of Network"):
        flax_weights(tmp_path / "less.msgpack", lambda: Network(nnx.Rngs(0)))
    pure["fc"] = {"kernel": np.zeros((2, 2)), "bias": np.zeros(N_LATENTS)}
    (tmp_path / "other.msgpack").write_bytes(serialization.msgpack_serialize(pure))
    with pytest.raises(SourceError, match="fc/kernel has shape .2, 2., and Network has .6, 3."):
        flax_weights(tmp_path / "other.msgpack", lambda: Network(nnx.Rngs(0)))


def test_what_cannot_be_read_is_said_in_one_line(trained, tmp_path):
    model, variables, x = trained
    with pytest.raises(ObjectiveError, match="no weights of its own; give the pair"):
        open_probe(model)
    with pytest.raises(ObjectiveError, match="Dense: has no encode or encoder"):
        open_probe((nn.Dense(2), {"params": {"kernel": np.zeros((2, 2))}}))
    with pytest.raises(ObjectiveError, match="params must be a dictionary"):
        open_probe((model, [1]))
    with pytest.raises(DataError, match="the encoder fails on an input of shape .600, 4."):
        open_probe((model, variables)).encode(x[:, :4])
    with pytest.raises(DataError, match="takes no condition"):
        open_probe((model, variables)).encode(x, x)
    (tmp_path / "w.msgpack").write_bytes(b"\x93\x01\x02")
    with pytest.raises(SourceError, match="damaged"):
        flax_weights(tmp_path / "w.msgpack", Linen)
    with pytest.raises(SourceError, match="No such file"):
        flax_weights(tmp_path / "nothing.msgpack", Linen)
    (tmp_path / "w.msgpack").write_bytes(serialization.to_bytes(variables))
    with pytest.raises(ObjectiveError, match="gave 3; a module of Flax is due"):
        flax_weights(tmp_path / "w.msgpack", lambda: 3)
    (tmp_path / "orbax").mkdir()
    (tmp_path / "orbax" / "_METADATA").write_text("{")
    with pytest.raises(SourceError, match="Orbax cannot read it"):
        flax_weights(tmp_path / "orbax", Linen)


class Unnamed(nnx.Module):
    def __init__(self, rngs):
        self.a, self.b, self.c = (nnx.Linear(*shape, rngs=rngs) for shape in ((6, 2), (6, 2), (2, 6)))

    def encode(self, x):
        return self.a(x), self.b(x)

    def decode(self, z):
        return self.c(z)


class Named(Unnamed):
    def encode(self, x):
        return {"std": nnx.softplus(self.b(x)), "mu": self.a(x)}


def test_the_spread_is_asked_for_where_no_name_says_it(rng):
    x = rows(rng, 20)
    with pytest.raises(SpreadUnknown, match="say spread="):
        open_probe(Unnamed(nnx.Rngs(0))).encode(x)
    said = open_probe(Unnamed(nnx.Rngs(0)), spread="log_variance").encode(x)
    named = open_probe(Named(nnx.Rngs(0))).encode(x)
    np.testing.assert_array_equal(named.mean, said.mean)
    np.testing.assert_allclose(np.sqrt(named.variance), np.log1p(said.variance**1.0), rtol=1e-5)


def test_a_pair_of_nnx_modules_is_encoder_and_decoder(rng):
    x = rows(rng, 20)
    decoder = nnx.Linear(2, N_FEATURES, rngs=nnx.Rngs(1))
    probe = open_probe((Head(nnx.Rngs(0)), decoder))
    z = probe.encode(x).mean
    np.testing.assert_allclose(probe.decode(z), decoder(jnp.asarray(z, dtype="float32")), atol=1e-6)


class Head(Unnamed):
    def __call__(self, x):
        return {"mean": self.a(x), "logvar": self.b(x)}
