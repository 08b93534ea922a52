"""The objective of a VAE: β, variances, number of latents; given as such or as a loss in code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from uncollapse import checks
from uncollapse.errors import ObjectiveError, UncollapseWarning
from uncollapse.loss import LossConvention
from uncollapse.showing.noun import Settings
from uncollapse.showing.plain import Record
from uncollapse.theory.likelihoods import Likelihood

if TYPE_CHECKING:
    from uncollapse.reading.result import LossReading

__all__ = ["Learned", "Level", "Objective"]

Learned = Literal["learned"]


@dataclass(frozen=True, repr=False)
class Level(Record, Settings):
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
        _store(self, "beta", checks.positive(self.beta, "beta of a level"))
        _store(self, "variance", _positive_or_learned(self.variance, "variance of a level"))
        _store(self, "n_latents", _n_latents(self.n_latents, "n_latents of a level"))


@dataclass(frozen=True, repr=False)
class Objective(Record, Settings):
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

    Raises
    ------
    ObjectiveError
        A setting is of the wrong kind or out of range, or two of them contradict.

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
        _store(self, "beta", checks.positive(self.beta, "beta"))
        _store(self, "prior_variance", checks.positive(self.prior_variance, "prior_variance"))
        _store(self, "decoder_variance", _positive_or_learned(self.decoder_variance, "decoder_variance"))
        _store(self, "n_latents", _n_latents(self.n_latents, "n_latents"))
        _store(self, "bias", checks.flag(self.bias, "bias"))
        _store(self, "likelihood", checks.one_of(self.likelihood, "likelihood", get_args(Likelihood)))
        if self.loss is not None:
            checks.instance(self.loss, "loss", LossConvention)
        widths = _one_a_latent(self.encoder_variance)
        if widths is None:
            _store(self, "encoder_variance", _positive_or_learned(self.encoder_variance, "encoder_variance"))
        else:
            self._check_widths(widths)
        self._check_levels()
        self._check_likelihood()
        if self.decoder_variance != "learned" and not 0 < self.water_level < math.inf:
            raise ObjectiveError(
                f"beta {self.beta:g} and decoder_variance {self.decoder_variance:g} put the water level at "
                f"{self.water_level:g}, which no computer number can hold; give values nearer to 1"
            )

    def _check_widths(self, variances: Sequence[Any]) -> None:
        widths: Any = tuple(_positive_or_learned(v, "each encoder_variance") for v in variances)
        if not widths:
            raise ObjectiveError('encoder_variance holds no value; give one a latent, one for all, or "learned"')
        if self.n_latents is None:
            _store(self, "n_latents", len(widths))
        elif self.n_latents != len(widths):
            raise ObjectiveError(f"encoder_variance has {len(widths)} values for {self.n_latents} latents")
        if set(widths) == {"learned"}:
            widths = "learned"
        elif "learned" in widths and self.decoder_variance == "learned":
            raise ObjectiveError(
                "no closed form is known for a learned decoder variance beside encoder variances partly fixed and "
                "partly learned; fix the decoder variance"
            )
        _store(self, "encoder_variance", widths)

    def _check_likelihood(self) -> None:
        if self.likelihood == "gaussian":
            return
        if not self.bias:
            raise ObjectiveError(
                f"a {self.likelihood} decoder without biases does not collapse to the mean; keep the biases"
            )
        if (self.decoder_variance, self.encoder_variance) != (1.0, "learned"):
            raise ObjectiveError(
                f"a {self.likelihood} decoder has no variance of its own; leave decoder and encoder variance alone"
            )

    def _check_levels(self) -> None:
        if not isinstance(self.levels, list | tuple) or not all(isinstance(level, Level) for level in self.levels):
            raise ObjectiveError(f"levels must be a list of Level objects, got {checks.shown(self.levels)}")
        _store(self, "levels", tuple(self.levels))
        if not self.levels:
            return
        if self.encoder_variance != "learned":
            raise ObjectiveError("with levels, give each level's encoder variance there, not as encoder_variance")
        if self.decoder_variance == "learned":
            raise ObjectiveError("no closed form is known for levels with a learned decoder variance; fix it")
        if self.likelihood != "gaussian":
            raise ObjectiveError(f"levels need a Gaussian decoder, got {self.likelihood}")
        first = self.levels[0].n_latents
        if self.n_latents is None and first is not None:
            _store(self, "n_latents", first)
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
        unknown = set(written) - {item.name for item in fields(LossConvention)}
        if unknown:
            raise ObjectiveError(f"not a setting of a loss: {', '.join(map(repr, sorted(unknown)))}")
        loss = LossConvention(recon, kl_weight=kl_weight, n_latents=n_latents, **written)
        return cls(
            beta=loss.water_level,
            prior_variance=prior_variance,
            encoder_variance=encoder_variance,
            n_latents=n_latents,
            bias=bias,
            likelihood="bernoulli" if loss.recon == "bce" else "gaussian",
            levels=levels,
            loss=loss,
        )

    @classmethod
    def from_function(
        cls,
        function: Any,
        features: int | Sequence[int],
        latents: int,
        *,
        batch_size: int = 128,
        total: str | None = None,
        **settings: Any,
    ) -> Objective:
        """The objective behind a loss function, read by its values; see `read_loss`.

        Parameters
        ----------
        function, features, latents, batch_size, total
            As in `read_loss`.
        **settings
            Arguments of the function that no name tells.

        Raises
        ------
        ObjectiveError
            As `read_loss` does; or no water level is known for the loss.

        Examples
        --------
        >>> def loss(recon, x, mu, log_var):
        ...     return ((recon - x) ** 2).sum() + 4 * 0.5 * (mu**2 + 2.718281828**log_var - 1 - log_var).sum()
        >>> Objective.from_function(loss, features=64, latents=8).water_level
        2.0
        """
        from uncollapse.reading.read import read_loss

        reading = read_loss(function, features, latents, batch_size=batch_size, total=total, settings=settings)
        return cls.from_reading(reading)

    @classmethod
    def from_reading(cls, reading: LossReading) -> Objective:
        """The objective behind a loss that is read already, without its floor under the KL, of which it warns.

        Raises
        ------
        ObjectiveError
            No water level is known for it.
        """
        from uncollapse.reading.result import LossReading

        checks.instance(reading, "reading", LossReading)
        level, n = reading.water_level, reading.n_latents
        if reading.kl.free_nats is not None:
            each, name = reading.kl.a_latent, reading.name
            how = "--free-bits, free_bits(each=…)" if each else "--free-bits-total, free_bits(in_all=…)"
            warnings.warn(
                f"{name}: {reading.kl.free_nats:.3g} nats {'of each latent' if each else 'in all'} are free in this "
                f"loss, and an objective knows no such floor: ask the forecast for it ({how})",
                UncollapseWarning,
                stacklevel=2,
            )
        if reading.learns_variance:
            return cls(beta=level, decoder_variance="learned", n_latents=n)
        return cls(beta=level, n_latents=n, likelihood=reading.likelihood, loss=reading.convention)

    def cut_to(self, latents: Sequence[int]) -> Objective:
        """The same objective for a model that has only these latents of level 1, counted from 0.

        With encoder variances given per latent, those of the latents left out go too. No level keeps more latents
        than are named.

        Examples
        --------
        >>> Objective(encoder_variance=(0.1, 0.5, "learned")).cut_to([0, 2]).encoder_variance
        (0.1, 'learned')
        """
        kept = [checks.count(latent, "each of latents") for latent in latents]
        widths = self.encoder_variance
        if isinstance(widths, tuple):
            if kept and max(kept) >= len(widths):
                raise ObjectiveError(f"latents run from 0 to {len(widths) - 1}, got {max(kept)}")
            widths = tuple(widths[latent] for latent in kept)
        levels = tuple(
            level if level.n_latents is None else replace(level, n_latents=min(level.n_latents, len(kept)))
            for level in self.levels
        )
        return replace(self, encoder_variance=widths, n_latents=len(kept), levels=levels)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Objective:
        """What `to_dict` gave, or JSON made of it.

        Examples
        --------
        >>> objective = Objective(beta=2.0, levels=(Level(variance=0.5), Level(beta=3.0)), n_latents=4)
        >>> Objective.from_dict(objective.to_dict()) == objective
        True
        """
        result = super().from_dict({**values, "levels": [], "loss": None} if isinstance(values, dict) else values)
        levels = tuple(Level.from_dict(level) for level in values.get("levels") or ())
        written = values.get("loss")
        return replace(result, levels=levels, loss=None if written is None else LossConvention.from_dict(written))

    @property
    def water_level(self) -> float:
        """τ = βη²: modes of the data stronger than this live. For a decoder other than Gaussian, β itself."""
        if self.decoder_variance == "learned":
            raise ObjectiveError("with a learned decoder variance the water level depends on the data; see forecast()")
        return self.beta * self.decoder_variance


def _store(frozen: object, name: str, value: object) -> None:
    object.__setattr__(frozen, name, value)  # as a plain Python value, so that it can become JSON


def _n_latents(value: Any, name: str) -> int | None:
    return None if value is None else checks.size(value, name)


def _positive_or_learned(value: Any, name: str) -> float | Learned:
    if isinstance(value, str) and value == "learned":
        return "learned"
    return checks.positive(value, name, wanted='a positive number or "learned"')


def _one_a_latent(value: Any) -> Sequence[Any] | None:
    """The values of something that lists one for each latent; None for a single value."""
    if isinstance(value, list | tuple):
        return value
    shape = getattr(value, "shape", ())
    if not isinstance(shape, tuple) or not shape:
        return None
    try:
        values = value.tolist()
        flat = isinstance(values, list) and not any(isinstance(v, list) for v in values)
    except Exception as error:  # theirs: a sparse or a meta tensor lists no values
        raise ObjectiveError(f"encoder_variance must list one value a latent, got {checks.shown(value)}") from error
    if not flat:
        raise ObjectiveError(f"encoder_variance must list one value a latent, got {checks.shown(value)}")
    result: list[Any] = values
    return result
