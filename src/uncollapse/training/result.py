"""A trained model: what it encodes and decodes, and what it costs on data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from uncollapse.errors import ObjectiveError
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, Noun, short
from uncollapse.showing.plain import Record, plain
from uncollapse.training.analytic import analytic_terms, second_moments
from uncollapse.training.architecture import Architecture
from uncollapse.training.config import Setup
from uncollapse.training.data import Table, table
from uncollapse.training.likelihoods import mean_of
from uncollapse.training.losses import LOG_2PI, Terms, elbo, log_weights, objective, sampled_terms, terms
from uncollapse.training.models import Coefficients, Parameters, coefficients, decode, posterior

__all__ = ["Evaluation", "History", "Trained", "forecast_loss"]

EVALUATION_ROWS = 4096

History = dict[str, np.ndarray]
"""A table: name of the column → one value per epoch."""


@dataclass(frozen=True, repr=False)
class Evaluation(Record, Noun):
    """A model on data, nats per sample.

    Attributes
    ----------
    loss : float
        The objective; compare it with `forecast_loss`.
    elbo : float
        The evidence lower bound itself: KL at weight 1, every constant.
    misfit : float
        E‖y − ŷ‖² of a Gaussian decoder, −log p(y|z) of any other.
    kl : ndarray of shape (L,)
        Per latent, the levels one after another.
    n_alive : int
        Latents with a KL above `ALIVE_NATS`.
    decoder_variance : float
    exact : bool
        From second moments (linear models) rather than from samples of z.
    importance_bound : float or None
        The importance-weighted bound on log p(y), if asked for.
    """

    loss: float
    elbo: float
    misfit: float
    kl: np.ndarray
    n_alive: int
    decoder_variance: float
    exact: bool
    importance_bound: float | None = None

    @property
    def rate(self) -> float:
        """KL of all latents."""
        return float(self.kl.sum())

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.training.words import evaluation_card

        return evaluation_card(self)


def forecast_loss(forecast: Forecast) -> float:
    """The loss that training minimises at a forecast's optimum: with (d/2) log η² when η² is learned.

    `Forecast.loss` leaves that term out, as it does every part of the decoder's normalising constant.
    """
    if forecast.objective.decoder_variance != "learned" or not forecast.exact:
        return forecast.loss
    return -forecast.elbo - forecast.spectrum.n_targets / 2 * LOG_2PI


@dataclass(frozen=True, eq=False, repr=False)
class Trained(Drawn):
    """One trained VAE.

    Attributes
    ----------
    setup : Setup
    architecture : Architecture
    parameters : dict of Tensor
        On the CPU.
    history : dict of ndarray
        Columns ``epoch, loss, elbo, reconstruction, misfit, kl, n_alive, decoder_variance, kl_weight``; averages over
        the epoch while the parameters moved.
    latent_kl : ndarray of shape (epochs, L)
    status : {"finished", "plateau", "failed"}
    message : str
        Why it failed, or an empty string.
    seconds : float
        Its share of the time that training took.
    """

    setup: Setup
    architecture: Architecture
    parameters: Parameters = field(repr=False)
    history: History = field(repr=False)
    latent_kl: np.ndarray = field(repr=False)
    status: Literal["finished", "plateau", "failed"] = "finished"
    message: str = ""
    seconds: float = 0.0

    @property
    def n_epochs(self) -> int:
        """Epochs that it trained."""
        return len(self.history["epoch"])

    @torch.no_grad()
    def encode(self, x: Any, given: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of q(z_1 | x), each of shape (n, l)."""
        a, p = self.architecture, self._stacked
        mean, log_variance = posterior(a, p, self._coefficients, 0, self._tensor(x), self._tensor(given))
        return mean[0].numpy(), log_variance.exp().expand_as(mean)[0].numpy()

    @torch.no_grad()
    def decode(self, z: Any, given: Any = None) -> np.ndarray:
        """Mean of p(y | z_1), shape (n, d2)."""
        out = decode(self.architecture, self._stacked, self._coefficients, self._tensor(z), self._tensor(given))[0]
        return mean_of(self.architecture.likelihood, out).numpy()

    def reconstruct(self, x: Any, given: Any = None) -> np.ndarray:
        """Decoder's mean at the posterior's mean, shape (n, d2)."""
        return self.decode(self.encode(x, given)[0], given)

    @torch.no_grad()
    def evaluate(
        self, data: Any, target: Any = None, given: Any = None, *, seed: int = 0, importance_samples: int = 0
    ) -> Evaluation:
        """The objective, the ELBO and each latent's KL on data; exact for linear models.

        Parameters
        ----------
        data, target, given
            As in `train`.
        seed : int
            Of the sampled z.
        importance_samples : int
            Samples of z per row for the importance-weighted bound; 0 for none.

        Raises
        ------
        DataError
            The data do not fit the model.
        """
        a, k = self.architecture, self._coefficients
        rows = table(data, target, given, likelihood=a.likelihood)
        if rows.widths != (a.n_inputs, a.n_targets, a.n_given):
            raise ObjectiveError(
                f"the model takes {a.n_inputs} + {a.n_given} columns and gives {a.n_targets}, got data of {rows.widths}"
            )
        generator = torch.Generator().manual_seed(seed)
        exact = a.likelihood == "gaussian" and a.network.linear and a.network.spread == "global" and not a.log_input
        result = self._exact_terms(rows) if exact else self._sampled_terms(rows, generator)
        bound = self._importance_bound(rows, importance_samples, generator) if importance_samples else None
        kl = result.kl[0].double().numpy()
        return Evaluation(
            float(objective(result, k)[0]),
            float(elbo(a, result)[0]),
            float(result.misfit[0]),
            kl,
            int((kl > ALIVE_NATS).sum()),
            float(result.decoder_variance[0]),
            exact,
            bound,
        )

    def _exact_terms(self, rows: Table) -> Terms:
        a = self.architecture
        n_targets = 0 if rows.y is rows.x else a.n_targets
        result = second_moments(rows.moments(), a.n_inputs, n_targets, torch.device("cpu"), torch.float64)
        double = {name: value.double() for name, value in self._stacked.items()}
        return analytic_terms(a, double, coefficients([self.setup], a, torch.device("cpu"), torch.float64), result)

    def _sampled_terms(self, rows: Table, generator: torch.Generator) -> Terms:
        a, k, p = self.architecture, self._coefficients, self._stacked
        misfit, kl = torch.zeros(1, dtype=torch.float64), torch.zeros(1, a.n_latents, dtype=torch.float64)
        for share, x, y, given, noise in self._batches(rows, generator):
            result = sampled_terms(a, p, k, x, y, given, noise)
            misfit += share * result.misfit
            kl += share * result.kl
        return terms(a, p, k, misfit, kl)

    def _importance_bound(self, rows: Table, n_samples: int, generator: torch.Generator) -> float:
        a, k, p, total = self.architecture, self._coefficients, self._stacked, 0.0
        if a.decoder_variance == "optimal":
            raise ObjectiveError("the importance-weighted bound needs a decoder variance of the model's own")
        for share, x, y, given, noise in self._batches(rows, generator):
            weights = log_weights(a, p, k, x, y, given, noise)
            for _ in range(1, n_samples):
                again = torch.randn(noise.shape, dtype=noise.dtype, generator=generator)
                weights = torch.logaddexp(weights, log_weights(a, p, k, x, y, given, again))
            total += share * float(weights.double().mean() - np.log(n_samples))
        return total

    def _batches(self, rows: Table, generator: torch.Generator) -> Any:
        n = len(rows.x)
        for start in range(0, n, EVALUATION_ROWS):
            parts = [rows.x, rows.y, rows.given]
            batch = [None if part is None else part[start : start + EVALUATION_ROWS][None].to(self._dtype)
                     for part in parts]  # fmt: skip
            size = min(EVALUATION_ROWS, n - start)
            noise = torch.randn(1, size, self.architecture.n_latents, dtype=self._dtype, generator=generator)
            yield size / n, *batch, noise

    @property
    def _dtype(self) -> torch.dtype:
        return next(iter(self.parameters.values())).dtype

    @cached_property
    def _stacked(self) -> Parameters:
        return {name: value[None] for name, value in self.parameters.items()}

    @cached_property
    def _coefficients(self) -> Coefficients:
        return coefficients([self.setup], self.architecture, torch.device("cpu"), self._dtype)

    def _tensor(self, rows: Any) -> Any:
        if rows is None:
            return None
        value: Tensor = torch.as_tensor(np.asarray(rows), dtype=self._dtype)
        return value[None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: settings and history, without the parameters; `save` keeps those."""
        return {
            "setup": self.setup.to_dict(),
            "status": self.status,
            "message": self.message,
            "seconds": self.seconds,
            "history": plain(self.history),
            "latent_kl": plain(self.latent_kl),
        }

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.training.words import trained_card

        return trained_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.training.pictures import training_figure

        return training_figure(self)

    def __repr__(self) -> str:
        return short(
            self,
            status=self.status,
            n_epochs=self.n_epochs,
            n_inputs=self.architecture.n_inputs,
            latents=self.architecture.latents,
        )
