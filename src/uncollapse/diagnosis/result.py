"""The answer of a diagnosis: one cause with its evidence, and what to change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from uncollapse.bill.line import Bill
from uncollapse.bill.weight import ImpliedWeight
from uncollapse.diagnosis.facts import living
from uncollapse.diagnosis.leads import Leads
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.decoder import DecoderMeasurement, residual_water_level
from uncollapse.measure.result import Measurement
from uncollapse.measure.sums import EPSILONS
from uncollapse.objective import Objective
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import WIDTH, Card, Drawn, short, width_of
from uncollapse.showing.plain import finite, stamp

__all__ = ["CAUSES", "Cause", "Confidence", "Diagnosis", "Evidence", "Plan", "Remedy", "Trial"]

Cause = Literal[
    "healthy",
    "objective",
    "convention",
    "condition",
    "capacity",
    "optimisation",
    "rightly-dead",
    "slow",
    "encoder-stuck",
    "encoder-lags",
    "over-alive",
    "hierarchy",
    "decoder-limited",
    "other-data",
    "other-loss",
    "cannot-tell",
]
Confidence = Literal["high", "low"]

CAUSES: dict[Cause, str] = {
    "healthy": "nothing is wrong",
    "objective": "the objective's own optimum is collapsed",
    "convention": "the loss's reduction puts the water level where everything collapses",
    "condition": "the condition explains the target",
    "capacity": "too few latents: all are alive and the data want more",
    "optimisation": "training is stuck short of what its objective allows",
    "rightly-dead": "the network explains the data with fewer latents; the others are rightly dead",
    "slow": "training stopped too early: slow, not dead",
    "encoder-stuck": "the encoder's output is stuck",
    "encoder-lags": "the encoder lags behind the decoder",
    "over-alive": "latents code noise: the water level is far below the noise",
    "hierarchy": "the upper level cannot help",
    "decoder-limited": "the decoder as it is built cannot show what is missing",
    "other-data": "these are not the data that it was trained on, or not at their scale",
    "other-loss": "it seems to have been trained on another loss than the stated one",
    "cannot-tell": "the evidence does not decide",
}


@dataclass(frozen=True)
class Evidence:
    """One finding in numbers.

    Attributes
    ----------
    name : str
        Short and stable: ``top_residual``.
    value : float
    reference : float or None
        What the value is held against: the water level, the forecast, 0.
    text : str
        The sentence, with its numbers.
    """

    name: str
    value: float
    reference: float | None
    text: str


@dataclass(frozen=True)
class Plan:
    """What a remedy trains, for `verify`.

    Attributes
    ----------
    objective : Objective
    fresh : bool
        From new weights; else from where the model is.
    warm_up : float
        Share of the steps over which the KL weight rises from 0.
    longer : float
        Steps, as a multiple of what `verify` trains otherwise.
    """

    objective: Objective
    fresh: bool = True
    warm_up: float = 0.5
    longer: float = 1.0


@dataclass(frozen=True)
class Remedy:
    """One change, in the user's own words.

    Attributes
    ----------
    change : str
        ``kl_weight 1 → 0.0026``.
    expected_alive : int or None
        Latents of the best linear VAE once it is done; None where nothing can be said of their number.
    why : str
        A sentence.
    plan : Plan or None
        None where a training cannot apply it (other data, another architecture).
    gain : float or None
        Nats by which the loss, as it is, falls at least: of a better model that exists already. None where the loss
        itself is changed, or nothing was measured.
    """

    change: str
    expected_alive: int | None
    why: str
    plan: Plan | None = None
    gain: float | None = None


@dataclass(frozen=True)
class Trial:
    """A remedy, applied: loss and alive before and after, both of the objective trained after, on the same rows.

    Attributes
    ----------
    remedy : Remedy
    alive_before, alive_after : int
    loss_before, loss_after : float
        Nats per sample.
    seconds : float
        That the training took.
    gain_error : float
        Standard error of the fall of the loss, paired by rows.
    same_loss : bool
        Whether the loss is the one that the model was trained on.
    """

    remedy: Remedy
    alive_before: int
    alive_after: int
    loss_before: float
    loss_after: float
    seconds: float
    gain_error: float = 0.0
    same_loss: bool = False

    @property
    def kept(self) -> bool:
        """Whether the remedy was good: the same loss fell by more than twice its error; or, of a changed loss, the
        number alive became what was wanted, within one, and no change keeps no promise of one."""
        if self.same_loss:
            return self.loss_before - self.loss_after > 2 * self.gain_error
        promised = self.remedy.expected_alive
        if promised is None or self.alive_after == promised:
            return promised is not None
        return abs(self.alive_after - promised) <= 1 and self.alive_after != self.alive_before


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Drawn):
    """Why a trained model is collapsed or not, and what to change.

    Attributes
    ----------
    name : str
        Of the model.
    measurement : Measurement
        Its posteriors, on every row.
    decoder : DecoderMeasurement
        Its decoder, on a sample of rows.
    forecast : Forecast
        The linear optimum at the model's own objective.
    linear_gap, linear_gap_error : float or None
        Loss above the linear optimum's on the same rows, nats per sample, and its standard error: positive says that a
        linear VAE does better. Above the collapsed model's where no closed form is known: for levels, and decoders
        other than Gaussian.
    cause : Cause
    confidence : {"high", "low"}
    verdict : str
        A sentence.
    evidence : tuple of Evidence
        Most telling first.
    remedies : tuple of Remedy
        Most useful first.
    leads : Leads
        Where the loss leads, whatever the training did.
    bill : Bill
        Better models, each with its gain in nats.
    secondary : tuple of Cause
        What else is at fault.
    weight : ImpliedWeight or None
        The KL weight that the model is at rest with.
    notes : tuple of str
        How the model was read.
    trials : tuple of Trial
        Remedies that were applied (`verify`).
    """

    name: str
    measurement: Measurement = field(repr=False)
    decoder: DecoderMeasurement = field(repr=False)
    forecast: Forecast = field(repr=False)
    linear_gap: float | None
    linear_gap_error: float | None
    cause: Cause
    confidence: Confidence
    verdict: str
    evidence: tuple[Evidence, ...]
    remedies: tuple[Remedy, ...]
    leads: Leads
    bill: Bill
    secondary: tuple[Cause, ...] = ()
    weight: ImpliedWeight | None = None
    notes: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()

    @property
    def residual_water_level(self) -> float:
        """What the residual's strengths are held against: the water level, with the decoder variance as it is."""
        return residual_water_level(self.forecast.objective, self.decoder)

    @property
    def alive(self) -> np.ndarray:
        """Latents that are alive, all levels, bool of shape (l,)."""
        return living(self.measurement, self.forecast.objective)

    @property
    def n_alive(self) -> int:
        """How many those are."""
        return int(self.alive.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, JSON-ready; numbers that are not finite become None."""
        m, d, f = self.measurement, self.decoder, self.forecast
        linear = f.exact and not f.objective.levels
        facts = {
            **stamp("diagnosis"),
            "model": self.name,
            "n_samples": m.n_samples,
            "n_latents": m.n_latents,
            "n_alive": self.n_alive,
            "forecast_alive": f.n_alive,
            "water_level": f.water_level,
            "kl_per_latent": m.kl.tolist(),
            "kl_per_level": [float(level.sum()) for level in m.level_kl],
            "active_units": m.n_active,
            "mutual_information": d.mutual_information,
            "mutual_information_at_most": m.mutual_information_at_most,
            "elbo": d.elbo,
            "elbo_error": d.elbo_error,
            "importance_bound": d.importance_bound,
            "linear_elbo": f.elbo,
            "linear_gap": self.linear_gap if linear else None,
            "collapsed_gap": None if linear else self.linear_gap,
            "gap_error": self.linear_gap_error,
            "decoder_variance": d.decoder_variance,
            "tuned_decoder_variance": d.tuned_decoder_variance,
            "tuned_elbo": d.tuned_elbo,
            "residual": {
                "strengths": d.residual.held_out.tolist(),
                "errors": d.residual.errors.tolist(),
                "n_rows": d.residual.n_rows,
            },
            "collapse_curve": {"epsilon": EPSILONS.tolist(), "fraction": m.collapse_curve().tolist()},
            "cause": self.cause,
            "confidence": self.confidence,
            "secondary": list(self.secondary),
            "verdict": self.verdict,
            "leads": self.leads.to_dict(),
            "bill": self.bill.listed(),
            "not_tried": list(self.bill.untried),
            "n_earning": self.bill.n_earning,
            "implied_weight": None if self.weight is None else self.weight.to_dict(),
            "evidence": [
                {"name": e.name, "value": e.value, "reference": e.reference, "text": e.text} for e in self.evidence
            ],
            "remedies": [
                {"change": r.change, "expected_alive": r.expected_alive, "gain": r.gain, "why": r.why}
                for r in self.remedies
            ],
            "trials": [
                {
                    "change": t.remedy.change,
                    "expected_alive": t.remedy.expected_alive,
                    "alive_before": t.alive_before,
                    "alive_after": t.alive_after,
                    "loss_before": t.loss_before,
                    "loss_after": t.loss_after,
                    "gain_error": t.gain_error,
                    "same_loss": t.same_loss,
                    "kept": t.kept,
                }
                for t in self.trials
            ],
            "notes": list(self.notes),
        }
        plain: dict[str, Any] = finite(facts)
        return plain

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: the measurement's, the forecast's as ``forecast_…``, what the reconstruction misses
        along `residual`, and the loss of each row of the sample along `row`; needs the extra `xarray`.

        Raises
        ------
        UncollapseError
            xarray is not installed.
        """
        from uncollapse.diagnosis.labels import diagnosis_arrays, diagnosis_facts, diagnosis_places
        from uncollapse.showing.labelled import dataset

        return dataset(diagnosis_arrays(self), diagnosis_places(self), diagnosis_facts(self))

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.diagnosis.words import diagnosis_card

        return diagnosis_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.diagnosis.pictures import diagnosis_figure

        return diagnosis_figure(self)

    def __repr__(self) -> str:
        return short(
            self,
            name=self.name,
            cause=self.cause,
            confidence=self.confidence,
            n_alive=self.n_alive,
            n_latents=self.measurement.n_latents,
        )

    def summary(self, width: int = WIDTH) -> str:
        """What the command prints: the verdict, advice, tables, and what the decoder has left.

        Parameters
        ----------
        width : int
            Letters in a line, 40 or more; charts and tables follow it.
        """
        from uncollapse.diagnosis.terminal import diagnosis_text

        return diagnosis_text(self, width_of(width))
