"""A language model comes down to the entropy of its data, as far as it sees the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seeds import SEED
from topics import topics
from uncollapse.data.tokens import as_tokens, tokens_of_lines
from uncollapse.errors import DataError, ObjectiveError, TrainingError
from uncollapse.sequences import (
    DecoderShape,
    LanguageModel,
    SequenceTraining,
    decoder_named,
    shape_named,
    train_language_model,
)
from uncollapse.sequences.rows import split

CHAIN = np.array([[0.8, 0.15, 0.05], [0.1, 0.1, 0.8], [0.45, 0.5, 0.05]])
QUICK = SequenceTraining(epochs=8, batch_size=64, learning_rate=1e-2, seed=SEED)


def chains(rng, n=1000, length=12):
    """Markov chains of a known entropy, all of which begin with a 0."""
    rows = np.zeros((n, length), dtype=np.int64)
    for t in range(1, length):
        rows[:, t] = (rng.random((n, 1)) > CHAIN.cumsum(1)[rows[:, t - 1]]).sum(1)
    return rows


def entropy(rows):
    """−log p of each chain."""
    return -np.log(CHAIN[rows[:, :-1], rows[:, 1:]]).sum(1)


@pytest.mark.parametrize("name", ["gru", "transformer", "window:1"])
def test_a_decoder_that_sees_the_past_comes_down_to_the_chain_s_entropy(name, rng):
    x = chains(rng)
    lm = train_language_model(x, shape_named(name, 3, width=32), QUICK)
    truth = entropy(split(x)[1].ids).mean()
    assert truth - 0.02 < lm.nats < truth + 0.25
    assert lm.nats_per_token == pytest.approx(lm.nats / 12)
    fresh = chains(rng)
    np.testing.assert_allclose(lm.losses(fresh), entropy(fresh), atol=2.0)
    assert abs(lm.losses(fresh).mean() - entropy(fresh).mean()) < 0.25


def test_one_that_sees_nothing_comes_down_to_the_shares_of_the_tokens(rng):
    x = chains(rng)
    shares = np.bincount(x.ravel()) / x.size
    lm = train_language_model(x, "window:0", QUICK)
    assert lm.nats_per_token == pytest.approx(-shares @ np.log(shares), abs=0.02)


@torch.no_grad()
def test_losses_are_those_of_one_token_after_another(rng):
    tokens = as_tokens([[2, 0, 1], [1], [0, 0, 2, 2, 1]])
    decoder = decoder_named("gru", 3, width=8, seed=SEED)
    lm = LanguageModel(decoder, SequenceTraining(), {}, 0.0, 0.0, 0)
    for row, loss in zip(([2, 0, 1], [1], [0, 0, 2, 2, 1]), lm.losses(tokens), strict=True):
        logits = [decoder(torch.tensor([row[: t + 1]]))[0, t] for t in range(len(row))]
        by_hand = -sum(float(torch.log_softmax(one, 0)[token]) for one, token in zip(logits, row, strict=True))
        assert loss == pytest.approx(by_hand, rel=1e-5)


def test_the_state_kept_is_the_best_on_what_was_held_out(rng):
    x = rng.integers(0, 4, (40, 6))  # noise: what is learned of it is wrong elsewhere
    lm = train_language_model(x, "gru", SequenceTraining(epochs=40, batch_size=8, learning_rate=2e-2, seed=SEED))
    there = lm.history["held_out"]
    assert there.argmin() < 39
    assert lm.nats == there.min()
    assert lm.losses(split(x)[1]).mean() == pytest.approx(there.min(), rel=1e-6)
    assert there[-1] > there.min()


def test_the_fifth_held_out_is_the_same_at_every_seed_and_no_sequence_is_in_both(rng):
    x = np.arange(50)[:, None] * np.ones((1, 3), dtype=np.int64)
    seen, held_out = split(x)
    assert (len(seen), len(held_out)) == (40, 10)
    assert sorted([*seen.ids[:, 0], *held_out.ids[:, 0]]) == list(range(50))
    assert (split(x)[1].ids == held_out.ids).all()


def test_the_same_seed_gives_the_same_model(rng):
    x = topics(rng, 100)
    how = SequenceTraining(epochs=2, seed=SEED)
    first, again = (train_language_model(x, "window:2", how).nats for _ in range(2))
    assert first == again


def test_letters_are_known_by_themselves_and_not_by_their_numbers():
    lm = train_language_model(tokens_of_lines(["abc", "cab"] * 20), "gru", SequenceTraining(epochs=2))
    assert lm.losses(tokens_of_lines(["bc"])) == pytest.approx(lm.losses([[1, 2, 3]]))
    with pytest.raises(DataError, match="'x' is outside of the model's vocabulary"):
        lm.losses(tokens_of_lines(["abx"]))
    with pytest.raises(DataError, match="token 4 is outside of a vocabulary of 4"):
        lm.losses([[4]])


def test_what_cannot_be_trained_on_is_refused_in_one_line(rng):
    x = topics(rng, 30)
    with pytest.raises(DataError, match="9 sequences are too few; give 10 or more"):
        train_language_model(x[:9])
    with pytest.raises(DataError, match=r"token 5 is outside of a vocabulary of 3"):
        train_language_model(x, DecoderShape("gru", 3))
    with pytest.raises(DataError, match="must be a DecoderShape or a name, got int"):
        train_language_model(x, 3)
    with pytest.raises(ObjectiveError, match="training must be a SequenceTraining"):
        train_language_model(x, "gru", 3)
    with pytest.raises(ObjectiveError, match="epochs must be a whole number from 1"):
        SequenceTraining(epochs=0)
    for epochs in (1, 20):
        with pytest.raises(TrainingError, match="lower the learning rate from 1e\\+30"):
            train_language_model(x, "transformer", SequenceTraining(learning_rate=1e30, epochs=epochs))
    with pytest.raises(ObjectiveError, match="learning_rate must be at most 1e\\+30, got 1e\\+38"):
        SequenceTraining(learning_rate=1e38)
