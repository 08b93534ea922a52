"""The sums of bootstrap samples from Dask arrays: each chunk's rows are dealt to the shards where the chunk is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np

from uncollapse.data.on_dask import checked_tables, over_chunks
from uncollapse.forecasting.resampling import Shards, finite_parts, scores_of, summed
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.modes import Basis

__all__ = ["shards_on_dask"]


def shards_on_dask(
    data: Any, target: Any, given: Any, spectrum: Spectrum, k: int, seed: int, drop_nonfinite: bool
) -> Shards:
    """See `summed`: as random, and not the same deal, since every chunk has a stream of its own."""
    first, second = (data, target) if given is None else (given, data)
    tables = checked_tables([first] if second is None else [first, second], "target" if given is None else "condition")
    leading = Basis(spectrum.basis.decoder[:, :k], spectrum.basis.encoder[:, :k])
    small = replace(spectrum, find_basis=partial(_same, leading), find_global=None)  # of the modes that are followed
    whole: Shards = over_chunks(tables, _of_chunk, partial(reduce, add), (small, k, seed, drop_nonfinite))
    return whole


def _same(basis: Basis) -> Basis:
    return basis


def _of_chunk(
    chunk: list[np.ndarray], start: int, spectrum: Spectrum, k: int, seed: int, drop_nonfinite: bool
) -> Shards:
    first, second = (*chunk, None)[:2]
    parts = finite_parts(first, second, None, False, drop_nonfinite, spectrum, start)
    return summed(scores_of(parts, spectrum, k), spectrum, k, np.random.default_rng([seed, start]))
