"""Is the stated loss the one that the model was trained on? The weight at which each living latent is at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from uncollapse.bill.sample import Sample
from uncollapse.showing.noun import Card, Noun, short
from uncollapse.showing.plain import plain
from uncollapse.theory.rest import implied_weights, implied_weights_by_means

__all__ = ["ImpliedWeight", "implied_weight"]

STEP = 0.2
"""Of log σ², to either side."""

LEAST_KL = 0.05
"""Nats; a latent of less says next to nothing of its weight."""

MOST_LATENTS = 64

AGREE = 0.15
"""Half of the range of the middle half of the latents' weights, as a share of the weight, up to which they agree."""

MEANS_AGREE = 1.5
"""By how many stated weights that of the means may differ from that of the variances at rest: the former is a small
difference of large numbers; of one settled network it was off by up to 1.1."""


@dataclass(frozen=True, eq=False, repr=False)
class ImpliedWeight(Noun):
    """The KL weight that the model itself is at rest with, in units of −log p(y|z) + w·KL.

    Attributes
    ----------
    stated : float
        β.
    latents : ndarray of int, shape (k,)
        Living latents that were asked.
    values, errors : ndarrays of shape (k,)
        By the posteriors' variances.
    by_means : ndarray of shape (k,)
        By their means.
    """

    stated: float
    latents: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    by_means: np.ndarray

    @property
    def at_rest(self) -> bool:
        """Whether latents agree with each other, and their means with their variances: only then it is a weight."""
        if not self.known or self.spread > AGREE:
            return False
        other = float(np.nanmedian(self.by_means)) if np.isfinite(self.by_means).any() else np.nan
        return bool(abs(other - self.weight) < MEANS_AGREE * self.stated)

    @property
    def known(self) -> bool:
        """Whether any latent says a weight."""
        return len(self.values) > 0

    @property
    def weight(self) -> float:
        """The median over latents."""
        return float(np.median(self.values)) if self.known else float("nan")

    @property
    def spread(self) -> float:
        """Half the range of the middle half of the latents, as a share of β or the weight, whichever is larger."""
        if len(self.values) < 2:
            return 0.0
        low, high = np.quantile(self.values, [0.25, 0.75])
        return float((high - low) / 2 / max(abs(self.weight), self.stated))

    @property
    def error(self) -> float:
        """Median standard error of a latent."""
        return float(np.median(self.errors)) if self.known else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "stated": self.stated,
            "implied": plain(self.weight),
            "per_latent": [
                {"latent": int(j) + 1, "weight": plain(w), "error": plain(e)}
                for j, w, e in zip(self.latents, self.values, self.errors, strict=True)
            ],
        }

    def card(self) -> Card:
        """The weight beside the stated one."""
        if not self.known:
            return Card("No living latent says with which KL weight the model is at rest.")
        own = f"{self.weight:.3g} ± {self.error:.2g}"
        return Card(f"The model is at rest with KL weight {own}; stated: {self.stated:.3g}.")

    def __repr__(self) -> str:
        return short(self, stated=self.stated, weight=self.weight, spread=self.spread)


def implied_weight(sample: Sample, more_time: Callable[[], bool] = lambda: True) -> ImpliedWeight:
    """Ask every living latent: its variances a little wider, and a little narrower.

    Parameters
    ----------
    sample : Sample
    more_time : callable
        Whether to ask another latent; those of the largest KL come first.
    """
    n = sample.n_latents
    kl = sample.q.kl[:, :n].mean(axis=0)
    order = [int(j) for j in np.argsort(-kl) if kl[j] > LEAST_KL][:MOST_LATENTS]
    slopes, of_means, asked = [], [], []
    for j in order:
        if not more_time():
            break
        slopes.append(_slope(sample, j, "variance"))
        of_means.append(_slope(sample, j, "mean"))
        asked.append(j)
    if not asked:
        return ImpliedWeight(sample.weight, np.empty(0, dtype=int), np.empty(0), np.empty(0), np.empty(0))
    prior = np.nan_to_num(np.broadcast_to(sample.q.prior_variance, sample.q.mean.shape)[:, asked], nan=1.0)
    values, errors = implied_weights(np.stack(slopes, axis=1), sample.q.variance[:, asked], prior)
    by_means = implied_weights_by_means(np.stack(of_means, axis=1), sample.q.mean[:, asked], prior)
    known = np.isfinite(values)
    return ImpliedWeight(sample.weight, np.array(asked)[known], values[known], errors[known], by_means[known])


def _slope(sample: Sample, j: int, of: Literal["variance", "mean"]) -> np.ndarray:
    """∂(−log p)/∂log of latent j's variance, or of a factor on its means, on each row: a central difference at the same
    draws, z and its mirror image."""
    costs = {}
    n = sample.n_latents
    for step in (STEP, -STEP):
        parts = []
        for noise in sample.noise:
            for sign in (1.0, -1.0):
                width = np.sqrt(sample.q.variance[:, :n]) * noise * sign
                mean = sample.q.mean[:, :n]
                if of == "variance":
                    width[:, j] *= np.exp(step / 2)
                else:
                    mean = mean.copy()
                    mean[:, j] *= np.exp(step)
                parts.append(sample.cost(sample.decoded(mean + width), sample.variance))
        costs[step] = np.mean(parts, axis=0)
    slope: np.ndarray = (costs[STEP] - costs[-STEP]) / (2 * STEP)
    return slope
