"""Language models: a decoder of sequences trained without latents."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uncollapse.checks import instance
from uncollapse.data.tokens import Tokens
from uncollapse.progress import watching_epochs
from uncollapse.sequences.decoders import DecoderShape, SequenceDecoder, decoder_of
from uncollapse.sequences.descent import descend
from uncollapse.sequences.rows import batches, in_words_of, negative_log_likelihood, shape_for, split, tensors
from uncollapse.sequences.settings import SequenceTraining
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain, stamp
from uncollapse.training.result import History

__all__ = ["LanguageModel", "train_language_model"]


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel(Drawn):
    """p(x) without latents, and what it costs on sequences held out.

    Attributes
    ----------
    decoder : SequenceDecoder
        In the state that was best on the sequences held out.
    training : SequenceTraining
    history : dict of ndarray
        Columns ``epoch, loss, held_out``: nats per sequence; `loss` is the average while the parameters moved.
    nats : float
        −log p(x) per sequence held out.
    nats_per_token : float
    n_sequences : int
        That it was trained on.
    vocabulary : tuple of str, or None
    seconds : float
    """

    decoder: SequenceDecoder = field(repr=False)
    training: SequenceTraining
    history: History = field(repr=False)
    nats: float
    nats_per_token: float
    n_sequences: int
    vocabulary: tuple[str, ...] | None = None
    seconds: float = 0.0

    @property
    def shape(self) -> DecoderShape:
        """Of its decoder."""
        return self.decoder.shape

    def losses(self, tokens: Any) -> np.ndarray:
        """−log p(x) of each sequence, nats, shape (n,).

        Raises
        ------
        DataError
            A token outside of the vocabulary.
        """
        return _losses(self.decoder, in_words_of(tokens, self.vocabulary, self.shape.n_vocabulary))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, without the parameters; `save` keeps those."""
        return {
            **stamp("language-model"),
            "decoder": asdict(self.shape),
            "training": asdict(self.training),
            "nats": self.nats,
            "nats_per_token": self.nats_per_token,
            "n_sequences": self.n_sequences,
            "vocabulary": plain(self.vocabulary),
            "seconds": self.seconds,
            "history": plain(self.history),
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.sequences.words import language_card

        return language_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.sequences.pictures import language_figure

        return language_figure(self)

    def __repr__(self) -> str:
        return short(self, decoder=self.shape.name, nats=self.nats, nats_per_token=self.nats_per_token)


def train_language_model(
    tokens: Any,
    shape: DecoderShape | str = "gru",
    training: SequenceTraining | None = None,
    *,
    progress: bool = False,
) -> LanguageModel:
    """Train a decoder without latents; a fifth of the sequences is held out.

    Parameters
    ----------
    tokens : Tokens, ndarray of shape (n, T), or list of lists of int
        What `open_tokens` gives, or token numbers; 10 sequences or more.
    shape : DecoderShape or str
        ``gru``, ``transformer`` or ``window:K`` of the usual width, or a shape.
    training : SequenceTraining, optional
        30 epochs of Adam when left out.
    progress : bool
        A bar on the terminal.

    Returns
    -------
    LanguageModel
        In the state of the epoch that was best on the sequences held out: more epochs do not overfit it.

    Raises
    ------
    DataError
        Fewer than 10 sequences, a token outside of the vocabulary.
    ObjectiveError
        No such decoder.
    TrainingError
        The loss left the finite numbers.

    Examples
    --------
    >>> x = np.random.default_rng(0).integers(0, 4, (200, 6))
    >>> lm = train_language_model(x, "window:1", SequenceTraining(epochs=3))
    >>> bool(abs(lm.nats_per_token - np.log(4)) < 0.1)
    True
    """
    how = instance(SequenceTraining() if training is None else training, "training", SequenceTraining)
    seen, held_out = split(tokens)
    decoder = decoder_of(shape_for(seen, shape), seed=how.seed)
    shape_for(held_out, decoder.shape)
    started, (ids, lengths) = time.perf_counter(), tensors(seen)
    history: dict[str, list[float]] = {"epoch": [], "loss": [], "held_out": []}
    sums: list[float] = []
    best: tuple[float, dict[str, Tensor]] = (math.inf, decoder.state_dict())

    def loss_of(rows: Tensor, done: float) -> Tensor:
        nats = negative_log_likelihood(decoder, ids[rows], lengths[rows])
        sums.append(float(nats.detach().sum()))
        return nats.mean()

    with watching_epochs(how.epochs, shown=progress) as on_epoch:

        def after_epoch(epoch: int) -> float:
            nonlocal best
            now = float(_losses(decoder, held_out).mean())
            if now < best[0]:
                best = now, copy.deepcopy(decoder.state_dict())
            for name, value in zip(history, (epoch, sum(sums) / len(seen), now), strict=True):
                history[name].append(value)
            sums.clear()
            on_epoch(epoch, -now, 0.0, 0)
            return now

        descend([decoder], how, len(seen), loss_of, after_epoch)
    decoder.load_state_dict(best[1])
    per_token = best[0] * len(held_out) / float(held_out.lengths.sum())
    columns = {name: np.array(values) for name, values in history.items()}
    return LanguageModel(
        decoder.requires_grad_(False), how, columns, best[0], per_token, len(seen), seen.vocabulary,
        time.perf_counter() - started,
    )  # fmt: skip


@torch.no_grad()
def _losses(decoder: SequenceDecoder, tokens: Tokens) -> np.ndarray:
    parts = [negative_log_likelihood(decoder, ids, lengths) for ids, lengths in batches(tokens)]
    return torch.cat(parts).double().numpy()
