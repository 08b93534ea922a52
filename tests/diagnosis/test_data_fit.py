"""Rows that are not those of the training are named before anything else, with the factor where there is one."""

from __future__ import annotations

import numpy as np
import pytest

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
