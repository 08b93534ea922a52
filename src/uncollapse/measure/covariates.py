"""What a decoder's mean depends on beside the latents, read out of a condition: size factors, and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.data.rows import as_rows, dense

__all__ = ["Covariates", "covariates_of", "covariates_of_all"]


@dataclass(frozen=True, eq=False)
class Covariates:
    """What a forecast takes for a condition that a model has in columns of its own kind: codes, logarithms of sizes.

    Attributes
    ----------
    columns : array of shape (n, c), Rows or anything that holds rows, or None
        The condition of a linear model: codes one-hot, columns that never change left out.
    sizes : ndarray of shape (n,) or None
        What the decoder's mean is multiplied by in each row.
    """

    columns: Any = None
    sizes: np.ndarray | None = None


def covariates_of(probe: Any, given: np.ndarray | None) -> Covariates:
    """Of some rows: as the probe reads its condition (`covariates(given)`); the condition itself if it says nothing."""
    read = getattr(probe, "covariates", None)
    if given is None or read is None:
        return Covariates(given)
    known: Covariates = read(np.asarray(given, dtype=np.float64))
    return known


def covariates_of_all(probe: Any, given: Any) -> Covariates:
    """Of all rows of a condition; walked and held in memory only where the probe reads it in a way of its own.

    Examples
    --------
    >>> covariates_of_all(object(), np.ones((2, 1))).columns.shape
    (2, 1)
    """
    if given is None or getattr(probe, "covariates", None) is None:
        return Covariates(given)
    blocks = [np.asarray(dense(block), dtype=np.float64) for block in as_rows(given, "the condition").blocks()]
    return covariates_of(probe, np.concatenate(blocks))
