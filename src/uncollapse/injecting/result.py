"""What a decoder leaves for a latent to say: strengths in units of β, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncollapse.showing.figure import Axis, Figure, Line, Panel, Points
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain, stamp
from uncollapse.theory.path import linear_path

__all__ = ["InjectionSpectrum"]

N_ERRORS = 2.0
"""Of an interval, and of what counts as different."""

NEAR_ONE = 1.1
"""λ up to which a latent has next to nothing to say at β = 1: at most 0.003 nats a sample."""

UNCALIBRATED = 0.05
"""Share by which the two λ must differ before a decoder counts as not calibrated."""


@dataclass(frozen=True, eq=False, repr=False)
class InjectionSpectrum(Drawn):
    """At which weights latents live that enter a decoder through an added vector.

    Attributes
    ----------
    decoder, place : str
        Whose, and where the vector is added.
    width : int
        Numbers of the vector.
    beta : float
        Weight of the KL.
    n_latents : int or None
    strengths : ndarray of shape (r,)
        λ, all samples, descending; the largest are biased upwards.
    directions : ndarray of shape (k, r)
        Of the vector, as columns.
    held_out, errors : ndarrays of shape (m,)
        λ of leading directions on samples that did not choose them, and its standard error: the variance of the score
        over the curvature of −log p. Collapse is unstable iff β is below the first, so that a latent then lives.
    by_curvature : ndarray of bool, shape (m,)
        Where the curvature is known well enough; elsewhere `held_out` is `fisher`.
    fisher, fisher_errors : ndarrays of shape (m,)
        The same over the decoder's own Fisher information. The two agree where it is calibrated given its context.
    told : ndarray of shape (m,) or None
        The part of `held_out` that an encoder's features tell.
    measured_worth, measured_error : float
        What latents along the directions above `beta` gain, net of their β·KL, on samples that did not choose them;
        nats a sample, and its standard error. They are told the scores, and nothing was trained: a lower limit.
    offset_gain : float
        What one constant vector for all would gain, nats a sample: above 0 the decoder is not trained to its end.
    nats : float
        −log p(x) of the decoder, a sample.
    n_samples, n_steps : int
    notes : tuple of str
    """

    decoder: str
    place: str
    width: int
    beta: float
    n_latents: int | None
    strengths: np.ndarray
    directions: np.ndarray = field(repr=False)
    held_out: np.ndarray
    errors: np.ndarray
    by_curvature: np.ndarray
    fisher: np.ndarray
    fisher_errors: np.ndarray
    told: np.ndarray | None
    measured_worth: float
    measured_error: float
    offset_gain: float
    nats: float
    n_samples: int
    n_steps: int
    notes: tuple[str, ...] = ()

    @property
    def critical_beta(self) -> float:
        """β under which a latent lives: λ of the leading direction, held out."""
        return float(self.held_out[0])

    @property
    def interval(self) -> tuple[float, float]:
        """Of it, two standard errors to each side; of a decoder that is not calibrated, with λ over its own Fisher."""
        parts = [(self.critical_beta, float(self.errors[0]))]
        parts += [] if self.calibrated else [(float(self.fisher[0]), float(self.fisher_errors[0]))]
        low, high = min(at - N_ERRORS * e for at, e in parts), max(at + N_ERRORS * e for at, e in parts)
        return max(low, 0.0), high

    @property
    def calibrated(self) -> bool:
        """Whether λ over the decoder's own Fisher information agrees with λ, within errors or 5 %."""
        away = abs(float(self.fisher[0]) - self.critical_beta)
        return away <= max(2 * float(self.errors[0] + self.fisher_errors[0]), UNCALIBRATED * self.critical_beta)

    @property
    def explains_all(self) -> bool:
        """Whether λ, over the curvature or over the decoder's own Fisher information, is about 1 within its error."""
        lows = (at[0] - N_ERRORS * e[0] for at, e in ((self.held_out, self.errors), (self.fisher, self.fisher_errors)))
        return bool(min(lows) <= NEAR_ONE)

    def n_alive(self, beta: float | None = None) -> int:
        """Directions that stand above β by two errors, measured either way: an estimate of the number that can live."""
        lowest = np.minimum(self.held_out - N_ERRORS * self.errors, self.fisher - N_ERRORS * self.fisher_errors)
        n = int((lowest > (self.beta if beta is None else beta)).sum())
        return n if self.n_latents is None else min(n, self.n_latents)

    def worth(self, beta: float | None = None) -> float:
        """What those that can live gain, nats a sample, to second order; see `theory.path.linear_path`."""
        return self._of_best("gain", beta)

    def kl(self, beta: float | None = None) -> float:
        """KL that they then carry, nats a sample, to second order."""
        return self._of_best("kl", beta)

    def _of_best(self, what: str, beta: float | None) -> float:
        beta = self.beta if beta is None else beta
        nats = getattr(linear_path(np.maximum(self.held_out, 0.0), beta, beta), what)
        return float(np.sort(nats)[::-1][: max(self.n_alive(beta), 1)].sum())

    @property
    def headline(self) -> str:
        """The answer."""
        from uncollapse.injecting.words import headline

        return headline(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        names = ("decoder", "place", "width", "beta", "n_latents", "critical_beta", "interval", "strengths", "held_out",
                 "errors", "by_curvature", "fisher", "fisher_errors", "told", "measured_worth",
                 "measured_error", "offset_gain", "nats", "n_samples", "n_steps",
                 "notes")  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        return {**stamp("injection"), **values, "n_alive": self.n_alive(), "worth": self.worth()}

    def card(self) -> Card:
        """The answer, what to do, and each direction."""
        from uncollapse.injecting.words import card

        return card(self)

    def figure(self) -> Figure:
        """λ of each direction, with β as the water."""
        at = np.arange(1, len(self.held_out) + 1)
        marks = (
            Line(np.array([0.5, len(at) + 0.5]), np.full(2, self.beta), "water", "β"),
            Line(np.array([0.5, len(at) + 0.5]), np.ones(2), "collapsed", "a perfect decoder", dash="dash"),
            Points(at, self.held_out, "alive", "held out", size=9),
        )
        highest = 1.4 * max(float(self.held_out.max()), self.beta, 1.0)  # room for the legend
        return Figure((Panel(marks, Axis("direction", whole=True), Axis("λ", limits=(0.0, highest))),))

    def __repr__(self) -> str:
        return short(self, place=self.place, critical_beta=self.critical_beta, n_samples=self.n_samples)
