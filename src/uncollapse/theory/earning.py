"""Whether a latent would be seen to earn its KL on so many rows, told from its strength alone.

Source: docs/theory.md, section 7 (Is a latent seen to earn?).
"""

from __future__ import annotations

import numpy as np

__all__ = ["seen_to_earn"]

N_ERRORS, SHARE = 2.0, 2 / 3
"""Standard errors that the mean rise must exceed, and the share of the rows that it is a mean of: as in the bill."""

MOST = 1e300
"""Ratios of strength to level beyond are taken as this one: nothing is closer to the edge by it."""


def seen_to_earn(strengths: np.ndarray, water_level: float, n_rows: int) -> np.ndarray:
    """Which strengths would be seen to earn: the loss rises without their latent by more than two standard errors.

    Parameters
    ----------
    strengths : ndarray of shape (m,)
        ζ², in the data's units squared, in any order.
    water_level : float
        τ = βη², in the same units.
    n_rows : int
        Rows at hand; a third of them goes into finding the constant at which a latent is held.

    Returns
    -------
    ndarray of bool, shape (m,)

    Notes
    -----
    Source: docs/theory.md, section 7. With ρ = ζ²/τ the loss of a row rises by β/2 [t(ρ − 1) − log ρ], where t is the
    square of its whitened score. The mean of t is 1 and its variance 2, as those of normal scores are.

    Examples
    --------
    >>> seen_to_earn(np.array([3.0, 1.2, 0.9]), 1.0, 600)  # on more rows the second would be seen as well
    array([ True, False, False])
    >>> seen_to_earn(np.array([3.0, 1.2, 0.9]), 1.0, 6000)
    array([ True,  True, False])
    """
    with np.errstate(over="ignore"):
        ratio = np.clip(np.asarray(strengths, dtype=np.float64) / water_level, 1.0, MOST)
    rise = (ratio - 1 - np.log(ratio)) / 2
    error = (ratio - 1) / np.sqrt(2 * SHARE * n_rows)
    earns: np.ndarray = rise > N_ERRORS * error
    return earns
