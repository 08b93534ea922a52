"""A decoder with a place where a vector is added: its scores, its information, and when a latent lives.

Checked by other routes: single gradients, whole Jacobians, Hessians, closed forms, data drawn from the decoder itself.
"""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import DataError, forecast
from uncollapse.data.tokens import as_tokens
from uncollapse.injecting.decoder import open_decoder, samples_of
from uncollapse.injecting.measure import injection_spectrum

V, T = 5, 7


class Recurrent(nn.Module):
    """A language model; its logits at a step are of the next token, as Hugging Face's, or of the same."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, *, of_next: bool = False, batch_first: bool = True):
        super().__init__()
        torch.manual_seed(3)
        self.embed, self.back = nn.Embedding(V + 1, 4), nn.Linear(6, V)
        self.rnn = kind(4, 6, batch_first=batch_first)
        self.of_next, self.batch_first = of_next, batch_first

    def forward(self, x):
        seen = x if self.of_next else torch.cat([torch.full_like(x[:, :1], V), x[:, :-1]], 1)
        h = self.embed(seen)
        h = self.rnn(h)[0] if self.batch_first else self.rnn(h.transpose(0, 1))[0].transpose(0, 1)
        logits = 2 * self.back(h)
        return types.SimpleNamespace(logits=logits) if self.of_next else logits


class HuggingFaces(Recurrent):
    """The parts of that library's interface that a prefix needs."""

    def __init__(self):
        super().__init__(of_next=True)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids=None, inputs_embeds=None):
        h = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        return types.SimpleNamespace(logits=2 * self.back(self.rnn(h)[0]))


class Gaussian(nn.Module):
    """Of numbers, each given those before it (a masked autoregressive flow of one layer), or all given nothing."""

    def __init__(self, weight: np.ndarray, sd: float = 1.0):
        super().__init__()
        self.weight, self.sd = nn.Parameter(torch.tensor(weight, dtype=torch.float32)), sd
        self.inject = nn.Identity()

    def forward(self, x):
        return torch.distributions.Normal(self.inject(x @ torch.tril(self.weight, -1).T), self.sd)


def drawn(model: nn.Module, n: int, seed: int = 0) -> np.ndarray:
    """Sequences from the decoder itself, a token at a time."""
    torch.manual_seed(seed)
    x = torch.zeros(n, T, dtype=torch.long)
    with torch.no_grad():
        for t in range(T):
            x[:, t] = torch.distributions.Categorical(logits=model(x)[:, t]).sample()
    return x.numpy()


def tokens(rng: np.random.Generator, n: int = 40):
    lengths = rng.integers(3, T + 1, n)
    lengths[0] = T
    return as_tokens([rng.integers(0, V, length).tolist() for length in lengths], n_vocabulary=V)


@pytest.mark.parametrize("place", ["embed", "back", "rnn", "rnn@state"])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_scores_are_the_gradients_of_each_sequence_alone(rng, place, kind):
    model, t = Recurrent(kind), tokens(rng, 12)
    x, mask = samples_of(t)
    opened = open_decoder(model, x, mask, place)
    found = opened.scores(x, mask, n_draws=1, seed=0)
    for i in range(len(x)):
        row = torch.as_tensor(x[i : i + 1, : t.lengths[i]])

        def log_prob(v, row=row):
            logits = opened.run(row, v[None])
            return torch.log_softmax(logits, -1).gather(-1, row[..., None]).sum()

        alone = torch.autograd.functional.jacobian(log_prob, torch.zeros(opened.place.width))
        np.testing.assert_allclose(found.scores[i], alone.numpy(), atol=2e-5)
        assert found.log_prob[i] == pytest.approx(float(log_prob(torch.zeros(opened.place.width)).detach()), abs=1e-4)


def test_the_information_of_draws_is_that_of_whole_jacobians(rng):
    """F = E Σ_t J_tᵀ(diag p_t − p_t p_tᵀ)J_t, within the error of the draws."""
    model, t = Recurrent(), tokens(rng, 30)
    x, mask = samples_of(t)
    opened = open_decoder(model, x, mask, "embed")
    exact = np.zeros((4, 4))
    for i in range(len(x)):
        row = torch.as_tensor(x[i : i + 1, : t.lengths[i]])
        jacobian = torch.autograd.functional.jacobian(lambda v, row=row: opened.run(row, v[None])[0], torch.zeros(4))
        p = torch.softmax(model(row)[0], -1).detach()
        for step, j in enumerate(jacobian):
            exact += (j.T @ (torch.diag(p[step]) - torch.outer(p[step], p[step])) @ j).numpy() / len(x)
    draws = opened.scores(x, mask, n_draws=600, seed=1).draws
    products = np.einsum("nmk,nml->mkl", draws, draws) / len(x)
    error = products.std(axis=0) / np.sqrt(600)
    assert (np.abs(products.mean(axis=0) - exact) < 5 * error).all()


def test_the_curvature_is_the_hessian(rng):
    model, t = Recurrent(), tokens(rng, 6)
    x, mask = samples_of(t)
    opened = open_decoder(model, x, mask, "rnn")
    directions = 0.5 * np.linalg.qr(rng.standard_normal((6, 2)))[0]
    found = opened.curvature(x, mask, directions)
    for i in range(len(x)):
        row = torch.as_tensor(x[i : i + 1, : t.lengths[i]])

        def log_prob(v, row=row):
            return torch.log_softmax(opened.run(row, v[None]), -1).gather(-1, row[..., None]).sum()

        hessian = torch.autograd.functional.hessian(log_prob, torch.zeros(6)).numpy()
        np.testing.assert_allclose(found[i], -np.diag(directions.T @ hessian @ directions), atol=0.02)


def test_a_perfect_decoder_sits_at_one():
    """White's information-matrix equality: data drawn from the decoder give λ = 1 in every direction."""
    model = Recurrent()
    found = injection_spectrum(model, drawn(model, 6000), inject="embed", n_directions=4)
    assert (np.abs(found.held_out - 1) < 4 * found.errors).all()
    assert (np.abs(found.fisher - 1) < 4 * found.fisher_errors).all()
    assert found.explains_all
    assert "The decoder explains its sequences" in found.summary().replace("\n", " ")


def test_what_the_context_has_forgotten_stands_above_one():
    """Two kinds of sequences, and a decoder that knows neither: the topic is what a latent can say."""
    rng = np.random.default_rng(0)
    shares = np.array([[0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.3, 0.4]])
    x = np.array([rng.choice(V, T, p=shares[topic]) for topic in rng.integers(0, 2, 4000)])

    class NoContext(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.log(torch.tensor(shares.mean(axis=0), dtype=torch.float32)))
            self.inject = nn.Identity()

        def forward(self, x):
            return self.inject(self.bias.expand(*x.shape, V))

    mean = shares.mean(axis=0)
    apart = shares[0] - mean
    known = 1 + (T - 1) * float((apart**2 / mean).sum())  # of T draws that share a topic
    found = injection_spectrum(NoContext(), x, features=(x[..., None] == np.arange(V)).sum(axis=1))
    assert found.critical_beta == pytest.approx(known, abs=4 * found.errors[0])
    assert found.n_alive(1.0) == 1
    assert found.worth(1.0) == pytest.approx((known - 1 - np.log(known)) / 2, rel=0.3)
    assert found.told[0] == pytest.approx(found.critical_beta, rel=0.05)  # counts tell it all
    assert found.measured_worth > 4 * found.measured_error
    assert found.measured_worth == pytest.approx(found.worth(1.0), rel=0.6)
    above = injection_spectrum(NoContext(), x, beta=1.3 * known)
    assert (above.n_alive(), above.measured_worth, above.measured_error) == (0, 0.0, 0.0)
    assert "collapse is stable" in above.headline
    blind = injection_spectrum(NoContext(), x, features=rng.standard_normal((len(x), 3)))
    assert abs(blind.told[0]) < 0.1
    assert "The encoder cannot tell" in " ".join(blind.card().lines)


@pytest.mark.parametrize("batch_first", [True, False])
def test_logits_of_the_next_token_and_of_the_same_are_told_apart(rng, batch_first):
    x, _ = samples_of(tokens(rng, 8))
    same = open_decoder(Recurrent(batch_first=batch_first), x, None, "rnn")
    following = open_decoder(Recurrent(of_next=True), x, None, "rnn")
    assert (same.shift, following.shift) == (0, 1)
    assert same.place.batch == (0 if batch_first else 1)


def test_a_prefix_reaches_all_that_follows(rng):
    x, mask = samples_of(tokens(rng, 20))
    opened = open_decoder(HuggingFaces(), x, mask, "prefix")
    found = opened.scores(x, mask, n_draws=1, seed=0)
    assert np.abs(found.scores).max() > 1e-3
    row = torch.as_tensor(x[:1, : int(mask[0].sum())])
    h = torch.cat([torch.zeros(1, 1, 4), opened.module.embed(row)], 1)
    logits = opened.module(inputs_embeds=h).logits[:, 1:-1]
    expected = torch.log_softmax(logits, -1).gather(-1, row[:, 1:, None]).sum()
    assert found.log_prob[0] == pytest.approx(float(expected.detach()), abs=1e-4)


def test_gaussian_steps_and_conditions_are_the_same_case(rng):
    """A decoder that sees a part of what it decodes, linear: λ is the conditional forecast's strengths over η²."""
    given = rng.standard_normal((20_000, 2))
    y = given @ rng.standard_normal((2, 3)) + rng.standard_normal((20_000, 3)) * [2.0, 1.2, 0.5]
    whole = np.concatenate([given, y], axis=1)

    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            weights = np.linalg.lstsq(np.column_stack([given, np.ones(len(given))]), y, rcond=None)[0]
            self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
            self.inject = nn.Identity()

        def forward(self, x):
            seen = torch.cat([x[:, :2], torch.ones(len(x), 1)], 1)
            mean = self.inject(seen @ self.weights)
            return torch.distributions.MixtureSameFamily(
                torch.distributions.Categorical(torch.ones(len(x), 1)),
                torch.distributions.Independent(torch.distributions.Normal(mean[:, None], 0.8), 1),
            )

        def target(self, x):
            return x[:, 2:]

    class OfTarget(Conditional):
        """The distribution of y alone, asked for the whole row."""

        def forward(self, x):
            mean = self.inject(torch.cat([x[:, :2], torch.ones(len(x), 1)], 1) @ self.weights)
            return Only(mean)

    class Only(torch.distributions.Distribution):
        def __init__(self, mean):
            super().__init__(mean.shape[:1], mean.shape[1:], validate_args=False)
            self.inner = torch.distributions.Independent(torch.distributions.Normal(mean, 0.8), 1)

        def log_prob(self, value):
            return self.inner.log_prob(value[:, -3:])

        def sample(self, sample_shape=()):
            return self.inner.sample(sample_shape)

    known = forecast(y, given=given).spectrum.strengths[:3] / 0.8**2
    found = injection_spectrum(OfTarget(), whole)
    assert (np.abs(found.held_out - known) < 5 * found.errors).all()


def test_a_flow_that_is_right_sits_at_one(rng):
    weight = np.tril(rng.standard_normal((4, 4)), -1)
    noise = rng.standard_normal((8000, 4))
    x = np.zeros_like(noise)
    for i in range(4):
        x[:, i] = x @ weight[i] + noise[:, i]
    found = injection_spectrum(Gaussian(weight), x)
    assert (np.abs(found.held_out - 1) < 4 * found.errors).all()
    wrong = injection_spectrum(Gaussian(np.zeros((4, 4))), x)
    assert wrong.critical_beta == pytest.approx(np.linalg.eigvalsh(np.cov(x.T))[-1], rel=0.1)


def test_pixels_one_by_one(rng):
    """A masked convolution (PixelCNN) over binary images: the place is a convolution's output, channels second."""

    class Masked(nn.Conv2d):
        def forward(self, x):
            mask = torch.ones_like(self.weight)
            mask[:, :, 1, 1:], mask[:, :, 2] = 0, 0
            return nn.functional.conv2d(x, self.weight * mask, self.bias, padding=1)

    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = Masked(1, 5, 3), nn.Conv2d(5, 1, 1)

        def forward(self, x):
            return torch.distributions.Bernoulli(logits=self.last(torch.relu(self.first(x))))

    model = Pixels()
    x = torch.zeros(3000, 1, 6, 6)
    with torch.no_grad():
        for row in range(6):
            for column in range(6):
                x[:, :, row, column] = model(x).sample()[:, :, row, column]
    found = injection_spectrum(model, x.numpy())
    assert (found.place, found.width) == ("first", 5)
    assert (np.abs(found.held_out - 1) < 4.5 * found.errors).all()


def test_a_decoder_is_left_as_it_was(rng):
    model = Recurrent()
    model.train()
    model.embed.weight.requires_grad_(False)
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    injection_spectrum(model, tokens(rng, 60), n_draws=2)
    assert model.training
    assert model.back.weight.requires_grad
    assert not model.embed.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not model.embed._forward_hooks


class Seeing(Recurrent):
    def forward(self, x):
        return self.back(self.rnn(self.embed(x).flip(1))[0].flip(1)) * 2


class Deaf(Recurrent):
    def __init__(self):
        super().__init__()
        self.inject = nn.Identity()

    def forward(self, x):
        self.inject(self.embed(x))
        return super().forward(x)


class Failing(Recurrent):
    def forward(self, x):
        raise RuntimeError("out of memory, say")


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (Seeing(), {"inject": "embed"}, "is not causal: another token at step"),
        (Recurrent(), {"inject": "nothing"}, "has no submodule 'nothing'; it has embed, back, rnn"),
        (Recurrent(), {"inject": "back@state"}, "a first state have GRU, LSTM and RNN"),
        (Recurrent(), {"inject": "prefix"}, "a prefix needs get_input_embeddings"),
        (Deaf(), {}, "does not reach the log-probability"),
        (Failing(), {}, "fails on its sequences: RuntimeError: out of memory, say"),
        (nn.Linear(3, 3), {}, "has no submodule with weights"),
        (len, {}, "must be a PyTorch module, got builtin_function_or_method"),
        (Recurrent(), {"beta": -1}, "beta"),
    ],
)
def test_decoders_that_cannot_be_measured(rng, model, settings, message):
    from uncollapse import UncollapseError

    with pytest.raises(UncollapseError, match=message):
        injection_spectrum(model, tokens(rng, 60), **settings)


def test_data_that_cannot_be_measured(rng):
    with pytest.raises(DataError, match="6 samples are too few: 4 directions"):
        injection_spectrum(Recurrent(), tokens(rng, 6))
    with pytest.raises(DataError, match="token 9 is outside of the vocabulary of 6 that Recurrent has"):
        injection_spectrum(Recurrent(), np.full((30, 5), 9))
    with pytest.raises(DataError, match="token 5 is outside of the decoder's vocabulary of 5"):
        injection_spectrum(Recurrent(of_next=True), np.full((30, 5), 5))
    limited = Recurrent()
    limited.config = types.SimpleNamespace(max_position_embeddings=4)
    with pytest.raises(DataError, match="takes 4 tokens, the longest sequence has 7"):
        injection_spectrum(limited, tokens(rng, 60))
    with pytest.raises(DataError, match="an array of finite numbers"):
        injection_spectrum(Recurrent(), np.full((30, 5), np.nan))
    with pytest.raises(DataError, match="there is no sample"):
        injection_spectrum(Recurrent(), [])


def test_what_a_path_gains_is_exact_for_gaussian_steps(rng):
    """λ = 4 at β = 1: (4 − 1 − log 4)/2 nats, by a path that nothing was trained for."""
    x = rng.standard_normal((20_000, 2)) * [2.0, 0.5]
    found = injection_spectrum(Gaussian(np.zeros((2, 2))), x, n_latents=1)
    assert found.measured_worth == pytest.approx((3 - np.log(4)) / 2, abs=5 * found.measured_error + 0.01)
