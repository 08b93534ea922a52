"""Decoders of sequences: p(x_t | x_<t, v), with one place at which a vector v enters.

Every decoder is the same three steps: what it knows before token t as a vector (`before`), v added to that (`inject`),
and the rest (`after`). So a latent enters each of them in the same way, and so does a hook.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uncollapse.checks import count, one_of, shown
from uncollapse.errors import ObjectiveError
from uncollapse.showing.noun import Settings

__all__ = ["KINDS", "DecoderShape", "SequenceDecoder", "decoder_named", "decoder_of", "shape_named"]

KINDS = ("gru", "transformer", "window")
HEADS = 4
"""Of a transformer; its width is a multiple of it."""

MOST = 2**20
"""Above this no width and no vocabulary is meant."""


@dataclass(frozen=True, repr=False)
class DecoderShape(Settings):
    """What a decoder of sequences is made of.

    Attributes
    ----------
    kind : {"gru", "transformer", "window"}
        ``gru`` and ``transformer`` see the whole past; ``window`` is an MLP on the last `window` tokens.
    n_vocabulary : int
        V.
    window : int
        Tokens that a ``window`` sees; with 0 none, so that all it knows is a bias. 0 for the other kinds.
    width : int
        h: of the embeddings, the hidden layers, and of v.
    layers : int
        Recurrent layers, blocks of the transformer, hidden layers of the MLP.

    Raises
    ------
    ObjectiveError
        An unknown kind, or a number out of range.

    Examples
    --------
    >>> DecoderShape("window", n_vocabulary=27, window=3).name
    'window:3'
    """

    kind: str
    n_vocabulary: int
    window: int = 0
    width: int = 64
    layers: int = 1

    def __post_init__(self) -> None:
        one_of(self.kind, "the kind of a decoder", KINDS)
        least = {"n_vocabulary": 1, "window": 0, "width": 1, "layers": 1}
        for name, lowest in least.items():
            value = count(getattr(self, name), f"{name} of a decoder", least=lowest, most=MOST)
            object.__setattr__(self, name, value)
        if self.window and self.kind != "window":
            raise ObjectiveError(f"a {self.kind} sees the whole past; window={self.window} goes with kind='window'")
        if self.kind == "transformer" and self.width % HEADS:
            raise ObjectiveError(f"the width of a transformer must be a multiple of {HEADS}, got {self.width}")

    @property
    def name(self) -> str:
        """As `shape_named` takes it: gru, transformer, window:3."""
        return f"window:{self.window}" if self.kind == "window" else self.kind


def shape_named(name: str, n_vocabulary: int, *, width: int = 64, layers: int | None = None) -> DecoderShape:
    """The shape that a name stands for.

    Parameters
    ----------
    name : str
        ``gru``, ``transformer``, or ``window:K``, which sees the last K tokens (``window:0``: none).
    n_vocabulary : int
        V.
    width : int
        h.
    layers : int, optional
        2 for a transformer, 1 for the others when left out.

    Raises
    ------
    ObjectiveError
        No such decoder, or a number out of range.

    Examples
    --------
    >>> shape_named("window:2", 27).window
    2
    >>> shape_named("window:-1", 27)
    Traceback (most recent call last):
    uncollapse.errors.ObjectiveError: a decoder is gru, transformer or window:K with K = 0, 1, 2, …, got 'window:-1'
    """
    refused = ObjectiveError(f"a decoder is gru, transformer or window:K with K = 0, 1, 2, …, got {shown(name)}")
    if not isinstance(name, str):
        raise refused
    kind, colon, length = name.partition(":")
    if (
        kind not in KINDS
        or (kind == "window") != bool(colon)
        or (colon and not (length.isascii() and length.isdigit()))
    ):
        raise refused
    n_layers = (2 if kind == "transformer" else 1) if layers is None else layers
    return DecoderShape(kind, n_vocabulary, int(length or 0), width, n_layers)


class SequenceDecoder(nn.Module):
    """p(x_t | x_<t, v) for every t at once.

    Attributes
    ----------
    shape : DecoderShape
    inject : nn.Identity
        Its output, (n, T, h), is what v is added to; a forward hook on it that adds a vector does what v does.
    """

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.n_vocabulary + 2, shape.width)
        self.inject = nn.Identity()
        self.out = nn.Linear(shape.width, shape.n_vocabulary)

    @property
    def start(self) -> int:
        """Number of the token that stands before the first one."""
        return self.shape.n_vocabulary

    @property
    def hidden(self) -> int:
        """Number of the token that stands in place of one that the decoder does not see."""
        return self.shape.n_vocabulary + 1

    def forward(self, tokens: Tensor, v: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """Logits of each token given those before it.

        Parameters
        ----------
        tokens : Tensor of shape (n, T), int64
        v : Tensor of shape (n, h), optional
            Added to the hidden pre-activation at every step; 0 when left out.
        seen : Tensor of shape (n, T), bool, optional
            Which tokens later steps see; all when left out. Every token is predicted, seen or not.

        Returns
        -------
        Tensor of shape (n, T, V)
            ``logits[:, t]`` is of ``tokens[:, t]`` and depends on ``tokens[:, :t]`` alone.
        """
        shown_tokens = tokens if seen is None else torch.where(seen, tokens, self.hidden)
        pre = self.inject(self.before(shown_tokens))
        return self.after(pre if v is None else pre + v[:, None, :])

    def shifted(self, tokens: Tensor, by: int = 1) -> Tensor:
        """The tokens `by` steps before each, the start token where there is none; (n, T)."""
        padded = nn.functional.pad(tokens, (by, 0), value=self.start)
        return padded[:, : tokens.shape[1]]

    def before(self, tokens: Tensor) -> Tensor:
        """What v is added to, (n, T, h)."""
        raise NotImplementedError

    def after(self, pre: Tensor) -> Tensor:
        """Logits from that, (n, T, V)."""
        raise NotImplementedError


class Recurrent(SequenceDecoder):
    """A GRU; v is added to the input of every step."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__(shape)
        self.gru = nn.GRU(shape.width, shape.width, num_layers=shape.layers, batch_first=True)

    def before(self, tokens: Tensor) -> Tensor:
        """Embeddings of the tokens one step before."""
        embedded: Tensor = self.embedding(self.shifted(tokens))
        return embedded

    def after(self, pre: Tensor) -> Tensor:
        """The recurrent layers and the output."""
        logits: Tensor = self.out(self.gru(pre)[0])
        return logits


class Transformer(SequenceDecoder):
    """Causal attention, norms before each half of a block; v is added to every token's embedding."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__(shape)
        self.blocks = nn.ModuleList(Block(shape.width) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)

    def before(self, tokens: Tensor) -> Tensor:
        """Embeddings of the tokens one step before, and of the place."""
        embedded: Tensor = self.embedding(self.shifted(tokens))
        return embedded + places(tokens.shape[1], self.shape.width).to(embedded)

    def after(self, pre: Tensor) -> Tensor:
        """The blocks and the output."""
        for block in self.blocks:
            pre = block(pre)
        logits: Tensor = self.out(self.norm(pre))
        return logits


class Block(nn.Module):
    """Attention to the past and two layers at each place, each added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, (n, T, h) like its input."""
        n, length, width = x.shape
        parts = self.query_key_value(self.first(x)).view(n, length, 3, HEADS, width // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        # written out, as the fused kernels have no forward-mode derivative, which a Fisher information asks for
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // HEADS)
        weights = scores.masked_fill(future, -math.inf).softmax(-1)
        x = x + self.mixed((weights @ value).transpose(1, 2).reshape(n, length, width))
        result: Tensor = x + self.narrow(nn.functional.gelu(self.wide(self.second(x))))
        return result


class Window(SequenceDecoder):
    """An MLP on the last K tokens; v is added to the pre-activation of its first hidden layer."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__(shape)
        self.lifts = nn.ModuleList(nn.Linear(shape.width, shape.width, bias=False) for _ in range(shape.window))
        self.bias = nn.Parameter(torch.zeros(shape.width))
        self.deeper = nn.ModuleList(nn.Linear(shape.width, shape.width) for _ in range(shape.layers - 1))

    def before(self, tokens: Tensor) -> Tensor:
        """One linear map for each of the last K tokens, and a bias."""
        pre = self.bias.expand(*tokens.shape, -1)
        for back, lift in enumerate(self.lifts, 1):
            pre = pre + lift(self.embedding(self.shifted(tokens, back)))
        return pre

    def after(self, pre: Tensor) -> Tensor:
        """The hidden layers and the output."""
        hidden = torch.tanh(pre)
        for layer in self.deeper:
            hidden = torch.tanh(layer(hidden))
        logits: Tensor = self.out(hidden)
        return logits


def places(length: int, width: int) -> Tensor:
    """Sines and cosines of each place, so that no length is the longest; (T, h). Vaswani et al. 2017, section 3.5."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    angles = place * torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)


MODULES: dict[str, type[SequenceDecoder]] = {"gru": Recurrent, "transformer": Transformer, "window": Window}


def decoder_of(shape: DecoderShape, *, seed: int = 0) -> SequenceDecoder:
    """A fresh decoder; PyTorch's own random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODULES[shape.kind](shape)


def decoder_named(
    name: str, n_vocabulary: int, *, width: int = 64, layers: int | None = None, seed: int = 0
) -> SequenceDecoder:
    """A fresh decoder by its name; see `shape_named`.

    Examples
    --------
    >>> decoder_named("gru", 27)(torch.zeros(2, 5, dtype=torch.int64)).shape
    torch.Size([2, 5, 27])
    """
    return decoder_of(shape_named(name, n_vocabulary, width=width, layers=layers), seed=seed)
