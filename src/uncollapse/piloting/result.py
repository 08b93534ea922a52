"""What networks did at each water level, beside the linear forecast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from uncollapse.forecasting.result import Forecast
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn
from uncollapse.theory.optimum import Totals

__all__ = ["Pilot"]


@dataclass(frozen=True, eq=False, repr=False)
class Pilot(Drawn):
    """Networks trained to their end at each water level; arrays of shape (n_levels, n_seeds), levels descending.

    Attributes
    ----------
    forecast : Forecast
        The linear one, at the objective's own level.
    shape : str
        Of the network: its widths from the data on, or the name of the user's module.
    n_latents : int
    water_levels : ndarray of shape (n_levels,)
        τ; in units of β for a likelihood other than Gaussian. The objective's own is among them.
    n_earning : ndarray of int
        Latents whose loss rises without them by more than twice its error: the count at convergence. A latent that only
        pays is on its way out, however much.
    n_alive : ndarray of int
        Latents with more than 0.01 nats of mean KL.
    kl : ndarray
        Nats per sample, all latents.
    loss : ndarray
        Nats per sample at the objective's own decoder variance.
    quiet_n_alive : ndarray of int, shape (n_levels,)
        Of a network that had the full KL weight from its first step.
    n_rows : int
        Rows that the networks saw.
    seconds : float
    epochs : int or None
        Of a training like the user's, at a constant rate and the objective's own level.
    usual_n_alive : ndarray of int, shape (n_seeds,), or None
        Latents alive after it, by KL: many of them are on their way out.
    """

    forecast: Forecast
    shape: str
    n_latents: int
    water_levels: np.ndarray
    n_earning: np.ndarray
    n_alive: np.ndarray
    kl: np.ndarray
    loss: np.ndarray
    quiet_n_alive: np.ndarray
    n_rows: int
    seconds: float
    epochs: int | None = None
    usual_n_alive: np.ndarray | None = None

    @property
    def here(self) -> int:
        """Index of the objective's own water level."""
        return int(np.abs(np.log(self.water_levels / self.forecast.water_level)).argmin())

    @property
    def linear(self) -> Totals:
        """Totals of the linear forecast at the same water levels, with as many latents."""
        same = replace(self.forecast, n_latents=self.n_latents)
        return same.curves(self.water_levels / self.forecast.decoder_variance)

    @property
    def headline(self) -> str:
        """The answer at the objective's own water level, with its spread over seeds."""
        from uncollapse.piloting.words import about_pilot

        return about_pilot(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        linear = self.linear
        return {
            "network": self.shape,
            "n_rows": self.n_rows,
            "n_seeds": self.n_alive.shape[1],
            "seconds": round(self.seconds, 1),
            "epochs": self.epochs,
            "usual_n_alive": None if self.usual_n_alive is None else self.usual_n_alive.tolist(),
            "levels": [
                {
                    "water_level": float(self.water_levels[i]),
                    "n_earning": self.n_earning[i].tolist(),
                    "n_alive": self.n_alive[i].tolist(),
                    "quiet_n_alive": int(self.quiet_n_alive[i]),
                    "kl": self.kl[i].tolist(),
                    "loss": self.loss[i].tolist(),
                    "linear_n_alive": int(linear.n_alive[i]),
                    "linear_kl": float(linear.rate[i]),
                    "linear_loss": float(linear.loss[i]) if self.forecast.exact else None,
                }
                for i in range(len(self.water_levels))
            ],
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.piloting.words import pilot_card

        return pilot_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.piloting.pictures import pilot_figure

        return pilot_figure(self)
