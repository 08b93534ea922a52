"""Rows that are not those of the training are named before anything else, with the factor where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from uncollapse import Objective
from uncollapse.diagnosis.examine import diagnose
from uncollapse.training import Network, Training, train


@pytest.fixture(scope="module")
def images():
    """Correlated columns in [0, 1], each with a mean of its own."""
    rng = np.random.default_rng(SEED)
    z = 1.5 * rng.standard_normal((1500, 3)) @ rng.standard_normal((3, 12))
    return 1 / (1 + np.exp(-z + np.linspace(-4, 4, 12)))


@pytest.fixture(scope="module")
def model(images):
    setup = {"network": Network(hidden=(32,)), "training": Training(epochs=80, batch_size=64, learning_rate=0.003)}
    return train(images, objective=Objective(beta=1.0, decoder_variance=0.01, n_latents=3), **setup)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: 255 * x, "divided by 255"),
        (lambda x: 16 * x, "divided by 16"),
        (lambda x: x / 255, "multiplied by 255"),
    ],
)
def test_another_scale_is_named(images, model, change, words):
    d = diagnose(model, change(images))
    assert (d.cause, d.confidence) == ("other-data", "high"), d.verdict
    assert words in d.verdict
    assert words in d.remedies[0].change


def test_noise_is_asked_about(model, rng):
    d = diagnose(model, 3 * rng.standard_normal((1500, 12)))
    assert d.cause == "other-data", d.verdict
    assert "are these the data it was trained on" in d.verdict


def test_the_data_of_the_training_are_no_question(images, model):
    assert "R²" not in diagnose(model, images).verdict


def test_a_decoder_that_has_hardly_learned_says_nothing_of_whose_the_data_are(images):
    """A wrong constant beside an encoder that pays: worse than the mean, on the data of its training too."""
    encoder = torch.nn.Linear(12, 6)
    decoder = torch.nn.Linear(3, 12)
    with torch.no_grad():
        encoder.weight.normal_(generator=torch.Generator().manual_seed(SEED)).mul_(0.5)
        encoder.bias.copy_(-encoder.weight @ torch.as_tensor(images.mean(0), dtype=torch.float32))
        encoder.bias[3:] -= 2
        decoder.weight.mul_(0.01)
        decoder.bias.fill_(-1.0)
    model = _Halves(encoder, decoder)
    d = diagnose(model, images, objective=Objective(decoder_variance=0.01), spread="log_variance")
    assert d.cause != "other-data", d.verdict
    assert "are these the data" not in d.verdict
    decoder.weight.data *= 100  # one that shows much is asked whose the data are
    again = diagnose(model, images, objective=Objective(decoder_variance=0.01), spread="log_variance")
    assert again.cause == "other-data", again.verdict


def test_data_far_too_large_are_named_though_a_homogeneous_network_reconstructs_them(rng):
    x = rng.standard_normal((600, 2)) @ rng.standard_normal((2, 8))
    _, strengths, right = np.linalg.svd(x, full_matrices=False)
    encoder, decoder = torch.nn.Linear(8, 4, bias=False), torch.nn.Linear(2, 8, bias=False)
    with torch.no_grad():
        scaled = right[:2].T / strengths[:2] * 600**0.5
        encoder.weight.copy_(torch.as_tensor(np.vstack([scaled.T, 0 * scaled.T])))
        decoder.weight.copy_(torch.as_tensor(right[:2].T * strengths[:2] / 600**0.5))
    d = diagnose(_Halves(encoder, decoder), 255 * x, objective=Objective(), spread="log_variance")
    assert (d.cause, d.confidence) == ("other-data", "high"), d.verdict
    assert "divided by 255" in d.verdict


class _Halves(torch.nn.Module):
    """Two layers."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z)


@pytest.mark.filterwarnings("ignore::uncollapse.errors.UncollapseWarning")
def test_constant_rows_far_outside_the_prior_end_in_an_answer():
    encoder, decoder = torch.nn.Linear(6, 4), torch.nn.Linear(2, 6)
    with torch.no_grad():
        encoder.bias.copy_(torch.tensor([90.0, 90.0, 0.0, 0.0]))
    constant = np.ones((40, 6), dtype=np.float32)
    d = diagnose(_Halves(encoder, decoder), constant, objective=Objective(), spread="log_variance")
    assert d.cause in ("encoder-stuck", "other-data"), d.verdict
