"""Rows that are not those of the training are named before anything else, with the factor where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnosed import linear_model
from seeds import SEED
from uncollapse import DataError, Objective, forecast
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


def table(rng, n=600):
    """Columns of unlike size and mean, as tables have them, of three modes."""
    z = rng.standard_normal((n, 3)) @ rng.standard_normal((3, 6)) + 0.2 * rng.standard_normal((n, 6))
    return z * np.array([12.0, 8.0, 10.0, 1.3, 11.0, 30.0]) + np.array([45.0, 170.0, 75.0, 1.4, 120.0, 400.0])


def trained_on_standardised(raw, beta):
    """The closed form of the standardised columns."""
    own = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    objective = Objective(beta=beta, n_latents=3)
    return linear_model(forecast(own, objective=objective)), own


def test_a_model_of_standardised_columns_names_them_when_it_is_given_raw_ones(rng):
    raw = table(rng)
    model, own = trained_on_standardised(raw, 0.2)
    d = diagnose(model, raw)
    assert (d.cause, d.confidence) == ("other-data", "high"), d.verdict
    assert "standardised" in d.remedies[0].change
    assert "standardised" in d.verdict
    assert diagnose(model, own).cause != "other-data"


class _Collapsed(torch.nn.Module):
    """Collapsed on standardised columns: small weights, which large numbers take far from the prior."""

    def __init__(self, weight):
        super().__init__()
        self.encoder, self.decoder = torch.nn.Linear(6, 6), torch.nn.Linear(3, 6)
        with torch.no_grad():
            for part in self.parameters():
                part.zero_()
            self.encoder.weight[:3, :3] = weight * torch.eye(3)

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z)


def test_a_collapsed_model_of_standardised_columns_is_asked_about(rng):
    d = diagnose(_Collapsed(0.05), table(rng), objective=Objective(beta=20.0), spread="log_variance")
    assert (d.cause, d.confidence) == ("other-data", "low"), d.verdict
    assert "standardised" in d.remedies[0].change
    assert "is collapsed" in d.verdict


def test_a_fresh_network_on_raw_columns_is_not_taken_for_one_of_standardised_ones(rng):
    d = diagnose(_Collapsed(0.5), table(rng), objective=Objective(beta=20.0), spread="log_variance")
    assert "standardised" not in d.verdict


@pytest.mark.parametrize(("spread", "said"), [("log_variance", "overflow"), ("variance", "negative variance")])
def test_an_odd_spread_of_large_data_names_their_scale_first(rng, spread, said):
    model = _Collapsed(0.0)
    with torch.no_grad():
        model.encoder.weight[3, 5], model.encoder.weight[4, 5] = 30.0, -30.0
    with pytest.raises(DataError, match=f"{said}.*the data reach [0-9,]+: was the model trained on standardised") as e:
        diagnose(model, table(rng), objective=Objective(), spread=spread)
    assert "If not, " in str(e.value)


def test_an_odd_spread_of_small_data_says_nothing_of_scale(rng):
    model = _Collapsed(0.0)
    with torch.no_grad():
        model.encoder.bias[3] = -1.0
    with pytest.raises(DataError, match="negative variance -1 .*; is this the log-variance") as e:
        diagnose(model, rng.standard_normal((50, 6)), objective=Objective(), spread="variance")
    assert "reach" not in str(e.value)
