"""Why the latents of a VAE of sequences live or not, and what to change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from uncollapse.injecting.result import InjectionSpectrum
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.showing.figure import Axis, Figure, Panel, Points
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain, stamp

__all__ = ["CAUSES", "Confidence", "SequenceCause", "SequenceDiagnosis", "SequenceRemedy"]

SequenceCause = Literal["healthy", "objective", "decoder-explains", "encoder-cannot-tell", "optimisation"]
Confidence = Literal["high", "low"]

CAUSES: dict[SequenceCause, str] = {
    "healthy": "latents live and earn what they cost",
    "objective": "the weight of the KL is above that at which a latent lives",
    "decoder-explains": "the decoder's context explains its sequences",
    "encoder-cannot-tell": "the encoder cannot tell what is of use",
    "optimisation": "training is stuck, or stopped too early",
}

N_ERRORS = 2.0
"""From which a latent counts as one that earns."""


@dataclass(frozen=True)
class SequenceRemedy:
    """One change, with what it brings.

    Attributes
    ----------
    change : str
        ``beta 4 → 1.8``.
    why : str
        A sentence.
    critical_beta : float or None
        λ once it is done, where that was measured: a latent then lives below it.
    expected_alive : int or None
        Latents that can live then; an estimate.
    nats : float or None
        KL that they then carry, nats a sequence; near the threshold, to second order.
    """

    change: str
    why: str
    critical_beta: float | None = None
    expected_alive: int | None = None
    nats: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class SequenceDiagnosis(Drawn):
    """Why the latents of a VAE of sequences live or not, and what to change.

    Attributes
    ----------
    name : str
        Of the model.
    beta : float
        Weight of the KL.
    cause : {"healthy", "objective", "decoder-explains", "encoder-cannot-tell", "optimisation"}
    confidence : {"high", "low"}
        Low near a threshold, or where the decoder is not at the end of its training.
    reconstruction : float
        −log p(x | z), nats a sequence.
    kl : ndarray of shape (L,)
        Of each latent, nats a sequence.
    earned, earned_errors : ndarrays of shape (L,)
        By how much the loss rises when a latent is held at its mean, and the standard error.
    spectrum : InjectionSpectrum
        λ of the decoder without its latents, at the place where it is largest.
    other : InjectionSpectrum or None
        λ at the other place, where one was named beside the decoder's own path from z.
    known_features : bool
        Whether what the encoder tells was measured on its own hidden features.
    remedies : tuple of SequenceRemedy
        Most useful first.
    notes : tuple of str
    """

    name: str
    beta: float
    cause: SequenceCause
    confidence: Confidence
    reconstruction: float
    kl: np.ndarray
    earned: np.ndarray
    earned_errors: np.ndarray
    spectrum: InjectionSpectrum = field(repr=False)
    other: InjectionSpectrum | None = field(default=None, repr=False)
    known_features: bool = True
    remedies: tuple[SequenceRemedy, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def alive(self) -> np.ndarray:
        """Latents whose KL is above `ALIVE_NATS`, bool of shape (L,)."""
        return self.kl > ALIVE_NATS

    @property
    def n_alive(self) -> int:
        """How many those are."""
        return int(self.alive.sum())

    @property
    def n_earning(self) -> int:
        """Latents alive without which the loss rises, by more than twice the error."""
        return int((self.alive & (self.earned > N_ERRORS * self.earned_errors)).sum())

    @property
    def rate(self) -> float:
        """KL of all latents, nats a sequence."""
        return float(self.kl.sum())

    @property
    def loss(self) -> float:
        """Reconstruction and β times the KL, nats a sequence."""
        return self.reconstruction + self.beta * self.rate

    @property
    def told(self) -> float:
        """λ that the encoder's features tell, of the direction of which they tell most."""
        told = self.spectrum.told
        return float("nan") if told is None else float(told.max())

    @property
    def headline(self) -> str:
        """The answer, in a sentence."""
        from uncollapse.sequence_diagnosis.words import headline

        return headline(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        names = ("name", "beta", "cause", "confidence", "headline", "n_alive", "n_earning", "loss", "reconstruction",
                 "rate", "kl", "earned", "earned_errors", "told", "known_features", "spectrum", "other")  # fmt: skip
        t = self.spectrum
        values = {name: plain(getattr(self, name)) for name in names}
        remedies = [plain(asdict(remedy)) for remedy in self.remedies]
        values |= {
            "critical_beta": t.critical_beta,
            "interval": plain(t.interval),
            "by_curvature": bool(t.by_curvature[0]),
        }
        return {**stamp("sequence-diagnosis"), **values, "remedies": remedies, "notes": list(self.notes)}

    def card(self) -> Card:
        """The answer, what to change, what was measured, and each latent."""
        from uncollapse.sequence_diagnosis.words import card

        return card(self)

    def figure(self) -> Figure:
        """λ of each direction with β as the water, and what each latent carries and earns."""
        at = np.arange(1, len(self.kl) + 1)
        order = np.argsort(-self.kl, kind="stable")
        marks = (
            Points(at, self.kl[order], "alive", "KL", size=9),
            Points(at, self.earned[order], "water", "earned", size=7),
        )
        latents = Panel(marks, Axis("latents, the largest KL first", whole=True), Axis("nats per sequence"))
        return Figure((*self.spectrum.figure().panels, latents), panel_width=400)

    def __repr__(self) -> str:
        return short(self, name=self.name, cause=self.cause, beta=self.beta, n_alive=self.n_alive,
                     critical_beta=self.spectrum.critical_beta)  # fmt: skip
