"""A trained VAE of sequences: what it encodes and decodes, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.checks import array, count
from uncollapse.data.tokens import Tokens
from uncollapse.errors import DataError
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.sequences.decoders import SequenceDecoder
from uncollapse.sequences.encoders import SequenceEncoder
from uncollapse.sequences.rows import batches, in_words_of
from uncollapse.sequences.settings import SequenceSetup
from uncollapse.sequences.terms import Parts, seen_at_random, terms
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, Noun, short
from uncollapse.showing.plain import Record, plain, stamp
from uncollapse.training.result import History

__all__ = ["SequenceEvaluation", "SequenceVAE", "evaluate"]


@dataclass(frozen=True, repr=False)
class SequenceEvaluation(Record, Noun):
    """A VAE of sequences on data, nats per sequence.

    Attributes
    ----------
    loss : float
        The objective: reconstruction and β times the KL.
    reconstruction : float
        −log p(x | z).
    kl : ndarray of shape (L,)
    n_alive : int
        Latents with a KL above `ALIVE_NATS`.
    elbo_per_token : float
        The bound on log p(x), KL at weight 1, divided by the number of tokens.
    n_sequences : int
    """

    loss: float
    reconstruction: float
    kl: np.ndarray
    n_alive: int
    elbo_per_token: float
    n_sequences: int

    @property
    def rate(self) -> float:
        """KL of all latents."""
        return float(self.kl.sum())

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.sequences.words import evaluation_card

        return evaluation_card(self)


@dataclass(frozen=True, eq=False, repr=False)
class SequenceVAE(Drawn):
    """One trained VAE of sequences.

    Attributes
    ----------
    setup : SequenceSetup
    encoder : SequenceEncoder
    to_v : nn.Linear
        From z to the vector that is added inside the decoder, without a bias.
    decoder : SequenceDecoder
    history : dict of ndarray
        Columns ``epoch, loss, reconstruction, kl, n_alive, kl_weight, held_out``: averages over the epoch while the
        parameters moved, what multiplied β, and the objective at the full β on sequences held out.
    held_out : SequenceEvaluation
    vocabulary : tuple of str, or None
    seconds : float
    """

    setup: SequenceSetup
    encoder: SequenceEncoder = field(repr=False)
    to_v: nn.Linear = field(repr=False)
    decoder: SequenceDecoder = field(repr=False)
    history: History = field(repr=False)
    held_out: SequenceEvaluation
    vocabulary: tuple[str, ...] | None = None
    seconds: float = 0.0

    @property
    def parts(self) -> Parts:
        """The three networks."""
        return Parts(self.encoder, self.to_v, self.decoder)

    @property
    def n_latents(self) -> int:
        """L."""
        return self.setup.n_latents

    @property
    def n_alive(self) -> int:
        """Latents alive on the sequences held out."""
        return self.held_out.n_alive

    @property
    def headline(self) -> str:
        """How many latents live, in a sentence."""
        return self.card().headline

    @torch.no_grad()
    def encode(self, tokens: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of q(z | x), each of shape (n, L).

        Raises
        ------
        DataError
            A token outside of the vocabulary, a sequence longer than the encoder takes.
        """
        pairs = [self.encoder(ids, lengths) for ids, lengths in batches(self._own(tokens))]
        mean, log_variance = (torch.cat(parts).numpy() for parts in zip(*pairs, strict=True))
        return mean, np.exp(log_variance)

    @torch.no_grad()
    def decode(self, tokens: Any, z: Any) -> np.ndarray:
        """Logits of each token given z and the true tokens before it, shape (n, T, V).

        Parameters
        ----------
        tokens : Tokens, ndarray or list of lists of int
        z : array of shape (n, L)
        """
        own = self._own(tokens)
        given = torch.from_numpy(array(z, "z", shape=(len(own), self.n_latents), error=DataError)).float()
        return torch.cat([self._logits(*batch) for batch in batches(own, given)]).numpy()

    def losses(self, tokens: Any, *, seed: int = 0, draws: int = 1) -> np.ndarray:
        """The objective of each sequence, nats, shape (n,): the mean over some draws of z, the same at one seed."""
        return _losses(self.parts, self.setup, self._own(tokens), seed, count(draws, "draws", least=1))

    def evaluate(self, tokens: Any, *, seed: int = 0) -> SequenceEvaluation:
        """The objective, its terms and each latent's KL on data."""
        return evaluate(self.parts, self.setup, self._own(tokens), seed=seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, without the parameters; `save` keeps those."""
        return {
            **stamp("sequence-training"),
            "setup": self.setup.to_dict(),
            "held_out": self.held_out.to_dict(),
            "vocabulary": plain(self.vocabulary),
            "longest": self.encoder.longest,
            "seconds": self.seconds,
            "history": plain(self.history),
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.sequences.words import vae_card

        return vae_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.sequences.pictures import vae_figure

        return vae_figure(self)

    def __repr__(self) -> str:
        return short(
            self, decoder=self.setup.decoder.name, beta=self.setup.beta, n_latents=self.n_latents, n_alive=self.n_alive
        )

    def _logits(self, ids: Tensor, lengths: Tensor, z: Tensor) -> Tensor:
        seen = seen_at_random(ids, self.setup.word_dropout, None)
        logits: Tensor = self.decoder(ids, self.to_v(z), seen)
        return logits

    def _own(self, tokens: Any) -> Tokens:
        own = in_words_of(tokens, self.vocabulary, self.setup.decoder.n_vocabulary)
        if (longest := int(own.lengths.max())) > self.encoder.longest:
            raise DataError(
                f"{own.name}: a sequence of {longest} tokens, where the model was trained on at most "
                f"{self.encoder.longest}; cut it"
            )
        return Tokens(own.ids[:, :longest], own.lengths, own.n_vocabulary, own.vocabulary, own.name, own.n_cut)


def evaluate(parts: Parts, setup: SequenceSetup, tokens: Tokens, *, seed: int = 0) -> SequenceEvaluation:
    """The objective and its terms on sequences, at one draw of z for each."""
    reconstruction, kl = _terms(parts, setup, tokens, seed)
    mean_kl = kl.mean(0)
    elbo = -float(reconstruction.sum() + kl.sum())
    return SequenceEvaluation(
        float(reconstruction.mean() + setup.beta * mean_kl.sum()),
        float(reconstruction.mean()),
        mean_kl,
        int((mean_kl > ALIVE_NATS).sum()),
        elbo / float(tokens.lengths.sum()),
        len(tokens),
    )


def _losses(parts: Parts, setup: SequenceSetup, tokens: Tokens, seed: int, draws: int) -> np.ndarray:
    total = np.zeros(len(tokens))
    for draw in range(draws):
        reconstruction, kl = _terms(parts, setup, tokens, seed + draw)
        total += reconstruction + setup.beta * kl.sum(1)
    return total / draws


@torch.no_grad()
def _terms(parts: Parts, setup: SequenceSetup, tokens: Tokens, seed: int) -> tuple[np.ndarray, np.ndarray]:
    noise = torch.randn(len(tokens), setup.n_latents, generator=torch.Generator().manual_seed(seed))
    pairs = [
        terms(parts, ids, lengths, eps, seen_at_random(ids, setup.word_dropout, None))
        for ids, lengths, eps in batches(tokens, noise)
    ]
    reconstruction, kl = (torch.cat(column).double().numpy() for column in zip(*pairs, strict=True))
    return reconstruction, kl
