"""A sweep of VAEs of sequences: one language model, λ beside each, and a folder from which it goes on."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uncollapse.errors import DataError, ObjectiveError, OutputError
from uncollapse.injecting import sweep as module
from uncollapse.injecting.sweep import sequence_sweep
from uncollapse.injecting.sweep_result import COLUMNS, SequenceSweep
from uncollapse.sequences import SequenceTraining, SequenceVAE, load

SHORT = SequenceTraining(epochs=2)


def topics(rng: np.random.Generator, n: int = 1500) -> np.ndarray:
    """Sequences of one of two topics that a decoder without a past cannot know of."""
    topic = rng.integers(0, 2, (n, 1))
    return np.where(rng.random((n, 12)) < 0.8, 2 * topic, 0) + rng.integers(0, 2, (n, 12))


def test_a_latent_lives_far_below_lambda_and_none_far_above(rng, tmp_path):
    how = {"training": SequenceTraining(epochs=15, learning_rate=1e-2), "encoder": "counts"}
    sweep = sequence_sweep(topics(rng), "window:0", tmp_path, betas=(0.5, 100.0), latents=(1, 2), **how)
    columns = sweep.columns
    assert [n > 0 for n in columns["n_alive"]] == [True, True, False, False]
    assert columns["n_latents"] == [1, 2, 1, 2]
    assert columns["forecast_n_alive"][0] == 1
    assert columns["forecast_n_alive"][2:] == [0, 0]
    assert columns["forecast_gain"][2:] == [0.0, 0.0]
    assert all(gain > 0.5 for gain in columns["gain"][:2])
    assert 0.5 < sweep.spectrum.critical_beta < 100
    assert "below that a latent lives in 2 of 2 trainings, above it none lives in 2 of 2." in sweep.headline


def test_what_is_written_of_a_vae_is_what_it_costs(rng, tmp_path):
    x = topics(rng, 200)
    sweep = sequence_sweep(x, "window:1", tmp_path, betas=(0.7,), latents=(3,), training=SHORT, keep_models=True)
    vae = load(tmp_path / "models" / sweep.columns["cell"][0])
    assert isinstance(vae, SequenceVAE)
    assert (vae.setup.beta, vae.n_latents, vae.setup.training.epochs) == (0.7, 3, 2)
    assert sweep.columns["loss"] == [vae.held_out.loss]
    assert sweep.columns["gain"][0] == pytest.approx(sweep.language.nats - vae.held_out.loss)
    assert sweep.columns["elbo"][0] == pytest.approx(-vae.held_out.reconstruction - vae.held_out.rate)
    table = list(csv.DictReader(io.StringIO(sweep.to_csv())))
    assert tuple(table[0]) == COLUMNS
    assert [float(kl) for kl in table[0]["latent_kl"].split()] == pytest.approx(vae.held_out.kl.tolist())


def test_a_stopped_sweep_goes_on_and_trains_nothing_twice(rng, tmp_path, monkeypatch):
    x, trained = topics(rng, 200), []
    real = module.train_sequence_vae

    def counted(*args, **kwargs):
        if len(trained) == 1:
            trained.append("stopped")
            raise KeyboardInterrupt
        trained.append(kwargs["beta"])
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "train_sequence_vae", counted)
    how = {"betas": (0.5, 1.0, 2.0), "latents": (2,), "training": SHORT}
    with pytest.raises(KeyboardInterrupt):
        sequence_sweep(x, "window:0", tmp_path, **how)
    went_on = sequence_sweep(x, "window:0", tmp_path, **how)
    assert trained == [0.5, "stopped", 1.0, 2.0]
    assert sequence_sweep(x, "window:0", tmp_path, **how).to_csv() == went_on.to_csv()
    assert len(trained) == 4
    whole = sequence_sweep(x, "window:0", tmp_path / "whole", **how)
    assert whole.columns["loss"] == went_on.columns["loss"]


def test_another_sweep_in_the_folder_is_refused(rng, tmp_path):
    x = topics(rng, 100)
    how = {"betas": (3.0,), "latents": (1,), "training": SHORT}
    sequence_sweep(x, "window:0", tmp_path, **how)
    for changed, what in (
        ({"betas": (4.0,)}, "cells"),
        ({"training": SequenceTraining(epochs=3)}, "training"),
        ({"encoder": "counts"}, "how"),
    ):
        with pytest.raises(OutputError, match=rf"other settings \({what}\)"):
            sequence_sweep(x, "window:0", tmp_path, **{**how, **changed})
    with pytest.raises(OutputError, match=r"other settings \(sequences\)"):
        sequence_sweep(x[::-1].copy(), "window:0", tmp_path, **how)
    (tmp_path / "sweep.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match="damaged"):
        sequence_sweep(x, "window:0", tmp_path, **how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"betas": "0.5"}, "betas must be a list"),
        ({"betas": (0.0,)}, "beta must be"),
        ({"betas": ()}, "needs one weight"),
        ({"latents": (0,)}, "n_latents"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": 10**9}, "seeds"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_the_folder_is_made(how, message, rng, tmp_path):
    with pytest.raises(ObjectiveError, match=message):
        sequence_sweep(topics(rng, 50), "window:0", tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_too_few_sequences_are_refused(tmp_path):
    with pytest.raises(DataError, match="too few"):
        sequence_sweep(np.zeros((3, 4), dtype=int), "window:0", tmp_path, training=SHORT)


def test_a_training_that_fails_is_a_line_of_the_table(rng, tmp_path, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise module.TrainingError("the loss is not finite")

    monkeypatch.setattr(module, "train_sequence_vae", fails)
    sweep = sequence_sweep(topics(rng, 100), "window:0", tmp_path, betas=(1.0,), latents=(1,), training=SHORT)
    assert (sweep.columns["status"], sweep.columns["loss"]) == (["failed"], [None])
    assert "No training of 1 came to its end" in sweep.headline
    assert "1 of 1 trainings failed" in sweep.summary()
    json.dumps(sweep.to_dict(), allow_nan=False)


def test_the_words_say_what_the_decoder_itself_learned(rng, tmp_path: Path):
    sweep = sequence_sweep(topics(rng, 200), "window:0", tmp_path, betas=(50.0,), latents=(1,), training=SHORT)
    learned = replace_gain(sweep, 0.5)
    assert "The decoder itself learned 0.5 nats" in learned.summary(width=200)
    assert "The decoder itself learned" not in replace_gain(sweep, 0.001).summary(width=200)


def replace_gain(sweep: SequenceSweep, gain: float) -> SequenceSweep:
    return replace(sweep, columns={**sweep.columns, "gain": [gain]})
