"""How far β, decoder variance or KL weight may rise while a number of latents stays alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.status import explained_by
from uncollapse.showing.noun import Card, Noun
from uncollapse.showing.plain import Record

if TYPE_CHECKING:
    from uncollapse.forecasting.result import Forecast

__all__ = ["Keep", "limits", "n_keepable"]


@dataclass(frozen=True, repr=False)
class Keep(Record, Noun):
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

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.forecasting.cards import keep_card

        return keep_card(self)


def limits(f: Forecast, n_alive: int) -> Keep:
    """What keeps `n_alive` latents alive; see `Forecast.keep`."""
    n_alive, most = checks.count(n_alive, "n_alive", least=1), n_keepable(f)
    if n_alive > most:
        raise ObjectiveError(
            f"cannot keep {checks.shown(n_alive)} latents alive: the data have {f.spectrum.rank} modes, the model "
            f"{f.n_latents} latents, and {most} can live where the objective has a minimum"
        )
    beta, loss = f.solution.keeping(n_alive), f.objective.loss
    variance = _given_variance(f)
    water_level = None if variance is None else beta * variance
    one_level = f.exact and not f.objective.levels  # β and η² matter through τ alone
    return Keep(
        n_alive=n_alive,
        beta=beta,
        decoder_variance=water_level / f.objective.beta if water_level is not None and one_level else None,
        water_level=None if f.objective.levels else water_level,
        kl_weight=None if loss is None or water_level is None else loss.kl_weight_for(water_level),
    )


def n_keepable(f: Forecast) -> int:
    """Latents that some β keeps alive; see `Forecast.n_keepable`."""
    learned = _given_variance(f) is None and f.objective.encoder_variance == "learned"
    if learned and explained_by(f.spectrum, f.n_usable):
        return max(f.n_usable - 1, 0)
    return f.n_usable


def _given_variance(f: Forecast) -> float | None:
    variance = f.objective.decoder_variance
    return None if variance == "learned" else float(variance)
