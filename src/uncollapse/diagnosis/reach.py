"""What a decoder can show at all, whatever its weights: the range and the span of its output, over fresh weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from uncollapse.diagnosis.thresholds import OUT_OF_RANGE, SHOWN
from uncollapse.probes.probe import TorchProbe
from uncollapse.probes.retrain import start_anew

__all__ = ["Reach", "reach"]

N_STARTS, N_DRAWS = 6, 256
GROWS = 1.1
"""Rank of all starts over that of half of them from which on the span is not the build's, but that of these weights."""

LARGE = 30.0
"""Factor on all weights, with which an output that nothing holds goes far beyond any data."""

LEAST_SINGULAR = 1e-4
"""Share of the largest singular value of what varies under which a dimension of the output is rounding, ..."""

ROUNDING = 1e-6
"""... and of the size of the outputs, for those that hardly vary about a constant, as a fresh recurrent decoder's."""


@dataclass(frozen=True)
class Reach:
    """What fresh decoders of the same build can show.

    Attributes
    ----------
    low, high : float
        Range of their outputs.
    outside : float
        Share of the data that lies outside it.
    rank, n_targets : int
        Dimensions that their outputs span, of how many.
    shown : float
        Share of the strongest direction that the reconstruction misses which lies in that span.
    """

    low: float
    high: float
    outside: float
    rank: int
    n_targets: int
    shown: float

    @property
    def limited(self) -> bool:
        """Whether no training of this decoder can show what is missing."""
        return self.outside > OUT_OF_RANGE or self.shown < SHOWN

    @property
    def text(self) -> str:
        """The sentence."""
        if self.outside > OUT_OF_RANGE:
            return (
                f"The decoder's output stays between {self.low:.3g} and {self.high:.3g}, whatever its weights, and "
                f"{self.outside:.0%} of the data lie outside."
            )
        return (
            f"The decoder's output spans {self.rank} of {self.n_targets} dimensions, whatever its weights; the "
            f"strongest direction that the reconstruction misses lies in them by {self.shown:.0%}."
        )


@torch.no_grad()
def reach(probe: TorchProbe, y: np.ndarray, direction: np.ndarray, given: np.ndarray | None, seed: int = 0) -> Reach:
    """Decode random latents with fresh weights.

    Parameters
    ----------
    probe : TorchProbe
    y : ndarray of shape (n, d)
    direction : ndarray of shape (d,)
        The strongest one that the reconstruction misses, of length 1.
    given : ndarray of shape (n, c), optional
    seed : int

    Raises
    ------
    UncollapseError
        The model cannot be started anew.
    """
    n_latents = int(np.prod(probe.latent_shape or probe._seen["latent"]))
    generator = np.random.default_rng(seed)
    condition = None if given is None else given[generator.integers(len(given), size=N_DRAWS)]
    low, high, outputs = np.inf, -np.inf, []
    for start in range(N_STARTS):
        fresh = start_anew(probe, seed + start)
        z = generator.standard_normal((N_DRAWS, n_latents))
        outputs.append(fresh.decode(z, condition))
        for weight in fresh.module.parameters():
            weight.mul_(LARGE)
        out = fresh.decode(z, condition)
        out = out[np.isfinite(out).all(axis=1)]
        low, high = min(low, float(out.min(initial=np.inf))), max(high, float(out.max(initial=-np.inf)))
    stacked = np.concatenate(outputs)
    low, high = min(low, float(stacked.min())), max(high, float(stacked.max()))
    rank, span = _spanned(stacked)
    # a span that grows with each fresh decoder has no end that they would show
    grows = rank > GROWS * _spanned(stacked[: len(stacked) // 2])[0]
    shown = 1.0 if grows else float(np.square(span @ direction).sum())
    margin = 0.02 * (high - low)
    outside = float(((y < low - margin) | (y > high + margin)).mean())
    return Reach(low, high, outside, rank, y.shape[1], shown)


def _spanned(outputs: np.ndarray) -> tuple[int, np.ndarray]:
    """Rank of what varies, and an orthonormal basis of it, (rank, d): the constant any bias can give."""
    _, singular, span = np.linalg.svd(outputs - outputs.mean(axis=0), full_matrices=False)
    rounding = max(LEAST_SINGULAR * float(singular[0]), ROUNDING * float(np.linalg.norm(outputs)), np.finfo(float).tiny)
    rank = int((singular > rounding).sum())
    return rank, span[:rank]
