"""A decoder of ours without its latents, part of its context hidden: what word dropout makes of λ."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from uncollapse.data.tokens import Tokens
from uncollapse.sequences.decoders import SequenceDecoder
from uncollapse.sequences.descent import descend
from uncollapse.sequences.rows import negative_log_likelihood, tensors
from uncollapse.sequences.settings import SequenceTraining
from uncollapse.sequences.terms import seen_at_random

__all__ = ["adapted", "at_rest"]

N_MASKS = 8
"""Over which the log-probability of a sequence is averaged: the variance of its score is then that of what the
sequence says, and an eighth of what the masks do."""

STEPS, BATCH, RATE = 300, 128, 2e-3
"""In which a decoder that saw everything learns to do without: its loss then moves no more by what λ notices."""


class AtRest(nn.Module):
    """The decoder as it is."""

    def __init__(self, decoder: SequenceDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor) -> Any:
        """Logits (n, T, V)."""
        return self.decoder(tokens)


class Blind(AtRest):
    """Without a context."""

    def forward(self, tokens: Tensor) -> Any:
        """Logits (n, T, V)."""
        return self.decoder(tokens, seen=torch.zeros_like(tokens, dtype=torch.bool))


class Masked(AtRest):
    """With a share of the tokens hidden, the same in every call."""

    def __init__(self, decoder: SequenceDecoder, share: float) -> None:
        super().__init__(decoder)
        self.share = share

    def forward(self, tokens: Tensor) -> Any:
        """The steps under several masks."""
        generator = torch.Generator().manual_seed(0)
        shown = torch.rand((N_MASKS, *tokens.shape), generator=generator) >= self.share
        return MaskedSteps(torch.stack([self.decoder(tokens, seen=one) for one in shown.to(tokens.device)], -2))


class MaskedSteps(torch.distributions.Distribution):
    """Steps whose log-probability is the mean over masks.

    Parameters
    ----------
    logits : Tensor of shape (n, T, M, V)
        Kept as log-probabilities.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(validate_args=False)
        self.logits = logits.log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of tokens (n, T) the mean over masks; of draws (n, T, M) the sum over √M, whose score has the variance F."""
        if value.ndim == 2:
            index = value[:, :, None, None].expand(*self.logits.shape[:3], 1)
            return self.logits.gather(-1, index)[..., 0].mean(-1)
        return self.logits.gather(-1, value[..., None])[..., 0].sum(-1) / math.sqrt(value.shape[-1])

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """One of every step under each mask, (n, T, M)."""
        noise = torch.rand_like(self.logits).clamp_(min=torch.finfo(self.logits.dtype).tiny)
        return (self.logits - torch.log(-torch.log(noise))).argmax(-1)


def at_rest(decoder: SequenceDecoder, word_dropout: float) -> AtRest:
    """The decoder without latents, which sees what it sees in training."""
    if word_dropout == 0:
        return AtRest(decoder)
    return Blind(decoder) if word_dropout == 1 else Masked(decoder, word_dropout)


def adapted(decoder: SequenceDecoder, tokens: Tokens, word_dropout: float, *, seed: int = 0) -> AtRest:
    """A copy that learned to do with a part of its context, at rest.

    Parameters
    ----------
    decoder : SequenceDecoder
        Stays as it is.
    tokens : Tokens
        Sequences that λ is not measured on.
    word_dropout : float
        Share that is hidden, above 0.
    """
    own = copy.deepcopy(decoder).requires_grad_(True)
    ids, lengths = tensors(tokens)
    generator = torch.Generator().manual_seed(seed)

    def loss_of(rows: Tensor, done: float) -> Tensor:
        seen = seen_at_random(ids[rows], word_dropout, generator)
        return negative_log_likelihood(own, ids[rows], lengths[rows], None, seen).mean()

    epochs = max(1, round(STEPS / math.ceil(len(tokens) / BATCH)))
    how = SequenceTraining(epochs=epochs, batch_size=BATCH, learning_rate=RATE, seed=seed)
    with torch.enable_grad():
        descend([own], how, len(tokens), loss_of, lambda epoch: 0.0)
    return at_rest(own.requires_grad_(False), word_dropout)
