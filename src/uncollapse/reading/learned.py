"""Variances and dispersions that a loss learns: told by moving each small parameter and seeing what moves with it.

Source: docs/theory.md, section 8. With a·(‖x − x̂‖²/(2η²) + (d/2) log η²) a row, a parameter that moves the weight of
the squared error, w = a/(2η²), moves the loss at x̂ = x by −(a d/2) Δlog w, be it σ, log σ, log σ² or a precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from uncollapse.reading.arguments import Caller
from uncollapse.reading.fits import Fit, Learned, Per, same
from uncollapse.reading.forms import NEGATIVE_BINOMIALS, Misfit
from uncollapse.reading.misfit import MisfitReading, added, fitted
from uncollapse.reading.parameters import Small
from uncollapse.reading.points import Domain, Size, at_prior, of_classes, with_posterior

__all__ = ["with_learned"]

STEPS = (0.3, 0.7)
"""By which a parameter is moved."""


@dataclass(frozen=True)
class _Asked:
    """A loss at one size and in one domain."""

    call: Caller
    size: Size
    domain: Domain

    def of(self, size: Size) -> _Asked:
        return replace(self, size=size)

    def fit(self, misfit: MisfitReading) -> Fit:
        return fitted(self.call, self.size, self.domain, only=misfit.kind)

    def at_x(self) -> float:
        """The loss where every reconstruction is right."""
        base = at_prior(self.size, self.domain, 0)
        return self.call(base.moved(recon=base.x))

    def kls(self) -> np.ndarray:
        """What two posteriors cost above the prior."""
        base = at_prior(self.size, self.domain, 0)
        return np.array([self.call(with_posterior(base, seed, positive=True)) for seed in (0, 1)]) - self.call(base)


def with_learned(call: Caller, size: Size, misfit: MisfitReading) -> MisfitReading:
    """The misfit with what of it is learned.

    Parameters
    ----------
    call : Caller
    size : Size
    misfit : MisfitReading
        As it is at the parameters' present values.
    """
    if misfit.kind is None or not misfit.even:
        return misfit
    call.classes = of_classes(misfit.domain)
    asked = _Asked(call, size, misfit.domain)
    acting = _acting(asked)
    weighing = [one for one in acting if one.tensor is not None and _weighs_kl(asked, one)]
    if weighing:
        fault = f"the weight of the KL is learned ({weighing[0].name}), so there is no one β"
        return replace(misfit, learned=Learned((weighing[0].name,), faults=(fault,)))
    for one in acting:
        if misfit.kind == "squared":
            found = _variance(asked, misfit, one)
        else:
            found = _dispersion(asked, misfit, one) if misfit.kind in NEGATIVE_BINOMIALS else None
        if found is not None:
            return found
    return misfit


def _acting(asked: _Asked) -> list[Small]:
    """The parameters with which the loss moves."""
    point = with_posterior(at_prior(asked.size, asked.domain, 0), 0, positive=True)
    before = asked.call(point)

    def there(one: Small) -> float:
        return _moved(asked, one, STEPS[0], lambda: asked.call(point))

    return [one for one in asked.call.parameters.all if not same(there(one), before, 1e-9)]


def _weighs_kl(asked: _Asked, one: Small) -> bool:
    """Whether all KLs grow by one factor with it."""
    before = asked.kls()
    with asked.call.parameters.moved(one, STEPS[0]), np.errstate(all="ignore"):  # a loss without a KL has none
        factors = asked.kls() / before
    return bool(np.isfinite(factors).all()) and same(*factors) and not same(factors[0], 1.0)


def _variance(asked: _Asked, misfit: MisfitReading, one: Small) -> MisfitReading | None:
    """A Gaussian cost; None where the parameter does not weigh the squared error."""
    weights = [_moved(asked, one, by, lambda: asked.fit(misfit).weight) for by in STEPS]
    if all(same(w, misfit.weight) for w in weights):
        return None
    shares = _shares(asked, misfit, one)
    if not np.isfinite(shares).all():  # a part of the decoder, such as a last gain or shift
        return None
    faults: tuple[str, ...] = ()
    if max(map(abs, shares)) < 1e-6 * misfit.weight:
        faults = (
            f"the variance of its squared error is learned ({one.name}) and the log term, (d/2)·log of it, is missing: "
            f"the variance grows without end",
        )
    elif not same(*shares):
        faults = (f"{one.name} weighs its squared error, and what it adds is no log of a variance",)
    elif shares[0] < 0:
        faults = (f"the sign of the log of its variance ({one.name}) is turned: the variance grows without end",)
    if faults:
        return replace(misfit, learned=Learned((one.name,), faults=faults))

    def again(other: Size) -> float:
        return float(_shares(asked.of(other), misfit, one)[0])

    batch, axes = added(again, asked.size, shares[0])
    per = _per(asked, misfit, one)
    learned = Learned((one.name,), per, log_once=axes != misfit.axes)
    kind: Misfit = "learned variance" if per == "all" else "learned variances"
    return replace(misfit, kind=kind, weight=shares[0], batch=batch, axes=axes, learned=learned)


def _shares(asked: _Asked, misfit: MisfitReading, one: Small) -> list[float]:
    """a at each step: the weight of a whole Gaussian cost."""
    half = asked.size.n_rows * np.prod(asked.size.shape) / 2
    weight, start = asked.fit(misfit).weight, asked.at_x()
    found = []
    for by in STEPS:
        moved = _moved(asked, one, by, lambda: asked.fit(misfit).weight)
        rise = _moved(asked, one, by, asked.at_x) - start
        with np.errstate(all="ignore"):
            found.append(float(-rise / (half * np.log(moved / weight))))
    return found


def _dispersion(asked: _Asked, misfit: MisfitReading, one: Small) -> MisfitReading | None:
    """A negative binomial whose r is learned; None where the parameter does not move r."""
    moved = _moved(asked, one, STEPS[1], lambda: asked.fit(misfit).dispersion)
    if not np.isfinite(moved) or same(moved, misfit.dispersion):
        return None
    told = np.nan if one.tensor is None else misfit.dispersion  # an argument's is one that we made up
    return replace(misfit, dispersion=told, learned=Learned((one.name,), _per(asked, misfit, one)))


def _per(asked: _Asked, misfit: MisfitReading, one: Small) -> Per:
    """For what there is one: a form that fits with the first number moved alone has one for all."""
    if one.count == 1:
        return "all"
    with asked.call.parameters.moved(one, STEPS[1], first=True):
        if asked.fit(misfit).kind is not None:
            return "all"
    if one.tensor is None and asked.call.parameters.form == "entries":
        return "entry"
    return "column" if one.count == np.prod(asked.size.shape) else "group"


def _moved(asked: _Asked, one: Small, by: float, ask: Callable[[], float]) -> float:
    with asked.call.parameters.moved(one, by):
        return ask()
