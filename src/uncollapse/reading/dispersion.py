"""Costs of counts, told where the reconstruction moves and the counts are held: terms in the counts alone drop out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from uncollapse.reading.arguments import Caller, Point
from uncollapse.reading.fits import TOLERANCE, Fit
from uncollapse.reading.forms import NEGATIVE_BINOMIALS, Misfit, misfit_sum
from uncollapse.reading.points import Size, at_prior

__all__ = ["COUNT_FORMS", "fitted_counts"]

COUNT_FORMS: tuple[Misfit, ...] = ("poisson", "poisson of log-rates", *NEGATIVE_BINOMIALS)
"""In this order: a negative binomial of endless r is a Poisson."""

N_POINTS = 9

LOG_R = np.linspace(np.log(1e-3), np.log(1e6), 60)
"""Where a dispersion is sought: below, a negative binomial is a gamma cost; above, a Poisson."""


def fitted_counts(call: Caller, size: Size, only: Misfit | None = None) -> Fit:
    """The cost of counts that explains what moving reconstructions does; a dispersion is fitted, one number for all.

    Parameters
    ----------
    call : Caller
    size : Size
    only : str, optional
        The one form that is tried.
    """
    pairs = []
    for seed in range(N_POINTS):
        point = at_prior(size, "counts", seed)
        pairs.append((point, point.moved(recon=at_prior(size, "counts", seed + N_POINTS).recon)))
    rises = np.array([call(after) - call(before) for before, after in pairs])
    if not np.isfinite(rises).all():
        return Fit(None, np.nan)

    for kind in COUNT_FORMS if only is None else (only,):
        fit = _best(kind, pairs, rises)
        if fit is not None:
            return fit
    return Fit(None, np.nan)


def _best(kind: Misfit, pairs: list[tuple[Point, Point]], rises: np.ndarray) -> Fit | None:
    """The form at the dispersion that fits best; None where it does not explain the rises."""

    def explained(r: float) -> tuple[float, float]:
        """The weight, and how far the worst rise is from it."""
        sums = np.array([misfit_sum(kind, b.recon, b.x, r) - misfit_sum(kind, a.recon, a.x, r) for a, b in pairs])
        if not np.isfinite(sums).all():
            return np.nan, np.inf
        weight = float(sums @ rises / max(float(sums @ sums), 1e-300))
        return weight, float(np.abs(weight * sums - rises).max() / np.abs(rises).max())

    r = np.inf
    if kind in NEGATIVE_BINOMIALS:
        best = int(np.argmin([explained(r)[1] for r in np.exp(LOG_R)]))
        if best in (0, len(LOG_R) - 1):  # on its way to another cost
            return None
        found = minimize_scalar(
            lambda log_r: explained(np.exp(log_r))[1], bounds=(LOG_R[best - 1], LOG_R[best + 1]), method="bounded",
            options={"xatol": 1e-9},
        )  # fmt: skip
        r = float(np.exp(found.x))
    weight, miss = explained(r)
    return Fit(kind, weight, r) if miss <= TOLERANCE else None
