"""Train a VAE of sequences: z enters the decoder through a linear map to the vector v that is added inside it."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.checks import instance
from uncollapse.data.tokens import Tokens, as_tokens
from uncollapse.errors import ObjectiveError
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.progress import watching_epochs
from uncollapse.sequences.decoders import DecoderShape, decoder_of
from uncollapse.sequences.descent import descend
from uncollapse.sequences.encoders import encoder_of
from uncollapse.sequences.language import LanguageModel
from uncollapse.sequences.result import SequenceVAE, evaluate
from uncollapse.sequences.rows import in_words_of, shape_for, split, tensors
from uncollapse.sequences.settings import SequenceSetup, SequenceTraining
from uncollapse.sequences.terms import Parts, minimised, seen_at_random, terms

__all__ = ["train_sequence_vae"]

QUIET = 0.01
"""Size of what a quiet start adds inside the decoder, and of the encoder's first means: the latents begin dead."""

COLUMNS = ("epoch", "loss", "reconstruction", "kl", "n_alive", "kl_weight", "held_out")

HISTORY_ROWS = 2048
"""Of those held out, in the history: the whole of them would take a fifth of the time."""


def train_sequence_vae(
    tokens: Any,
    shape: DecoderShape | str | None = None,
    *,
    beta: float = 1.0,
    n_latents: int = 8,
    encoder: str = "gru",
    encoder_width: int | None = None,
    free_bits: float = 0.0,
    free_bits_total: float = 0.0,
    word_dropout: float = 0.0,
    warm_up: float = 0.0,
    start: LanguageModel | None = None,
    progress: bool = False,
    **training: Any,
) -> SequenceVAE:
    """Train a VAE of sequences; a fifth of them is held out, the same as of a language model on them.

    Parameters
    ----------
    tokens : Tokens, ndarray of shape (n, T), or list of lists of int
        What `open_tokens` gives, or token numbers; 10 sequences or more.
    shape : DecoderShape or str, optional
        ``gru``, ``transformer``, ``window:K``, or a shape; that of `start`, or a gru, when left out.
    beta, n_latents, encoder, encoder_width, free_bits, free_bits_total, word_dropout, warm_up
        See `SequenceSetup`.
    start : LanguageModel, optional
        The decoder begins as this one, and the latents add next to nothing: a quiet start, in which a latent that can
        live must grow by itself. All weights are fresh when left out.
    progress : bool
        A bar on the terminal.
    **training
        ``epochs, batch_size, learning_rate, clip, seed``; see `SequenceTraining`.

    Returns
    -------
    SequenceVAE
        After its last epoch: the best epoch on the sequences held out may be the first of a quiet start, in which
        every latent is dead still.

    Raises
    ------
    DataError
        Fewer than 10 sequences, a token outside of the vocabulary.
    ObjectiveError
        A setting out of range, a shape that is not that of `start`.
    TrainingError
        The loss left the finite numbers.

    Examples
    --------
    >>> x = np.random.default_rng(0).integers(0, 4, (200, 6))
    >>> vae = train_sequence_vae(x, "window:0", beta=5.0, n_latents=2, epochs=2)
    >>> vae.encode(x)[0].shape
    (200, 2)
    """
    how = SequenceTraining(**_known(training))
    own, wanted = _started(as_tokens(tokens), shape, start)
    setup = SequenceSetup(
        wanted, n_latents, beta, encoder, encoder_width, free_bits, free_bits_total, word_dropout, warm_up, how
    )
    seen, held_out = split(own)
    parts = _fresh(setup, own.ids.shape[1], start)
    started = time.perf_counter()
    history = _trained(parts, setup, seen, held_out, progress=progress)
    for part in parts:
        part.requires_grad_(False)
    result = evaluate(parts, setup, held_out)
    return SequenceVAE(setup, *parts, history, result, own.vocabulary, time.perf_counter() - started)


def _known(training: dict[str, Any]) -> dict[str, Any]:
    names = tuple(SequenceTraining.__dataclass_fields__)
    if odd := sorted(training.keys() - set(names)):
        raise ObjectiveError(f"a training of sequences knows no {odd[0]}; it takes {', '.join(names)}")
    return training


def _started(
    tokens: Tokens, shape: DecoderShape | str | None, start: LanguageModel | None
) -> tuple[Tokens, DecoderShape]:
    if start is None:
        return tokens, shape_for(tokens, "gru" if shape is None else shape)
    begun = instance(start, "start", LanguageModel).shape
    if shape is not None and shape not in (begun, begun.name):
        wanted = shape if isinstance(shape, str) else shape.name
        raise ObjectiveError(f"the decoder starts from {begun!r}, which is no {wanted}; leave the shape out")
    return in_words_of(tokens, start.vocabulary, begun.n_vocabulary), begun


def _fresh(setup: SequenceSetup, longest: int, start: LanguageModel | None) -> Parts:
    shape, seed = setup.decoder, setup.training.seed
    encoder = encoder_of(
        setup.encoder, n_vocabulary=shape.n_vocabulary, longest=longest, n_latents=setup.n_latents,
        width=setup.encoder_width or shape.width, seed=seed + 1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        to_v = nn.Linear(setup.n_latents, shape.width, bias=False)
    if start is None:
        return Parts(encoder, to_v, decoder_of(shape, seed=seed))
    with torch.no_grad():
        to_v.weight.mul_(QUIET)
        encoder.head.weight.mul_(QUIET)
        encoder.head.bias.zero_()
    return Parts(encoder, to_v, copy.deepcopy(start.decoder).requires_grad_(True))


def _trained(
    parts: Parts, setup: SequenceSetup, seen: Tokens, held_out: Tokens, *, progress: bool
) -> dict[str, np.ndarray]:
    """Move the parameters to where training ends; the history."""
    how, (ids, lengths) = setup.training, tensors(seen)
    generator = torch.Generator().manual_seed(how.seed + 3)
    rows_of_history: list[tuple[float, ...]] = []
    sums = torch.zeros(1 + setup.n_latents, dtype=torch.float64)

    def loss_of(rows: Tensor, done: float) -> Tensor:
        noise = torch.randn(len(rows), setup.n_latents, generator=generator)
        hidden = seen_at_random(ids[rows], setup.word_dropout, generator)
        reconstruction, kl = terms(parts, ids[rows], lengths[rows], noise, hidden)
        sums.add_(torch.cat((reconstruction.detach().sum()[None], kl.detach().sum(0))))
        return minimised(reconstruction, kl, setup, done)

    with watching_epochs(how.epochs, shown=progress) as on_epoch:

        def after_epoch(epoch: int) -> float:
            reconstruction, *kl = (sums / len(seen)).tolist()
            n_alive, rate = sum(one > ALIVE_NATS for one in kl), sum(kl)
            weight = min(1.0, epoch / how.epochs / setup.warm_up) if setup.warm_up else 1.0
            there = evaluate(parts, setup, held_out[:HISTORY_ROWS]).loss
            loss = reconstruction + setup.beta * rate
            rows_of_history.append((epoch, loss, reconstruction, rate, n_alive, weight, there))
            sums.zero_()
            on_epoch(epoch, -reconstruction - rate, rate, n_alive)
            return there

        descend(parts, how, len(seen), loss_of, after_epoch)
    return dict(zip(COLUMNS, np.array(rows_of_history).T.copy(), strict=True))
