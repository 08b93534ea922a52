"""Which misfit a loss has, and how it adds it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.reading.arguments import Caller
from uncollapse.reading.dispersion import COUNT_FORMS, fitted_counts
from uncollapse.reading.fits import TOLERANCE, Fit, Learned, same
from uncollapse.reading.forms import MISFITS, NEGATIVE_BINOMIALS, Misfit, misfit_sum
from uncollapse.reading.points import DOMAINS, Domain, Size, at_prior, of_classes

__all__ = ["Added", "MisfitReading", "added", "fitted", "read_misfit"]

Added = Literal["sum", "mean", "unknown"]

N_POINTS = 7


@dataclass(frozen=True)
class MisfitReading:
    """What a loss does with x and its reconstruction.

    Attributes
    ----------
    kind : str or None
        One of `MISFITS`, a negative binomial, or a Gaussian whose variance is learned; None where none fits.
    domain : str
        In which it was read.
    weight : float
        What multiplies the sum over rows and features, at the size that was asked.
    batch : {"sum", "mean", "unknown"}
    axes : tuple of {"sum", "mean", "unknown"}
        Of each axis of a sample.
    even : bool
        Whether all features weigh the same.
    dispersion : float
        r of a negative binomial, NaN where it is an argument that is learned; infinite for the others.
    learned : Learned, optional
        What of it is learned.
    """

    kind: Misfit | None
    domain: Domain
    weight: float = 0.0
    batch: Added = "mean"
    axes: tuple[Added, ...] = ()
    even: bool = True
    dispersion: float = np.inf
    learned: Learned | None = None


def read_misfit(call: Caller, size: Size) -> MisfitReading:
    """Ask the loss with every posterior at the prior.

    Raises
    ------
    ObjectiveError
        The loss fails in every domain.
    """
    errors: list[ObjectiveError] = []
    for domain in DOMAINS:
        call.classes = of_classes(domain)
        try:
            fit = fitted(call, size, domain)
        except ObjectiveError as error:
            errors.append(error)
            continue
        if fit.kind is not None or fit.weight == 0.0:
            batch, axes = _added_up(call, size, domain, fit)
            even = _is_even(call, size, domain, fit)
            return MisfitReading(fit.kind, domain, fit.weight, batch, axes, even, fit.dispersion)
    if len(errors) == len(DOMAINS):
        raise errors[0]
    answered = next((d for d in DOMAINS if _answers(call, size, d)), None)
    if answered is None:
        return MisfitReading(None, "real", np.nan)
    return _uneven_squares(call, size, answered) or MisfitReading(None, answered)


def _answers(call: Caller, size: Size, domain: Domain) -> bool:
    call.classes = of_classes(domain)
    try:
        return bool(np.isfinite(call(at_prior(size, domain, 0))))
    except ObjectiveError:
        return False


def fitted(call: Caller, size: Size, domain: Domain, only: Misfit | None = None) -> Fit:
    """The form that explains all differences between points, and its weight.

    Parameters
    ----------
    call : Caller
    size : Size
    domain : str
    only : str, optional
        The one form that is tried.
    """
    if only in NEGATIVE_BINOMIALS:
        return fitted_counts(call, size, only)
    points = [at_prior(size, domain, seed) for seed in range(N_POINTS)]
    values = np.array([call(point) for point in points])
    if not np.isfinite(values).all():
        return Fit(None, np.nan)
    span = float(np.ptp(values))
    if span <= 1e-12 * max(float(np.abs(values).max()), 1.0):
        return Fit(None, 0.0)
    for kind in MISFITS if only is None else (only,):
        sums = np.array([misfit_sum(kind, point.recon, point.x) for point in points])
        if not np.isfinite(sums).all():
            continue
        matrix = np.column_stack([sums, np.ones(N_POINTS)])
        solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
        if np.abs(matrix @ solution - values).max() <= TOLERANCE * span:
            return Fit(kind, float(solution[0]))
    if domain == "counts" and (only is None or only in COUNT_FORMS):
        return fitted_counts(call, size, only)
    return Fit(None, np.nan)


def _uneven_squares(call: Caller, size: Size, domain: Domain) -> MisfitReading | None:
    """Whether single features cost as squares do, each with a weight of its own; None if not."""
    call.classes = of_classes(domain)
    base = at_prior(size, domain, 0)
    base = base.moved(recon=base.x)
    start, weights = call(base), []
    for place in np.unique(np.linspace(0, base.x[0].size - 1, 5).astype(int)):
        rises = []
        for step in (0.1, 0.2):
            recon = base.x.copy()
            recon.reshape(len(recon), -1)[:, place] += step
            rises.append(call(base.moved(recon=recon)) - start)
        if rises[0] <= 0 or not same(rises[1], 4 * rises[0]):
            return None
        weights.append(rises[0] / 0.01 / len(base.x))
    axes: tuple[Added, ...] = tuple("unknown" for _ in size.shape)
    return MisfitReading("squared", domain, float(np.mean(weights)), "unknown", axes, even=False)


def added(again: Callable[[Size], float], size: Size, weight: float) -> tuple[Added, tuple[Added, ...]]:
    """Sums or means over the batch and over each axis, told by twice as many rows, and by twice as many of each axis.

    Parameters
    ----------
    again : callable
        The weight at another size.
    size : Size
    weight : float
        At this size.
    """

    def ratio(other: Size) -> Added:
        try:
            value = again(other)
        except ObjectiveError:
            return "unknown"
        return "sum" if same(value, weight) else "mean" if same(value, weight / 2) else "unknown"

    axes = []
    for axis, side in enumerate(size.shape):
        doubled = (*size.shape[:axis], 2 * side, *size.shape[axis + 1 :])
        axes.append(ratio(size.of(shape=doubled)))
    return ratio(size.of(n_rows=2 * size.n_rows)), tuple(axes)


def _added_up(call: Caller, size: Size, domain: Domain, fit: Fit) -> tuple[Added, tuple[Added, ...]]:
    if fit.kind is None:
        return "mean", tuple("sum" for _ in size.shape)
    return added(lambda other: fitted(call, other, domain, only=fit.kind).weight, size, fit.weight)


def _is_even(call: Caller, size: Size, domain: Domain, fit: Fit) -> bool:
    """Whether a few single features weigh what all together do."""
    if fit.kind is None or fit.kind.startswith(("optimal", "root", "categorical")):
        return True
    base = at_prior(size, domain, 0)
    n = base.recon[0].size
    for place in {0, n // 3, n - 1}:
        recon = base.recon.copy()
        recon[1].reshape(-1)[place] = 0.5 * (recon[1].reshape(-1)[place] + 0.3)
        after, before = (misfit_sum(fit.kind, r, base.x, fit.dispersion) for r in (recon, base.recon))
        expected = fit.weight * (after - before)
        got = call(base.moved(recon=recon)) - call(base)
        if abs(got - expected) > 1e-2 * abs(expected) + 1e-9 * abs(call(base)):
            return False
    return True
