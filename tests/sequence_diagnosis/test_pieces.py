"""The parts of a diagnosis of sequences against other routes to the same numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from seeds import SEED
from topics import topics
from uncollapse.data.tokens import tokens_of_lines
from uncollapse.errors import DataError, ObjectiveError
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.sequence_diagnosis.causes import cause_of
from uncollapse.sequence_diagnosis.examine import diagnose_sequences
from uncollapse.sequence_diagnosis.masked import MaskedSteps, adapted, at_rest
from uncollapse.sequence_diagnosis.remedies import held_cost
from uncollapse.sequences import SequenceTraining, train_language_model, train_sequence_vae
from uncollapse.sequences.rows import split
from uncollapse.theory.path import linear_path


class Theirs(nn.Module):
    """A VAE of ours as a user's own would be written."""

    def __init__(self, vae, shift=0):
        super().__init__()
        self.encoder, self.to_v, self.decoder = vae.parts
        self.shift = shift

    def encode(self, tokens, mask):
        return self.encoder(tokens, mask.sum(1))

    def decode(self, tokens, z):
        return self.decoder(tokens, self.to_v(z))[:, self.shift :]


class Blind(Theirs):
    def decode(self, tokens, z):
        return self.decoder(tokens)


class Odd(Theirs):
    def encode(self, tokens, mask):
        return self.encoder(tokens, mask.sum(1))[0]


class Failing(Theirs):
    def decode(self, tokens, z):
        raise RuntimeError("out of luck")


@pytest.fixture(scope="module")
def vae():
    x = topics(np.random.default_rng(SEED), 800)
    return train_sequence_vae(x, "window:1", beta=9.0, epochs=6, encoder="counts", learning_rate=1e-2, n_latents=3)


@pytest.fixture(scope="module")
def new():
    return topics(np.random.default_rng(SEED + 1000), 600)


def test_a_module_of_ones_own_is_measured_as_ours_is(vae, new):
    ours = diagnose_sequences(vae, new)
    theirs = diagnose_sequences(Theirs(vae), new, beta=9.0, inject="decoder.inject")
    np.testing.assert_allclose(theirs.kl, ours.kl, rtol=1e-5)
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-5)
    found = next(s for s in (theirs.spectrum, theirs.other) if s.place.endswith("inject"))
    assert {theirs.spectrum.place, theirs.other.place} == {"z", "model.decoder.inject"}
    assert theirs.spectrum.critical_beta >= theirs.other.critical_beta
    np.testing.assert_allclose(found.fisher, ours.spectrum.fisher, rtol=1e-3)
    assert theirs.name == "Theirs"
    assert not theirs.known_features
    assert ours.known_features
    assert any("decoder of your own" in note for note in theirs.notes)


def test_λ_along_a_path_is_that_of_the_directions_that_the_path_has(vae, new):
    d = diagnose_sequences(Theirs(vae), new, beta=9.0)
    inside = injection_spectrum(vae.decoder, new, n_draws=4, n_directions=3)
    assert (d.spectrum.place, d.spectrum.width) == ("z", 3)
    assert d.spectrum.strengths[0] <= inside.strengths[0] * 1.05  # a subspace has no more than the whole
    assert any("--inject" in note for note in d.notes)


def test_logits_of_the_next_token_are_told_from_those_of_the_same(vae, new):
    same = diagnose_sequences(Theirs(vae), new, beta=9.0)
    later = diagnose_sequences(Theirs(vae, shift=1), new, beta=9.0)
    first = -torch.from_numpy(vae.decode(new, np.zeros((600, 3)))).log_softmax(-1)[np.arange(600), 0, new[:, 0]].mean()
    assert same.reconstruction - later.reconstruction == pytest.approx(float(first), abs=0.02)


def test_a_weight_is_that_given_else_the_models_else_one(vae, new):
    assert diagnose_sequences(vae, new).beta == 9.0
    assert diagnose_sequences(vae, new, beta=2.0).beta == 2.0
    model = Theirs(vae)
    assert "1 is assumed" in " ".join(diagnose_sequences(model, new).notes)
    model.beta = 0.25
    assert diagnose_sequences(model, new).beta == 0.25


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda vae: 3, "int has no encode; a VAE of sequences is a module with encode"),
        (lambda vae: vae.decoder, "Window has no encode"),
        (lambda vae: SimpleNamespace(encode=print, decode=print), "SimpleNamespace is no PyTorch module"),
        (Odd, "Odd.encode gives one array of shape .*; a mean and a log-variance are due"),
        (Failing, "Failing: fails on its sequences: RuntimeError: out of luck"),
        (Blind, "Blind: decode.*gives the same for every z"),
    ],
)
def test_what_is_no_vae_of_sequences_is_refused_in_one_line(made, message, vae, new):
    with pytest.raises(DataError, match=message) as caught:
        diagnose_sequences(made(vae), new)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_measured_is_refused_in_one_line(vae, new):
    with pytest.raises(DataError, match="15 sequences are too few; give 16 or more"):
        diagnose_sequences(vae, new[:15])
    with pytest.raises(DataError, match="no submodule 'nowhere'; it has embedding"):
        diagnose_sequences(vae, new, inject="nowhere")
    with pytest.raises(DataError, match="a sequence of 21 tokens"):
        diagnose_sequences(vae, np.zeros((20, 21), dtype=int))
    with pytest.raises(DataError, match="token 6 is outside"):
        diagnose_sequences(vae, new + 1)
    for wrong in ({"beta": 0}, {"wanted_nats": -1}, {"n_sequences": 3}):
        with pytest.raises(ObjectiveError, match=next(iter(wrong))):
            diagnose_sequences(vae, new, **wrong)


def test_a_model_stays_as_it_was(vae, new):
    model = Theirs(vae).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    diagnose_sequences(model, new[:100])
    diagnose_sequences(vae, new[:100])
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("word_dropout", [0.0, 0.5, 1.0])
def test_sequences_of_several_lengths_cost_what_training_said(rng, word_dropout):
    tokens = tokens_of_lines(["abcd" * int(n) + "ab"[: n % 3] for n in rng.integers(1, 5, 300)])
    vae = train_sequence_vae(tokens, "gru", beta=5.0, epochs=3, n_latents=2, word_dropout=word_dropout)
    d = diagnose_sequences(vae, split(tokens)[1])
    assert d.loss == pytest.approx(vae.held_out.loss, rel=0.01)
    assert d.n_alive == vae.n_alive


def test_latents_that_live_and_do_not_earn_are_said_so(vae, new):
    living = train_sequence_vae(new, "window:0", beta=9.0, free_bits=0.3, epochs=10, encoder="counts", n_latents=2,
                                learning_rate=1e-2)  # fmt: skip
    d = diagnose_sequences(living, new)
    assert (d.n_alive, d.n_earning, d.cause) == (2, 0, "objective")
    assert d.headline.startswith("2 of 2 latents are alive, and none earns its KL: the objective does not let them")


def test_the_best_kl_to_hold_is_that_of_the_forecast():
    nats = np.linspace(0, 4, 40_001)
    for critical, beta in ((4.0, 1.0), (2.0, 1.5), (0.8, 1.0)):
        path = linear_path(np.array([critical]), beta, beta)
        costs = np.array([held_cost(critical, beta, k) for k in nats])
        assert costs.min() == pytest.approx(-path.gain[0], abs=1e-6)
        assert nats[costs.argmin()] == pytest.approx(path.kl[0], abs=1e-3)


def test_masked_steps_average_and_their_draws_have_the_fisher_information():
    torch.manual_seed(SEED)
    n, t, m, v = 40_000, 2, 3, 4
    push, at = torch.randn(t, m, v), torch.randn(t, m, v)
    u = torch.zeros(n, 1, requires_grad=True)
    steps = MaskedSteps(at + u[:, :, None, None] * push)
    tokens = torch.randint(0, v, (n, t))
    by_hand = torch.stack([at.log_softmax(-1)[i, :, tokens[:, i]].mean(0) for i in range(t)], 1)
    torch.testing.assert_close(steps.log_prob(tokens).detach(), by_hand)
    (score,) = torch.autograd.grad(steps.log_prob(steps.sample()).sum(), u)
    p = at.softmax(-1)
    fisher = ((p * push**2).sum(-1) - (p * push).sum(-1) ** 2).mean(1).sum()
    assert float(score.square().mean()) == pytest.approx(float(fisher), rel=0.05)


def test_a_decoder_that_learns_to_see_nothing_has_the_λ_of_one_that_never_saw(new):
    x = topics(np.random.default_rng(SEED), 2000)
    language = train_language_model(x, "gru", SequenceTraining(5, 64, 5e-3))
    before = language.losses(x)
    blind, half = (
        injection_spectrum(adapted(language.decoder, split(x)[0], share), new, inject="decoder.inject", n_draws=4)
        for share in (1.0, 0.5)
    )
    counts = np.stack([np.bincount(row, minlength=6) for row in new])
    root = np.sqrt(20 * counts.sum(0) / counts.sum())
    closed_form = np.linalg.eigvalsh(np.cov(counts.T) / np.outer(root, root))[-1]
    whole = injection_spectrum(at_rest(language.decoder, 0.0), new, inject="decoder.inject", n_draws=4)
    assert blind.fisher[0] == pytest.approx(closed_form, rel=0.25)
    p = np.bincount(new.ravel()) / new.size
    assert blind.nats == pytest.approx(-20 * (p * np.log(p)).sum(), abs=0.15)  # it learned how frequent tokens are
    assert whole.fisher[0] < half.fisher[0] + 0.1 < blind.fisher[0]
    assert (language.losses(x) == before).all()  # the decoder itself did not learn


def spectrum(held_out, errors, fisher, fisher_errors, n_latents=None, offset_gain=0.0):
    arrays = (np.array(value, dtype=float) for value in (held_out, errors, fisher, fisher_errors))
    measured = dict(zip(("held_out", "errors", "fisher", "fisher_errors"), arrays, strict=True))
    return InjectionSpectrum(
        decoder="it", place="inject", width=4, beta=1.0, n_latents=n_latents, strengths=measured["held_out"],
        directions=np.eye(4), by_curvature=np.ones(len(held_out), bool), told=None, measured_worth=0.0,
        measured_error=0.0, offset_gain=offset_gain, nats=20.0, n_samples=100, n_steps=2000, **measured,
    )  # fmt: skip


def test_directions_count_that_stand_above_the_weight():
    t = spectrum([3.0, 1.5], [0.1, 0.1], [3.0, 1.8], [0.1, 0.1])
    assert (t.n_alive(1.0), t.n_alive(1.4), t.n_alive(4.0)) == (2, 1, 0)


@pytest.mark.parametrize(
    ("beta", "critical", "told", "n_earning", "cause"),
    [
        (1.0, 1.02, 0.0, 0, "decoder-explains"),
        (0.95, 1.02, 1.0, 0, "decoder-explains"),
        (1.2, 1.02, 0.0, 0, "objective"),
        (0.5, 1.02, 0.9, 0, "optimisation"),
        (0.5, 1.02, 0.3, 0, "encoder-cannot-tell"),
        (1.0, 3.0, 0.4, 0, "encoder-cannot-tell"),
        (1.0, 3.0, float("nan"), 0, "optimisation"),
        (1.0, 3.0, 2.0, 0, "optimisation"),
        (2.95, 3.0, 2.0, 0, "objective"),
        (4.0, 3.0, 2.0, 1, "healthy"),
    ],
)
def test_the_questions_in_their_order(beta, critical, told, n_earning, cause):
    found = spectrum([critical], [0.04], [critical], [0.04])
    assert cause_of(beta, n_earning, 0.5 * n_earning, found, told)[0] == cause


def test_numbers_that_are_not_clear_are_said_with_low_confidence():
    clear, near = spectrum([3.0], [0.1], [3.0], [0.1]), spectrum([3.0], [0.1], [3.0], [0.1], offset_gain=0.5)
    right = spectrum([1.0], [0.02], [1.0], [0.02])
    assert cause_of(1.5, 0, 0.0, right, 0.9) == ("objective", "high")  # a right decoder is best without latents
    assert cause_of(4.0, 0, 0.0, clear, 2.0) == ("objective", "low")  # another may have some that beat collapse
    assert cause_of(3.1, 0, 0.0, clear, 2.0)[1] == "low"
    assert cause_of(4.0, 0, 0.0, near, 2.0)[1] == "low"
    assert cause_of(1.0, 0, 0.0, clear, 0.5, known_features=False)[1] == "low"
    assert cause_of(1.0, 1, 0.001, clear, 2.0) == ("optimisation", "low")  # alive, and hardly begun to grow
