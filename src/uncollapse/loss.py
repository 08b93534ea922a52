"""A loss as people write it → its water level, and back into the words it was written in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from uncollapse import checks
from uncollapse.errors import ObjectiveError
from uncollapse.showing.noun import Settings
from uncollapse.showing.plain import Record

__all__ = ["LossConvention", "Reconstruction", "Reduction"]

Reconstruction = Literal["mse", "bce"]
Reduction = Literal["sum", "mean"]


@dataclass(frozen=True, repr=False)
class LossConvention(Record, Settings):
    """How a VAE's loss is written in code.

    Attributes
    ----------
    recon : {"mse", "bce"}
        Squared error, or binary cross-entropy.
    reduction : {"sum", "mean"}
        Of the reconstruction over the features of a sample; "mean" is the default of `torch.nn.functional.mse_loss`.
    half : bool
        Whether the squared error carries a factor ½.
    kl_weight : float
        What multiplies the KL term.
    kl_reduction : {"sum", "mean"}
        Of the KL over latents.
    kl_half : bool
        Whether the KL carries its ½, as in −½ Σ(1 + log σ² − μ² − σ²).
    batch, kl_batch : {"sum", "mean"}
        Of the two terms over the batch; only a difference between them matters.
    batch_size : int, optional
        Needed when they differ.
    n_features : int, optional
        Numbers that the reconstruction's "mean" runs over; needed with ``reduction="mean"``.
    n_latents : int, optional
        Needed with ``kl_reduction="mean"``.

    Raises
    ------
    ObjectiveError
        A setting is of the wrong kind or out of range, or one that is needed is missing.

    Examples
    --------
    >>> mean_loss = LossConvention(reduction="mean", n_features=784)
    >>> mean_loss.water_level
    392.0
    >>> mean_loss.advice(1.0)
    'set kl_weight to 0.00255'
    """

    recon: Reconstruction = "mse"
    reduction: Reduction = "sum"
    half: bool = False
    kl_weight: float = 1.0
    kl_reduction: Reduction = "sum"
    kl_half: bool = True
    batch: Reduction = "mean"
    kl_batch: Reduction = "mean"
    batch_size: int | None = None
    n_features: int | None = None
    n_latents: int | None = None

    def __post_init__(self) -> None:
        for name, words in _CHOICES.items():
            self._store(name, checks.one_of(getattr(self, name), name, words))
        for name in ("half", "kl_half"):
            self._store(name, checks.flag(getattr(self, name), name))
        self._store("kl_weight", checks.positive(self.kl_weight, "kl_weight"))
        for name, needed, why in (
            ("n_features", self.reduction == "mean", 'reduction="mean"'),
            ("n_latents", self.kl_reduction == "mean", 'kl_reduction="mean"'),
            ("batch_size", self.batch != self.kl_batch, "batch and kl_batch that differ"),
        ):
            value = getattr(self, name)
            if needed and value is None:
                raise ObjectiveError(f"{why} needs {name} to find the water level")
            if value is not None:
                self._store(name, checks.size(value, name))
        if self.recon == "bce" and self.half:
            raise ObjectiveError("half belongs to the squared error; cross-entropy has no such factor")
        if not 0 < self.water_level < math.inf:
            raise ObjectiveError(
                f"kl_weight {self.kl_weight:g} puts the water level of this loss at {self.water_level:g}, which no "
                f"computer number can hold; give a weight nearer to 1"
            )

    def _store(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # as a plain Python value, so that `to_dict` is JSON

    @property
    def water_level(self) -> float:
        """τ = b/(2a) of the per-sample loss a‖y − ŷ‖² + b KL; for cross-entropy, β = b/a.

        Source: docs/theory.md section 8.
        """
        return self._water_level_per_weight() * self.kl_weight

    def kl_weight_for(self, water_level: float) -> float:
        """The weight that puts the water at `water_level`, all else as written."""
        return checks.non_negative(water_level, "water_level") / self._water_level_per_weight()

    def advice(self, water_level: float) -> str:
        """What to change, in the words of this loss."""
        return f"set kl_weight to {self.kl_weight_for(water_level):.3g}"

    def with_kl_weight(self, kl_weight: float) -> LossConvention:
        """The same loss with another weight."""
        return replace(self, kl_weight=kl_weight)

    def _water_level_per_weight(self) -> float:
        # 1/a and b are products of whole numbers and halves, so common losses come out exact
        batch = float(self.batch_size or 1)
        over_a = (2.0 if self.half else 1.0) * (self.n_features or 1 if self.reduction == "mean" else 1)
        over_a /= batch if self.batch == "sum" and self.kl_batch == "mean" else 1.0
        b = (1.0 if self.kl_half else 2.0) / (self.n_latents or 1 if self.kl_reduction == "mean" else 1)
        b *= batch if self.kl_batch == "sum" and self.batch == "mean" else 1.0
        return b * over_a if self.recon == "bce" else b * over_a / 2


_CHOICES = {
    "recon": get_args(Reconstruction),
    **dict.fromkeys(("reduction", "kl_reduction", "batch", "kl_batch"), get_args(Reduction)),
}
