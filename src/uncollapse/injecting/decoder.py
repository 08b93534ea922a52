"""A decoder with a place where a vector is added: log p(x; v), its scores in v, and its curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.data.tokens import Tokens
from uncollapse.errors import DataError, UncollapseError, kind_and_line, warn
from uncollapse.injecting.path import Path
from uncollapse.injecting.place import PREFIX, Place, find_place, injected
from uncollapse.injecting.steps import as_steps, shift_of
from uncollapse.probes.probe import evaluating, mode_notes
from uncollapse.probes.retrain import own_randomness

__all__ = ["InjectedDecoder", "Scores", "open_decoder", "samples_of"]

T = TypeVar("T")

BATCH_NUMBERS = 2**24
"""Logits, or numbers, of a batch: 64 MB in float32, of which a backward pass holds a few copies."""

BATCH_ROWS = 64
"""Most of a batch: deep decoders hold many times what their logits take."""

WHOLE = "log_prob"
"""The place of a decoder that takes v itself."""

MOST_WHOLE = 64
"""Numbers of a v that a decoder takes itself: the curvature is taken along all pairs of them."""

PROBED_ROWS = 4
"""With which a decoder is tried first."""

STEP = 0.1
"""Of second differences, in units in which the information along a direction is 1: their error is then about 1 % of it,
and what float32 loses of a log-probability of 100 nats about 0.1 % after averaging over 1,000 sequences."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each sequence, in v at v = 0.

    Attributes
    ----------
    scores : ndarray of shape (n, k)
        S = ∂ log p(x; v)/∂v.
    draws : ndarray of shape (n, m, k)
        The same of m draws of every step from the decoder itself, given the true past: given x they have mean 0 and the
        covariance Σ_t J_tᵀ(diag p_t − p_t p_tᵀ)J_t, so the mean of their squares is F without a bias. m = 0 of a
        decoder that gives no steps to draw from.
    log_prob : ndarray of shape (n,)
        Nats.
    curved : ndarray of shape (k, k), optional
        A = −E ∂² log p/∂v², in the place of F where there are no draws.
    """

    scores: np.ndarray
    draws: np.ndarray
    log_prob: np.ndarray
    curved: np.ndarray | None = None

    def information(self, rows: Any) -> np.ndarray:
        """F of some of the sequences, (k, k); A of all where no steps can be drawn."""
        if self.curved is not None:
            return self.curved
        d = self.draws[rows]
        found: np.ndarray = np.einsum("nmk,nml->kl", d, d, optimize=True) / (len(d) * d.shape[1])
        return found


@dataclass(frozen=True, eq=False)
class InjectedDecoder:
    """A decoder with its place.

    Attributes
    ----------
    name : str
    module : Module
    place : Place
    shift : int
        1 where its logits at a step are of the next token.
    notes : tuple of str
    """

    name: str
    module: nn.Module
    place: Place
    shift: int = 0
    notes: tuple[str, ...] = ()
    _sizes: list[int] = field(default_factory=list, repr=False)
    _most: list[int] = field(default_factory=lambda: [BATCH_ROWS], repr=False)

    def run(self, x: Tensor, v: Tensor) -> Any:
        """What the module gives for a batch, with a vector of its own added for each row."""
        if self.place.name == PREFIX:
            module: Any = self.module
            embedded = module.get_input_embeddings()(x)
            out = module(inputs_embeds=torch.cat([v[:, None].to(embedded.dtype), embedded], 1))
            return getattr(out, "logits", out)[:, 1:]
        with injected(self.module, self.place, v):
            return self.module(x)

    def scores(self, x: np.ndarray, mask: np.ndarray | None, *, n_draws: int, seed: int) -> Scores:
        """Scores of every sequence and of draws from the decoder, a batch at a time; one backward pass for each."""
        return self._fitting(x, lambda: self._scores(x, mask, n_draws, seed))

    def _scores(self, x: np.ndarray, mask: np.ndarray | None, n_draws: int, seed: int) -> Scores:
        n, width = len(x), self.place.width
        n_draws = 0 if self.as_a_whole else n_draws
        result = Scores(np.empty((n, width)), np.empty((n, n_draws, width)), np.empty(n))
        with self._working(seed):
            for rows, batch, kept in self._batches(x, mask):
                v = torch.zeros(len(batch), width, device=batch.device, requires_grad=True)
                steps, log_prob = self._at(batch, kept, v)
                result.log_prob[rows] = log_prob.detach().double().cpu().numpy()
                result.scores[rows] = self._gradient(log_prob, v, last=not n_draws)
                for i in range(n_draws):
                    assert steps is not None
                    drawn = steps.log_prob(steps.sample())
                    result.draws[rows, i] = self._gradient(drawn, v, last=i == n_draws - 1)
        if not all(np.isfinite(part).all() for part in (result.scores, result.draws, result.log_prob)):
            raise DataError(f"{self.name}: its log-probabilities, or their gradients, are not finite")
        return replace(result, curved=self._whole_curvature(x, mask)) if self.as_a_whole else result

    def _whole_curvature(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """A by polarisation: from the curvature along each axis and each sum of two."""
        k = self.place.width
        axes = np.eye(k)
        pairs = [(i, j) for i in range(k) for j in range(i)]
        sums = np.array([axes[i] + axes[j] for i, j in pairs]).reshape(-1, k)
        along = self._curvature(x, mask, np.vstack([axes, sums]).T).mean(axis=0)
        result = np.diag(along[:k])
        for (i, j), both in zip(pairs, along[k:], strict=True):
            result[i, j] = result[j, i] = (both - along[i] - along[j]) / 2
        return result

    def curvature(self, x: np.ndarray, mask: np.ndarray | None, directions: np.ndarray) -> np.ndarray:
        """−uᵀ(∂² log p(x; v)/∂v²)u of every sequence along each direction u (k, m); (n, m).

        By a derivative of the derivative; by second differences where an operation of the decoder has only one. Those
        see more than the curvature in directions that the decoder hardly notices, where the step is long.
        """
        return self._fitting(x, lambda: self._curvature(x, mask, directions))

    def _curvature(self, x: np.ndarray, mask: np.ndarray | None, directions: np.ndarray) -> np.ndarray:
        result, curvature = np.empty((len(x), directions.shape[1])), self._differentiated
        with self._working(0):
            for rows, batch, kept in self._batches(x, mask):
                along = torch.as_tensor(directions.T.copy(), dtype=torch.float32, device=batch.device)
                try:
                    found = curvature(batch, kept, along)
                except torch.OutOfMemoryError:
                    raise
                except (RuntimeError, NotImplementedError):  # such as fused attention, in every batch then
                    curvature = self._differenced
                    found = curvature(batch, kept, along)
                result[rows] = found.double().cpu().numpy()
        return result

    def gain(
        self, x: np.ndarray, mask: np.ndarray | None, path: Path, features: np.ndarray, *, n_draws: int, seed: int
    ) -> np.ndarray:
        """By how much log p rises with latents that enter along a path, less their β·KL; nats, (n,).

        Each pair of draws is z and its reflection about the mean, so that what is odd in the noise drops out.
        """
        return self._fitting(x, lambda: self._gain(x, mask, path, features, n_draws, seed))

    def _gain(
        self, x: np.ndarray, mask: np.ndarray | None, path: Path, features: np.ndarray, n_draws: int, seed: int
    ) -> np.ndarray:
        result = np.zeros(len(x))
        rng = np.random.default_rng([seed, 5])
        with self._working(seed), torch.no_grad():
            for rows, batch, kept in self._batches(x, mask):
                nothing = self._log_prob(batch, kept, torch.zeros(len(batch), self.place.width, device=batch.device))
                mean, noise = path.means(features[rows]), None
                for draw in range(n_draws):
                    noise = rng.standard_normal(mean.shape) if draw % 2 == 0 or noise is None else -noise
                    v = torch.as_tensor(path.vectors(mean, noise), dtype=torch.float32, device=batch.device)
                    risen = self._log_prob(batch, kept, v) - nothing
                    result[rows] += risen.cpu().numpy() / n_draws
                result[rows] -= path.cost(mean)
        return result

    def _fitting(self, x: np.ndarray, run: Callable[[], T]) -> T:
        """What `run` gives, from its beginning with half the batch where the device's memory does not hold one."""
        while True:
            try:
                return run()
            except torch.OutOfMemoryError:
                size = min(self._at_once(x), len(x))
                if size == 1:
                    raise DataError(f"{self.name}: the device's memory does not hold one sequence; use cpu") from None
                self._most[0] = size // 2
                warn(f"{self.name}: the device's memory does not hold {size} sequences at once; now {size // 2}")

    def _differentiated(self, batch: Tensor, mask: Tensor | None, along: Tensor) -> Tensor:
        v = torch.zeros(len(batch), self.place.width, device=batch.device, requires_grad=True)
        (score,) = torch.autograd.grad(self._at(batch, mask, v)[1].sum(), v, create_graph=True)
        if not score.requires_grad:  # a log-probability that is linear in v
            return torch.zeros(len(batch), len(along))
        columns = [torch.autograd.grad((score @ u).sum(), v, retain_graph=True)[0] @ u for u in along]
        return -torch.stack(columns, dim=1)

    @torch.no_grad()
    def _differenced(self, batch: Tensor, mask: Tensor | None, along: Tensor) -> Tensor:
        middle = self._log_prob(batch, mask, torch.zeros(len(batch), self.place.width, device=batch.device))
        columns = []
        for u in along:
            both = [self._log_prob(batch, mask, (sign * STEP * u).expand(len(batch), -1)) for sign in (1.0, -1.0)]
            columns.append((2 * middle - both[0] - both[1]) / STEP**2)
        return torch.stack(columns, dim=1)

    def _log_prob(self, batch: Tensor, mask: Tensor | None, v: Tensor) -> Tensor:
        return self._at(batch, mask, v)[1].double()

    @property
    def as_a_whole(self) -> bool:
        """Whether it gives log p(x; v) of a sample, and no distribution of its steps."""
        return self.place.name == WHOLE

    def _at(self, batch: Tensor, mask: Tensor | None, v: Tensor) -> tuple[Any, Tensor]:
        """The steps, if there are any, and log p(x; v) of each sample, (n,)."""
        if self.as_a_whole:
            module: Any = self.module
            log_prob = module.log_prob(batch, v)
            if not torch.is_tensor(log_prob) or log_prob.shape != (len(batch),):
                raise DataError(f"{self.name}: log_prob(x, v) must give one number a sample")
            return None, log_prob
        steps, value = as_steps(self.run(batch, v), batch, mask, self.shift)
        return steps, steps.log_prob(value)

    def _gradient(self, log_prob: Tensor, v: Tensor, *, last: bool) -> np.ndarray:
        if not log_prob.requires_grad:
            raise DataError(f"{self.name}: what is added at {self.place.name} does not reach the log-probability")
        (gradient,) = torch.autograd.grad(log_prob.sum(), v, retain_graph=not last, allow_unused=True)
        if gradient is None:
            raise DataError(f"{self.name}: what is added at {self.place.name} does not reach the log-probability")
        return gradient.double().cpu().numpy()

    def _at_once(self, x: np.ndarray) -> int:
        per_row = self._sizes[0] if self._sizes else x[0].size
        return int(np.clip(BATCH_NUMBERS // max(per_row, 1), 1, self._most[0]))

    def _batches(self, x: np.ndarray, mask: np.ndarray | None) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        size = self._at_once(x)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            kept = None if mask is None else torch.as_tensor(mask[rows], device=device)
            yield rows, _tensor(x[rows], device), kept

    @contextmanager
    def _working(self, seed: int) -> Iterator[None]:
        """In evaluation mode, parameters without gradients, draws from a seed; all as it was afterwards."""
        wanted = [(p, p.requires_grad) for p in self.module.parameters()]
        off = torch.backends.cudnn.flags(enabled=False)
        with evaluating(self.module), own_randomness(self.module, seed), off:
            for p, _ in wanted:
                p.requires_grad_(False)
            try:
                yield
            except (UncollapseError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # a user's decoder raises anything
                raise DataError(f"{self.name}: fails on its sequences: {kind_and_line(error)}") from error
            finally:
                for p, was in wanted:
                    p.requires_grad_(was)


def open_decoder(
    model: Any, x: np.ndarray, mask: np.ndarray | None = None, inject: str | None = None
) -> InjectedDecoder:
    """A trained decoder, its place found and its manner read.

    Parameters
    ----------
    model : Module
        Called with a batch, gives logits (n, T, V) of tokens, or a torch Distribution of the steps given their past; or
        it has a method log_prob(x, v) → (n,) and an attribute `width`, the length of v.
    x : ndarray
        Some of the samples, on which it is tried.
    mask : ndarray of bool, optional
    inject : str, optional
        See `find_place`.

    Raises
    ------
    DataError
        No PyTorch module, no such place, a decoder that sees what is to come, or that fails on the samples.
    """
    if not isinstance(model, nn.Module):
        raise DataError(f"a decoder must be a PyTorch module, got {type(model).__name__}")
    name = type(model).__name__
    _check_tokens(model, x, name)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    some = _tensor(x[:PROBED_ROWS], device)
    trial = InjectedDecoder(name, model, Place("", 0), notes=mode_notes(model))
    if inject is None and callable(getattr(model, "log_prob", None)):
        return _as_a_whole(trial, some, x)
    with trial._working(0), torch.no_grad():
        place = find_place(model, inject, len(some), lambda: model(some))
        shift = shift_of(model, some)
        probed = InjectedDecoder(name, model, place, shift, trial.notes)
        out = probed.run(some, torch.zeros(len(some), place.width, device=device))
        kept = None if mask is None else torch.as_tensor(mask[:PROBED_ROWS], device=device)
        steps, value = as_steps(out, some, kept, shift)
        steps.log_prob(value)
        logits = getattr(getattr(steps, "distribution", steps), "logits", None)
        probed._sizes.append(x[0].size if logits is None else logits[0].numel())
    return probed


def _as_a_whole(trial: InjectedDecoder, some: Tensor, x: np.ndarray) -> InjectedDecoder:
    """A decoder with log_prob(x, v), v of shape (n, width)."""
    width = getattr(trial.module, "width", None)
    if not isinstance(width, int) or not 1 <= width <= MOST_WHOLE:
        raise DataError(
            f"{trial.name}: log_prob(x, v) is there, and the length of v is not known: set its attribute width to a "
            f"whole number from 1 to {MOST_WHOLE}"
        )
    note = "only log p(x; v) is known, so the curvature is in the place of the decoder's own Fisher information"
    whole = replace(trial, place=Place(WHOLE, width), notes=(*trial.notes, note))
    with whole._working(0), torch.no_grad():
        whole._log_prob(some, None, torch.zeros(len(some), width, device=some.device))
    whole._sizes.append(x[0].size)
    return whole


def _check_tokens(model: nn.Module, x: np.ndarray, name: str) -> None:
    if x.dtype.kind not in "iu":
        return
    embedding = next((part for part in model.modules() if isinstance(part, nn.Embedding)), None)
    if embedding is not None and int(x.max()) >= embedding.num_embeddings:
        raise DataError(
            f"token {int(x.max())} is outside of the vocabulary of {embedding.num_embeddings} that {name} has"
        )
    longest = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if isinstance(longest, int) and x.shape[1] > longest:
        raise DataError(f"{name}: takes {longest} tokens, the longest sequence has {x.shape[1]}; cut them (--longest)")


def _tensor(x: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(x), device=device).to(
        torch.long if x.dtype.kind in "iu" else torch.float32
    )


def samples_of(data: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """What a decoder is given, and which entries of it count."""
    if isinstance(data, Tokens):
        return data.ids, data.mask
    x = np.asarray(data)
    if x.ndim < 2 or x.dtype.kind not in "iuf" or not np.isfinite(x).all():
        raise DataError(f"sequences of tokens or an array of finite numbers, a sample a row, is due; got {x.dtype} of "
                        f"shape {x.shape}")  # fmt: skip
    return x, None
