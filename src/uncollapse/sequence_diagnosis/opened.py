"""VAEs of sequences behind one face: those that train here, and any module with `encode` and `decode`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.data.tokens import Tokens, as_tokens
from uncollapse.errors import DataError, UncollapseError, kind_and_line
from uncollapse.injecting.place import MOST_NAMED, STATE
from uncollapse.injecting.steps import as_steps, shift_of
from uncollapse.probes.probe import evaluating, mode_notes
from uncollapse.sequence_diagnosis.masked import at_rest
from uncollapse.sequences.result import SequenceVAE
from uncollapse.sequences.rows import in_words_of, negative_log_likelihood
from uncollapse.sequences.settings import SequenceSetup
from uncollapse.sequences.terms import seen_at_random

__all__ = ["OpenedVAE", "batches", "opened_vae", "working"]

PROBED_ROWS = 4

NEEDED = "encode(tokens, mask) → mean, log_variance and decode(tokens, z) → logits"


@dataclass(frozen=True, eq=False)
class OwnVAE:
    """One that was trained here.

    Attributes
    ----------
    place : str
        Where the decoder at rest takes an added vector: the path of the latents.
    """

    vae: SequenceVAE

    place = "decoder.inject"
    notes = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"the VAE ({self.vae.setup.decoder.name})"

    @property
    def module(self) -> nn.Module:
        """Everything that is in it, for its mode and its device."""
        return nn.ModuleList(self.vae.parts)

    @property
    def setup(self) -> SequenceSetup:
        """How it was trained."""
        return self.vae.setup

    @property
    def beta(self) -> float:
        """Weight of the KL, where it says one."""
        return self.vae.setup.beta

    def tokens(self, data: Any) -> Tokens:
        """Sequences in the model's own token numbers."""
        own = in_words_of(data, self.vae.vocabulary, self.vae.setup.decoder.n_vocabulary)
        if (longest := int(own.lengths.max())) > self.vae.encoder.longest:
            raise DataError(f"{own.name}: a sequence of {longest} tokens, where the model was trained on at most "
                            f"{self.vae.encoder.longest}; cut it (--longest)")  # fmt: skip
        return own

    def encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, L)."""
        mean, log_variance = self.vae.encoder(ids, mask.sum(1))
        return mean, log_variance

    def nats(self, ids: Tensor, mask: Tensor, z: Tensor) -> Tensor:
        """−log p(x | z) of each sequence, (n,)."""
        seen = seen_at_random(ids, self.vae.setup.word_dropout, None)
        return negative_log_likelihood(self.vae.decoder, ids, mask.sum(1), self.vae.to_v(z), seen)

    def at_rest(self) -> nn.Module:
        """The decoder with every latent at the mean of its prior."""
        return at_rest(self.vae.decoder, self.vae.setup.word_dropout)

    def inside(self, inject: str | None) -> str:
        """The name, in the decoder at rest, of a submodule that the user calls by its name in the model."""
        return self.place if inject is None else f"decoder.{_part(self.vae.decoder, inject)}"

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the head of the encoder sees, (n, p); None where that is not known."""
        return self.vae.encoder.features(ids, mask.sum(1))


class UserAtRest(nn.Module):
    """The decoder of a user's VAE with every latent at 0; `z`, where a vector is added, is its own path."""

    def __init__(self, model: Any, n_latents: int) -> None:
        super().__init__()
        self.model, self.z, self.n_latents = model, nn.Identity(), n_latents

    def forward(self, tokens: Tensor) -> Any:
        """Whatever `decode` gives."""
        return self.model.decode(tokens, self.z(torch.zeros(len(tokens), self.n_latents, device=tokens.device)))


@dataclass(frozen=True, eq=False)
class UserVAE:
    """One of a user's own.

    Attributes
    ----------
    module : Module
    n_latents : int
    shift : int
        1 where its logits at a step are of the next token.
    notes : tuple of str
    place : str
        Where the decoder at rest takes an added vector: z itself.
    """

    module: Any
    n_latents: int
    shift: int
    notes: tuple[str, ...]

    place = "z"
    setup = None

    @property
    def name(self) -> str:
        """For people."""
        return type(self.module).__name__

    @property
    def beta(self) -> float | None:
        """Weight of the KL, where it says one."""
        said = getattr(self.module, "beta", None)
        return float(said) if isinstance(said, int | float) and said > 0 else None

    def tokens(self, data: Any) -> Tokens:
        """Sequences in the model's own token numbers."""
        return as_tokens(data)

    def encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, L)."""
        return _encoded(self.module, ids, mask)

    def nats(self, ids: Tensor, mask: Tensor, z: Tensor) -> Tensor:
        """−log p(x | z) of each sequence, (n,)."""
        steps, value = as_steps(self.module.decode(ids, z), ids, mask, self.shift)
        return -steps.log_prob(value)

    def at_rest(self) -> nn.Module:
        """The decoder with every latent at the mean of its prior."""
        named: type[UserAtRest] = type(self.name, (UserAtRest,), {})  # what is wrong with it is said in its own name
        return named(self.module, self.n_latents)

    def inside(self, inject: str | None) -> str:
        """The name, in the decoder at rest, of a submodule that the user calls by its name in the model."""
        return self.place if inject is None else f"model.{_part(self.module, inject)}"

    def features(self, ids: Tensor, mask: Tensor) -> Tensor | None:
        """What the head of the encoder sees, (n, p); None where that is not known."""
        own = getattr(self.module, "features", None)
        found = own(ids, mask) if callable(own) else None
        return found if torch.is_tensor(found) and found.ndim == 2 and len(found) == len(ids) else None


OpenedVAE = OwnVAE | UserVAE


def opened_vae(model: Any, data: Any) -> tuple[OpenedVAE, Tokens]:
    """A model and its sequences, checked on a few of them.

    Parameters
    ----------
    model : SequenceVAE, or Module
        A module with ``encode(tokens, mask) → mean, log_variance``, each (n, L), and ``decode(tokens, z) → logits``
        of each token, or of the next, given the true ones before it; `mask`, bool (n, T), says what is no padding.
    data : Tokens, ndarray of shape (n, T), or list of lists of int

    Raises
    ------
    DataError
        Not such a model, one that fails on the sequences, a token outside of its vocabulary.
    """
    if isinstance(model, SequenceVAE):
        own = OwnVAE(model)
        return own, own.tokens(data)
    name = type(model).__name__
    missing = [part for part in ("encode", "decode") if not callable(getattr(model, part, None))]
    module: Any = model
    if not isinstance(model, nn.Module) or missing:
        lacks = f"has no {missing[0]}" if missing else "is no PyTorch module"
        raise DataError(f"{name} {lacks}; a VAE of sequences is a module with {NEEDED}")
    tokens = as_tokens(data)
    with working(model, name):
        ids, mask = next(batches(tokens[:PROBED_ROWS], model))[1:]
        mean, _ = _encoded(model, ids, mask)
        shift = shift_of(lambda x: module.decode(x, torch.zeros_like(mean[: len(x)])), ids)
        vae = UserVAE(model, mean.shape[1], shift, mode_notes(model))
        vae.nats(ids, mask, torch.zeros_like(mean))
    return vae, tokens


@contextmanager
def working(module: nn.Module, name: str) -> Iterator[None]:
    """In evaluation mode, without gradients; what a user's code raises becomes one line."""
    with evaluating(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            yield
        except (UncollapseError, MemoryError):
            raise
        except Exception as error:  # a user's model raises anything
            raise DataError(f"{name}: fails on its sequences: {kind_and_line(error)}") from error


def batches(tokens: Tokens, module: nn.Module, size: int = 256) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows, token numbers and what is no padding, on the model's device."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    mask = tokens.mask
    for start in range(0, len(tokens), size):
        rows = slice(start, start + size)
        ids = torch.as_tensor(np.ascontiguousarray(tokens.ids[rows]), device=device).long()
        yield rows, ids, torch.as_tensor(mask[rows], device=device)


def _part(module: nn.Module, name: str) -> str:
    parts = [part for part, _ in module.named_modules() if part]
    if name.removesuffix(STATE) not in parts:
        raise DataError(f"the decoder has no submodule {name!r}; it has {', '.join(parts[:MOST_NAMED]) or 'none'}")
    return name


def _encoded(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    name, given = type(model).__name__, model.encode(ids, mask)
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(map(torch.is_tensor, given)):
        raise DataError(f"{name}.encode gives {_shape(given)}; a mean and a log-variance are due")
    mean, log_variance = given
    if mean.ndim != 2 or len(mean) != len(ids) or mean.shape != log_variance.shape:
        raise DataError(
            f"{name}.encode gives {tuple(mean.shape)} and {tuple(log_variance.shape)} for {len(ids)} sequences; "
            f"(sequences, latents) is due of both"
        )
    if not (mean.isfinite().all() and log_variance.isfinite().all()):
        raise DataError(f"{name}.encode gives numbers that are not finite")
    return mean, log_variance


def _shape(value: Any) -> str:
    if torch.is_tensor(value):
        return f"one array of shape {tuple(value.shape)}"
    return f"{len(value)} things" if isinstance(value, tuple | list) else type(value).__name__
