"""Paths of spatial latents: a direction shared by all places, one filter for a dead channel.

An image is cut into one patch a place of the latents; patches do not overlap, so a filter at one place is orthogonal to
the same one at another, and the gain is that of `theory.path` at each place (docs/theory.md, section 9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.bill.path import N_ERRORS, Paths, gaussian_path, taking_over, water_of
from uncollapse.bill.sample import MOST_NEW, Sample
from uncollapse.theory.residual import leading_directions

__all__ = ["Grid", "grid_of", "shared_paths"]

MOST_NUMBERS = 2**24
"""Of all filters at all places together, written out as rows of an image: 128 MiB."""


@dataclass(frozen=True)
class Grid:
    """Latents (C, h, w) over images (c, H, W).

    Attributes
    ----------
    latents, image : tuple of int
    """

    latents: tuple[int, int, int]
    image: tuple[int, int, int]

    @property
    def n_places(self) -> int:
        """h·w."""
        return self.latents[1] * self.latents[2]

    @property
    def patch(self) -> tuple[int, int, int]:
        """Of the image, under one place."""
        return self.image[0], self.image[1] // self.latents[1], self.image[2] // self.latents[2]

    def patches(self, rows: np.ndarray) -> np.ndarray:
        """Images as rows (n, c·H·W) → (n, places, numbers of a patch)."""
        (c, s, t), (_, h, w) = self.patch, self.latents
        cut = rows.reshape(len(rows), c, h, s, w, t).transpose(0, 2, 4, 1, 3, 5)
        return np.ascontiguousarray(cut).reshape(len(rows), h * w, c * s * t)

    def at_each_place(self, filters: np.ndarray) -> np.ndarray:
        """Filters (k, numbers of a patch) → the same at every place, each an image of zeros elsewhere (k·places, d)."""
        (c, s, t), (_, h, w) = self.patch, self.latents
        placed = np.zeros((len(filters), h, w, c, h, s, w, t))
        for i in range(h):
            for j in range(w):
                placed[:, i, j, :, i, :, j, :] = filters.reshape(-1, c, s, t)
        return placed.reshape(len(filters) * h * w, -1)

    def slots(self, channels: list[int]) -> np.ndarray:
        """The flat latents of those channels."""
        return np.concatenate([np.arange(self.n_places) + channel * self.n_places for channel in channels])


def grid_of(sample: Sample) -> Grid | None:
    """Of a model whose latents lie over its images like a coarser image; None of any other."""
    image: Any = getattr(sample.probe, "input_shape", None)
    latents, o = sample.q.latent_shape, sample.objective
    if image is None or len(image) != 3 or len(latents) != 3 or len(sample.q.level_sizes) > 1:
        return None
    divides = latents[1] <= image[1] and image[1] % latents[1] == 0 and image[2] % latents[2] == 0
    if not divides or latents[1] * latents[2] < 2 or not sample.target_is_input:
        return None
    closed = o.likelihood == "gaussian" and o.encoder_variance == "learned"
    return Grid(latents, tuple(image)) if closed and int(np.prod(image)) == sample.y.shape[1] else None


def shared_paths(find: Sample, choose: Sample, grid: Grid, base: Additions) -> Paths | None:
    """A filter for each channel that is dead at every place, as long as it pays; None if none does.

    Parameters
    ----------
    find, choose : Sample
        Rows where filters are found, and rows where their strengths are taken.
    grid : Grid
    base : Additions
        What is added already.
    """
    channels = _dead_channels(find, grid)
    most = MOST_NUMBERS // (grid.n_places * find.y.shape[1])
    k = min(len(channels), most, MOST_NEW, int(np.prod(grid.patch)))
    if k == 0:
        return None
    left = [grid.patches(find.y - mean) for mean in find.draws]
    half = len(left) // 2
    one, other = np.mean(left[:half], axis=0), np.mean(left[half:], axis=0)
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    size = one.shape[2]
    filters = leading_directions(one.reshape(-1, size), other.reshape(-1, size), k)[1].T
    read = grid.patches(find.read(base)) @ filters.T
    centre = read.mean(axis=0)
    spread = np.sqrt(((read - centre) ** 2).mean(axis=(0, 1)))
    spread[spread == 0] = 1.0
    missed = grid.patches(np.mean([choose.y - mean for mean in choose.draws], axis=0) - base.offset) @ filters.T
    products = ((grid.patches(choose.read(base)) @ filters.T - centre) / spread * missed).mean(axis=1)
    covariance, error = products.mean(axis=0), products.std(axis=0) / np.sqrt(len(products))
    kept = np.flatnonzero(np.maximum(covariance - N_ERRORS * error, 0.0) ** 2 > water_of(find, base))
    if not len(kept):
        return None
    strengths = covariance[kept] ** 2
    path = gaussian_path(find, base, strengths)
    n = grid.n_places
    added = replace(
        find.nothing(),
        features=grid.at_each_place(filters[kept] / spread[kept, None]),
        centre=(centre / spread)[:, kept].T.reshape(-1),
        limit=np.full(n * len(kept), np.inf),
        amplitude=np.repeat(path.amplitude, n), variance=np.repeat(path.variance, n),
        directions=grid.at_each_place(filters[kept] * path.slope[:, None]),
        slots=grid.slots([channels[i] for i in range(len(kept))]),
    )  # fmt: skip
    return Paths(base.joined(taking_over(added, find)), n * float(path.gain.sum()), strengths, n_places=n)


def _dead_channels(find: Sample, grid: Grid) -> list[int]:
    dead = find.dead.reshape(grid.latents[0], -1).all(axis=1)
    return [int(channel) for channel in np.flatnonzero(dead)]
