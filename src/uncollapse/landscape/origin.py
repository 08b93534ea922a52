"""Curvature of the loss where every latent is dead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.forecasting.solution import one_level
from uncollapse.landscape.restricted import restricted_to
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record
from uncollapse.theory import landscape as theory

__all__ = ["OriginHessian", "origin_hessian"]


@dataclass(frozen=True, eq=False, repr=False)
class OriginHessian(Record, Noun):
    """Curvature of the loss where every latent is dead, nats per squared unit of the parameters.

    Attributes
    ----------
    lowest, highest : ndarrays of shape (m, w)
        The two eigenvalues of each mode's plane (decoder, encoder), for each distinct width of a latent.
    widths : ndarray of shape (w,)
        Variances σ² of the latents, distinct ones; η_enc² alone when learned.
    latents : ndarray of shape (w,)
        How many latents have each.
    """

    lowest: np.ndarray
    highest: np.ndarray
    widths: np.ndarray
    latents: np.ndarray

    @property
    def index(self) -> int:
        """Number of negative eigenvalues, all latents together."""
        negative = (self.lowest < 0).sum(axis=0)
        return sum(int(modes) * int(latents) for modes, latents in zip(negative, self.latents, strict=True))

    @property
    def positive_semidefinite(self) -> bool:
        """True iff the origin is the global minimum."""
        return self.index == 0

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.landscape.words import origin_card

        return origin_card(self)


def origin_hessian(forecast: Forecast, *, whitened: bool = False) -> OriginHessian:
    """Eigenvalues of the Hessian at the origin: positive semidefinite iff nothing can live.

    Parameters
    ----------
    forecast : Forecast
        Gaussian; encoder variance learned (then at σ = η_enc, and each log σ adds an eigenvalue 2β) or fixed. A
        learned decoder variance is taken where everything is dead, T/d2, and adds one positive eigenvalue.
    whitened : bool
        Take derivatives in V, for a network that reads whitened inputs. With another target than x this is
        the only basis in which modes separate; see `theory.landscape.origin_block` for the raw one.

    Returns
    -------
    OriginHessian

    Notes
    -----
    Wang & Ziyin 2022, Theorem 3 and eq. 118, corrected: positive semidefinite iff ζ_1² ≤ τ ρ² for the narrowest latent,
    ρ = σ/η_enc. Directions outside the modes have eigenvalues σ²/η², and β/η_enc² or more (0 for constant inputs).

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import forecast
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> origin_hessian(forecast(x, beta=5.0)).positive_semidefinite, origin_hessian(forecast(x)).index
    (True, 2)
    """
    f, whitened = checks.instance(forecast, "forecast", Forecast), checks.flag(whitened, "whitened")
    with np.errstate(all="ignore"):
        return _hessian(f, whitened)


def _hessian(f: Forecast, whitened: bool) -> OriginHessian:
    if not f.exact:
        raise ObjectiveError(f"the origin's Hessian is known for Gaussian decoders only, not {f.spectrum.likelihood}")
    one_level(f.solution)
    _check_separable(f, whitened)
    variance, prior = restricted_to(f, ()).decoder_variance, f.objective.prior_variance
    if variance == 0:
        raise ObjectiveError(f"the loss has no Hessian: {f.ill_posed}")
    if f.objective.encoder_variance == "learned":
        widths, latents = np.array([prior]), np.array([f.n_latents])
    else:
        given = f.objective.encoder_variance
        widths, latents = np.unique(np.array(given, dtype=float), return_counts=True)
        if not isinstance(given, tuple):  # one width for all latents
            latents = np.array([f.n_latents])
    strengths = f.spectrum.strengths[:, None]
    gains = np.ones_like(strengths) if whitened else np.sqrt(strengths)
    plane = theory.planes(strengths, gains, widths, np.full(len(widths), f.objective.beta * variance / prior), variance)
    return OriginHessian(plane.lowest, plane.highest, widths, latents)


def _check_separable(f: Forecast, whitened: bool) -> None:
    if not whitened and not f.spectrum.target_is_input:
        raise ObjectiveError(
            "with another target than x the modes do not separate in raw inputs; pass whitened=True, or use "
            "theory.landscape.origin_block on the second moments"
        )
