"""Decoders of sequences see the past alone, and v enters where they say."""

from __future__ import annotations

import pytest
import torch

from seeds import SEED
from uncollapse.errors import ObjectiveError
from uncollapse.sequences import DecoderShape, decoder_named, decoder_of, shape_named
from uncollapse.sequences.encoders import ENCODERS, encoder_of

NAMES = ("gru", "transformer", "window:0", "window:1", "window:3")
N, LENGTH, V, H = 5, 9, 7, 8


@pytest.fixture
def tokens():
    return torch.randint(0, V, (N, LENGTH), generator=torch.Generator().manual_seed(SEED))


@pytest.fixture
def v():
    return torch.randn(N, H, generator=torch.Generator().manual_seed(SEED + 1))


def made(name, **more):
    return decoder_named(name, V, width=H, seed=SEED, **more)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_logit_depends_on_the_tokens_before_it_alone(name, layers, tokens, v):
    decoder = made(name, layers=layers)
    before = decoder(tokens, v)
    assert before.shape == (N, LENGTH, V)
    reach = {"gru": LENGTH, "transformer": LENGTH}.get(name, decoder.shape.window)
    for t in range(LENGTH):
        other = tokens.clone()
        other[:, t] = (other[:, t] + 1) % V
        moved = (decoder(other, v) - before).abs().amax((0, 2)) > 1e-6
        assert not moved[: t + 1].any()
        assert moved[t + 1 : t + 1 + reach].all()
        assert not moved[t + 1 + reach :].any()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_hook_on_the_place_of_injection_does_what_v_does(name, tokens, v):
    decoder = made(name)
    handle = dict(decoder.named_modules())["inject"].register_forward_hook(
        lambda module, inputs, output: output + v[:, None, :]
    )
    hooked = decoder(tokens)
    handle.remove()
    assert torch.equal(hooked, decoder(tokens, v))
    assert torch.equal(decoder(tokens, torch.zeros_like(v)), decoder(tokens))
    assert ((decoder(tokens, v) - decoder(tokens)).abs().amax((0, 2)) > 1e-4).all()  # at every step


@pytest.mark.filterwarnings(
    "ignore:.*jit.script.*:DeprecationWarning"
)  # PyTorch's own, where it first derives forwards
@pytest.mark.parametrize("name", NAMES)
def test_a_forward_derivative_by_v_is_the_slope(name, tokens, v):
    decoder = made(name).double().requires_grad_(False)
    zero, direction = torch.zeros(N, H, dtype=torch.float64), v.double()
    slope = torch.func.jvp(lambda u: decoder(tokens, u), (zero,), (direction,))[1]
    step = 1e-5
    by_hand = (decoder(tokens, step * direction) - decoder(tokens, -step * direction)) / (2 * step)
    torch.testing.assert_close(slope, by_hand, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["gru", "transformer", "window:3"])
@torch.no_grad()
def test_what_the_decoder_does_not_see_does_not_matter(name, tokens):
    decoder, seen = made(name), torch.ones_like(tokens, dtype=torch.bool)
    seen[:, 2] = False
    other = tokens.clone()
    other[:, 2] = (other[:, 2] + 1) % V
    assert torch.equal(decoder(tokens, seen=seen), decoder(other, seen=seen))
    assert not torch.equal(decoder(tokens, seen=seen), decoder(tokens))


def test_a_fresh_decoder_is_its_seed_s_and_leaves_the_random_numbers_alone():
    state = torch.random.get_rng_state()
    first, again, other = (decoder_of(shape_named("gru", V, width=H), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.out.weight, again.out.weight)
    assert not torch.equal(first.out.weight, other.out.weight)


@pytest.mark.parametrize(
    "name", ["window:-1", "window:", "window", "window:1.5", "window:²", "gru:2", "lstm", "", 3, None]
)
def test_other_names_are_refused_in_one_line(name):
    with pytest.raises(ObjectiveError, match="a decoder is gru, transformer or window:K with K = 0, 1, 2, …, got"):
        shape_named(name, V)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "cnn"}, "must be one of gru, transformer, window, got 'cnn'"),
        ({"kind": "window", "window": -1}, "window of a decoder must be a whole number from 0"),
        ({"kind": "gru", "window": 2}, "sees the whole past"),
        ({"kind": "transformer", "width": 10}, "multiple of 4, got 10"),
        ({"kind": "gru", "width": 0}, "width of a decoder must be"),
        ({"kind": "gru", "layers": 0}, "layers of a decoder must be"),
    ],
)
def test_other_shapes_are_refused_in_one_line(settings, message):
    with pytest.raises(ObjectiveError, match=message):
        DecoderShape(n_vocabulary=V, **settings)


@pytest.mark.parametrize("kind", ENCODERS)
@torch.no_grad()
def test_padding_tells_an_encoder_nothing(kind, tokens):
    encoder = encoder_of(kind, n_vocabulary=V, longest=LENGTH, width=H, n_latents=3, seed=SEED)
    lengths = torch.tensor([1, 3, 5, 7, LENGTH])
    other = torch.where(torch.arange(LENGTH) < lengths[:, None], tokens, (tokens + 1) % V)
    mean, log_variance = encoder(tokens, lengths)
    assert mean.shape == log_variance.shape == (N, 3)
    torch.testing.assert_close(encoder(other, lengths), (mean, log_variance))
    torch.testing.assert_close(encoder(tokens[:2, :3], lengths[:2])[0], mean[:2])
    assert not torch.allclose(encoder((tokens + 1) % V, lengths)[0], mean)


@torch.no_grad()
def test_counts_know_no_order_and_the_others_do(tokens):
    lengths = torch.full((N,), LENGTH)
    row = torch.arange(LENGTH)[None] % V
    for kind in ENCODERS:
        encoder = encoder_of(kind, n_vocabulary=V, longest=LENGTH, width=H, n_latents=3, seed=SEED)
        same = torch.allclose(encoder(row, lengths[:1])[0], encoder(row.flip(1), lengths[:1])[0], atol=1e-6)
        assert same == (kind == "counts")
