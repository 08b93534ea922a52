"""Spectrum × Objective → Forecast: which latents live at the global optimum, and what would change it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from uncollapse.errors import ObjectiveError, UncollapseWarning
from uncollapse.forecasting.levels import LevelForecast, level_forecasts
from uncollapse.forecasting.solution import Hierarchy, Solution, solution
from uncollapse.forecasting.status import explained_by, flat, ill_posed
from uncollapse.forecasting.weights import Weights, optimal_weights
from uncollapse.objective import Objective
from uncollapse.spectra.decompose import spectrum as spectrum_of
from uncollapse.spectra.result import Spectrum
from uncollapse.theory.optimum import ModeOptimum, Totals

__all__ = ["Forecast", "Keep", "Status", "forecast"]

Status = Literal["alive", "partial", "complete", "ill-posed", "flat"]


@dataclass(frozen=True, eq=False)
class Forecast:
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
        return self.solution.levels

    @cached_property
    def levels(self) -> tuple[LevelForecast, ...]:
        """Each level of a hierarchy; empty for a model of one level, or without a minimum."""
        found = self.solution
        if not isinstance(found, Hierarchy) or self.ill_posed:
            return ()
        return level_forecasts(found.at(self.objective.beta), self.objective, found.chain.n_latents)

    @property
    def critical_beta(self) -> float:
        """β from which on every latent is collapsed."""
        return self.solution.keeping(1) if self.spectrum.rank else 0.0

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

    def curves(self, betas: np.ndarray) -> Totals:
        """Number alive, rate, distortion and loss at many values of β at once.

        Parameters
        ----------
        betas : array_like of shape (n,)
            Positive.

        Returns
        -------
        Totals
        """
        betas = np.asarray(betas, dtype=float)
        if betas.ndim != 1 or not (betas > 0).all():
            raise ObjectiveError("betas must be a one-dimensional array of positive numbers")
        return self.solution.totals(betas)

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
        if n_alive < 1 or n_alive > self.n_keepable:
            raise ObjectiveError(
                f"cannot keep {n_alive} latents alive: the data have {self.spectrum.rank} modes, the model "
                f"{self.n_latents} latents, and {self.n_keepable} can live where the objective has a minimum"
            )
        beta = self.solution.keeping(n_alive)
        variance, loss = self._given_variance, self.objective.loss
        level = None if variance is None else beta * variance
        alone = level is not None and self.exact and not self.objective.levels  # β and η² matter through τ alone
        return Keep(
            n_alive=n_alive,
            beta=beta,
            decoder_variance=level / self.objective.beta if level is not None and alone else None,
            water_level=None if self.objective.levels else level,
            kl_weight=None if loss is None or level is None else loss.kl_weight_for(level),
        )

    @property
    def n_keepable(self) -> int:
        """Latents that some β keeps alive: all that have a mode, but one fewer if they would leave nothing to a
        learned decoder variance, which then runs to 0 before the last one comes alive."""
        learned = self._given_variance is None and self.objective.encoder_variance == "learned"
        if learned and explained_by(self.spectrum, self.n_usable):
            return max(self.n_usable - 1, 0)
        return self.n_usable

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

    @property
    def _given_variance(self) -> float | None:
        variance = self.objective.decoder_variance
        return None if variance == "learned" else float(variance)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, JSON-ready; numbers that are not finite become None."""
        from uncollapse.forecasting.dictionary import facts

        return facts(self)


@dataclass(frozen=True)
class Keep:
    """Limits that keep `n_alive` latents alive. Each holds with all else unchanged, and must be stayed *below*.

    Attributes
    ----------
    n_alive : int
    beta : float
    decoder_variance : float or None
        None when it is learned, the likelihood has none, or there are several levels.
    water_level : float or None
        None when the decoder variance is learned, or there are several levels.
    kl_weight : float or None
        In the user's own loss; None when the objective was not given as one.
    """

    n_alive: int
    beta: float
    decoder_variance: float | None
    water_level: float | None
    kl_weight: float | None


def forecast(
    data: Any,
    target: Any = None,
    *,
    given: Any = None,
    objective: Objective | None = None,
    scale: float = 1.0,
    n_modes: int | None = None,
    drop_nonfinite: bool = False,
    dispersion: Any = None,
    size_factors: Any = None,
    **settings: Any,
) -> Forecast:
    """Which latents of a VAE will live on these data, before any training.

    Parameters
    ----------
    data : Spectrum, Moments, array, or anything else that `spectrum` takes
    target : same kinds, optional
        What the decoder predicts; the data themselves when left out.
    given : same kinds, optional
        The condition of a conditional VAE, seen by encoder and decoder.
    objective : Objective, optional
        See `Objective` and `Objective.from_loss`. Or give its fields directly:
    **settings
        Fields of `Objective`: ``beta=4.0, decoder_variance="learned", n_latents=16``, ….
    scale, n_modes, drop_nonfinite, dispersion, size_factors
        As in `spectrum`.

    Returns
    -------
    Forecast

    Raises
    ------
    DataError, ObjectiveError
        One line that says what was given and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 3)) * [3.0, 1.0, 0.1]
    >>> f = forecast(x, beta=0.5, n_latents=3)
    >>> f.n_alive, f.n_worth_having
    (2, 2)
    """
    objective = _objective(objective, settings)
    if isinstance(data, Spectrum):
        late = (target, given, n_modes, dispersion, size_factors)
        if scale != 1.0 or drop_nonfinite or any(option is not None for option in late):
            raise ObjectiveError("a spectrum is taken already; give target, given, scale and the like to spectrum()")
        _check_match(data, objective)
        found = data
    else:
        found = spectrum_of(
            data,
            target,
            given=given,
            n_modes=n_modes,
            bias=objective.bias,
            scale=scale,
            likelihood=objective.likelihood,
            drop_nonfinite=drop_nonfinite,
            dispersion=dispersion,
            size_factors=size_factors,
        )
    n_latents = _resolved_latents(found, objective)
    return Forecast(found, objective, n_latents)


def _objective(objective: Objective | None, settings: dict[str, Any]) -> Objective:
    if objective is not None and settings:
        raise ObjectiveError(f"give an objective or its fields, not both (got also {', '.join(settings)})")
    try:
        return objective or Objective(**settings)
    except TypeError as error:
        raise ObjectiveError(f"not a field of an objective: {str(error).split('argument ')[-1]}") from None


def _check_match(found: Spectrum, objective: Objective) -> None:
    if found.centred != objective.bias:
        raise ObjectiveError(
            f"the spectrum was taken with bias={found.centred} and the objective has bias={objective.bias}; "
            f"take it with spectrum(..., bias={objective.bias})"
        )
    if found.likelihood != objective.likelihood:
        raise ObjectiveError(
            f"the spectrum is for a {found.likelihood} decoder and the objective for a {objective.likelihood} one; "
            f'take it with spectrum(..., likelihood="{objective.likelihood}")'
        )


def _resolved_latents(found: Spectrum, objective: Objective) -> int:
    wanted, rank = objective.n_latents, found.rank
    if not found.complete and (wanted is None or wanted > rank):
        warnings.warn(
            f"only the {rank} strongest modes were found, so {rank} latents are assumed; ask for more with n_modes "
            f"(--modes) if they all live",
            UncollapseWarning,
            stacklevel=3,
        )
        return rank
    if wanted is not None and wanted > rank:
        warnings.warn(
            f"{wanted} latents for {rank} modes: {wanted - rank} of them can never live, whatever the loss",
            UncollapseWarning,
            stacklevel=3,
        )
    return wanted or max(rank, 1)
