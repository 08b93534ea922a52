"""What a loss does with the posteriors: its KL, how it adds it up, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.reading.arguments import Caller, Point
from uncollapse.reading.fits import TOLERANCE, same
from uncollapse.reading.forms import KL_FORMS, kl_basis
from uncollapse.reading.misfit import Added
from uncollapse.reading.points import Domain, Size, at_prior, of_classes, with_posterior

__all__ = ["KLReading", "read_kl"]

N_POINTS = 12

EXPECTED = {
    "log variance": "log-variance",
    "log std": "log standard deviation",
    "std": "standard deviation",
    "variance": "variance",
    "posterior": "log-variance",
}
GIVEN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log variance": lambda v: v,
    "log std": lambda v: v / 2,
    "std": lambda v: np.exp(v / 2),
    "variance": np.exp,
    "posterior": lambda v: v,
}
"""What is handed over for a log-variance."""

GRID = np.geomspace(1e-3, 300.0, 60)
"""Nats a row along which a KL is followed that is no plain sum."""

STEPS = (0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10**9)
PARTS = ("the means' part, μ²", "the variances' part, σ²", "the part of log σ²")


@dataclass(frozen=True)
class KLReading:
    """The KL term.

    Attributes
    ----------
    weight : float
        What multiplies ½Σ(μ² + σ² − 1 − log σ²), summed over rows and latents, at the size that was asked; NaN where it
        is no such sum.
    batch, latents : {"sum", "mean", "unknown"}
    over_features : bool
        Whether it is divided by the number of features.
    faults : tuple of str
    free_nats, ceiling, capacity : float or None
        Nats a row (or a latent, with `a_latent`) below which nothing is paid, above which nothing more is, and at which
        the loss is least.
    a_latent : bool
        Whether those count for each latent.
    by_step : tuple of pairs (step, share)
        Of a weight that grows with the step.
    """

    weight: float
    batch: Added = "mean"
    latents: Added = "sum"
    over_features: bool = False
    faults: tuple[str, ...] = ()
    free_nats: float | None = None
    ceiling: float | None = None
    capacity: float | None = None
    a_latent: bool = False
    by_step: tuple[tuple[int, float], ...] = ()


def read_kl(call: Caller, size: Size, domain: Domain) -> KLReading:
    """Ask the loss at one reconstruction, with posteriors that move."""
    call.classes = of_classes(domain)
    parts = _parts(call, size, domain)
    if parts is None or not _straight(call, size, domain, parts[1]):
        followed = _followed(call, size, domain)
        fault = "" if parts is None else _form_fault(call, parts[0])
        return replace(followed, faults=(fault, *followed.faults)) if fault else followed
    weight, faults = _judged(parts)
    if form_fault := _form_fault(call, parts[0]):
        faults = (form_fault, *faults)

    def again(other: Size) -> float:
        found = _parts(call, other, domain)
        return np.nan if found is None else _judged(found)[0]

    return KLReading(weight, *_added(again, size, weight), faults=faults, by_step=_by_step(call, size, domain))


def _straight(call: Caller, size: Size, domain: Domain, weights: np.ndarray) -> bool:
    """Whether means cost the same from few nats to many: no floor, no ceiling, no capacity."""
    along = _along(call, at_prior(size, domain, 0), slice(None))
    if not np.isfinite(along).all():  # of a form that is undefined at the prior
        return True
    expected = weights[0] * size.n_rows * GRID
    return bool(np.abs(along - expected).max() <= 1e-2 * max(float(np.abs(expected).max()), 1e-12))


def _parts(call: Caller, size: Size, domain: Domain) -> tuple[str, np.ndarray] | None:
    """The form that explains all differences, and the weights of its three parts, each as that of the whole KL."""
    base = at_prior(size, domain, 0)
    for positive in (False, True):
        points = [with_posterior(base, seed, positive=positive) for seed in range(N_POINTS)]
        values = np.array([call(point) for point in points])
        if not np.isfinite(values).all():
            continue
        span = float(np.ptp(values))
        if span <= 1e-11 * max(float(np.abs(values).max()), 1.0):
            return "log-variance", np.zeros(3)
        for form, names in KL_FORMS.items():
            columns = [[kl_basis(name, p.mean, GIVEN[call.spread](p.log_variance)) for p in points] for name in names]
            matrix = np.column_stack([*columns, np.ones(N_POINTS)])
            if not np.isfinite(matrix).all():
                continue
            solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
            if np.abs(matrix @ solution - values).max() <= TOLERANCE * span:
                found = np.zeros(3)
                found[: len(names)] = 2 * solution[: len(names)]
                if len(names) == 3:
                    found[2] = -found[2] / (2 if form == "log standard deviation" else 1)
                return form, np.where(np.abs(found) < 1e-3 * np.abs(found).max(), 0.0, found)
    return None


def _judged(parts: tuple[str, np.ndarray]) -> tuple[float, tuple[str, ...]]:
    """The weight of the whole, and what is wrong with its parts."""
    form, weights = parts
    if not weights.any():
        return 0.0, ("there is no KL: posteriors change nothing",)
    if form == "exp left out":
        return float(weights[0]), ("the exponential is left out: σ² stands there as log σ²",)
    first = float(weights[0] or weights[np.abs(weights).argmax()])
    faults: list[str] = []
    if first < 0:
        faults.append("the sign of the KL is turned: it drives the posteriors away from the prior")
    missing = [name for name, w in zip(PARTS, weights, strict=True) if w == 0]
    if missing:
        hint = ": is the exponential of log σ² left out?" if missing == [*PARTS[1:]] else ""
        faults.append(f"{' and '.join(missing)} of the KL {'is' if len(missing) == 1 else 'are'} not there{hint}")
    elif not (same(weights[0], weights[1]) and same(weights[1], weights[2])):
        shown = ", ".join(f"{w:.3g}" for w in weights)
        faults.append(f"the parts of the KL weigh differently: μ², σ² and log σ² by {shown}")
    return first, tuple(faults)


def _form_fault(call: Caller, form: str) -> str:
    if form in ("exp left out", EXPECTED[call.spread]):
        return ""
    if form == "exp of half":
        return "exp(log σ²/2), the standard deviation, stands where σ² belongs"
    return f"it is given a {EXPECTED[call.spread]} and takes it for a {form}"


def _added(again: Callable[[Size], float], size: Size, weight: float) -> tuple[Added, Added, bool]:
    """Over the batch, over latents, and whether the number of features divides it."""

    def ratio(other: Size) -> Added:
        try:
            value = again(other)
        except ObjectiveError:
            return "unknown"
        return "sum" if same(value, weight) else "mean" if same(value, weight / 2) else "unknown"

    rows = ratio(size.of(n_rows=2 * size.n_rows))
    latents = ratio(size.of(n_latents=2 * size.n_latents))
    features = ratio(size.of(shape=(2 * size.shape[0], *size.shape[1:])))
    return rows, latents, features == "mean"


def _followed(call: Caller, size: Size, domain: Domain) -> KLReading:
    """A KL that is no plain sum: floors, ceilings and capacities, along growing means."""
    base = at_prior(size, domain, 0)
    whole = _along(call, base, slice(None))
    slopes = np.diff(whole) / np.diff(GRID)
    one = _along(call, base, slice(0, 1))
    top = float(np.abs(slopes).max())
    between = _between_rows(call, base)
    if between or top == 0 or not np.isfinite(top):
        return KLReading(np.nan, faults=(between or "what it does with the posteriors is no sum of KLs",))
    flat, rising = np.abs(slopes) < 1e-3 * top, np.abs(slopes - top) < 2e-2 * top
    falling = np.abs(slopes + top) < 2e-2 * top
    settings: dict[str, float | None] = {}
    a_latent = False
    if flat[0] and rising[-1]:
        settings["free_nats"], a_latent = _knee(whole, one, top, size.n_latents)
    elif rising[0] and flat[-1]:
        settings["ceiling"], a_latent = _knee(top * GRID - whole, top * GRID - one, top, size.n_latents)
    elif falling[0] and rising[-1]:
        settings["capacity"] = float(GRID[-1] - whole[-1] / top) / 2
    else:
        return KLReading(np.nan, faults=("what it does with the posteriors is no sum of KLs",))

    def again(other: Size) -> float:
        there = np.diff(_along(call, at_prior(other, domain, 0), slice(None))) / np.diff(GRID)
        return float(np.abs(there).max()) / other.n_rows

    weight = top / size.n_rows
    return KLReading(weight, *_added(again, size, weight), a_latent=a_latent, **settings)  # type: ignore[arg-type]


def _along(call: Caller, base: Point, latents: slice) -> np.ndarray:
    """The loss above that at the prior, with so many nats a row shared by some latents."""
    start, values = call(base), []
    n = len(base.mean[0, latents])
    for nats in GRID:
        mean = base.mean.copy()
        mean[:, latents] = np.sqrt(2 * nats / n)
        values.append(call(base.moved(mean=mean)) - start)
    return np.array(values)


def _knee(whole: np.ndarray, one: np.ndarray, slope: float, n_latents: int) -> tuple[float, bool]:
    """Where the line begins, along all latents together and along one: in all, or for each latent."""
    together, alone = (float(GRID[-1] - values[-1] / slope) for values in (whole, one))
    a_latent = n_latents > 1 and abs(together / n_latents - alone) < abs(together - alone)
    return (together / n_latents if a_latent else together), a_latent


def _between_rows(call: Caller, base: Point) -> str:
    """Whether what one row pays hangs on another."""

    def moved(*rows: int) -> float:
        mean = base.mean.copy()
        for row, size in zip(rows, (1.3, -0.8), strict=False):
            mean[row] += size if row == 0 else -0.8
        return call(base.moved(mean=mean))

    start, first, second, both = call(base), moved(0), moved(1), moved(0, 1)
    apart = abs((both - start) - (first - start) - (second - start))
    if apart > 1e-3 * max(abs(both - start), 1e-12):
        return "it has terms between rows (total correlation, MMD, the batch's own statistics), which are not read"
    return ""


def _by_step(call: Caller, size: Size, domain: Domain) -> tuple[tuple[int, float], ...]:
    if "step" not in call.roles.values():
        return ()
    base = at_prior(size, domain, 0)
    moved = with_posterior(base, 0)
    rises = [call(moved.moved(step=step)) - call(base.moved(step=step)) for step in STEPS]
    if same(rises[0], rises[-1]) or not rises[-1]:
        return ()
    return tuple((step, rise / rises[-1]) for step, rise in zip(STEPS, rises, strict=True))
