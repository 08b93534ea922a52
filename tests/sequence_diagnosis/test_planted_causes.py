"""VAEs of sequences whose cause is known, and remedies that are tried."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from seeds import SEED
from topics import chain, closed_form, topics, turns
from uncollapse.sequence_diagnosis.examine import diagnose_sequences
from uncollapse.sequences import SequenceTraining, shape_named, train_language_model, train_sequence_vae

QUICK = {"batch_size": 64, "learning_rate": 1e-2, "seed": SEED, "n_latents": 2}
SLOW = QUICK | {"learning_rate": 1e-3}
LANGUAGE = SequenceTraining(10, 64, 1e-2, seed=SEED)


@pytest.fixture(scope="module")
def x():
    return topics(np.random.default_rng(SEED), 1500)


@pytest.fixture(scope="module")
def new():
    """Sequences of the same kind that nothing was trained on."""
    return topics(np.random.default_rng(SEED + 1000), 1500)


@pytest.fixture(scope="module")
def language(x):
    return train_language_model(x, "window:0", LANGUAGE)


@pytest.fixture(scope="module")
def turning():
    x = turns(np.random.default_rng(SEED), 3000)
    return x[:1500], x[1500:], train_language_model(x[:1500], "window:1", LANGUAGE)


def test_a_weight_above_the_threshold_is_the_objective(x, new, language):
    critical = closed_form(new)
    beta = 2.5 * critical
    vae = train_sequence_vae(x, start=language, beta=beta, epochs=3, encoder="counts", **QUICK)
    d = diagnose_sequences(vae, new)
    assert (d.cause, d.n_alive) == ("objective", 0)
    assert d.spectrum.critical_beta == pytest.approx(critical, rel=0.1)
    assert d.headline.startswith("0 of 2 latents are alive: the objective does not let them live.")
    weight, bits = d.remedies
    assert float(weight.change.split("→")[1]) == pytest.approx(0.85 * d.spectrum.critical_beta, rel=0.01)
    assert weight.nats == pytest.approx(0.5 * math.log(1 / 0.85), rel=0.01)
    assert bits.nats == 1.0
    lower = train_sequence_vae(x, start=language, beta=0.6 * critical, epochs=20, encoder="counts", **QUICK)
    assert lower.n_alive >= 1


def test_a_model_that_was_trained_long_is_healthy_and_each_latent_earns_what_it_is_said_to(x, new, language):
    vae = train_sequence_vae(x, start=language, beta=1.5, epochs=20, encoder="counts", **QUICK)
    d = diagnose_sequences(vae, new)
    assert d.cause == "healthy"
    assert d.remedies == ()
    assert d.n_earning == d.n_alive >= 1
    mean, variance = vae.encode(new)
    z = mean + np.sqrt(variance) * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).numpy()
    j = int(d.kl.argmax())
    held = z.copy()
    held[:, j] = mean[:, j].mean()

    def nats(z):
        log_p = torch.from_numpy(vae.decode(new, z)).double().log_softmax(-1).numpy()
        return -np.take_along_axis(log_p, new[:, :, None], 2).sum((1, 2))

    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance))[:, j].mean()
    assert d.kl[j] == pytest.approx(kl, rel=1e-4)
    assert d.reconstruction == pytest.approx(nats(z).mean(), rel=1e-5)
    assert d.earned[j] == pytest.approx((nats(held) - nats(z)).mean() - 1.5 * kl, rel=1e-3)
    assert d.loss == pytest.approx(d.reconstruction + 1.5 * d.kl.sum())


def test_an_epoch_from_a_quiet_start_is_too_little(x, new, language):
    vae = train_sequence_vae(x, start=language, beta=0.3 * closed_form(x), epochs=1, encoder="counts", **SLOW)
    d = diagnose_sequences(vae, new)
    assert (d.cause, d.confidence) == ("optimisation", "high")
    assert d.told > d.beta
    assert [remedy.change for remedy in d.remedies] == ["KL warm-up from 0, half of the steps", "epochs 1 → 4"]


def test_the_warm_up_that_a_stuck_model_is_told_lets_its_latents_live(turning):
    x, new, language = turning
    stuck = train_sequence_vae(x, start=language, epochs=3, encoder="gru", **SLOW)
    d = diagnose_sequences(stuck, new)
    assert (d.cause, d.n_alive) == ("optimisation", 0)
    assert d.remedies[0].change.startswith("KL warm-up")
    freed = train_sequence_vae(x, start=language, epochs=12, warm_up=0.5, encoder="gru", **QUICK)
    assert freed.n_alive >= 1
    assert freed.held_out.loss < stuck.held_out.loss - 1


def test_an_encoder_that_counts_cannot_tell_an_order(turning):
    x, new, language = turning
    vae = train_sequence_vae(x, start=language, epochs=3, encoder="counts", **QUICK)
    d = diagnose_sequences(vae, new)
    assert d.cause == "encoder-cannot-tell"
    assert d.told < 0.7 < 2 < d.spectrum.critical_beta
    assert d.remedies[0].change == "encoder counts → gru"


def test_a_decoder_of_the_token_before_explains_a_chain():
    """A GRU does so only with many sequences: trained on 3,500 it learns some by heart, and λ on others is 1.2."""
    x = chain(np.random.default_rng(SEED), 14_000)
    language = train_language_model(x[:10_000], shape_named("window:1", 5, width=16), LANGUAGE)
    vae = train_sequence_vae(x[:10_000], start=language, epochs=1, encoder="counts", **SLOW)
    d = diagnose_sequences(vae, x[10_000:])
    assert d.cause == "decoder-explains"
    assert d.spectrum.critical_beta == pytest.approx(1.0, abs=0.2)
    changes = [remedy.change for remedy in d.remedies]
    assert changes[0] == "word dropout 0 → 0.5"
    assert changes[1].startswith("β 1 → 0.")
    assert changes[-1] == "free bits, 1 nat in all"
    assert d.remedies[0].critical_beta > 0.7
    high = diagnose_sequences(vae, x[10_000:], beta=8.0)
    assert high.cause == "objective"  # nothing lives at β = 8, whatever the decoder leaves


def test_what_it_says_goes_to_json_and_stays_within_its_width(x, new, language):
    vae = train_sequence_vae(x, start=language, beta=20.0, epochs=1, encoder="counts", **QUICK)
    d = diagnose_sequences(vae, new[:200], wanted_nats=2.0)
    facts = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert facts["cause"] == "objective"
    assert facts["critical_beta"] == d.spectrum.critical_beta
    assert [remedy["change"] for remedy in facts["remedies"]][-1] == "free bits, 2 nats in all"
    assert max(map(len, d.summary().splitlines())) <= 80
    assert d.summary().startswith("0 of 2 latents are alive")
