"""Sequences as tensors: checked against a model, split into those that train and those held out, and in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.data.tokens import Tokens, as_tokens
from uncollapse.errors import DataError
from uncollapse.sequences.decoders import DecoderShape, SequenceDecoder, shape_named
from uncollapse.sequences.encoders import mask_of

__all__ = ["batches", "in_words_of", "negative_log_likelihood", "shape_for", "split", "tensors"]

HELD_OUT = 0.2
LEAST_SEQUENCES = 10
"""Fewer leave nothing to train on or to hold out."""

EVALUATION_ROWS = 512


def shape_for(tokens: Tokens, shape: DecoderShape | str) -> DecoderShape:
    """The shape itself, or the one of a name in the vocabulary of the tokens.

    Raises
    ------
    DataError
        A token that the decoder has no logit for.
    """
    if isinstance(shape, str):
        return shape_named(shape, tokens.n_vocabulary)
    if not isinstance(shape, DecoderShape):
        raise DataError(f"the shape of a decoder must be a DecoderShape or a name, got {type(shape).__name__}")
    _check_vocabulary(tokens, shape.n_vocabulary)
    return shape


def split(tokens: Any) -> tuple[Tokens, Tokens]:
    """Those that train, and the fifth held out: always the same of the same sequences.

    Raises
    ------
    DataError
        No sequences of tokens, or fewer than 10.
    """
    own = as_tokens(tokens)
    if len(own) < LEAST_SEQUENCES:
        raise DataError(f"{own.name}: {len(own)} sequences are too few; give {LEAST_SEQUENCES} or more")
    order = np.random.default_rng([len(own), 5]).permutation(len(own))
    n_held_out = round(HELD_OUT * len(own))
    return own[order[n_held_out:]], own[order[:n_held_out]]


def in_words_of(tokens: Any, vocabulary: tuple[str, ...] | None, n_vocabulary: int) -> Tokens:
    """The same sequences with a model's own token numbers.

    Raises
    ------
    DataError
        A token outside of the model's vocabulary.
    """
    own = as_tokens(tokens)
    if vocabulary is None or own.vocabulary is None or own.vocabulary == vocabulary:
        _check_vocabulary(own, n_vocabulary)
        return own
    number = {word: i for i, word in enumerate(vocabulary)}
    unknown = sorted({own.vocabulary[i] for i in np.unique(own.ids[own.mask])} - number.keys())
    if unknown:
        raise DataError(f"{own.name}: {unknown[0]!r} is outside of the model's vocabulary; leave such sequences out")
    table = np.array([number.get(word, 0) for word in own.vocabulary])
    return replace(own, ids=table[own.ids] * own.mask, n_vocabulary=n_vocabulary, vocabulary=vocabulary)


def _check_vocabulary(tokens: Tokens, n_vocabulary: int) -> None:
    largest = int(tokens.ids[tokens.mask].max())
    if largest >= n_vocabulary:
        raise DataError(f"{tokens.name}: token {largest} is outside of a vocabulary of {n_vocabulary}")
    if int(tokens.ids.min()) < 0:
        raise DataError(f"{tokens.name}: token {int(tokens.ids.min())} is below 0, where the vocabulary begins")


def tensors(tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Token numbers (n, T) and lengths (n,)."""
    return torch.from_numpy(np.ascontiguousarray(tokens.ids)), torch.from_numpy(np.ascontiguousarray(tokens.lengths))


def batches(tokens: Tokens, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Token numbers, lengths and what else there is a row of for each, in pieces that fit into memory."""
    parts = (*tensors(tokens), *others)
    for start in range(0, len(tokens), EVALUATION_ROWS):
        yield tuple(part[start : start + EVALUATION_ROWS] for part in parts)


def negative_log_likelihood(
    decoder: SequenceDecoder, ids: Tensor, lengths: Tensor, v: Tensor | None = None, seen: Tensor | None = None
) -> Tensor:
    """−log p(x | v) of each sequence, nats, (n,)."""
    ids = ids[:, : int(lengths.max())]
    logits = decoder(ids, v, None if seen is None else seen[:, : ids.shape[1]])
    nats = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none").view(ids.shape)
    return (nats * mask_of(ids, lengths)).sum(1)
