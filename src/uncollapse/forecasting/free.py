"""A forecast with a floor under the KL: what is free for each latent, or for all together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.problem import quiet
from uncollapse.showing.noun import MOST_ROWS, Card, Noun, number, short
from uncollapse.showing.plain import plain
from uncollapse.theory.free_bits import FreeOptimum, free_each, free_in_all

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["FREE_HEADINGS", "FreeForecast"]

MOST_FREE = 100.0
"""Nats free to one latent, e^200 of signal to noise."""
MOST_LATENTS = 10**6
FREE_HEADINGS = ("latent", "KL, nats", "")


@dataclass(frozen=True, eq=False, repr=False)
class FreeForecast(Noun):
    """The optimum of E‖y − ŷ‖²/(2η²) + β Σ max(δ, KL_i), or + β max(Δ, Σ KL_i); see `Forecast.free_bits`.

    A noun of its own, so that what knows no floor (certify, landscape, dynamics, weights) cannot be given one. A target
    KL or a capacity γ|Σ KL − C| has the optimum of Δ = C with β = γ. Each KL is a mean over the data before the floor
    is applied.

    Attributes
    ----------
    forecast : Forecast
        Of the same objective without a floor.
    each : float
        δ, nats free to each latent; 0 for none.
    in_all : float
        Δ, nats free to all together; 0 for none.
    """

    forecast: Forecast
    each: float = 0.0
    in_all: float = 0.0

    def __post_init__(self) -> None:
        for name in ("each", "in_all"):
            object.__setattr__(self, name, checks.non_negative(getattr(self, name), f"free bits {name}"))
        if (self.each > 0) == (self.in_all > 0):
            raise ObjectiveError(
                "give the nats that are free to each latent, or those that are free in all: one of the two"
            )
        if self.each > MOST_FREE:
            raise ObjectiveError(f"{self.each:g} nats free to a latent are more than a code can use; give 100 or fewer")
        o = self.forecast.objective
        known = o.likelihood == "gaussian" and not o.levels and o.encoder_variance == "learned"
        if not known or o.decoder_variance == "learned":
            raise ObjectiveError(
                "free bits are known for one level, a Gaussian decoder of given variance and learned encoder widths, "
                "and not for this objective; leave them out"
            )
        if self.forecast.n_latents > MOST_LATENTS:
            raise ObjectiveError(
                f"free bits are told for up to {MOST_LATENTS:,} latents, got {self.forecast.n_latents:,}"
            )

    @cached_property
    @quiet
    def optimum(self) -> FreeOptimum:
        """The closed form."""
        f = self.forecast
        solve, free = (free_each, self.each) if self.each else (free_in_all, self.in_all)
        return solve(f.water_level, f.spectrum.strengths, f.n_latents, free)

    @property
    def kl(self) -> np.ndarray:
        """Of each latent, nats per sample, descending, shape (n_latents,)."""
        return self.optimum.kl

    @property
    def n_alive(self) -> int:
        """Latents that carry anything."""
        return int((self.kl > 0).sum()) if self.forecast.spectrum.rank else 0

    @property
    def n_paying(self) -> int:
        """Latents that carry more than is free."""
        return self.optimum.n_paying

    @property
    def n_modes_coded(self) -> int:
        """Modes of the data of which anything is coded."""
        return int((self.optimum.distortion < self.forecast.spectrum.strengths).sum())

    @property
    def rate(self) -> float:
        """Σ KL, nats per sample; the latents tell less than this where they share modes."""
        return float(self.kl.sum())

    @property
    def distortion(self) -> float:
        """E‖y − ŷ‖²."""
        s = self.forecast.spectrum
        return float(self.optimum.distortion.sum()) + s.total_energy - float(s.strengths.sum())

    @property
    def loss(self) -> float:
        """The minimum, floor and all, nats per sample, without the decoder's normalising constant."""
        beyond = self.distortion - float(self.optimum.distortion.sum())
        return (self.optimum.cost + beyond / 2) / self.forecast.decoder_variance

    @property
    def beta_without(self) -> float | None:
        """For free nats in all, the β that has the same optimum without a floor; None for free nats a latent."""
        return self.optimum.level / self.forecast.decoder_variance if self.in_all else None

    @property
    def headline(self) -> str:
        """What the floor does."""
        k, paying = self.forecast.n_latents, self.n_paying
        if not self.forecast.spectrum.rank:
            return "The data hold no mode for a latent to carry, free or not."
        if self.each:
            free = f"With {self.each:.4g} free nats each"
            if paying == k:
                return f"{free}, every latent carries more than is free, so the floor changes nothing."
            verb = "carries" if k - paying == 1 else "carry"
            return f"{free}, no latent dies; {k - paying} of {k} {verb} only what is free."
        if paying:
            return f"At this β more than {self.in_all:.4g} nats are bought, so free nats in all change nothing."
        return (
            f"With {self.in_all:.4g} free nats in all, {self.n_alive} of {k} latents will live, as at β = "
            f"{self.beta_without:.4g} without a floor; no more is carried than is free."
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """How the modes are shared."""
        if not self.each or self.n_paying == self.forecast.n_latents or not self.forecast.spectrum.rank:
            return ()
        n = self.n_modes_coded
        return (
            f"{n} mode{' is' if n == 1 else 's are'} coded: latents that are free share modes above strength "
            f"{self.optimum.level:.4g}, so to be over the floor is not to carry a mode of one's own.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = plain({
            "each": self.each, "in_all": self.in_all, "n_alive": self.n_alive, "n_paying": self.n_paying,
            "n_modes_coded": self.n_modes_coded, "kl": self.kl, "mode_distortion": self.optimum.distortion,
            "rate": self.rate, "distortion": self.distortion, "loss": self.loss, "beta_without": self.beta_without,
        })  # fmt: skip
        return values

    def card(self) -> Card:
        """The headline, the sums and the KL of each latent."""
        facts = (
            ("KL, nats per sample", number(self.rate)),
            ("distortion", number(self.distortion)),
            ("loss, nats per sample", number(self.loss)),
            ("modes coded", str(self.n_modes_coded)),
        )
        return Card(self.headline, facts, self.lines, FREE_HEADINGS, self.rows())

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """KL of the first latents, and whether it is more than is free."""
        alive, rest, n = ("pays", "free", self.n_paying) if self.each else ("alive", "collapsed", self.n_alive)
        return tuple(
            (str(i), number(kl), alive if i <= n else rest)
            for i, kl in enumerate(self.kl[:MOST_ROWS].tolist(), start=1)
        )

    def __repr__(self) -> str:
        return short(self, each=self.each, in_all=self.in_all, n_alive=self.n_alive, n_paying=self.n_paying)
