"""The Keras callback, in trainings by Keras itself: a process for each backend, which is chosen at the import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

if find_spec("keras") is None:
    pytest.skip("runs in the libraries' environment", allow_module_level=True)

from uncollapse import measure_posterior  # noqa: E402

SCRIPTED = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, keras
from keras import ops
from uncollapse import UncollapseWarning, forecast
from uncollapse.interop.keras import WatchCollapse
warnings.simplefilter("always", UncollapseWarning)

x = np.load("x.npy")
said = json.loads(sys.argv[1])


class Scripted(keras.Model):
    '''A latent lives while its weight is 1; each step of the training takes down the weight of the last living one.'''

    def __init__(self):
        super().__init__()
        self.gate = self.add_weight(shape=(3,), initializer="ones", name="gate")
        self.drop = keras.layers.Dropout(0.5)

    def encode(self, x):
        mean = self.drop(ops.convert_to_tensor(x))[:, :3] * ops.relu(ops.round(self.gate))
        return mean, ops.zeros_like(mean)

    def call(self, x):
        return self.encode(x)[0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.sum(self.gate * ops.convert_to_tensor(said["slopes"], "float32"))


model = Scripted()
model.compile(optimizer=keras.optimizers.SGD(1.0))
encoder = {"method": lambda rows: model.encode(rows), "triple": lambda rows: drawn(rows), "bad": lambda rows: rows}


def drawn(rows):
    mean, log_variance = model.encode(rows)
    return mean, log_variance, mean + keras.random.normal(ops.shape(mean))


found = forecast(x, beta=1.0, n_latents=3) if said["forecast"] else None
watch = WatchCollapse(encoder[said["encoder"]], x, found, **said["settings"])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", UncollapseWarning)
    history = model.fit(x, x, batch_size=len(x), epochs=said["epochs"], verbose=0, callbacks=[watch]).history
messages = [str(each.message) for each in caught if each.category is UncollapseWarning]
print(json.dumps({"history": history, "messages": messages, "backend": keras.backend.backend()}))
"""


@pytest.fixture
def x(rng, tmp_path) -> np.ndarray:
    values = (rng.standard_normal((100, 4)) * [3.0, 2.0, 0.3, 0.2]).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    return values


def trained(backend: str, folder: Path, *, slopes, epochs=4, forecast=True, encoder="method", **settings):
    said = {"slopes": slopes, "epochs": epochs, "forecast": forecast, "encoder": encoder, "settings": settings}
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPTED, json.dumps(said)],
        capture_output=True, text=True, cwd=folder, env=environment, check=False,
    )  # fmt: skip


def answer(result: subprocess.CompletedProcess) -> dict:
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(("backend", "encoder"), [("jax", "method"), ("torch", "triple")])
def test_each_epoch_is_measured_with_its_own_weights_and_warned_of_once(backend, encoder, x, tmp_path):
    # the third weight falls under ½ in the first step, the second in the third
    found = answer(trained(backend, tmp_path, slopes=[0.0, 0.2, 0.6], epochs=5, encoder=encoder))
    assert found["backend"] == backend
    history = found["history"]
    assert history["collapse/n_alive"] == [2, 2, 1, 1, 1]
    assert history["collapse/n_alive_forecast"] == [2] * 5
    mean = x[:, :3] * [1, 0, 0]
    expected = measure_posterior(mean, variance=np.ones_like(mean))
    assert history["collapse/rate"][-1] == pytest.approx(expected.rate, rel=1e-5)
    assert history["collapse/kl/latent_1"][-1] == pytest.approx(expected.kl[0], rel=1e-5)
    (message,) = found["messages"]
    assert message.startswith("epoch 3: 1 of 3 latents is alive, and 2 were forecast at water level 1;")


def test_the_patience_and_the_warm_up_are_those_of_lightnings_callback(x, tmp_path):
    found = answer(trained("jax", tmp_path, slopes=[0.0, 0.6, 0.6], epochs=6, warmup_epochs=2, patience=3))
    (message,) = found["messages"]
    assert message.startswith("epoch 4: ")


def test_without_a_forecast_it_logs_and_never_warns(x, tmp_path):
    found = answer(trained("torch", tmp_path, slopes=[0.6, 0.6, 0.6], forecast=False, prefix="val"))
    assert found["messages"] == []
    assert found["history"]["val/n_alive"] == [0] * 4
    assert "val/water_level" not in found["history"]


def test_an_encoder_that_gives_no_pair_stops_the_training_in_one_line(x, tmp_path):
    result = trained("torch", tmp_path, slopes=[0.0, 0.0, 0.0], encoder="bad")
    assert result.returncode == 1
    assert "DataError: " in result.stderr.splitlines()[-1]
    assert "a pair of a mean and a log_variance is due" in result.stderr.splitlines()[-1]
