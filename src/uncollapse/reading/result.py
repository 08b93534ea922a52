"""What a loss weighs, said back: as a formula, in words, as a water level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from uncollapse.errors import ObjectiveError
from uncollapse.loss import LossConvention
from uncollapse.reading.divergence import KLReading
from uncollapse.reading.fits import same
from uncollapse.reading.misfit import MisfitReading
from uncollapse.reading.words import remarks, several_variances
from uncollapse.showing.noun import Card, Noun, number, short
from uncollapse.showing.plain import plain, stamp
from uncollapse.theory.likelihoods import Likelihood

__all__ = ["LossReading"]

LIKELIHOODS: dict[str, Likelihood] = {
    "squared": "gaussian",
    "optimal variance": "gaussian",
    "optimal variance a row": "gaussian",
    "learned variance": "gaussian",
    "learned variances": "gaussian",
    "negative binomial": "negative-binomial",
    "negative binomial of log-means": "negative-binomial",
    "negative binomial of logits": "negative-binomial",
    "bernoulli": "bernoulli",
    "bernoulli of logits": "bernoulli",
    "poisson": "poisson",
    "poisson of log-rates": "poisson",
    "categorical of logits": "categorical",
    "categorical": "categorical",
    "categorical of logs": "categorical",
}

WORDS = {
    "squared": "squared error",
    "absolute": "absolute error",
    "huber": "Huber's error",
    "log-cosh": "log cosh of the error",
    "root": "length of the error, not squared",
    "bernoulli": "cross-entropy of probabilities",
    "bernoulli of logits": "cross-entropy of logits",
    "poisson": "Poisson cost of rates",
    "poisson of log-rates": "Poisson cost of log-rates",
    "categorical of logits": "categorical cross-entropy of logits",
    "categorical": "categorical cross-entropy of probabilities",
    "categorical of logs": "categorical cross-entropy of log-probabilities",
    "optimal variance": "Gaussian cost, its variance at the best for the batch",
    "optimal variance a row": "Gaussian cost, its variance at the best for each row",
    "learned variance": "Gaussian cost, its variance learned",
    "learned variances": "Gaussian cost, several variances learned",
    "negative binomial": "negative binomial cost of means",
    "negative binomial of log-means": "negative binomial cost of log-means",
    "negative binomial of logits": "negative binomial cost of logits",
}


@dataclass(frozen=True, eq=False, repr=False)
class LossReading(Noun):
    """A loss, read by its values at made-up points.

    Attributes
    ----------
    name : str
        Of the function.
    misfit : MisfitReading
    kl : KLReading
    shape : tuple of int
        Of a sample.
    n_latents, n_rows : int
        As it was asked.
    batch_size : int
        Of the training; it counts only where one term is summed over the batch and the other averaged.
    random : bool
        Whether it gives another value each time (dropout, a draw of z); it was read at one seed.
    additive : bool
        Whether reconstruction and KL are added.
    notes : tuple of str
    """

    name: str
    misfit: MisfitReading
    kl: KLReading
    shape: tuple[int, ...]
    n_latents: int
    n_rows: int
    batch_size: int = 128
    random: bool = False
    additive: bool = True
    notes: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        """Numbers of a sample."""
        return math.prod(self.shape)

    @property
    def outside(self) -> str:
        """Why the loss has no water level that is known; empty where it has one."""
        if self.misfit.kind is None:
            return (
                "it has no reconstruction term" if self.misfit.axes else "its reconstruction term is none that is known"
            )
        if self.misfit.kind not in LIKELIHOODS:
            return f"no theory is known for its reconstruction term, the {WORDS[self.misfit.kind]}"
        if self.misfit.learned is not None and self.misfit.learned.faults:
            return self.misfit.learned.faults[0]
        if self.kl.faults or not self.kl.weight > 0:
            return self.kl.faults[0].removesuffix("?") if self.kl.faults else "it has no KL"
        if self.misfit.weight <= 0:
            return "the sign of its reconstruction term is turned"
        if not self.misfit.even:
            return "its features weigh differently"
        return several_variances(self) if self.additive else "its terms are not added"

    @property
    def likelihood(self) -> Likelihood:
        """That the reconstruction term is of."""
        return LIKELIHOODS[self.misfit.kind or "squared"]

    @property
    def learns_variance(self) -> bool:
        """Whether the decoder's variance is learned: at its best by the loss itself, or a parameter."""
        return (self.misfit.kind or "").startswith(("optimal variance", "learned variance"))

    @property
    def dispersion(self) -> float | None:
        """r of a negative binomial, whose variance is μ + μ²/r; None of others, and where it is a learned argument."""
        return _rounded(self.misfit.dispersion) if math.isfinite(self.misfit.dispersion) else None

    @property
    def averaged(self) -> bool:
        """Whether the reconstruction is averaged over all features."""
        return bool(self.misfit.axes) and all(axis == "mean" for axis in self.misfit.axes)

    @property
    def recon_factor(self) -> float:
        """What multiplies the misfit of a row, summed or averaged over features as the loss does."""
        rows = self.n_rows if self.misfit.batch == "mean" else 1
        means = [side for side, axis in zip(self.shape, self.misfit.axes, strict=False) if axis == "mean"]
        return _rounded(self.misfit.weight * rows * math.prod(means))

    @property
    def kl_factor(self) -> float:
        """What multiplies the KL of a row, summed or averaged over latents as the loss does."""
        rows = self.n_rows if self.kl.batch == "mean" else 1
        return _rounded(self.kl.weight * rows * (self.n_latents if self.kl.latents == "mean" else 1))

    @property
    def ratio(self) -> float:
        """Weight of the KL of a row over that of its summed misfit."""
        rows = {"mean": self.n_rows}
        a = self.misfit.weight * rows.get(self.misfit.batch, 1)
        b = self.kl.weight * rows.get(self.kl.batch, 1)
        if (self.misfit.batch, self.kl.batch) == ("mean", "sum"):
            b *= self.batch_size
        if (self.misfit.batch, self.kl.batch) == ("sum", "mean"):
            b /= self.batch_size
        return _rounded(b / a)

    @property
    def water_level(self) -> float:
        """τ of a squared error, β of another likelihood.

        Raises
        ------
        ObjectiveError
            The loss is outside of what is known; see `outside`.
        """
        if self.outside:
            raise ObjectiveError(f"{self.name}: has no water level that is known: {self.outside}")
        return self.ratio / 2 if self.misfit.kind == "squared" else self.ratio

    @property
    def convention(self) -> LossConvention | None:
        """The same in the words of `LossConvention`, so that advice comes in them; None where it has none for it."""
        if self.outside or self.misfit.kind not in ("squared", "bernoulli", "bernoulli of logits"):
            return None
        if ("mean" in self.misfit.axes and not self.averaged) or self.kl.over_features:
            return None
        if "unknown" in (self.misfit.batch, self.kl.batch):
            return None
        half = self.misfit.kind == "squared" and same(self.recon_factor, 0.5)
        return LossConvention(
            "mse" if self.misfit.kind == "squared" else "bce",
            reduction="mean" if self.averaged else "sum",
            half=half,
            kl_weight=self.kl_factor / (1.0 if half else self.recon_factor),
            kl_reduction="mean" if self.kl.latents == "mean" else "sum",
            batch="mean" if self.misfit.batch == "mean" else "sum",
            kl_batch="mean" if self.kl.batch == "mean" else "sum",
            batch_size=self.batch_size,
            n_features=self.n_features,
            n_latents=self.n_latents,
        )

    @property
    def formula(self) -> str:
        """Of one row: ``1·mean squared error over 784 features + 1·KL``."""
        if self.misfit.kind is None:
            return "?"
        what = WORDS[self.misfit.kind]
        if self.dispersion is not None:
            what += f" at r = {self.dispersion:.4g}"
        how = f"mean {what} over {self.n_features:,} features" if self.averaged else f"Σ {what}"
        return f"{_factor(self.recon_factor)}·{how} + {_factor(self.kl_factor)}·{_kl_words(self.kl, self.n_latents)}"

    @property
    def headline(self) -> str:
        """The formula and the water level."""
        if self.outside:
            return f"No water level is known for this loss: {self.outside}."
        if self.learns_variance:
            return f"{self.formula}: the decoder variance is learned, at β = {self.ratio:.4g}."
        name = "water level" if self.misfit.kind == "squared" else "β ="
        return f"{self.formula}: {name} {self.water_level:.4g}."

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is wrong with it, or easily missed; each a sentence."""
        return tuple(remarks(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        convention = self.convention
        return {
            **stamp("loss"),
            "name": self.name,
            "formula": self.formula,
            "water_level": None if self.outside else plain(self.water_level),
            "outside": self.outside or None,
            "likelihood": None if self.outside else self.likelihood,
            "learns_variance": self.learns_variance,
            "dispersion": self.dispersion,
            "misfit": self.misfit.kind,
            "misfit_weight": plain(self.misfit.weight),
            "kl_weight": plain(self.kl.weight),
            "batch": self.misfit.batch,
            "kl_batch": self.kl.batch,
            "latents": self.kl.latents,
            "axes": list(self.misfit.axes),
            "free_nats": self.kl.free_nats,
            "ceiling": self.kl.ceiling,
            "capacity": self.kl.capacity,
            "a_latent": self.kl.a_latent,
            "faults": [*(self.misfit.learned.faults if self.misfit.learned else ()), *self.kl.faults],
            "remarks": list(self.remarks),
            "notes": list(self.notes),
            "convention": None if convention is None else convention.to_dict(),
        }

    def card(self) -> Card:
        """The headline, the parts, and what is wrong."""
        facts = [
            ("reconstruction", "none that is known" if self.misfit.kind is None else WORDS[self.misfit.kind]),
            ("over features", ", ".join(dict.fromkeys(self.misfit.axes)) or "?"),
            (
                "over the batch",
                f"reconstruction {self.misfit.batch}" + (f", KL {self.kl.batch}" if self.kl.weight else ""),
            ),
            *([("KL over latents", self.kl.latents)] if self.kl.weight else []),
            ("asked with", f"{' × '.join(map(str, self.shape))} features, {self.n_latents} latents"),
        ]
        if not self.outside:
            is_level = self.likelihood == "gaussian" and not self.learns_variance
            facts.append(("water level" if is_level else "β", number(self.water_level)))
        return Card(self.headline, tuple(facts), (*self.remarks, *self.notes))

    def __repr__(self) -> str:
        return short(self, name=self.name, formula=self.formula, outside=self.outside or None)


def _rounded(value: float) -> float:
    """To the digits that differences between values tell."""
    return float(f"{value:.6g}")


def _factor(value: float) -> str:
    return "½" if same(value, 0.5) else f"{value:.4g}"


def _kl_words(kl: KLReading, n_latents: int) -> str:
    words = "KL" if kl.latents != "mean" else f"mean KL over {n_latents} latents"
    each = " of each latent" if kl.a_latent else ""
    if kl.free_nats is not None:
        return f"max({words}{each}, {kl.free_nats:.3g})"
    if kl.ceiling is not None:
        return f"min({words}{each}, {kl.ceiling:.3g})"
    return words if kl.capacity is None else f"|{words} − {kl.capacity:.3g}|"
