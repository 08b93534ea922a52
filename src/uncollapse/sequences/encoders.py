"""Encoders of sequences: q(z | x), a Gaussian with a mean and a log-variance for each latent.

What an encoder can tell apart decides what a latent can carry: beside a recurrent one there are two that see less.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from uncollapse.errors import DataError

__all__ = ["ENCODERS", "SequenceEncoder", "encoder_of"]


class SequenceEncoder(nn.Module):
    """q(z | x); the kinds differ in `features`.

    Parameters
    ----------
    n_vocabulary : int
        V.
    longest : int
        T, the length of the longest sequence.
    width : int
        Of the hidden layer.
    n_latents : int
        L.
    """

    def __init__(self, n_vocabulary: int, longest: int, width: int, n_latents: int) -> None:
        super().__init__()
        self.n_vocabulary, self.longest = n_vocabulary, longest
        self.head = nn.Linear(width, 2 * n_latents)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, L).

        Parameters
        ----------
        tokens : Tensor of shape (n, T), int64
        lengths : Tensor of shape (n,), int64
            What lies beyond is padding, and changes nothing.
        """
        mean, log_variance = self.head(self.features(tokens, lengths)).chunk(2, dim=1)
        return mean, log_variance

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees, (n, width)."""
        raise NotImplementedError


class Bidirectional(SequenceEncoder):
    """A GRU from either end."""

    def __init__(self, n_vocabulary: int, longest: int, width: int, n_latents: int) -> None:
        super().__init__(n_vocabulary, longest, 2 * width, n_latents)
        self.embedding = nn.Embedding(n_vocabulary, width)
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Both last states."""
        packed = pack_padded_sequence(self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        last: Tensor = self.gru(packed)[1]
        return torch.cat((last[0], last[1]), dim=1)


class Positions(SequenceEncoder):
    """An MLP that sees every token in its place."""

    def __init__(self, n_vocabulary: int, longest: int, width: int, n_latents: int) -> None:
        super().__init__(n_vocabulary, longest, width, n_latents)
        # a table of a row for each token in each place is the linear map of one-hot columns, without the columns
        self.table = nn.Embedding(longest * n_vocabulary, width)
        nn.init.normal_(self.table.weight, std=1 / math.sqrt(longest))
        self.bias = nn.Parameter(torch.zeros(width))
        self.second = nn.Linear(width, width)

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Two hidden layers."""
        if tokens.shape[1] > self.longest:
            raise DataError(
                f"the encoder sees sequences of at most {self.longest} tokens, got {tokens.shape[1]}; cut them"
            )
        rows = self.table(tokens + self.n_vocabulary * torch.arange(tokens.shape[1], device=tokens.device))
        summed = (rows * mask_of(tokens, lengths)[:, :, None]).sum(1) + self.bias
        hidden: Tensor = torch.tanh(self.second(torch.tanh(summed)))
        return hidden


class Counts(SequenceEncoder):
    """An MLP that sees how often each token occurs, and nothing of their order."""

    def __init__(self, n_vocabulary: int, longest: int, width: int, n_latents: int) -> None:
        super().__init__(n_vocabulary, longest, width, n_latents)
        self.first, self.second = nn.Linear(n_vocabulary, width), nn.Linear(width, width)

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Two hidden layers."""
        ones = mask_of(tokens, lengths).to(self.first.weight.dtype)
        counts = ones.new_zeros(len(tokens), self.n_vocabulary).scatter_add_(1, tokens, ones)
        # a count varies by about its root
        hidden: Tensor = torch.tanh(self.second(torch.tanh(self.first(counts / math.sqrt(self.longest)))))
        return hidden


def mask_of(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Which entries are tokens and not padding, bool of shape (n, T)."""
    return torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]


MODULES: dict[str, type[SequenceEncoder]] = {"gru": Bidirectional, "positions": Positions, "counts": Counts}
ENCODERS = tuple(MODULES)


def encoder_of(
    kind: str, *, n_vocabulary: int, longest: int, width: int, n_latents: int, seed: int = 0
) -> SequenceEncoder:
    """A fresh encoder, one of `ENCODERS`; PyTorch's own random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODULES[kind](n_vocabulary, longest, width, n_latents)
