"""What a VAE of sequences costs: reconstruction and KL of each sequence, and what a step of training minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from uncollapse.probes.objective import kl_of
from uncollapse.sequences.decoders import SequenceDecoder
from uncollapse.sequences.encoders import SequenceEncoder
from uncollapse.sequences.rows import negative_log_likelihood
from uncollapse.sequences.settings import SequenceSetup

__all__ = ["Parts", "minimised", "seen_at_random", "terms"]


class Parts(NamedTuple):
    """The three networks of a VAE of sequences."""

    encoder: SequenceEncoder
    to_v: nn.Linear
    decoder: SequenceDecoder


def terms(
    parts: Parts, ids: Tensor, lengths: Tensor, noise: Tensor, seen: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """−log p(x | z) at one z of q(z | x), and the KL of each latent; nats, (n,) and (n, L).

    Parameters
    ----------
    ids : Tensor of shape (n, T)
    lengths : Tensor of shape (n,)
    noise : Tensor of shape (n, L)
        Standard normal; which z is drawn.
    seen : Tensor of shape (n, T), bool, optional
        Tokens that the decoder sees; all when left out.
    """
    mean, log_variance = parts.encoder(ids, lengths)
    z = mean + noise * (0.5 * log_variance).exp()
    return negative_log_likelihood(parts.decoder, ids, lengths, parts.to_v(z), seen), kl_of(mean, log_variance, 1.0)


def minimised(reconstruction: Tensor, kl: Tensor, setup: SequenceSetup, done: float) -> Tensor:
    """What a step minimises once the share `done` of them is: β warmed up, free bits taken off.

    Source of free bits: Kingma et al. 2016, eq. 15, with one group per latent, or one of all.
    """
    mean_kl = kl.mean(0).clamp(min=setup.free_bits) if setup.free_bits else kl.mean(0)
    total = mean_kl.sum().clamp(min=setup.free_bits_total)
    warm = min(1.0, done / setup.warm_up) if setup.warm_up else 1.0
    return reconstruction.mean() + setup.beta * warm * total


def seen_at_random(ids: Tensor, word_dropout: float, generator: torch.Generator | None) -> Tensor | None:
    """Which tokens the decoder sees: all but a share, drawn anew each time; without a generator, as in measurements.

    There all are seen, unless none ever was.
    """
    if word_dropout == 1:
        return torch.zeros_like(ids, dtype=torch.bool)
    if not word_dropout or generator is None:
        return None
    return torch.rand(ids.shape, generator=generator) >= word_dropout
