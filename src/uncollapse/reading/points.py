"""Made-up numbers at which a loss is asked: rows, reconstructions and posteriors, the same at every reading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from uncollapse.reading.arguments import Point

__all__ = ["DOMAINS", "Domain", "Size", "at_prior", "of_classes", "with_posterior"]

Domain = Literal["real", "unit", "counts", "one-hot", "classes", "one-hot unit", "classes unit"]
DOMAINS: tuple[Domain, ...] = ("real", "unit", "counts", "one-hot", "classes", "one-hot unit", "classes unit")
"""Of rows and reconstructions; classes are one-hot rows handed over as numbers, beside logits or probabilities."""


@dataclass(frozen=True)
class Size:
    """Of a batch.

    Attributes
    ----------
    shape : tuple of int
        Of a sample.
    n_latents, n_rows : int
    log_variance : float
        Of every posterior where nothing moves it: the prior's, or another where a loss has no value there.
    """

    shape: tuple[int, ...]
    n_latents: int
    n_rows: int = 4
    log_variance: float = 0.0

    def of(self, **sizes: object) -> Size:
        """The same with other sizes."""
        return replace(self, **sizes)  # type: ignore[arg-type]


def of_classes(domain: Domain) -> bool:
    """Whether x is handed over as class numbers."""
    return domain.startswith("classes")


def at_prior(size: Size, domain: Domain, seed: int) -> Point:
    """Rows and reconstructions of a domain, every posterior at the prior."""
    rng = np.random.default_rng([seed, 77])
    whole = (size.n_rows, *size.shape)
    recon, x = 1.5 * rng.standard_normal(whole), 1.5 * rng.standard_normal(whole)
    if domain == "unit":
        recon, x = rng.uniform(0.1, 0.9, whole), rng.uniform(0.1, 0.9, whole)
    elif domain == "counts":
        recon, x = rng.uniform(0.4, 5.0, whole), rng.integers(0, 6, whole).astype(float)
    elif domain != "real":
        recon = rng.uniform(0.1, 0.9, whole) if domain.endswith("unit") else recon
        x = np.eye(size.shape[-1])[rng.integers(0, size.shape[-1], whole[:-1])]
    nothing = np.zeros((size.n_rows, size.n_latents))
    return Point(recon, x, nothing, nothing + size.log_variance)


def with_posterior(point: Point, seed: int, *, positive: bool = False) -> Point:
    """The same with means and log-variances that are not the prior's."""
    rng = np.random.default_rng([seed, 78])
    mean, log_variance = (0.7 * rng.standard_normal(point.mean.shape) for _ in range(2))
    if positive:
        log_variance = rng.uniform(0.2, 1.4, point.mean.shape)
    return point.moved(mean=mean, log_variance=log_variance)
