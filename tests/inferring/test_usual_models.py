"""Weights of the usual makes of VAE are read without a word from the user, and the probe is the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from inferring_models import USUAL, written
from seeds import SEED
from uncollapse.inferring.infer import infer
from uncollapse.inferring.result import Said

TAKES_PIXELS = ("convolutional",)


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


def own_halves(name, model, x, given):
    """Mean, standard deviation and reconstruction of the mean, by the model's own parts."""
    if name in ("positional", "lightning"):
        mean, s = model.encode(x)
        return mean, (s / 2).exp(), model.decode
    if name == "dataclass":
        mean, s = model.encode(x)
        return mean, s.exp(), model.decode
    if name == "config":
        h = model.encoder(x)
        return model.mu(h), (model.sigma(h) / 2).exp(), model.decoder
    if name == "attributes":
        return *model.encoder(x), model.decoder
    if name == "forward":
        h = torch.relu(model.second(torch.relu(model.first(x))))
        mean, s = model.to_latent(h).chunk(2, 1)
        return mean, (s / 2).exp(), lambda z: model.last(torch.relu(model.third(z)))
    if name == "sequential":
        mean, s = model.encoder(x).chunk(2, 1)
        return mean, (s / 2).exp(), model.decoder
    if name == "conditional":
        h = model.encoder(torch.cat([x, given], 1))
        decode = lambda z: model.decoder(torch.cat([z, given], 1))  # noqa: E731
        return model.mu(h), (model.log_var(h) / 2).exp(), decode
    if name == "convolutional":
        h = model.encoder(x.reshape(-1, 1, 8, 8))
        return model.fc_mu(h), (model.fc_logvar(h) / 2).exp(), lambda z: model.decoder(z).flatten(1)
    mean, s = model.q(model.enc(x)).chunk(2, 1)
    return mean, (s / 2).exp(), model.dec


@pytest.mark.parametrize("name", USUAL)
def test_nothing_is_asked_and_the_probe_is_the_model(name, tmp_path, digits):
    weights, file, model = written(tmp_path, name, SEED)
    x, labels = digits
    x = x / 16 if name in TAKES_PIXELS else x
    given = labels[:, None].astype(float) if name == "conditional" else None
    found = infer(weights, x, given, Said(model=str(file)), n_classes=0 if given is None else 10)
    assert found.missing == ()
    one_hot = None if given is None else np.eye(10)[labels]
    assert found.n_classes == (0 if given is None else 10)
    with torch.no_grad():
        row = torch.as_tensor(x[:50], dtype=torch.float32)
        of_given = None if given is None else torch.as_tensor(one_hot[:50], dtype=torch.float32)
        mean, std, decode = own_halves(name, model, row, of_given)
        out = decode(mean)
    seen = found.probe.encode(x[:50], None if given is None else one_hot[:50])
    np.testing.assert_allclose(seen.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen.variance, std**2, rtol=1e-5, atol=1e-6)
    again = found.probe.decode(seen.mean, None if given is None else one_hot[:50])
    np.testing.assert_allclose(again, out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", USUAL)
def test_the_loss_of_the_file_is_read(name, tmp_path, digits):
    weights, file, _ = written(tmp_path, name, SEED)
    x, labels = digits
    given = labels[:, None].astype(float) if name == "conditional" else None
    objective = infer(weights, x / 16, given, Said(model=str(file)), n_classes=0 if given is None else 10).objective
    if name == "convolutional":
        assert (objective.likelihood, objective.beta) == ("bernoulli", 1.0)
    else:
        assert objective.water_level == pytest.approx({"dataclass": 1.0}.get(name, 0.5))


def test_a_loss_that_is_said_is_not_looked_for(tmp_path, digits):
    weights, file, _ = written(tmp_path, "positional", SEED)
    found = infer(weights, digits[0], said=Said(model=str(file), loss=True))
    assert (found.objective, found.missing) == (None, ())
    assert not any(one.what == "loss" for one in found.found)


def test_what_was_inferred_says_why_and_how_to_say_otherwise(tmp_path, digits):
    weights, file, _ = written(tmp_path, "positional", SEED)
    lines = {one.what: one for one in infer(weights, digits[0], said=Said(model=f"{file}:VAE")).found}
    assert lines["arguments"].value == "input_dim=64, hidden_dim=32, latent_dim=6"
    assert lines["arguments"].option == "--args NAME=VALUE"
    assert lines["spread"].value == "log-variance"
    assert "were not run" in lines["code run"].reason


def test_pixels_of_0_to_255_are_scaled_as_the_reconstruction_asks(tmp_path, digits):
    weights, file, _ = written(tmp_path, "convolutional", SEED)
    found = infer(weights, np.round(digits[0] / 16 * 255), said=Said(model=str(file)))
    assert found.scale == pytest.approx(1 / 255)
    assert "--scale" in str(next(one for one in found.found if one.what == "range of the data"))
    assert infer(weights, digits[0] / 16, said=Said(model=str(file))).scale == 1.0


def test_a_scale_that_is_said_is_kept(tmp_path, digits):
    weights, file, _ = written(tmp_path, "convolutional", SEED)
    assert infer(weights, digits[0], said=Said(model=str(file), scale=0.5)).scale == 0.5
