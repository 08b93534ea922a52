"""A VAE whose encoder is told the score of each sequence: what the theorem asks of an encoder, and no more.

Its features are the scores in the injected vector of the decoder that it starts from, whitened; its head is a linear
map of them and of a hidden layer. So where a latent stays dead, it is not for want of an encoder that can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.data.tokens import Tokens
from uncollapse.probes.objective import kl_of
from uncollapse.sequences import LanguageModel, SequenceTraining, decoder_of
from uncollapse.sequences.descent import descend
from uncollapse.sequences.rows import negative_log_likelihood, tensors
from uncollapse.sequences.vae import QUIET

__all__ = ["Ends", "told_vae"]

HIDDEN = 32
EVALUATED_DRAWS = 2


class Encoder(nn.Module):
    """q(z | score)."""

    def __init__(self, n_features: int, n_latents: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, HIDDEN)
        self.head = nn.Linear(n_features + HIDDEN, 2 * n_latents)
        with torch.no_grad():  # a quiet start: the latents begin dead
            self.head.weight.mul_(QUIET)
            self.head.bias.zero_()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (n, L)."""
        mean, log_variance = self.head(torch.cat((features, torch.tanh(self.hidden(features))), 1)).chunk(2, dim=1)
        return mean, log_variance


@dataclass(frozen=True, eq=False)
class Ends:
    """Where a training ended.

    Attributes
    ----------
    kl : ndarray of shape (L,)
        On the sequences that it was trained on, nats.
    losses, held_out : ndarrays of shape (n,)
        The objective of each sequence, of those that trained and of those that did not.
    """

    kl: np.ndarray
    losses: np.ndarray
    held_out: np.ndarray


def told_vae(
    start: LanguageModel, seen: Tokens, held_out: Tokens, features: tuple[np.ndarray, np.ndarray], *,
    beta: float, n_latents: int, training: SequenceTraining, warm_up: float = 0.0,
) -> Ends:  # fmt: skip
    """Train from a quiet start, or from below: β rises from 0 over the share `warm_up`. The decoder is trained too."""
    decoder = decoder_of(start.shape)
    decoder.load_state_dict(start.decoder.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed + 1)
        encoder = Encoder(features[0].shape[1], n_latents)
        to_v = nn.Linear(n_latents, start.shape.width, bias=False)
    with torch.no_grad():
        to_v.weight.mul_(QUIET)
    (ids, lengths), given = tensors(seen), torch.from_numpy(features[0]).float()
    generator = torch.Generator().manual_seed(training.seed + 3)

    def terms(ids: Tensor, lengths: Tensor, given: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = encoder(given)
        v = to_v(mean + noise * (0.5 * log_variance).exp())
        return negative_log_likelihood(decoder, ids, lengths, v), kl_of(mean, log_variance, 1.0)

    def loss_of(rows: Tensor, done: float) -> Tensor:
        noise = torch.randn(len(rows), n_latents, generator=generator)
        reconstruction, kl = terms(ids[rows], lengths[rows], given[rows], noise)
        weight = beta * min(1.0, done / warm_up) if warm_up else beta
        return reconstruction.mean() + weight * kl.mean(0).sum()

    descend([encoder, to_v, decoder], training, len(seen), loss_of, lambda _: 0.0)

    @torch.no_grad()
    def ended(tokens: Tokens, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there, draws = torch.Generator().manual_seed(7), []
        for _ in range(EVALUATED_DRAWS):
            noise = torch.randn(len(tokens), n_latents, generator=there)
            draws.append(terms(*tensors(tokens), torch.from_numpy(given).float(), noise))
        reconstruction = torch.stack([draw[0] for draw in draws]).mean(0).double().numpy()
        kl = draws[0][1].double().numpy()
        return reconstruction + beta * kl.sum(1), kl.mean(0)

    there, kl = ended(seen, features[0])
    return Ends(kl, there, ended(held_out, features[1])[0])
