"""The optimal parameters themselves: U, W, Σ, biases and decoder variance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.problem import quiet
from uncollapse.forecasting.solution import latents_of, relative_widths, widths_taken
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record

if TYPE_CHECKING:
    from uncollapse.forecasting.levels import LevelForecast
    from uncollapse.forecasting.result import Forecast

__all__ = ["Weights", "optimal_weights", "refuse_too_many"]

MOST_VALUES = 2**31
"""Most numbers that weights may have: 16 GB."""


@dataclass(frozen=True, eq=False, repr=False)
class Weights(Record, Noun):
    """Parameters of the linear VAE at its global optimum; latent j lives in column j.

    Attributes
    ----------
    decoder : ndarray of shape (d2, d1)
        U, columns F λ; zero for a collapsed latent.
    encoder : ndarray of shape (d0, d1)
        W, columns E θ, so that the posterior mean is Wᵀx + b_e.
    encoder_std : ndarray of shape (d1,)
        σ of q(z|x).
    encoder_bias : ndarray of shape (d1,)
        −WᵀE[x] (Wang & Ziyin 2022, Proposition 4).
    decoder_bias : ndarray of shape (d2,)
        E[y].
    decoder_variance : float
    upper : tuple of Weights
        For a hierarchy, levels 2, 3, …: decoder and encoder between the latents of the level below and its own.
    decoder_condition : ndarray of shape (d2, d_x) or None
        What the decoder of a conditional model adds of the condition: B, the regression on it.
    encoder_condition : ndarray of shape (d_x, d1) or None
        What its encoder adds, so that the posterior mean depends on y − Bx alone: −BᵀW.
    """

    decoder: np.ndarray
    encoder: np.ndarray
    encoder_std: np.ndarray
    encoder_bias: np.ndarray
    decoder_bias: np.ndarray
    decoder_variance: float
    upper: tuple[Weights, ...] = ()
    decoder_condition: np.ndarray | None = None
    encoder_condition: np.ndarray | None = None

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import weights_card

        return weights_card(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Weights:
        """What `to_dict` gave, or JSON made of it."""
        result = super().from_dict(values)
        return replace(result, upper=tuple(cls.from_dict(level) for level in values["upper"]))


@quiet
def optimal_weights(f: Forecast) -> Weights:
    """Parameters at the global optimum of a forecast; see `Forecast.weights`."""
    s, o = f.spectrum, f.objective
    if not f.exact:
        raise ObjectiveError(f"no closed-form weights are known for a {s.likelihood} decoder; ask for a Gaussian one")
    if f.ill_posed or (f.flat and not f.levels):
        raise ObjectiveError(f"no optimal weights exist: {f.ill_posed or f.flat}")
    refuse_too_many(f, "weights")
    n, d1, modes = f.n_usable, f.n_latents, f.modes
    std = _idle_std(f)
    latent = _latents_of_modes(f)
    std[latent] = modes.encoder_std[:n]
    decoder, encoder = np.zeros((s.n_targets, d1)), np.zeros((s.n_features, d1))
    decoder[:, latent] = s.basis.decoder[:, :n] * modes.decoder_gain[:n]
    encoder[:, latent] = s.basis.encoder[:, :n] * modes.encoder_gain[:n]
    centre_input, centre = s.mean_input, s.mean_target
    through: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    if s.condition:
        centre_input = centre = s.mean_target - s.condition.regression @ s.condition.mean
        through = (s.condition.regression, -s.condition.regression.T @ encoder)
    encoder_bias = -(centre_input @ encoder) if o.bias else np.zeros(d1)
    decoder_bias = centre if o.bias else np.zeros(s.n_targets)
    upper = tuple(_between(below, level) for below, level in zip(f.levels, f.levels[1:], strict=False))
    return Weights(decoder, encoder, std, encoder_bias, decoder_bias, f.decoder_variance, upper, *through)


def refuse_too_many(f: Forecast, what: str) -> None:
    """One line in place of arrays that no memory holds: they have a column for each latent, with or without a mode."""
    sizes = [f.n_latents, *(level.n_latents for level in f.levels[1:])]
    widths = [f.spectrum.n_features + f.spectrum.n_targets, *sizes]
    values = sum(a * b for a, b in zip(widths, sizes, strict=False))
    if values > MOST_VALUES:
        raise ObjectiveError(
            f"{what} of {max(sizes)} latents would be {values:.2g} numbers; lower n_latents, as latents beyond the "
            f"{f.spectrum.rank} modes are dead"
        )


def _idle_std(f: Forecast) -> np.ndarray:
    """Width of each latent while no mode is given to it: its fixed one, else the prior's."""
    if f.levels:
        return np.sqrt(f.levels[0].encoder_variance)
    widths = relative_widths(f.objective)
    one = math.sqrt(f.objective.prior_variance) * np.where(np.isnan(widths), 1.0, widths)
    return np.broadcast_to(one, f.n_latents).copy()


def _latents_of_modes(f: Forecast) -> np.ndarray:
    """Index of the latent that carries each usable mode: each keeps its own width."""
    if not isinstance(f.objective.encoder_variance, tuple):
        return np.arange(f.n_usable)
    return np.array(latents_of(widths_taken(f.solution)[: f.n_usable], relative_widths(f.objective)), dtype=int)


def _between(below: LevelForecast, level: LevelForecast) -> Weights:
    """Weights from the latents of one level to those of the next: each feeds the one of its own chain."""
    n, m = below.n_latents, level.n_latents
    decoder, encoder = np.zeros((n, m)), np.zeros((n, m))
    shared = np.arange(min(n, m))
    decoder[shared, shared], encoder[shared, shared] = level.decoder_gain[shared], level.encoder_gain[shared]
    return Weights(decoder, encoder, np.sqrt(level.encoder_variance), np.zeros(m), np.zeros(n), math.nan)
