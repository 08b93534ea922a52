"""The global optimum of an objective on a data set: which latents live, and what would change it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.free import FreeForecast
from uncollapse.forecasting.hierarchy import Hierarchy
from uncollapse.forecasting.keep import Keep, limits, n_keepable
from uncollapse.forecasting.levels import LevelForecast, level_forecasts
from uncollapse.forecasting.problem import Solution
from uncollapse.forecasting.solution import solution
from uncollapse.forecasting.status import flat, ill_posed
from uncollapse.forecasting.weights import Weights, optimal_weights
from uncollapse.forecasting.zones import Zone, global_threshold, zone
from uncollapse.objective import Objective
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import WIDTH, Card, Drawn, short, width_of
from uncollapse.spectra.global_threshold import GlobalThreshold
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["Forecast", "Status"]

Status = Literal["alive", "partial", "complete", "ill-posed", "flat"]


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Drawn):
    """The global optimum of an objective on a data set.

    Attributes
    ----------
    spectrum : Spectrum
    objective : Objective
    n_latents : int
        Latents of the model; the number of modes when the objective leaves it open.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> f = forecast(x, beta=1.0)
    >>> f.n_alive, f.status, f.critical_beta
    (1, 'partial', 4.5)
    """

    spectrum: Spectrum
    objective: Objective
    n_latents: int

    def __post_init__(self) -> None:
        checks.instance(self.spectrum, "spectrum", Spectrum)
        checks.instance(self.objective, "objective", Objective)
        object.__setattr__(self, "n_latents", checks.size(self.n_latents, "n_latents"))
        widths = self.objective.encoder_variance
        if isinstance(widths, tuple) and len(widths) != self.n_latents:
            raise ObjectiveError(
                f"encoder_variance has {len(widths)} values for {self.n_latents} latents; see Objective.cut_to"
            )

    @cached_property
    def solution(self) -> Solution:
        """The closed form that fits the objective."""
        return solution(self.spectrum, self.objective, self.n_latents)

    @property
    def n_usable(self) -> int:
        """Modes that have a latent."""
        return min(self.n_latents, self.spectrum.rank)

    @cached_property
    def at_beta(self) -> Totals:
        """Totals at the objective's own β, each an array of one."""
        return self.curves(np.array([self.objective.beta]))

    @property
    def n_alive(self) -> int:
        """Latents that live at the optimum."""
        return int(self.at_beta.n_alive[0])

    @property
    def decoder_variance(self) -> float:
        """η², given or at its optimum; 0 when the loss drives it there."""
        return float(self.at_beta.decoder_variance[0])

    @property
    def water_level(self) -> float:
        """τ = βη²."""
        return float(self.at_beta.water_level[0])

    @property
    def rate(self) -> float:
        """KL of the posterior from the prior, all latents, nats per sample; NaN like `loss`."""
        return float(self.at_beta.rate[0]) if self.exact or not self.n_alive else math.nan

    @property
    def distortion(self) -> float:
        """E‖y − ŷ‖², over data and latent noise; NaN for a likelihood other than Gaussian."""
        return float(self.at_beta.distortion[0]) if self.exact else math.nan

    @property
    def loss(self) -> float:
        """Minimum of the objective, nats per sample, without the decoder's normalising constant.

        NaN for a likelihood other than Gaussian while latents live: no closed form is known there.
        """
        if self.exact:
            return float(self.at_beta.loss[0])
        return math.nan if self.n_alive else self.spectrum.collapsed_loss

    @property
    def elbo(self) -> float:
        """β-weighted evidence lower bound, nats per sample, with all constants: −loss − (d2/2) log 2πη²."""
        return float(self.at_beta.elbo[0]) if self.exact else -self.loss

    @property
    def exact(self) -> bool:
        """Whether the count of living latents is exact for a linear model (else only the first threshold is)."""
        return self.spectrum.likelihood == "gaussian"

    @cached_property
    def critical_betas(self) -> np.ndarray:
        """β at which each mode dies, shape (m,), descending unless encoder variances are partly learned.

        With levels: the overall β at which the mode leaves level 1. With encoder variances partly fixed and partly
        learned: as long as it keeps the latent that it has at the objective's β.
        """
        return self.solution.critical_betas

    @property
    def critical_levels(self) -> np.ndarray:
        """Water level at which each mode dies, shape (m,): ζ², over ρ² where the encoder width is fixed."""
        return self.solution.critical_levels

    @cached_property
    def levels(self) -> tuple[LevelForecast, ...]:
        """Each level of a hierarchy; empty for a model of one level, or without a minimum."""
        solution = self.solution
        if not isinstance(solution, Hierarchy) or self.ill_posed:
            return ()
        return level_forecasts(solution.at(self.objective.beta), self.objective, solution.groups)

    @property
    def critical_beta(self) -> float:
        """β from which on the best linear model is collapsed, and collapse is stable for any network."""
        return self.solution.keeping(1) if self.spectrum.rank else 0.0

    @property
    def global_threshold(self) -> GlobalThreshold:
        """The water level from which on collapse is the best of all solutions, for every network; not known with
        levels, given encoder variances or a learned decoder variance, and where the spectrum does not know it."""
        return global_threshold(self)

    @property
    def zone(self) -> Zone:
        """Where the water level stands between the two thresholds: `alive` under the first, where some latent of every
        flexible network lives at its optimum; `between`, where collapse is stable and not best; `dead` from the second
        on; `over-first` where the second is not known."""
        return zone(self)

    @cached_property
    def modes(self) -> ModeOptimum:
        """What each mode does at the optimum."""
        return self.solution.modes(self.objective.beta)

    @property
    def status(self) -> Status:
        """`alive`: every latent that can live does; `partial`; `complete` collapse; `ill-posed`: the loss has no lower
        bound; `flat`: a continuum of optima."""
        if self.ill_posed:
            return "ill-posed"
        if self.flat:
            return "flat"
        if self.n_alive == 0:
            return "complete"
        room = np.minimum.accumulate([self.spectrum.rank, *(level.n_latents for level in self.levels)])[1:]
        upper = all(level.n_alive >= most for level, most in zip(self.levels, room, strict=True))
        return "alive" if self.n_alive == self.n_usable and upper else "partial"

    @cached_property
    def ill_posed(self) -> str:
        """Why the loss has no lower bound, or an empty string."""
        return ill_posed(self.spectrum, self.objective, self.solution, self.n_usable)

    @cached_property
    def flat(self) -> str:
        """Why a continuum of optima has the same loss, or an empty string."""
        return flat(self.spectrum, self.objective, self.solution, self.n_usable)

    def curves(self, betas: Any) -> Totals:
        """Number alive, rate, distortion and loss at many values of β at once.

        Parameters
        ----------
        betas : array_like of shape (n,)
            Positive; none at all gives an empty result.

        Returns
        -------
        Totals

        Raises
        ------
        ObjectiveError
            For anything else than a one-dimensional array of positive numbers.
        """
        values = checks.array(betas, "betas", shape=(None,))
        if not (values > 0).all():
            raise ObjectiveError(f"betas must be positive numbers, got {values.min():g}")
        return self.solution.totals(values)

    def keep(self, n_alive: int) -> Keep:
        """What keeps `n_alive` latents alive: the largest β, decoder variance and KL weight, each by itself.

        Raises
        ------
        ObjectiveError
            When no setting can: fewer modes, or fewer latents, than asked for.

        Examples
        --------
        >>> import numpy as np
        >>> from uncollapse import forecast
        >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> forecast(x, beta=10.0).keep(2).beta
        0.5
        """
        return limits(self, n_alive)

    def free_bits(self, each: float = 0.0, *, in_all: float = 0.0) -> FreeForecast:
        """The same objective with a floor under its KL: what lives, and what it carries.

        Parameters
        ----------
        each : float
            Nats free to each latent: β Σ max(each, KL_i).
        in_all : float
            Nats free to all together: β max(in_all, Σ KL_i). The optimum of a target KL is the same.

        Raises
        ------
        ObjectiveError
            Both are given, or none; or no closed form is known (levels, given encoder variances, a learned decoder
            variance, another likelihood).

        Examples
        --------
        >>> import numpy as np
        >>> from uncollapse import forecast
        >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> forecast(x, n_latents=2).free_bits(0.1).headline
        'With 0.1 free nats each, no latent dies; 1 of 2 carries only what is free.'
        """
        return FreeForecast(self, each, in_all)

    @property
    def n_keepable(self) -> int:
        """Latents that some β keeps alive: all that have a mode, but one fewer if they would leave nothing to a
        learned decoder variance, which then runs to 0 before the last one comes alive."""
        return n_keepable(self)

    @property
    def n_worth_having(self) -> int:
        """Latents worth having at this β: modes that would live if latents were unlimited, and exceed the noise."""
        return int(((self.critical_betas > self.objective.beta) & self.spectrum.above_noise).sum())

    @property
    def without_condition(self) -> Forecast | None:
        """The same objective for a model that is not shown the condition; None when there is no condition.

        Only its counts and sums mean something: the directions of its modes are not computed.
        """
        s = self.spectrum
        if s.condition is None:
            return None
        alone, energy = s.condition.strengths_without, s.condition.energy
        errors = np.full(len(alone), s.strength_errors.max(initial=0.0))
        plain = replace(s, strengths=alone, total_energy=energy, strength_errors=errors, condition=None)
        return replace(self, spectrum=plain, n_latents=self.objective.n_latents or max(len(alone), 1))

    @cached_property
    def weights(self) -> Weights:
        """The optimal parameters themselves: U, W, Σ, biases and decoder variance."""
        return optimal_weights(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, JSON-ready; numbers that are not finite become None."""
        from uncollapse.forecasting.dictionary import facts

        return facts(self)

    def to_xarray(self, *, directions: bool = True) -> Any:
        """An `xarray.Dataset`: strength, KL (nats) and fate along `mode`, with the critical β of each as a coordinate.

        Needs the extra `xarray`.

        Parameters
        ----------
        directions : bool
            Whether the direction of each mode among the features is in it, which is as many numbers as modes times
            features.

        Raises
        ------
        UncollapseError
            xarray is not installed.
        """
        from uncollapse.forecasting.labels import forecast_arrays, forecast_facts, forecast_places
        from uncollapse.showing.labelled import dataset

        directions = checks.flag(directions, "directions")
        return dataset(forecast_arrays(self, directions), forecast_places(self, directions), forecast_facts(self))

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import forecast_card

        return forecast_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.forecasting.pictures import spectrum_figure

        return spectrum_figure(self)

    def __repr__(self) -> str:
        return short(
            self,
            status=self.status,
            n_alive=self.n_alive,
            n_latents=self.n_latents,
            water_level=self.water_level,
        )

    def summary(self, width: int = WIDTH) -> str:
        """What the command prints: the verdict, advice, tables, and the spectrum against the water.

        Parameters
        ----------
        width : int
            Letters in a line, 40 or more; charts and tables follow it.
        """
        from uncollapse.forecasting.terminal import forecast_text

        return forecast_text(self, width_of(width))
