"""VAEs of sequences: latents live below the threshold of their data, and the remedies do what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from seeds import SEED
from topics import closed_form, topics
from uncollapse.data.tokens import tokens_of_lines
from uncollapse.errors import DataError, ObjectiveError, OutputError, SourceError
from uncollapse.sequences import (
    SequenceSetup,
    SequenceTraining,
    load,
    save,
    shape_named,
    train_language_model,
    train_sequence_vae,
)
from uncollapse.sequences.rows import split
from uncollapse.sequences.terms import seen_at_random

QUICK = {"batch_size": 64, "learning_rate": 1e-2, "seed": SEED, "encoder": "counts", "n_latents": 2}


@pytest.fixture(scope="module")
def x():
    return topics(np.random.default_rng(SEED), 1500)


@pytest.fixture(scope="module")
def language(x):
    return train_language_model(x, "window:0", SequenceTraining(10, 64, 1e-2, seed=SEED))


@pytest.mark.parametrize("quiet", [True, False])
def test_latents_live_below_the_threshold_and_die_above_it(x, language, quiet):
    critical = closed_form(x)
    assert 2 < critical < 10
    begin = {"start": language} if quiet else {"shape": "window:0"}
    low, high = (train_sequence_vae(x, beta=share * critical, epochs=20, **begin, **QUICK) for share in (0.5, 1.5))
    assert low.n_alive >= 1
    assert high.n_alive == 0
    assert high.held_out.rate < 0.01
    assert high.held_out.loss == pytest.approx(language.nats, abs=0.1)  # a dead VAE is a language model
    loss = low.losses(split(x)[1], draws=20).mean()
    assert loss < language.nats  # a latent that lives pays
    assert low.history["kl"][0] < 0.1 or not quiet


def test_the_losses_are_reconstruction_and_weighted_kl(x, rng):
    vae = train_sequence_vae(x, "window:1", beta=0.7, epochs=1, **QUICK)
    few = x[:40]
    mean, variance = vae.encode(few)
    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(1)
    noise = torch.randn(40, 2, generator=torch.Generator().manual_seed(3)).numpy()
    logits = vae.decode(few, mean + np.sqrt(variance) * noise)
    log_p = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    by_hand = -np.take_along_axis(log_p, few[:, :, None], 2).sum((1, 2)) + 0.7 * kl
    np.testing.assert_allclose(vae.losses(few, seed=3), by_hand, rtol=1e-4)
    e = vae.evaluate(few, seed=3)
    assert e.loss == pytest.approx(by_hand.mean(), rel=1e-4)
    assert e.elbo_per_token == pytest.approx(-(by_hand + 0.3 * kl).mean() / 20, rel=1e-4)
    twice = (vae.losses(few, seed=3) + vae.losses(few, seed=4)) / 2
    np.testing.assert_allclose(vae.losses(few, seed=3, draws=2), twice, rtol=1e-6)


def test_free_bits_hold_the_kl_near_their_level(x):
    above = {"beta": 2 * closed_form(x), "epochs": 20, **QUICK}
    each = train_sequence_vae(x, "window:0", free_bits=0.2, **above)
    assert ((each.held_out.kl > 0.1) & (each.held_out.kl < 0.35)).all()
    total = train_sequence_vae(x, "window:0", free_bits_total=0.3, **above)
    assert 0.2 < total.held_out.rate < 0.45


def test_a_decoder_that_drops_every_token_has_no_context(x, language):
    dropped = train_sequence_vae(x, "gru", word_dropout=1.0, beta=2 * closed_form(x), epochs=8, **QUICK)
    z = np.zeros((100, 2))
    assert (dropped.decode(x[:100], z) == dropped.decode(x[100:200], z)).all()
    assert dropped.held_out.loss == pytest.approx(language.nats, abs=0.25)
    some = train_sequence_vae(x, "gru", word_dropout=0.5, epochs=1, **QUICK)
    assert (some.decode(x[:100], z) != some.decode(x[100:200], z)).any()


def test_a_share_of_the_tokens_is_dropped_anew_each_time_and_none_in_measurements():
    ids, generator = torch.zeros(200, 50, dtype=torch.int64), torch.Generator().manual_seed(SEED)
    first, second = (seen_at_random(ids, 0.2, generator) for _ in range(2))
    assert float(first.float().mean()) == pytest.approx(0.8, abs=0.03)
    assert not torch.equal(first, second)
    assert seen_at_random(ids, 0.2, None) is None
    assert seen_at_random(ids, 0.0, generator) is None
    assert not seen_at_random(ids, 1.0, None).any()


def test_a_warm_up_raises_the_weight_from_nothing(x):
    vae = train_sequence_vae(x, "window:0", beta=3.0, warm_up=0.5, epochs=8, **QUICK)
    np.testing.assert_allclose(vae.history["kl_weight"], [0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    assert vae.history["kl"][1] > vae.history["kl"][-1]
    np.testing.assert_allclose(vae.history["loss"], vae.history["reconstruction"] + 3 * vae.history["kl"])
    assert vae.history["held_out"][-1] == pytest.approx(vae.held_out.loss)  # 300 sequences, all of them


@pytest.mark.parametrize("encoder", ["gru", "positions", "counts"])
def test_a_model_comes_back_from_its_folder(x, encoder, tmp_path):
    tokens = tokens_of_lines(["".join("abcdef"[i] for i in row[: 3 + row[0]]) for row in x[:60]])
    lm = train_language_model(tokens, "transformer", SequenceTraining(epochs=2))
    vae = train_sequence_vae(tokens, start=lm, encoder=encoder, n_latents=3, epochs=2, word_dropout=0.3)
    for model in (lm, vae):
        save(model, tmp_path / "m")
        again = load(tmp_path / "m")
        assert (again.losses(tokens) == model.losses(tokens)).all()
        assert again.to_dict() == model.to_dict()
        assert json.loads((tmp_path / "m" / "result.json").read_text("utf-8"))["noun"] == type(model).__name__
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.safetensors", "result.json"]


def test_a_folder_without_a_model_is_refused_in_one_line(x, language, tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        load(tmp_path)
    save(language, tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match="damaged, nothing was loaded"):
        load(tmp_path)
    with pytest.raises(OutputError, match="cannot be made a folder"):
        save(language, path)
    with pytest.raises(ObjectiveError, match="what is saved must be a LanguageModel or SequenceVAE"):
        save(x, tmp_path)


def test_a_start_brings_its_own_shape_and_stays_as_it_was(x, language):
    before = language.losses(x)
    vae = train_sequence_vae(x, "window:0", start=language, epochs=2, **QUICK)
    assert vae.setup.decoder == language.shape
    assert (language.losses(x) == before).all()
    with pytest.raises(ObjectiveError, match="which is no gru; leave the shape out"):
        train_sequence_vae(x, "gru", start=language, **QUICK)
    with pytest.raises(ObjectiveError, match="start must be a LanguageModel"):
        train_sequence_vae(x, start=3, **QUICK)


def test_what_cannot_be_trained_on_is_refused_in_one_line(x):
    with pytest.raises(DataError, match="9 sequences are too few"):
        train_sequence_vae(x[:9])
    with pytest.raises(DataError, match="token 5 is outside of a vocabulary of 4"):
        train_sequence_vae(x, shape_named("gru", 4))
    with pytest.raises(ObjectiveError, match="knows no cooling; it takes epochs, batch_size"):
        train_sequence_vae(x, cooling=3)
    vae = train_sequence_vae(x, "window:0", epochs=1, **QUICK)
    with pytest.raises(DataError, match="token 6 is outside of a vocabulary of 6"):
        vae.encode([[6]])
    with pytest.raises(DataError, match="a sequence of 21 tokens, where the model was trained on at most 20"):
        vae.encode(np.zeros((3, 21), dtype=int))
    with pytest.raises(DataError, match="z must be an array of shape"):
        vae.decode(x[:3], np.zeros((3, 5)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0}, "beta must be a positive number"),
        ({"n_latents": 0}, "n_latents must be a whole number from 1"),
        ({"encoder": "cnn"}, "encoder must be one of gru, positions, counts"),
        ({"encoder_width": 0}, "encoder_width must be"),
        ({"word_dropout": 1.5}, "word_dropout must be a share from 0 to 1, got 1.5"),
        ({"warm_up": -0.1}, "warm_up must be a share from 0 to 1"),
        ({"free_bits": 0.1, "free_bits_total": 0.1}, "not both"),
        ({"decoder": "gru"}, "decoder must be a DecoderShape"),
    ],
)
def test_other_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ObjectiveError, match=message):
        SequenceSetup(**{"decoder": shape_named("gru", 4), **settings})


def test_settings_become_plain_values_and_come_back():
    setup = SequenceSetup(shape_named("window:3", 9), 4, 0.5, training=SequenceTraining(epochs=3, clip=1.0))
    assert SequenceSetup.from_dict(json.loads(json.dumps(setup.to_dict()))) == setup
    assert "window=3" in repr(setup)


def test_a_model_says_that_it_overfits(rng):
    noise = rng.integers(0, 4, (40, 6))
    vae = train_sequence_vae(noise, "gru", epochs=40, batch_size=8, learning_rate=2e-2, seed=SEED, n_latents=1)
    assert "the model overfits" in " ".join(vae.summary().split())
    assert vae.headline in ("0 of 1 latents are alive.", "1 of 1 latents is alive.")
