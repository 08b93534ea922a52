"""Keras 3 on PyTorch, in this process, and on JAX and NumPy, each in one of its own: a process has one back end."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile

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
from uncollapse.probes.keras_files import imported, keras_file, keras_folder
from uncollapse.probes.keras_parts import as_numpy
from uncollapse.probes.retrain import retrain, start_anew

torch = pytest.importorskip("torch")
if importlib.util.find_spec("keras") is None:  # importing it here would settle its back end
    pytest.skip("could not import 'keras'", allow_module_level=True)
pytestmark = [
    pytest.mark.libraries,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras's own conversions
]

OTHER = os.environ.get("KERAS_BACKEND")
keras = imported("the tests")
layers, ops = keras.layers, keras.ops


class Sampling(layers.Layer):
    """z from mean and log-variance, as in Keras's own example."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seeds)


class VAE(keras.Model):
    """As in Keras's own example, its loss by add_loss, so that it trains on any back end."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder

    def call(self, x):
        mean, log_variance, z = self.encoder(x)
        self.add_loss(ops.mean(ops.sum(0.5 * (mean**2 + ops.exp(log_variance) - 1 - log_variance), axis=1)))
        return self.decoder(z)


def sides(names=("z_mean", "z_log_var"), with_z=True):
    given = keras.Input((N_FEATURES,))
    h = layers.Dense(N_HIDDEN, activation="tanh", name="hidden")(given)
    mean, spread = (layers.Dense(N_LATENTS, name=name)(h) for name in names)
    outputs = [mean, spread, Sampling(name="z")([mean, spread])] if with_z else [mean, spread]
    decoder = keras.Sequential([keras.Input((N_LATENTS,)), layers.Dense(N_HIDDEN, activation="tanh", name="back"),
                                layers.Dense(N_FEATURES, name="out")])  # fmt: skip
    return keras.Model(given, outputs, name="encoder"), decoder


def twin_of(vae):
    keras_layers = {layer.name: layer for side in (vae.encoder, vae.decoder) for layer in side.layers}
    names = {"hidden": "hidden", "mean": "z_mean", "log_variance": "z_log_var", "back": "back", "out": "out"}
    return Twin({ours: (as_numpy(keras_layers[theirs].kernel.value), as_numpy(keras_layers[theirs].bias.value))
                 for ours, theirs in names.items()})  # fmt: skip


def half_square(y, out):
    return 0.5 * ops.sum((y - out) ** 2, axis=1)


@pytest.fixture(scope="module")
def trained():
    x = rows(np.random.default_rng(0))
    keras.utils.set_random_seed(0)
    vae = VAE(*sides())
    vae.compile(optimizer=keras.optimizers.Adam(5e-3), loss=half_square)
    vae.fit(x, x, epochs=150, batch_size=100, verbose=0)
    return vae, x


def test_encoding_and_decoding_are_kerass_own(trained):
    vae, x = trained
    mean, log_variance, _ = (as_numpy(part) for part in vae.encoder(x))
    for given in (vae, (vae.encoder, vae.decoder)):
        probe = open_probe(given)
        q = probe.encode(x)
        np.testing.assert_allclose(q.mean, mean, atol=1e-5)
        np.testing.assert_allclose(np.log(q.variance), log_variance, atol=1e-4)
        np.testing.assert_allclose(probe.decode(q.mean), as_numpy(vae.decoder(mean)), atol=1e-5)
        assert any("log-variance: so its own draws of z have it" in note for note in probe.notes)


def test_the_diagnosis_is_that_of_the_same_weights_in_pytorch(trained):
    vae, x = trained
    objective = Objective(n_latents=N_LATENTS)  # and time for all trials, however slow the machine
    probes = [open_probe(vae), open_probe(twin_of(vae), spread="log_variance")]
    ours, theirs = (diagnose(probe, x, objective=objective, budget=300) for probe in probes)
    np.testing.assert_allclose(ours.measurement.kl, theirs.measurement.kl, rtol=1e-4, atol=1e-6)
    assert (ours.cause, ours.verdict) == (theirs.cause, theirs.verdict)
    assert ours.measurement.n_alive == 2


def test_training_further_is_that_of_the_same_weights_in_pytorch(trained):
    vae, x = trained
    before = [as_numpy(v.value).copy() for v in vae.variables]
    plan = {"objective": Objective(n_latents=N_LATENTS, beta=3.0), "n_steps": 30, "learning_rate": 0.01, "seed": 3}
    means = [retrain(open_probe(model, spread="log_variance"), x, x, **plan).encode(x).mean
             for model in (vae, twin_of(vae))]  # fmt: skip
    np.testing.assert_allclose(*means, atol=5e-3)
    assert np.abs(means[0] - open_probe(vae).encode(x).mean).max() > 1e-2
    assert all((as_numpy(v.value) == old).all() for v, old in zip(vae.variables, before, strict=True))


def test_an_untrained_model_trains_as_its_remedy_says_and_is_revived(trained, tmp_path):
    _, x = trained
    vae, objective = VAE(*sides()), Objective(n_latents=N_LATENTS)
    better = revive(vae, x, objective=objective, budget=300)
    assert better.loss_after < better.loss_before
    better.write(tmp_path)
    module = load_revived(vae, tmp_path)
    mean, _ = module.encode(torch.tensor(x[:50]))
    np.testing.assert_allclose(mean.detach(), better.probe.encode(x[:50]).mean, atol=1e-3)
    mean.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    d = verify(diagnose(vae, x, objective=objective, budget=300), vae, x, n_steps=100)
    assert all(trial.loss_after < trial.loss_before for trial in d.trials)


def test_started_anew_it_has_other_weights_and_the_same_at_the_same_seed(trained):
    vae, x = trained
    probe = open_probe(vae)
    one, same, other = (start_anew(probe, seed).encode(x).mean for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
    assert np.abs(one - probe.encode(x).mean).max() > 0.01


class Normed(keras.Model):
    """With methods, batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = layers.BatchNormalization(), layers.Dropout(0.5)
        self.fc_mu, self.fc_logvar, self.out = layers.Dense(2), layers.Dense(2), layers.Dense(N_FEATURES)

    def encode(self, x):
        h = self.drop(self.norm(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z):
        return self.out(z)

    def call(self, x):
        return self.decode(self.encode(x)[0])


def test_methods_are_read_in_evaluation_mode(rng):
    x = rows(rng, 40)
    model = Normed()
    with pytest.raises(ObjectiveError, match="has no weights yet"):
        open_probe(model)
    model(x)
    q = open_probe(model).encode(x)
    np.testing.assert_allclose(q.mean, as_numpy(model.encode(x)[0]), atol=1e-5)
    np.testing.assert_allclose(np.log(q.variance), as_numpy(model.encode(x)[1]), atol=1e-4)
    assert np.isfinite(start_anew(open_probe(model), 0).encode(x).mean).all()


def test_one_graph_is_cut_where_z_is_drawn(trained):
    _, x = trained
    encoder, _ = sides()
    flat = keras.Model(encoder.inputs, layers.Dense(N_FEATURES)(encoder.get_layer("z").output))
    probe = open_probe(flat)
    mean = as_numpy(encoder(x)[0])
    np.testing.assert_allclose(probe.encode(x).mean, mean, atol=1e-5)
    last = flat.layers[-1]
    np.testing.assert_allclose(probe.decode(mean), mean @ as_numpy(last.kernel.value), atol=1e-4)
    assert any("cut at the layer z" in note for note in probe.notes)


def test_one_output_of_twice_the_latents_is_read_as_halves(rng):
    x = rows(rng, 20)
    encoder = keras.Sequential([keras.Input((N_FEATURES,)), layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((2,)), layers.Dense(N_FEATURES)])
    probe = open_probe((encoder, decoder), spread="log_variance")
    np.testing.assert_allclose(probe.encode(x).mean, as_numpy(encoder(x))[:, :2], atol=1e-6)
    wide = keras.Sequential([keras.Input((3,)), layers.Dense(N_FEATURES)])
    with pytest.raises(DataError, match="one output of 4 numbers, and the decoder takes 3 latents"):
        open_probe((encoder, wide), spread="log_variance").encode(x)


def test_images_and_conditions_are_taken(rng):
    image, label = keras.Input((2, 3, 1)), keras.Input((4,))
    h = layers.Concatenate()([layers.Flatten()(image), label])
    encoder = keras.Model([image, label], {"logvar": layers.Dense(2)(h), "mu": layers.Dense(2)(h)})
    z = keras.Input((2,))
    decoder = keras.Model([z, label], layers.Reshape((2, 3, 1))(layers.Dense(6)(layers.Concatenate()([z, label]))))
    x, c = rng.standard_normal((9, 6)).astype("float32"), rng.standard_normal((9, 4)).astype("float32")
    probe = open_probe((encoder, decoder), input_shape=(2, 3))
    q = probe.encode(x, c)
    expected = encoder([x.reshape(9, 2, 3, 1), c])
    np.testing.assert_allclose(q.mean, as_numpy(expected["mu"]), atol=1e-6)
    np.testing.assert_allclose(np.log(q.variance), as_numpy(expected["logvar"]), atol=1e-5)
    assert probe.decode(q.mean, c).shape == (9, 6)
    with pytest.raises(ObjectiveError, match="has 2 inputs"):
        probe.encode(x)
    with pytest.raises(DataError, match="samples of shape .2, 3, 1. are due, and the data's have shape .3, 2."):
        open_probe((encoder, decoder), input_shape=(3, 2))
    with pytest.raises(DataError, match="takes samples of shape .2, 3, 1., 6 numbers each"):
        probe.encode(x[:, :5], c)


def test_what_is_no_vae_is_said_in_one_line():
    with pytest.raises(ObjectiveError, match="Keras Sequential: has no encoder and decoder that are known"):
        open_probe(keras.Sequential([keras.Input((3,)), layers.Dense(2)]))


def test_saved_models_and_weights_give_the_same(trained, tmp_path):
    vae, x = trained
    expected = open_probe(vae).encode(x).mean
    vae.encoder.save(tmp_path / "encoder.keras")
    vae.decoder.save(tmp_path / "decoder.keras")
    vae.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(SourceError, match="needs a class of yours, Sampling; say FILE:CLASS"):
        open_probe(tmp_path)
    probe = keras_folder(tmp_path, make=Sampling)
    np.testing.assert_allclose(probe.encode(x).mean, expected, atol=1e-6)
    with pytest.raises(SourceError, match="weights and no model; say FILE:FUNCTION"):
        open_probe(tmp_path / "w.weights.h5")
    probe = keras_file(tmp_path / "w.weights.h5", make=lambda: VAE(*sides()))
    np.testing.assert_allclose(probe.encode(x).mean, expected, atol=1e-6)
    with pytest.raises(SourceError, match="does not fit Sequential"):
        keras_file(tmp_path / "w.weights.h5", make=lambda: keras.Sequential([keras.Input((9,)), layers.Dense(9)]))


def graph(encoder, decoder):
    """Both in one model, of Keras's own layers."""
    given = keras.Input((N_FEATURES,))
    mean, _ = encoder(given)
    return keras.Model(given, decoder(mean))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["vae.keras", "vae.h5"])
def test_whole_models_in_files_are_opened_by_name(tmp_path, rng, name):
    x = rows(rng, 20)
    encoder, decoder = sides(with_z=False)
    decoder.name = "decoder"
    graph(encoder, decoder).save(tmp_path / name)
    probe = open_probe(tmp_path / name)
    np.testing.assert_allclose(probe.encode(x).mean, as_numpy(encoder(x)[0]), atol=1e-6)
    assert any("log-variance: it" in note or "its name is" in note for note in probe.notes)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["vae.keras", "vae.h5"])
def test_code_in_a_file_is_not_run_unless_it_is_trusted(tmp_path, name):
    given = keras.Input((N_FEATURES,))
    out = layers.Lambda(lambda t: t * 2, name="encoder")(given)
    keras.Model(given, layers.Dense(3, name="decoder")(out)).save(tmp_path / name)
    with pytest.raises(SourceError, match="holds Lambda, which runs code .*--trust"):
        open_probe(tmp_path / name)
    assert open_probe(tmp_path / name, trust=True).name == "Keras Functional"


def test_classes_of_other_modules_and_functions_that_do_things_are_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for module, name in (("os", "system"), ("keras.utils", "get_file"), ("keras.src.utils.file_utils", "get_file")):
        config = json.loads(files["config.json"])
        config["config"]["layers"][-1] |= {"module": module, "class_name": name, "registered_name": None}
        with zipfile.ZipFile(tmp_path / "bad.keras", "w") as archive:
            for place, content in (files | {"config.json": json.dumps(config).encode()}).items():
                archive.writestr(place, content)
        with pytest.raises(SourceError, match=f"needs a class of yours, {name}"):
            open_probe(tmp_path / "bad.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_damaged_files_are_said_in_one_line(tmp_path, name):
    with pytest.raises(SourceError, match="no such file"):
        open_probe(tmp_path / name)
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SourceError, match="is no model of Keras, or damaged"):
        open_probe(tmp_path / name)


def test_the_environment_is_as_it_was():
    assert os.environ.get("KERAS_BACKEND") == OTHER
    assert keras.config.backend() == (OTHER or "torch")


needs_this_process = pytest.mark.skipif(OTHER not in (None, "torch"), reason="starts processes of other back ends")


@needs_this_process
def test_all_of_this_holds_on_jax():
    words = [sys.executable, "-m", "pytest", "-q", "-m", "libraries", "-p", "no:cacheprovider", "--no-cov", __file__]
    done = subprocess.run(
        words, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]


MEASURED = """
import numpy as np, keras
from uncollapse import Objective, diagnose, open_probe
assert keras.config.backend() == "numpy"
encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6)])
x = np.random.default_rng(0).standard_normal((100, 6))
probe = open_probe((encoder, decoder), spread="log_variance")
assert np.allclose(probe.encode(x).mean, encoder(x)[:, :2], atol=1e-5)
assert np.allclose(probe.decode(x[:, :2]), decoder(x[:, :2]), atol=1e-5)
print(diagnose(probe, x, objective=Objective()).cause, probe.notes)
"""


@needs_this_process
def test_on_another_back_end_it_is_measured_and_says_what_is_left_out():
    done = subprocess.run([sys.executable, "-c", MEASURED], env={**os.environ, "KERAS_BACKEND": "numpy"},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Keras runs on numpy, whose gradients are not used here" in done.stdout


@needs_this_process
def test_a_back_end_that_is_not_there_is_said_in_one_line(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"")
    code = f"from uncollapse import open_probe; open_probe({str(tmp_path / 'm.keras')!r})"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": "tensorflow"},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert "m.keras: Keras cannot be imported: No module named 'tensorflow'; its back end is TensorFlow" in done.stderr
