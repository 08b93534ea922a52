"""Two-dimensional slices of the loss, and of the pPCA likelihood, around a stationary point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.landscape.direction import Direction
from uncollapse.landscape.stationary import StationaryPoint
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn
from uncollapse.showing.plain import Record
from uncollapse.spectra.result import Spectrum
from uncollapse.theory import landscape, ppca

__all__ = ["Slice", "likelihood_slice", "loss_slice"]

MOST_GRID = 2001
"""Steps along each direction of a slice."""

MARGIN = 1.6
"""A slice shows this many times the way to the lowest point."""


@dataclass(frozen=True, eq=False, repr=False)
class Slice(Record, Drawn):
    """Values on a grid of steps along two directions, relative to the point in the middle.

    Attributes
    ----------
    first, second : ndarrays of shape (n,)
        Steps along each direction.
    values : ndarray of shape (n, n)
        Nats per sample above the stationary point; ``values[j, i]`` belongs to ``first[i]``, ``second[j]``.
    first_label, second_label, title : str
    quantity : str
        What the values are.
    """

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray
    first_label: str
    second_label: str
    title: str
    quantity: str

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import slice_card

        return slice_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.landscape.pictures import slice_figure

        return slice_figure([self])


def loss_slice(
    point: StationaryPoint,
    first: Direction | None = None,
    second: Direction | None = None,
    *,
    reach: tuple[float, float] | None = None,
    n_grid: int = 61,
) -> Slice:
    """The loss over the plane that two directions span at a stationary point, widths of the latents unchanged.

    Parameters
    ----------
    point : StationaryPoint
    first, second : Direction, optional
        From `StationaryPoint.escapes` or `StationaryPoint.direction`; by default the two of lowest curvature
        that differ in mode and, if possible, in latent.
    reach : pair of floats, optional
        Largest step along each; by default a bit more than the lowest point needs.
    n_grid : int
        Steps along each, an odd number puts one on the point.

    Returns
    -------
    Slice

    Raises
    ------
    ObjectiveError
        When the point leaves fewer than two unused modes to look at.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> from uncollapse.landscape.stationary import stationary_point
    >>> x = np.random.default_rng(0).standard_normal((500, 4)) * [4.0, 3.0, 2.0, 1.0]
    >>> origin = stationary_point(forecast(x, n_latents=2), [])
    >>> around = loss_slice(origin, origin.direction(0, 0), origin.direction(1, 1), n_grid=5)
    >>> bool(around.values.argmin() == 12), bool(around.values.min() < 0)  # the middle is not the lowest
    (False, True)
    """
    checks.instance(point, "point", StationaryPoint)
    for name, given in (("first", first), ("second", second)):
        if given is not None:
            checks.instance(given, name, Direction)
    n_grid = checks.count(n_grid, "n_grid", least=2, most=MOST_GRID)
    steps_to = None if reach is None else checks.pair(reach, "reach")
    if first is None or second is None:
        first, second = _default_directions(point, first or second)
    if steps_to is None:
        steps_to = (_default_reach(point, first), _default_reach(point, second))
    with np.errstate(all="ignore"):
        return _loss_slice(point, first, second, steps_to, n_grid)


def _loss_slice(
    point: StationaryPoint, first: Direction, second: Direction, reach: tuple[float, float], n_grid: int
) -> Slice:
    f, s = point.forecast, point.forecast.spectrum
    steps = np.linspace(-1, 1, n_grid)
    a, b = reach[0] * steps, reach[1] * steps
    rows = sorted({*point.modes, first.mode, second.mode})
    latents = sorted({*range(len(point.modes)), first.latent, second.latent})  # all others are dead and stay so
    decoder, encoder = _carried(point, rows, latents)
    along = np.stack([_moved(point, rows, latents, first), _moved(point, rows, latents, second)])
    u, v = (
        start + a[None, :, None, None] * along[0, side] + b[:, None, None, None] * along[1, side]
        for side, start in enumerate((decoder, encoder))
    )
    values = landscape.loss_at(
        u,
        v,
        _widths(point, latents),
        s.strengths[rows],
        s.total_energy,
        beta=f.objective.beta,
        variance=point.restricted.decoder_variance,
        prior_variance=f.objective.prior_variance,
    )
    return Slice(a, b, values - point.loss, _label(first), _label(second), f"τ = {point.water_level:.3g}", "loss")


def likelihood_slice(
    forecast: Forecast,
    modes: Sequence[int],
    pushed: tuple[int, int],
    noise_variance: float,
    *,
    reach: tuple[float, float] | None = None,
    n_grid: int = 61,
) -> Slice:
    """The pPCA log-likelihood where W has principal columns along `modes` and two zero columns pushed along others.

    Parameters
    ----------
    forecast : Forecast
        Of x itself; only its spectrum is used.
    modes : sequence of int
        Eigenvectors carried, counted from 0, at squared length λ − σ² (a mode below σ² has none).
    pushed : pair of int
        Two other eigenvectors, one for each zero column.
    noise_variance : float
        σ².
    reach : pair of floats, optional
        Longest columns to show; by default a bit more than the eigenvalues ask for without noise.
    n_grid : int

    Returns
    -------
    Slice

    Notes
    -----
    Lucas et al. 2019, Fig. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.random.default_rng(0).standard_normal((500, 4)) * [4.0, 3.0, 2.0, 1.0]
    >>> bool(likelihood_slice(forecast(x), [0], (1, 2), 25.0).values.max() > 0)  # too noisy for any column to grow
    False
    """
    s = checks.instance(forecast, "forecast", Forecast).spectrum
    carried, moved = checks.counts(modes, "modes"), checks.counts(pushed, "pushed")
    noise_variance = checks.positive(noise_variance, "noise_variance")
    n_grid = checks.count(n_grid, "n_grid", least=2, most=MOST_GRID)
    steps_to = None if reach is None else checks.pair(reach, "reach")
    if s.likelihood != "gaussian" or not s.target_is_input:
        raise ObjectiveError("a pPCA likelihood needs a Gaussian decoder and no other target than x")
    named = [*carried, *moved]
    if len(moved) != 2:
        raise ObjectiveError(f"pushed must be two modes, one for each zero column, got {len(moved)}")
    if len(set(named)) != len(named) or max(named) >= s.rank:
        raise ObjectiveError(f"modes and pushed must differ and lie in 0 to {s.rank - 1}, got {checks.shown(named)}")
    if steps_to is None:
        steps_to = (MARGIN * math.sqrt(s.strengths[moved[0]]), MARGIN * math.sqrt(s.strengths[moved[1]]))
    with np.errstate(all="ignore"):
        return _likelihood_slice(s, list(carried), list(moved), noise_variance, steps_to, n_grid)


def _likelihood_slice(
    s: Spectrum,
    modes: list[int],
    pushed: list[int],
    noise_variance: float,
    reach: tuple[float, float],
    n_grid: int,
) -> Slice:
    steps = np.linspace(-1, 1, n_grid)
    a, b = reach[0] * steps, reach[1] * steps
    lengths = np.zeros((n_grid, n_grid, s.rank))
    lengths[..., modes] = np.maximum(s.strengths[modes] - noise_variance, 0.0)
    lengths[..., pushed[0]], lengths[..., pushed[1]] = a[None, :] ** 2, b[:, None] ** 2
    values = -0.5 * ppca.deviance(s.strengths, s.total_energy, s.n_targets, lengths, noise_variance)
    lengths = lengths[0, 0].copy()
    lengths[pushed] = 0.0
    values = values + 0.5 * ppca.deviance(s.strengths, s.total_energy, s.n_targets, lengths, noise_variance)
    x_label, y_label = (f"column along component {k + 1}" for k in pushed)
    return Slice(a, b, values, x_label, y_label, f"σ² = {noise_variance:.3g}", "log-likelihood")


def _default_directions(point: StationaryPoint, given: Direction | None) -> tuple[Direction, Direction]:
    f = point.forecast
    unused = [k for k in range(f.spectrum.rank) if k not in point.modes and (given is None or k != given.mode)]
    # the strongest unused modes curve down most; all latents that are dead do the same, so two of them are enough
    latents = sorted({*range(min(len(point.modes), f.n_latents)), *range(f.n_latents)[len(point.modes) :][:2]})
    ways = [point.direction(latent, mode) for latent, mode in product(latents, unused[:2])]
    ways.sort(key=lambda way: way.curvature)
    first = given or (ways[0] if ways else None)
    others = [way for way in ways if first is not None and way.mode != first.mode]
    if first is None or not others:
        raise ObjectiveError("a slice needs two modes that no latent carries at the point; this one leaves fewer")
    apart = [way for way in others if way.latent != first.latent]
    return first, (apart or others)[0]


def _default_reach(point: StationaryPoint, way: Direction) -> float:
    variance = point.restricted.decoder_variance
    gain = point.input_gain(way.mode)
    lowest, _ = landscape.slide(np.array(-abs(way.curvature)), np.array(gain * way.decoder * way.encoder), variance)
    return MARGIN * float(lowest)


def _carried(point: StationaryPoint, rows: list[int], latents: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The point itself as (u, v) on the modes in `rows`, a column for each of `latents`."""
    at, shape = point.restricted.modes, (len(rows), len(latents))
    decoder, encoder = np.zeros(shape), np.zeros(shape)
    for latent, mode in enumerate(point.modes):
        decoder[rows.index(mode), latent] = at.decoder_gain[latent]
        encoder[rows.index(mode), latent] = at.encoder_gain[latent]
    return decoder, encoder


def _widths(point: StationaryPoint, latents: list[int]) -> np.ndarray:
    """σ² of each of `latents` at the point: the prior's for a dead one."""
    carried = point.restricted.modes.encoder_std**2
    prior = point.forecast.objective.prior_variance
    return np.array([carried[latent] if latent < len(point.modes) else prior for latent in latents])


def _moved(point: StationaryPoint, rows: list[int], latents: list[int], way: Direction) -> np.ndarray:
    """(du, dv) of a direction, shape (2, len(rows), len(latents))."""
    moved = np.zeros((2, len(rows), len(latents)))
    moved[:, rows.index(way.mode), latents.index(way.latent)] = way.decoder, way.encoder * point.input_gain(way.mode)
    return moved


def _label(way: Direction) -> str:
    where = "" if way.from_mode is None else f", off mode {way.from_mode + 1},"
    return f"latent {way.latent + 1}{where} towards mode {way.mode + 1}"
