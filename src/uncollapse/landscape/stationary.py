"""Where the loss of a linear VAE is stationary, which of those points are saddles, and how to leave them.

Modes are counted from 0, as in ``forecast.spectrum.strengths``; latents from 0, as the columns of U and W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.problem import quiet
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.forecasting.weights import Weights, refuse_too_many
from uncollapse.landscape.direction import Direction
from uncollapse.landscape.restricted import restricted_to
from uncollapse.showing.noun import Card, Noun, short
from uncollapse.showing.plain import finite
from uncollapse.theory import landscape as theory

__all__ = ["StationaryPoint", "stationary_point", "stationary_points"]

MOST_ESCAPES = 10**6
"""Most ways out of a point that are listed."""


@dataclass(frozen=True, eq=False, repr=False)
class StationaryPoint(Noun):
    """The point where the first latents carry `modes`, each at its optimum, and the others are dead.

    Attributes
    ----------
    forecast : Forecast
    modes : tuple of int
        S, ascending; latent i carries ``modes[i]``.
    restricted : Forecast
        The forecast of a model that sees only these modes; this point is its global optimum.

    Notes
    -----
    Any subset S of modes above water with |S| ≤ d1 is such a point (docs/landscape.md). Permuting latents and turning
    signs gives its copies.
    """

    forecast: Forecast
    modes: tuple[int, ...]
    restricted: Forecast

    @property
    def loss(self) -> float:
        """Nats per sample, as `Forecast.loss`."""
        return self.restricted.loss

    @property
    def elbo(self) -> float:
        """With all constants, as `Forecast.elbo`; compare points by it when the decoder variance is learned."""
        return self.restricted.elbo

    @property
    def water_level(self) -> float:
        """τ = βη², with η² at its stationary value when it is learned."""
        return self.restricted.water_level

    @property
    def weights(self) -> Weights:
        """U, W, Σ, biases and decoder variance."""
        return self.restricted.weights

    @property
    def index(self) -> int:
        """Morse index: number of independent directions of negative curvature; 0 at the global minimum alone."""
        f = self.forecast
        return theory.morse_index(f.spectrum.strengths, self.modes, f.n_latents, self.water_level)

    @cached_property
    def escapes(self) -> tuple[Direction, ...]:
        """The directions of negative curvature, steepest first; `index` of them.

        A dead latent grows along an unused mode above water, or a living one turns to a stronger unused mode. When
        y = x they are eigenvectors of the Hessian in (U, W, log σ), orthogonal to each other. With another
        target they are independent and each is the steepest in its plane.
        """
        f, escapes = self.forecast, list[Direction]()
        if self.index > MOST_ESCAPES:
            raise ObjectiveError(
                f"this point has {self.index} escapes, too many to list: all dead latents have the same; ask for one "
                f"with direction(latent, mode)"
            )
        unused = np.setdiff1d(np.arange(f.spectrum.rank), self.modes)
        for latent in range(f.n_latents if self.index else 0):
            drawn = unused[f.spectrum.strengths[unused] > self._strength_to_exceed(latent)]
            if not len(drawn) and latent >= len(self.modes):
                break  # all dead latents are alike
            escapes += self._directions(latent, drawn)
        return tuple(sorted(escapes, key=lambda way: way.curvature))

    def direction(self, latent: int, mode: int) -> Direction:
        """The lowest curvature that `latent` has towards an unused `mode`, escape or not."""
        f, latent, mode = self.forecast, checks.count(latent, "latent"), checks.count(mode, "mode")
        if not latent < f.n_latents or not mode < f.spectrum.rank:
            raise ObjectiveError(
                f"no latent {checks.shown(latent)} or no mode {checks.shown(mode)}: latents run from 0 to "
                f"{f.n_latents - 1}, modes to {f.spectrum.rank - 1}"
            )
        if mode in self.modes:
            raise ObjectiveError(f"mode {mode} is carried already at this point; take one of those that are not")
        return self._directions(latent, np.array([mode]))[0]

    def matrices(self, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
        """(dU, dW) of a direction, shapes (d2, d1) and (d0, d1); together they have length 1."""
        checks.instance(direction, "direction", Direction)
        refuse_too_many(self.forecast, "directions")
        f, basis = self.forecast, self.forecast.spectrum.basis
        du, dw = np.zeros((f.spectrum.n_targets, f.n_latents)), np.zeros((f.spectrum.n_features, f.n_latents))
        reader = basis.encoder[:, direction.mode]
        du[:, direction.latent] = direction.decoder * basis.decoder[:, direction.mode]
        dw[:, direction.latent] = direction.encoder * reader / np.linalg.norm(reader)
        return du, dw

    def input_gain(self, mode: int) -> float:
        """Standard deviation of the input along the unit encoder direction of a mode: ζ when y = x."""
        mode = checks.count(mode, "mode", most=self.forecast.spectrum.rank - 1)
        return float(_input_gains(self.forecast)[mode])

    def _strength_to_exceed(self, latent: int) -> float:
        """What a mode must exceed to draw this latent away: the strength it carries, or the water if it is dead."""
        carried = latent < len(self.modes)
        return float(self.forecast.spectrum.strengths[self.modes[latent]]) if carried else self.water_level

    @quiet
    def _directions(self, latent: int, modes: np.ndarray) -> list[Direction]:
        f = self.forecast
        prior, variance = f.objective.prior_variance, self.restricted.decoder_variance
        strengths, gains = f.spectrum.strengths[modes], _input_gains(f)[modes]
        cost = np.full(len(modes), prior)
        plane = theory.planes(strengths, gains, cost, self._strength_to_exceed(latent) / cost, variance)
        curvature = np.minimum(plane.lowest, 0.0)
        distance, drop = theory.slide(curvature, gains * plane.decoder * plane.encoder, variance)
        source = self.modes[latent] if latent < len(self.modes) else None
        columns = (plane.lowest, plane.decoder, plane.encoder, distance, drop)
        return [
            Direction(latent, int(mode), source, *map(float, row))
            for mode, row in zip(modes, np.transpose(columns), strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: what the point is, and the ways out of it."""
        return {
            "modes": list(self.modes),
            "index": self.index,
            "loss": finite(self.loss),
            "elbo": finite(self.elbo),
            "water_level": self.water_level,
            "escapes": [way.to_dict() for way in self.escapes],
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import stationary_card

        return stationary_card(self)

    def __repr__(self) -> str:
        return short(self, modes=self.modes, index=self.index, loss=self.loss)


def stationary_point(forecast: Forecast, modes: Sequence[int]) -> StationaryPoint:
    """The stationary point at which latents carry exactly `modes`.

    Parameters
    ----------
    forecast : Forecast
        Gaussian, encoder variance learned.
    modes : sequence of int
        Counted from 0; empty for the origin.

    Returns
    -------
    StationaryPoint

    Raises
    ------
    ObjectiveError
        When the modes cannot all be carried: one is under water (at the decoder variance this point implies, if it is
        learned), there are fewer latents, or the objective is not covered.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> point = stationary_point(forecast(x, n_latents=1), [1])  # the one latent carries the weaker mode
    >>> point.index, point.escapes[0].mode
    (1, 0)
    """
    f, given = checks.instance(forecast, "forecast", Forecast), checks.counts(modes, "modes")
    _check_covered(f)
    chosen = tuple(sorted(set(given)))
    if len(chosen) != len(given) or (chosen and not chosen[-1] < f.spectrum.rank):
        raise ObjectiveError(f"modes must differ and lie in 0 to {f.spectrum.rank - 1}, got {checks.shown(given)}")
    if len(chosen) > f.n_latents:
        raise ObjectiveError(f"{len(chosen)} modes need as many latents, and the model has {f.n_latents}")
    restricted = restricted_to(f, chosen)
    if restricted.ill_posed:
        raise ObjectiveError(f"no stationary point carries modes {list(chosen)}: {restricted.ill_posed}")
    if restricted.n_alive < len(chosen):
        raise ObjectiveError(
            f"no stationary point carries modes {list(chosen)}: mode {chosen[-1]} would lie under water; leave it out"
        )
    _check_all_seen(f, restricted.water_level)
    return StationaryPoint(f, chosen, restricted)


def stationary_points(forecast: Forecast, *, limit: int = 4096) -> tuple[StationaryPoint, ...]:
    """Every stationary point at which latents carry one mode each, the global minimum first, by descending ELBO.

    Parameters
    ----------
    forecast : Forecast
        Gaussian, encoder variance learned.
    limit : int
        Most subsets that may be tried.

    Returns
    -------
    tuple of StationaryPoint

    Raises
    ------
    ObjectiveError
        When there are more subsets than `limit`: p modes above water on d1 latents have Σ_k≤d1 C(p, k).

    Notes
    -----
    Up to permutations and signs of the latents. An ill-posed objective has saddles, and no minimum. Besides these
    there are saddles at which several latents share modes evenly (`theory.landscape.shared_reach`), never minima.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> [(point.modes, point.index) for point in stationary_points(forecast(x))]
    [((0, 1), 0), ((0,), 1), ((1,), 2), ((), 4)]
    """
    f, limit = checks.instance(forecast, "forecast", Forecast), checks.count(limit, "limit", least=1)
    _check_covered(f)
    _check_all_seen(f, f.water_level)
    # a learned decoder variance is nowhere smaller than at the global minimum, so no point reaches below its water
    n = int((f.spectrum.strengths > f.water_level).sum())
    most = min(n, f.n_latents)
    count = sum(math.comb(n, k) for k in range(most + 1))
    if count > limit:
        raise ObjectiveError(
            f"{n} modes on {f.n_latents} latents make {Decimal(count):.3g} subsets, more than the limit; ask for "
            f"one with stationary_point(forecast, modes)"
        )
    points = []
    for modes in (subset for k in range(most + 1) for subset in combinations(range(n), k)):
        restricted = restricted_to(f, modes)
        if restricted.n_alive == len(modes) and not restricted.ill_posed:
            points.append(StationaryPoint(f, modes, restricted))
    return tuple(sorted(points, key=lambda point: -point.elbo))


def _input_gains(f: Forecast) -> np.ndarray:
    """Standard deviation of the raw input along each mode's encoder direction, shape (m,)."""
    if f.spectrum.target_is_input:
        return np.sqrt(f.spectrum.strengths)
    return 1 / np.linalg.norm(f.spectrum.basis.encoder, axis=0)


def _check_covered(f: Forecast) -> None:
    if not f.exact:
        raise ObjectiveError(f"stationary points are known for Gaussian decoders only, not {f.spectrum.likelihood}")
    if one_level(f.solution).rho is not None:
        raise ObjectiveError(
            'stationary points are covered for encoder_variance="learned" only; at the origin see origin_hessian'
        )


def _check_all_seen(f: Forecast, water_level: float) -> None:
    if not f.spectrum.complete and f.spectrum.rank and f.spectrum.strengths[-1] > water_level:
        raise ObjectiveError(
            f"only {f.spectrum.rank} modes were computed and all are above water, so others may be too; ask for more "
            f"with n_modes"
        )
