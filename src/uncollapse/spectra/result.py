"""The spectrum of a data set: its modes, how strong each is, and which of them stand above the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from uncollapse.errors import DataError, shown
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, Noun, short
from uncollapse.showing.plain import Record, finite, plain
from uncollapse.spectra.global_threshold import GlobalThreshold
from uncollapse.theory.counts import CountResiduals
from uncollapse.theory.likelihoods import Likelihood
from uncollapse.theory.modes import Basis
from uncollapse.theory.noise import made_equal, noise_edge, noise_variance, true_signal

__all__ = ["Condition", "Noise", "Options", "Spectrum"]


@dataclass(frozen=True, eq=False, repr=False)
class Condition(Record, Noun):
    """What a condition x, seen by encoder and decoder, takes from the target before any latent has to code it.

    Attributes
    ----------
    n_columns, rank : int
        Columns of x, and the directions in which it varies.
    energy : float
        E‖y‖² without the condition.
    explained : ndarray of shape (m,)
        Share of the target's energy along each mode that x explains, in [0, 1].
    strengths_without : ndarray
        Mode strengths of the target alone, without the condition.
    regression : ndarray of shape (d2, n_columns)
        B, the regression of y on x, that the decoder's map of x takes over.
    mean : ndarray of shape (n_columns,)
    intercept : ndarray of shape (d2,) or None
        Of a likelihood other than Gaussian: B and this are in natural parameters (log-means of counts), about `mean`;
        at a size factor of 1 where size factors are given.
    """

    n_columns: int
    rank: int
    energy: float
    explained: np.ndarray
    strengths_without: np.ndarray
    regression: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    intercept: np.ndarray | None = field(default=None, repr=False)

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.spectra.words import condition_card

        return condition_card(self)


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Drawn):
    """Mode strengths of a data set: all that the linear theory needs to know about it.

    Attributes
    ----------
    strengths : ndarray of shape (m,)
        ζ_i², descending, zeros left out, in squared units of the target (for a likelihood other than Gaussian, in
        units of β).
    total_energy : float
        T = E‖y‖² about the mean (about 0 when not `centred`).
    residual_energy : float
        What no linear function of x explains; 0 when the target is x itself.
    n_samples, n_features, n_targets : int
    centred : bool
        False for a model without biases, whose strengths are those of uncentred second moments.
    likelihood : {"gaussian", "bernoulli", "poisson", "negative-binomial", "categorical"}
    n_constant : int
        Columns of the target that never change.
    input_rank : int
        Directions in which the input varies.
    complete : bool
        Whether `strengths` holds every mode; False when only the leading ones were computed.
    target_is_input : bool
    collapsed_loss : float
        Nats per sample of a decoder that ignores z; NaN for a Gaussian one, where it is T/(2η²). For counts without
        the terms that no parameter moves, such as log y! (theory.counts.count_loss).
    strength_errors : ndarray of shape (m,)
        Bound on the numerical error of each strength (rounding, or the residual of an iterative method).
    input_scale, target_scale : ndarrays of shape (n_features,), (n_targets,)
        What each column was multiplied by before its moments were used.
    mean_input, mean_target : ndarrays of shape (n_features,), (n_targets,)
        Means after that.
    residuals : CountResiduals or None
        With size factors, what turns rows of counts into the rows whose modes these are.
    condition : Condition or None
        For a conditional model, whose modes are those of the residual y − Bx.
    find_global : callable or None
        Looks for the second threshold, the first time that it is called.

    Examples
    --------
    >>> import numpy as np
    >>> from uncollapse import spectrum
    >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> spectrum(x).strengths
    array([4.5, 0.5])
    """

    strengths: np.ndarray
    total_energy: float
    residual_energy: float
    n_samples: int
    n_features: int
    n_targets: int
    centred: bool
    likelihood: Likelihood
    n_constant: int
    input_rank: int
    complete: bool
    strength_errors: np.ndarray
    target_is_input: bool
    collapsed_loss: float
    input_scale: np.ndarray = field(repr=False)
    target_scale: np.ndarray = field(repr=False)
    mean_input: np.ndarray = field(repr=False)
    mean_target: np.ndarray = field(repr=False)
    find_basis: Callable[[], Basis] = field(repr=False)
    residuals: CountResiduals | None = field(default=None, repr=False)
    condition: Condition | None = None
    find_global: Callable[[], GlobalThreshold] | None = field(default=None, repr=False)

    @property
    def global_threshold(self) -> GlobalThreshold:
        """The second threshold, searched for when first asked for; not known with a condition, another target, or
        without biases."""
        if self.find_global is None or not self.rank:
            return GlobalThreshold(None, why_not="it is known for data that are their own target, with biases and "
                                                 "without a condition")  # fmt: skip
        return self.find_global()

    @property
    def rank(self) -> int:
        """Number of modes with strength above rounding (of those computed, when not `complete`)."""
        return len(self.strengths)

    @cached_property
    def basis(self) -> Basis:
        """Directions of the modes, found when first asked for."""
        return self.find_basis()

    @cached_property
    def noise(self) -> Noise:
        """Noise level of the sample.

        x alone: the mean energy of the modes that noise could explain (see theory.noise.noise_variance). With a
        target: the residual energy, over the degrees of freedom that the regression leaves. With a condition: as x
        alone, for so many rows as the regression on the condition leaves free. Poisson and categorical data bring
        their own: Pearson residuals of pure counting noise have variance one. The edge is that of similar size
        factors and columns with more than a few counts; single rows can stand out beyond it otherwise. Whitened columns
        have no level to be read (see theory.noise.made_equal): none of their modes is called noise.
        """
        n, m = self._n_free, self.rank
        if m == 0:
            return Noise(0.0, 0.0, 0.0)
        if not self.target_is_input:
            left = max(n - self.input_rank - self.centred, 1)
            variance = self.residual_energy * n / left / max(self.n_targets - self.n_constant, 1)
            return Noise(variance, variance * self.input_rank / n, variance * self.n_targets / n)
        free = self.n_features - self.n_constant
        if self.likelihood in ("poisson", "categorical"):
            return Noise(1.0, 1.0, free / n)
        if self.complete and made_equal(self.strengths, n):
            return Noise(0.0, 0.0, 0.0)
        is_subspace = self.complete and m < min(free, n - self.centred)  # fewer modes than there is room for
        dimensions = m if is_subspace else max(free, m)
        variance, k = noise_variance(self.strengths, self.total_energy, dimensions, n)
        return Noise(variance, variance, variance * (dimensions - k) / n)

    @cached_property
    def above_noise(self) -> np.ndarray:
        """Which modes stand above what sampling noise alone could reach; bool, shape (m,)."""
        return self.strengths > self.noise.edge

    @cached_property
    def debiased_strengths(self) -> np.ndarray:
        """Strengths with the upward push of sampling noise taken out; those under the edge get the noise level."""
        signal = true_signal(self.strengths, self.noise.a, self.noise.b)
        floor = self.noise.variance if self.target_is_input else 0.0
        return (signal + floor) * (self.n_samples / self._n_free)

    @property
    def _n_free(self) -> int:
        """Rows, less what a regression on a condition uses up."""
        return self.n_samples - (self.condition.rank if self.condition else 0)

    def leading(self, n_modes: int) -> Spectrum:
        """The same spectrum with only the strongest `n_modes` listed."""
        return replace(
            self,
            strengths=self.strengths[:n_modes],
            strength_errors=self.strength_errors[:n_modes],
            condition=self.condition and replace(self.condition, explained=self.condition.explained[:n_modes]),
            complete=self.complete and n_modes >= self.rank,
            find_basis=partial(_leading, self.find_basis, n_modes),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: strengths and sizes, without directions and columns."""
        names = (
            "n_samples", "n_features", "n_targets", "input_rank", "n_constant", "likelihood", "centred", "complete",
            "target_is_input", "total_energy", "residual_energy", "collapsed_loss", "strengths", "strength_errors",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        values |= {"debiased_strengths": plain(self.debiased_strengths), "above_noise": plain(self.above_noise)}
        second = self.global_threshold.to_dict()
        values |= {name: second[name] for name in ("global_threshold", "global_interval")}
        return values | {"noise_edge": finite(float(self.noise.edge)), "condition": plain(self.condition)}

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.spectra.words import spectrum_card

        return spectrum_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.spectra.pictures import strengths_figure

        return strengths_figure(self)

    def __repr__(self) -> str:
        return short(
            self, rank=self.rank, n_samples=self.n_samples, n_features=self.n_features, likelihood=self.likelihood
        )


def _leading(find_basis: Callable[[], Basis], n_modes: int) -> Basis:
    basis = find_basis()
    return Basis(basis.decoder[:, :n_modes], basis.encoder[:, :n_modes])


@dataclass(frozen=True)
class Noise:
    """Sampling noise: its variance per feature, and the largest strength that it alone can reach.

    ``a`` and ``b`` are the variance times each dimension of the noise matrix over n (see theory.noise).
    """

    variance: float
    a: float
    b: float

    @property
    def edge(self) -> float:
        """Strengths at or below this are indistinguishable from noise."""
        return noise_edge(self.a, self.b)


@dataclass(frozen=True)
class Options:
    """How data become a spectrum; see `uncollapse.spectrum`."""

    bias: bool = True
    ddof: int = 0
    scale: float = 1.0
    likelihood: Likelihood = "gaussian"
    drop_nonfinite: bool = False
    dispersion: Any = None
    size_factors: Any = None

    def check_rows(self, n_samples: int) -> None:
        """Refuse too few rows to learn a spectrum from, or to divide by ``n - ddof``."""
        if n_samples < 2:
            raise DataError(f"only {n_samples} row(s) to learn from; a spectrum needs two or more")
        if self.ddof >= n_samples:
            raise DataError(f"ddof must be below the number of rows, {n_samples}; got {shown(self.ddof)}")
