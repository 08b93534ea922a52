"""Two-dimensional slices of the loss, and of the pPCA likelihood, around a stationary point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.landscape.direction import Direction
from uncollapse.landscape.stationary import StationaryPoint
from uncollapse.theory import landscape, ppca

__all__ = ["Slice", "likelihood_slice", "loss_slice"]

MARGIN = 1.6
"""A slice shows this many times the way to the lowest point."""


@dataclass(frozen=True, eq=False)
class Slice:
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
    if first is None or second is None:
        first, second = _default_directions(point, first or second)
    if reach is None:
        reach = (_default_reach(point, first), _default_reach(point, second))
    f, s = point.forecast, point.forecast.spectrum
    steps = np.linspace(-1, 1, n_grid)
    a, b = reach[0] * steps, reach[1] * steps
    rows = sorted({*point.modes, first.mode, second.mode})
    decoder, encoder = _carried(point, rows)
    along = np.stack([_moved(point, rows, first), _moved(point, rows, second)])
    u, v = (
        start + a[None, :, None, None] * along[0, side] + b[:, None, None, None] * along[1, side]
        for side, start in enumerate((decoder, encoder))
    )
    values = landscape.loss(
        u,
        v,
        point.weights.encoder_std**2,
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
    s = forecast.spectrum
    if s.likelihood != "gaussian" or not s.target_is_input:
        raise ObjectiveError("a pPCA likelihood needs a Gaussian decoder and no other target than x")
    named = [*modes, *pushed]
    if len(set(named)) != len(named) or not named or not 0 <= min(named) <= max(named) < s.rank:
        raise ObjectiveError(f"modes and pushed must differ and lie in 0 to {s.rank - 1}, got {named}")
    if not noise_variance > 0:
        raise ObjectiveError(f"noise_variance must be a positive number, got {noise_variance}")
    steps = np.linspace(-1, 1, n_grid)
    a, b = (steps * (MARGIN * np.sqrt(s.strengths[k]) if reach is None else reach[i]) for i, k in enumerate(pushed))
    lengths = np.zeros((n_grid, n_grid, s.rank))
    lengths[..., list(modes)] = np.maximum(s.strengths[list(modes)] - noise_variance, 0.0)
    lengths[..., pushed[0]], lengths[..., pushed[1]] = a[None, :] ** 2, b[:, None] ** 2
    values = -0.5 * ppca.deviance(s.strengths, s.total_energy, s.n_targets, lengths, noise_variance)
    lengths = lengths[0, 0].copy()
    lengths[list(pushed)] = 0.0
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


def _carried(point: StationaryPoint, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The point itself as (u, v) on the modes in `rows`."""
    d1, at = point.forecast.n_latents, point.restricted.modes
    decoder, encoder = np.zeros((len(rows), d1)), np.zeros((len(rows), d1))
    for latent, mode in enumerate(point.modes):
        decoder[rows.index(mode), latent] = at.decoder_gain[latent]
        encoder[rows.index(mode), latent] = at.encoder_gain[latent]
    return decoder, encoder


def _moved(point: StationaryPoint, rows: list[int], way: Direction) -> np.ndarray:
    """(du, dv) of a direction, shape (2, len(rows), d1)."""
    moved = np.zeros((2, len(rows), point.forecast.n_latents))
    moved[:, rows.index(way.mode), way.latent] = way.decoder, way.encoder * point.input_gain(way.mode)
    return moved


def _label(way: Direction) -> str:
    where = "" if way.from_mode is None else f", off mode {way.from_mode + 1},"
    return f"latent {way.latent + 1}{where} towards mode {way.mode + 1}"
