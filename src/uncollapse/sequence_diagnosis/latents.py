"""What the latents of a VAE of sequences carry and earn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from uncollapse.data.tokens import Tokens
from uncollapse.errors import DataError
from uncollapse.probes.objective import kl_of
from uncollapse.sequence_diagnosis.opened import OpenedVAE, batches, working

__all__ = ["Carried", "carried"]

IDLE_NATS = 1e-3
"""A latent of less KL earns nothing."""

MOST_COUNTED = 512
"""Tokens whose counts an encoder is thought to see."""


@dataclass(frozen=True, eq=False)
class Carried:
    """Latents on sequences, nats a sequence.

    Attributes
    ----------
    reconstruction : float
        −log p(x | z) at one draw of z.
    kl : ndarray of shape (L,)
    earned, errors : ndarrays of shape (L,)
        By how much the loss rises when a latent is held at its mean over the sequences, its own βKL spared; and the
        standard error.
    means : ndarray of shape (n, L)
        Of q(z | x).
    features : ndarray of shape (n, p)
        What the encoder tells a sequence by.
    known_features : bool
        Whether they are the encoder's own hidden ones; else its means and the counts of tokens.
    """

    reconstruction: float
    kl: np.ndarray
    earned: np.ndarray
    errors: np.ndarray
    means: np.ndarray
    features: np.ndarray
    known_features: bool


def carried(vae: OpenedVAE, tokens: Tokens, beta: float, *, seed: int = 0) -> Carried:
    """Encode and decode every sequence once, and once more for each latent that is not idle.

    Raises
    ------
    DataError
        The model fails on the sequences, or gives numbers that are not finite.
    """
    with working(vae.module, vae.name):
        means, log_variances, seen = [], [], []
        for _, ids, mask in batches(tokens, vae.module):
            mean, log_variance = vae.encode(ids, mask)
            means.append(mean)
            log_variances.append(log_variance)
            seen.append(vae.features(ids, mask))
        mean, log_variance = torch.cat(means), torch.cat(log_variances)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)).to(mean)
        z = mean + noise * (0.5 * log_variance).exp()
        kl = kl_of(mean, log_variance, 1.0).double().cpu().numpy()
        before = _nats(vae, tokens, z)
        rises = np.zeros_like(kl)
        for j in np.flatnonzero(kl.mean(0) > IDLE_NATS):
            held = z.clone()
            held[:, j] = mean[:, j].mean()
            rises[:, j] = _nats(vae, tokens, held) - before - beta * kl[:, j]
        hidden = None if any(part is None for part in seen) else torch.cat([part for part in seen if part is not None])
    own = mean.double().cpu().numpy()
    told_by = _counts(tokens)
    parts = (own, told_by) if hidden is None else (hidden.double().cpu().numpy(), *_also(vae, told_by))
    result = Carried(
        float(before.mean()), kl.mean(0), rises.mean(0), rises.std(0) / np.sqrt(len(tokens)), own,
        np.concatenate(parts, axis=1), hidden is not None,
    )  # fmt: skip
    if not all(np.isfinite(part).all() for part in (before, kl, rises, result.features)):
        raise DataError(f"{vae.name}: its losses, or its features, are not finite")
    return result


def _also(vae: OpenedVAE, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every encoder of ours can learn to count, so counts belong to what it can tell; a user's says for itself."""
    return () if vae.setup is None else (counts,)


def _counts(tokens: Tokens) -> np.ndarray:
    """How often each of the most frequent tokens occurs, (n, min(V, 512))."""
    n, mask = len(tokens), tokens.mask
    often = np.bincount(tokens.ids[mask], minlength=tokens.n_vocabulary)
    place = np.full(len(often), -1)
    kept = np.argsort(-often, kind="stable")[:MOST_COUNTED]
    place[kept] = np.arange(len(kept))
    column = np.where(mask, place[tokens.ids], -1)
    rows = np.broadcast_to(np.arange(n)[:, None], mask.shape)[column >= 0]
    flat = np.bincount(rows * len(kept) + column[column >= 0], minlength=n * len(kept))
    return flat.reshape(n, len(kept)).astype(np.float64)


def _nats(vae: OpenedVAE, tokens: Tokens, z: torch.Tensor) -> np.ndarray:
    parts = [vae.nats(ids, mask, z[rows]) for rows, ids, mask in batches(tokens, vae.module)]
    return torch.cat(parts).double().cpu().numpy()
