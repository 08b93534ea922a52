"""All that the rules look at, gathered: each fact once, as a number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from uncollapse.bill.line import Bill
from uncollapse.bill.weight import ImpliedWeight
from uncollapse.diagnosis.data_fit import DataFit
from uncollapse.diagnosis.leads import Leads
from uncollapse.diagnosis.thresholds import (
    BAND,
    CODES_NOISE,
    ENERGY_SHARE,
    FULL_BAND,
    GAIN_SHARE,
    MOVES,
    N_ERRORS,
    NEAR_COLLAPSE,
    NEAR_WIDTH,
    NOISE_MODES,
    REST_RATIO,
    SAME,
    WEIGHT_RATIO,
)
from uncollapse.forecasting.result import Forecast
from uncollapse.measure.decoder import DecoderMeasurement, residual_water_level
from uncollapse.measure.result import ALIVE_NATS, Measurement
from uncollapse.objective import Objective
from uncollapse.theory.posterior import gaussian_kl

if TYPE_CHECKING:
    from uncollapse.diagnosis.reach import Reach
    from uncollapse.diagnosis.refine import Refined

__all__ = ["Continued", "Facts", "living"]


def living(measurement: Measurement, objective: Objective) -> np.ndarray:
    """Latents that are alive, bool of shape (l,): of a mean KL over 0.01 nats.

    Where encoder variances are given, a dead latent pays KL as well, for a width that is not the prior's; there it
    lives if more than 0.01 nats of its KL are not those of one Gaussian for all rows.
    """
    m = measurement
    if objective.encoder_variance == "learned":
        return m.alive
    prior = objective.prior_variance
    blind = gaussian_kl(m.aggregate_mean, m.mean_variance + m.variance, prior)
    return m.kl - blind > ALIVE_NATS


@dataclass(frozen=True)
class Continued:
    """What a short continuation of the training did, on rows that it did not see; nats per sample.

    Attributes
    ----------
    gain, gain_error : float
        Fall of the loss, and its standard error over rows.
    alive_before, alive_after : int
    n_steps : int
    decoder_gain : float or None
        What as many steps of the decoder alone gain; None where there was no time for them.
    encoder_odd : bool
        Whether the encoder's output is still odd after it; see `Facts.encoder_odd`.
    encoder_moved : float
        Largest relative change of a latent's posterior variance.
    cut_short : bool
        Whether the time ended it, or what it is to be held against, before its end: then a gain is proved, and what
        else it might have shown is not.
    """

    gain: float
    gain_error: float
    alive_before: int
    alive_after: int
    n_steps: int
    decoder_gain: float | None = 0.0
    encoder_odd: bool = False
    encoder_moved: float = 0.0
    cut_short: bool = False


@dataclass(frozen=True, eq=False)
class Facts:
    """A model beside the forecast at its own objective.

    Attributes
    ----------
    measurement : Measurement
    decoder : DecoderMeasurement
    forecast : Forecast
    baseline : ndarray of shape (n,)
        Loss of the linear optimum on the rows of `decoder`.
    collapsed : float
        Loss of the collapsed model on them.
    leads : Leads
        Where the loss leads.
    fit : DataFit
        Whether the data are those of the training.
    bill : Bill
        Better models.
    weight : ImpliedWeight or None
        The KL weight that the model is at rest with.
    free_bits : float
        Nats of each latent's mean KL that cost nothing in its training.
    refined : Refined or None
    continued : Continued or None
        None where the model cannot be differentiated, or nothing asked for it.
    reach : Reach or None
        What its decoder can show at all; None where nothing asked for it, or it cannot be started anew.
    recorded : bool
        Whether the objective is the record of the model's own training, so that no other loss can have been trained.
    strongest : tuple of two floats, optional
        90 % interval of the β at which the strongest mode dies; None where that is far from the objective's, or not
        known.
    n_log_modes : int or None
        Of counts: modes of their logarithms above water and noise.
    notes : tuple of str
        What could not be tried, and why.
    """

    measurement: Measurement
    decoder: DecoderMeasurement
    forecast: Forecast
    baseline: np.ndarray
    collapsed: float
    leads: Leads
    fit: DataFit
    bill: Bill
    weight: ImpliedWeight | None = None
    free_bits: float = 0.0
    refined: Refined | None = None
    continued: Continued | None = None
    reach: Reach | None = None
    recorded: bool = False
    strongest: tuple[float, float] | None = None
    n_log_modes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_worth(self) -> int:
        """Latents that are worth having; of counts no more than their logarithms have modes."""
        linear = self.forecast.n_worth_having
        return linear if self.n_log_modes is None else min(linear, self.n_log_modes)

    @property
    def n_latents(self) -> int:
        """Of the level that the decoder sees."""
        return self.measurement.sums.level_sizes[0]

    @cached_property
    def n_alive(self) -> int:
        """Of that level; see `living`."""
        return int(living(self.measurement, self.forecast.objective)[: self.n_latents].sum())

    @property
    def n_dead(self) -> int:
        """Of that level."""
        return self.n_latents - self.n_alive

    @property
    def water_level(self) -> float:
        """What residual strengths are held against."""
        return residual_water_level(self.forecast.objective, self.decoder)

    @property
    def should_live(self) -> bool:
        """Whether the residual test proves that one more latent, a dead one or a new one, would lower the loss."""
        residual = self.decoder.residual
        return residual.top - N_ERRORS * residual.error > self.water_level

    @property
    def waking_pays(self) -> bool:
        """Whether what paths for the dead latents gain is a share of `scale` that counts, as far as the bill knows."""
        line = self.bill.line("path")
        return line is None or not self.scale or line.gain + N_ERRORS * line.error > GAIN_SHARE * self.scale

    @property
    def settled(self) -> bool:
        """Whether the residual lies clearly under the water: the farther where a dead latent might still find a use."""
        return self.decoder.residual.most < self.water_level * (1 - (BAND if self.n_dead else FULL_BAND))

    @cached_property
    def gap(self) -> float:
        """Loss above the linear optimum's, nats per sample."""
        return float((self.decoder.losses - self.baseline).mean())

    @cached_property
    def gap_error(self) -> float:
        """Standard error of `gap`, paired by rows."""
        return float((self.decoder.losses - self.baseline).std() / np.sqrt(len(self.baseline)))

    @property
    def attainable(self) -> float:
        """What the linear optimum gains over collapse on these rows."""
        return max(self.collapsed - float(self.baseline.mean()), 0.0)

    @property
    def scale(self) -> float:
        """The larger of what the linear optimum and the model itself gain over collapse: the scale of all gains."""
        return max(self.attainable, self.collapsed - self.decoder.loss, 0.0)

    @property
    def negligible(self) -> float:
        """A gain or loss too small to call anything wrong, in nats: a share of `scale`, or of the energy to be coded
        where there is next to nothing to gain."""
        jitter = max(ENERGY_SHARE * self._energy / 2, 1e-9 * self.forecast.objective.beta)
        return GAIN_SHARE * self.scale if self.scale > jitter else jitter

    def counts(self, gain: float, error: float, share: float) -> bool:
        """Whether a gain stands above its error, a share of `scale` and what is negligible."""
        return gain > max(share * self.scale, self.negligible, N_ERRORS * error)

    @property
    def near_collapse(self) -> bool:
        """Whether the model costs hardly more than the collapsed one: a small share of half the energy over η²."""
        return self.decoder.loss - self.collapsed < NEAR_COLLAPSE * self._energy / 2

    @property
    def _energy(self) -> float:
        """Of the data over η²; in the units of β for another likelihood."""
        s = self.forecast.spectrum
        return s.total_energy / self.decoder.decoder_variance if self.forecast.exact else float(s.strengths.sum())

    @property
    def worse_than_linear(self) -> bool:
        """Whether the certificate fails the model, beyond sampling error."""
        return self.gap > N_ERRORS * self.gap_error and self.gap > self.negligible

    @property
    def better_than_collapse(self) -> bool:
        """Whether the model beats the collapsed one on rows of the judge: then its loss does not ask for collapse."""
        line = self.bill.line("collapsed")
        return line is not None and line.gain < -N_ERRORS * line.error

    @property
    def dying(self) -> bool:
        """Whether the loss asks for collapse, and the latents that still live are on their way out."""
        if not self.leads.dies or self.should_live:
            return False
        if 0 < self.n_alive <= self.n_on_floor:
            return True
        if self.leads.zone == "between" and self.n_alive and self.better_than_collapse:
            return False  # it came from a lower weight, and has a lower loss than collapse
        return self.n_alive <= max(self.leads.n_alive, 1) or not self.better_than_collapse

    @property
    def n_on_floor(self) -> int:
        """Latents whose KL sits on the free bits of the loss, within a fifth."""
        kl = self.measurement.kl[: self.n_latents]
        return int((np.abs(kl - self.free_bits) < 0.2 * self.free_bits).sum()) if self.free_bits else 0

    @property
    def at_rest(self) -> bool:
        """Whether living latents agree on the stated weight: then these are the data and the loss of the training."""
        w = self.weight
        if w is None or not w.at_rest:
            return False
        return 1 / REST_RATIO < w.weight / w.stated < REST_RATIO

    @property
    def another_weight(self) -> bool:
        """Whether living latents agree on a KL weight, and it is not the stated one."""
        w = self.weight
        if w is None or self.recorded or len(w.values) < 2 or not w.at_rest or not self._judged or self.free_bits:
            return False
        return not 1 / WEIGHT_RATIO < w.weight / w.stated < WEIGHT_RATIO

    @property
    def constant(self) -> bool:
        """Whether the data never change, so that there is nothing to code."""
        s = self.forecast.spectrum
        return s.target_is_input and s.rank == 0

    @property
    def unsure_mode(self) -> bool:
        """Whether the threshold of the strongest mode may lie on either side of the objective's β, by its interval."""
        return self.strongest is not None and self.strongest[0] < self.forecast.objective.beta < self.strongest[1]

    @property
    def misread(self) -> bool:
        """Whether living latents agree on a KL weight below 0, which no loss has: then what is taken for their means
        and variances is something else."""
        w = self.weight
        return w is not None and self.another_weight and w.weight + N_ERRORS * w.error < 0

    @property
    def usable(self) -> int:
        """Latents that the data could employ: as many as there are, or as modes above the noise."""
        return min(self.n_latents, int(self.forecast.spectrum.above_noise.sum()))

    @cached_property
    def n_noise(self) -> int:
        """Living latents beyond the modes that stand above sampling noise."""
        return max(self.n_alive - int(self.forecast.spectrum.above_noise.sum()), 0)

    @property
    def under_noise(self) -> bool:
        """Whether the water level lies far below the noise variance of the data; False if no mode stands out of it,
        since what cannot be told from noise need not be noise (a circle has two equal modes)."""
        s = self.forecast.spectrum
        known = s.target_is_input and s.above_noise.any() and (~s.above_noise).sum() >= NOISE_MODES
        return self.forecast.exact and bool(known) and self.water_level < CODES_NOISE * s.noise.variance

    @cached_property
    def one_variance(self) -> bool:
        """Whether posterior variances are one number for all rows and latents though they are learned, and not the
        prior's: a clamp, or a head that never learned."""
        m = self.measurement
        o = self.forecast.objective
        if o.encoder_variance != "learned" or m.n_latents < 2 or any(level.variance != "learned" for level in o.levels):
            return False
        if self._equal_at_the_optimum:
            return False
        middle = float(np.median(m.variance))
        spread = max(float(np.abs(m.variance / middle - 1).max()), float((m.variance_std / middle).max()))
        return spread < SAME and (abs(middle / o.prior_variance - 1) > 1e-3 or m.n_active > 0)

    @property
    def _equal_at_the_optimum(self) -> bool:
        """Whether modes of equal strength, or their death, make all variances this one number at the linear optimum."""
        widths = self.forecast.modes.encoder_std[: self.n_latents]
        if len(widths) < 2 or np.ptp(widths) > 1e-3 * np.abs(widths).max():
            return False
        own = float(np.median(self.measurement.variance))
        return abs(own / float(widths[0]) ** 2 - 1) < NEAR_WIDTH

    @property
    def _judged(self) -> bool:
        """Whether the encoder's output has a shape that it should not have: with widths that are given, or levels whose
        prior is the level above, it may be anything."""
        o = self.forecast.objective
        return o.encoder_variance == "learned" and not o.levels and not self.measurement.sampled

    @cached_property
    def too_wide(self) -> np.ndarray:
        """Latents whose mean moves while their variance stays at the prior's or above: something holds it up; (l,)."""
        m, prior = self.measurement, self.forecast.objective.prior_variance
        if not self._judged:
            return np.zeros(m.n_latents, dtype=bool)
        return (m.mean_variance > 0.1 * prior) & (m.variance > 0.99 * prior)

    @cached_property
    def constant_mean(self) -> np.ndarray:
        """Latents that pay KL though their mean never moves, bool of shape (l,).

        Either the variance does not move as well, or the mean lies off the prior's, which pays KL for nothing.
        """
        m, prior = self.measurement, self.forecast.objective.prior_variance
        still = m.mean_variance < MOVES * prior
        steady = m.variance_std < 0.01 * m.variance
        off = m.aggregate_mean**2 / (2 * prior) > ALIVE_NATS
        return m.alive & still & (steady | off) & self._judged

    @property
    def encoder_odd(self) -> bool:
        """Whether the encoder's output is what no optimum has; a training that has just begun may show it too."""
        return bool(self.one_variance or self.too_wide.any() or self.constant_mean.any())

    @property
    def in_doubt(self) -> bool:
        """Whether it must be tried what a better q and further training gain."""
        return self.worse_than_linear or self.should_live or self.encoder_odd
