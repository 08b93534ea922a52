"""A causal language model of Hugging Face, built from a config without download: one call."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.libraries

transformers = pytest.importorskip("transformers", reason="runs in the libraries' environment")
torch = pytest.importorskip("torch")

from uncollapse.data.tokens import as_tokens  # noqa: E402
from uncollapse.errors import DataError  # noqa: E402
from uncollapse.injecting.measure import injection_spectrum  # noqa: E402

V, T = 11, 9


def gpt2() -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "n_positions": T + 1, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.wte.weight.mul_(20)  # so that it says something of the next token
    return model.eval()


@torch.no_grad()
def drawn(model: torch.nn.Module, n: int) -> np.ndarray:
    """Sequences from the model itself, the first token at random."""
    x = torch.randint(0, V, (n, 1), generator=torch.Generator().manual_seed(1))
    for _ in range(T - 1):
        logits = model(x).logits[:, -1]
        x = torch.cat([x, torch.distributions.Categorical(logits=logits).sample()[:, None]], 1)
    return x.numpy()


@pytest.mark.parametrize("place", [None, "transformer.h.0", "transformer.ln_f", "prefix"])
def test_a_perfect_language_model_sits_at_one(place):
    torch.manual_seed(2)
    model = gpt2()
    found = injection_spectrum(model, drawn(model, 3000), inject=place, n_directions=3)
    assert found.place == (place or "transformer.wte")
    if place != "prefix":  # a token of its own changes the model that drew the data
        assert (np.abs(found.held_out - 1) < 4.5 * found.errors).all()


def test_what_does_not_fit_is_said():
    model = gpt2()
    with pytest.raises(DataError, match="takes 10 tokens, the longest sequence has 12"):
        injection_spectrum(model, np.zeros((40, 12), dtype=int))
    with pytest.raises(DataError, match="token 11 is outside of the vocabulary of 11"):
        injection_spectrum(model, as_tokens(np.full((40, 3), 11)))
    model.train()
    note = injection_spectrum(model, drawn(model, 60), n_draws=1).notes[0]
    assert "was in training mode" in note
    assert model.training
