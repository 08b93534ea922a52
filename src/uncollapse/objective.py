"""The objective of a VAE: β, variances, number of latents; given as such or as a loss in code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np

from uncollapse.errors import ObjectiveError
from uncollapse.loss import LossConvention
from uncollapse.theory.likelihoods import Likelihood

__all__ = ["Learned", "Level", "Objective"]

Learned = Literal["learned"]


@dataclass(frozen=True)
class Level:
    """One level of a hierarchical VAE.

    Attributes
    ----------
    beta : float
        Weight of this level's KL; the objective's own β multiplies it.
    variance : float or "learned"
        σ² of this level's encoder.
    n_latents : int, optional
        The objective's when left out.
    """

    beta: float = 1.0
    variance: float | Learned = "learned"
    n_latents: int | None = None

    def __post_init__(self) -> None:
        _check_positive("a level's beta", self.beta)
        if self.variance != "learned":
            _check_positive("a level's variance", self.variance, 'or "learned"')
            object.__setattr__(self, "variance", float(self.variance))
        object.__setattr__(self, "beta", float(self.beta))
        _check_count("a level's n_latents", self.n_latents)


@dataclass(frozen=True)
class Objective:
    """What is minimised: E‖y − ŷ‖²/(2η²) + β KL(q(z|x) ‖ N(0, η_enc² I)), in nats per sample.

    Attributes
    ----------
    beta : float
        Weight of the KL term, positive.
    decoder_variance : float or "learned"
        η² of the decoder N(ŷ, η² I).
    prior_variance : float
        η_enc². It moves no threshold.
    encoder_variance : "learned", float, or tuple of floats and "learned"
        σ² of q(z|x): learned per latent, fixed at one value, or given per latent, some fixed and some learned.
    n_latents : int, optional
        As many as the data have modes when left out.
    bias : bool
        Whether encoder and decoder have biases; without them the uncentred second moments count.
    likelihood : {"gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"}
        Of the decoder.
    levels : tuple of Level
        Of a hierarchical VAE, from the data upwards: q(z1|x), q(z2|z1), …, decoded by p(z1|z2), … with the same η².
        Empty for one level of latents.
    loss : LossConvention, optional
        How the user writes it, so that advice comes in the same words; see `from_loss`.

    Examples
    --------
    >>> Objective(beta=4.0, decoder_variance=0.5).water_level
    2.0
    """

    beta: float = 1.0
    decoder_variance: float | Learned = 1.0
    prior_variance: float = 1.0
    encoder_variance: float | tuple[float | Learned, ...] | Learned = "learned"
    n_latents: int | None = None
    bias: bool = True
    likelihood: Likelihood = "gaussian"
    levels: tuple[Level, ...] = ()
    loss: LossConvention | None = None

    def __post_init__(self) -> None:
        _check_positive("beta", self.beta)
        _check_positive("prior_variance", self.prior_variance)
        if self.decoder_variance != "learned":
            _check_positive("decoder_variance", self.decoder_variance, 'or "learned"')
        if isinstance(self.encoder_variance, np.ndarray):
            object.__setattr__(self, "encoder_variance", self.encoder_variance.tolist())
        if isinstance(self.encoder_variance, list | tuple):
            self._check_widths(tuple(self.encoder_variance))
        elif self.encoder_variance != "learned":
            _check_positive("encoder_variance", self.encoder_variance, 'or "learned"')
        _check_count("n_latents", self.n_latents)
        if self.levels:
            self._check_levels()
        if self.likelihood not in get_args(Likelihood):
            raise ObjectiveError(
                f"likelihood must be one of {', '.join(get_args(Likelihood))}, got {self.likelihood!r}"
            )
        if self.likelihood != "gaussian" and not self.bias:
            raise ObjectiveError(
                f"a {self.likelihood} decoder without biases does not collapse to the mean; keep the biases"
            )
        if self.likelihood != "gaussian" and (self.decoder_variance, self.encoder_variance) != (1.0, "learned"):
            raise ObjectiveError(
                f"a {self.likelihood} decoder has no variance of its own; leave decoder and encoder variance alone"
            )

        for name in ("beta", "decoder_variance", "prior_variance", "encoder_variance"):
            if isinstance(getattr(self, name), Real):  # NumPy's numbers are not JSON's
                object.__setattr__(self, name, float(getattr(self, name)))
        if self.n_latents is not None:
            object.__setattr__(self, "n_latents", int(self.n_latents))

    def _check_widths(self, variances: tuple[float | Learned, ...]) -> None:
        for variance in variances:
            if variance != "learned":
                _check_positive("encoder_variance", variance, 'or "learned"')
        widths: Any = tuple(v if v == "learned" else float(v) for v in variances)
        if self.n_latents is None:
            object.__setattr__(self, "n_latents", len(widths))
        elif self.n_latents != len(widths):
            raise ObjectiveError(f"encoder_variance has {len(widths)} values for {self.n_latents} latents")
        if set(widths) == {"learned"}:
            widths = "learned"
        elif "learned" in widths and self.decoder_variance == "learned":
            raise ObjectiveError(
                "no closed form is known for a learned decoder variance beside encoder variances partly fixed and "
                "partly learned; fix the decoder variance"
            )
        object.__setattr__(self, "encoder_variance", widths)

    def _check_levels(self) -> None:
        if isinstance(self.levels, list | tuple):
            object.__setattr__(self, "levels", tuple(self.levels))
        if not isinstance(self.levels, tuple) or not all(isinstance(level, Level) for level in self.levels):
            raise ObjectiveError(f"levels must be a list of Level objects, got {self.levels!r}")
        if self.encoder_variance != "learned":
            raise ObjectiveError("with levels, give each level's encoder variance there, not as encoder_variance")
        if self.decoder_variance == "learned":
            raise ObjectiveError("no closed form is known for levels with a learned decoder variance; fix it")
        if self.likelihood != "gaussian":
            raise ObjectiveError(f"levels need a Gaussian decoder, got {self.likelihood}")
        first = self.levels[0].n_latents
        if self.n_latents is None and first is not None:
            object.__setattr__(self, "n_latents", first)
        if first is not None and self.n_latents != first:
            raise ObjectiveError(f"level 1 has {first} latents and the objective {self.n_latents}; give one of the two")

    @classmethod
    def from_loss(
        cls,
        recon: Any = "mse",
        *,
        kl_weight: float = 1.0,
        prior_variance: float = 1.0,
        encoder_variance: float | tuple[float | Learned, ...] | Learned = "learned",
        n_latents: int | None = None,
        bias: bool = True,
        levels: tuple[Level, ...] = (),
        **written: Any,
    ) -> Objective:
        """The objective behind a loss as it stands in code.

        Parameters
        ----------
        recon : {"mse", "bce"}
        kl_weight : float
        prior_variance, encoder_variance, n_latents, bias, levels
            As in `Objective`.
        **written
            The rest of `LossConvention`: ``reduction``, ``half``, ``kl_reduction``, ``kl_half``, ``batch``,
            ``kl_batch``, ``batch_size``, ``n_features``.

        Returns
        -------
        Objective
            At unit decoder variance, which fixes the scale of the loss; β is then the water level.

        Examples
        --------
        >>> Objective.from_loss("mse", reduction="mean", kl_weight=0.00025, n_features=3 * 64 * 64).water_level
        1.536
        """
        try:
            loss = LossConvention(recon, kl_weight=kl_weight, n_latents=n_latents, **written)
        except TypeError as error:
            raise ObjectiveError(f"not a setting of a loss: {str(error).split('argument ')[-1]}") from None
        return cls(
            beta=loss.water_level,
            prior_variance=prior_variance,
            encoder_variance=encoder_variance,
            n_latents=n_latents,
            bias=bias,
            likelihood="bernoulli" if recon == "bce" else "gaussian",
            levels=levels,
            loss=loss,
        )

    @property
    def water_level(self) -> float:
        """τ = βη²: modes of the data stronger than this live. For a decoder other than Gaussian, β itself."""
        if self.decoder_variance == "learned":
            raise ObjectiveError("with a learned decoder variance the water level depends on the data; see forecast()")
        return self.beta * self.decoder_variance


def _check_count(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or value < 1):
        raise ObjectiveError(f"{name} must be a whole number from 1 on, got {value}")


def _check_positive(name: str, value: Any, alternative: str = "") -> None:
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if not fits or not 0 < float(value) < math.inf:
        raise ObjectiveError(f"{name} must be a positive number {alternative}".rstrip() + f", got {value!r}")
