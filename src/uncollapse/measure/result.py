"""How collapsed a trained model is, by every measure of the field; computed from `PosteriorSums` alone.

What needs pairs of rows or the decoder is measured on a random sample of rows (see `decoder.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from uncollapse.errors import DataError
from uncollapse.measure.sums import EPSILONS, PosteriorSums
from uncollapse.showing.figure import Figure
from uncollapse.showing.noun import Card, Drawn, short
from uncollapse.showing.plain import plain
from uncollapse.theory.posterior import aggregate_kl, collapsed_share_from_counts, gaussian_information

__all__ = ["ACTIVE_VARIANCE", "ALIVE_NATS", "Measurement"]

ALIVE_NATS = 0.01
"""A latent of at least so much mean KL is counted as alive (docs/theory.md section 7)."""

ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean from which on a unit is active: Burda, Grosse & Salakhutdinov 2016, section 4.3."""


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(Drawn):
    """How collapsed the posteriors of a model are. KL in nats per sample.

    Attributes
    ----------
    sums : PosteriorSums

    Examples
    --------
    >>> from uncollapse import measure_posterior
    >>> mean = np.random.default_rng(0).standard_normal((500, 2)) * [3.0, 0.0]
    >>> m = measure_posterior(mean, variance=np.full((500, 2), [0.1, 1.0]))
    >>> m.n_alive, m.n_active, m.n_latents
    (1, 1, 2)
    """

    sums: PosteriorSums

    def __post_init__(self) -> None:
        if self.sums.n_samples < 1:
            raise DataError("nothing to measure: no rows came")

    @property
    def n_samples(self) -> int:
        """Rows measured."""
        return self.sums.n_samples

    @property
    def n_latents(self) -> int:
        """Latents of all levels."""
        return len(self.sums.kl)

    @cached_property
    def kl(self) -> np.ndarray:
        """Mean KL of each latent, shape (l,).

        Where the prior is no Gaussian of each latent (`sampled`), only `rate` is a KL from it. A latent's own is then
        that from the Gaussian with its aggregate posterior's moments, which is 0 for a latent that says nothing
        whatever the prior is.
        """
        own: np.ndarray = self.sums.kl / self.n_samples
        if not self.sampled:
            return own
        spread = self.mean_variance + self.variance
        return gaussian_information(
            own, spread + self.aggregate_mean**2, spread, self.sums.prior_variance / self.n_samples
        )

    @property
    def sampled(self) -> bool:
        """Whether the prior is no Gaussian of each latent, so that `rate` is sampled."""
        return self.sums.beyond is not None

    @cached_property
    @np.errstate(under="ignore")
    def kl_std(self) -> np.ndarray:
        """Standard deviation of each latent's KL over the rows, shape (l,)."""
        own = self.sums.kl / self.n_samples
        return np.sqrt(np.maximum(self.sums.kl_square / self.n_samples - own**2, 0.0))

    @property
    def rate(self) -> float:
        """KL of all latents."""
        return float(self.sums.kl.sum() + (self.sums.beyond or 0.0)) / self.n_samples

    @property
    def rate_error(self) -> float | None:
        """Standard error of a sampled `rate`, over rows; None where it is not sampled."""
        if self.sums.row_square is None:
            return None
        return float(np.sqrt(max(self.sums.row_square / self.n_samples - self.rate**2, 0.0) / self.n_samples))

    @property
    def alive(self) -> np.ndarray:
        """Latents that carry something, bool of shape (l,): by their mean KL, at least `ALIVE_NATS`.

        Below the top of a hierarchy by their means, as `active` does: there only the sum over the levels is a KL, and
        what a single latent adds to it (its prior's mean is drawn with it) may be negative, or positive and idle.
        """
        top = np.repeat(np.arange(len(self.sums.level_sizes)), self.sums.level_sizes) == len(self.sums.level_sizes) - 1
        return np.where(top, self.kl > ALIVE_NATS, self.active)

    @property
    def n_alive(self) -> int:
        """How many those are."""
        return int(self.alive.sum())

    def kl_quantiles(self, share: float) -> np.ndarray:
        """The KL that a share of the rows stays below, per latent; the next of `EPSILONS` above it, shape (l,)."""
        reached = self.sums.below >= share * self.n_samples
        return np.where(reached.any(axis=1), EPSILONS[reached.argmax(axis=1)], np.inf)

    def collapse_curve(self, delta: float = 0.01) -> np.ndarray:
        """(ε, δ)-collapsed share of the latents at each of `EPSILONS`, shape (k,): Lucas et al. 2019, section 6.2."""
        return collapsed_share_from_counts(self.sums.below, self.n_samples, delta)

    @cached_property
    def aggregate_mean(self) -> np.ndarray:
        """E_x of the posterior mean, shape (l,)."""
        return self.sums.mean / self.n_samples

    @cached_property
    @np.errstate(under="ignore")
    def mean_variance(self) -> np.ndarray:
        """Var_x of the posterior mean, shape (l,)."""
        square = self.sums.mean_square
        diagonal = square if square.ndim == 1 else np.diagonal(square)
        return np.maximum(diagonal / self.n_samples - self.aggregate_mean**2, 0.0)

    @property
    def active(self) -> np.ndarray:
        """Active units: posterior means of variance over 0.01 (Burda et al. 2016), bool of shape (l,)."""
        return self.mean_variance > ACTIVE_VARIANCE

    @property
    def n_active(self) -> int:
        """How many those are."""
        return int(self.active.sum())

    @cached_property
    def variance(self) -> np.ndarray:
        """Mean posterior variance, shape (l,)."""
        return self.sums.variance / self.n_samples

    @cached_property
    @np.errstate(under="ignore")
    def variance_std(self) -> np.ndarray:
        """Standard deviation over rows of the posterior variance, shape (l,)."""
        return np.sqrt(np.maximum(self.sums.variance_square / self.n_samples - self.variance**2, 0.0))

    @cached_property
    @np.errstate(under="ignore")
    def aggregate_covariance(self) -> np.ndarray | None:
        """Covariance of q(z): that of the means plus the mean variances, (l, l); None beyond `MOST_COVARIANCE`."""
        if self.sums.mean_square.ndim == 1:
            return None
        centred = self.sums.mean_square / self.n_samples - np.multiply.outer(self.aggregate_mean, self.aggregate_mean)
        return centred + np.diag(self.variance)

    @cached_property
    @np.errstate(under="ignore")
    def mean_rank(self) -> float | None:
        """Effective dimension of the posterior means, (Σλ)²/Σλ² of their covariance's eigenvalues; None beyond
        `MOST_COVARIANCE` latents, 0 when no mean moves."""
        if self.aggregate_covariance is None:
            return None
        eigenvalues = np.linalg.eigvalsh(self.aggregate_covariance - np.diag(self.variance)).clip(min=0.0)
        total = float(eigenvalues.sum())
        return total**2 / float(eigenvalues @ eigenvalues) if total > 1e-12 else 0.0

    @cached_property
    @np.errstate(under="ignore")
    def mutual_information_at_most(self) -> float | None:
        """Upper bound of the mutual information I(x; z): E KL less that of a Gaussian with q(z)'s moments.

        The rate itself where the covariance was not summed; None if the prior is not one Gaussian for all rows (a
        condition, a hierarchy), whose rate bounds no I(x; z).
        """
        n, s = self.n_samples, self.sums
        mean, prior = s.prior_mean / n, s.prior_variance / n
        if len(s.level_sizes) > 1 or not (_steady(mean, s.prior_mean_square / n, prior)
                                          and _steady(prior, s.prior_variance_square / n, prior**2)):  # fmt: skip
            return None
        if self.aggregate_covariance is None:
            return None if self.sampled else self.rate
        gap = aggregate_kl(self.aggregate_mean - mean, self.aggregate_covariance, prior)
        rate = float(self.sums.kl.sum()) / n  # from a Gaussian, whatever the prior: the bound holds for any
        return max(rate - gap, 0.0) if np.isfinite(gap) else rate

    @property
    def level_kl(self) -> tuple[np.ndarray, ...]:
        """KL of the latents of each level."""
        return tuple(np.split(self.kl, np.cumsum(self.sums.level_sizes)[:-1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not known is None."""
        names = (
            "n_samples", "n_latents", "n_alive", "n_active", "rate", "rate_error", "kl", "kl_std", "mean_variance",
            "variance", "alive", "active", "mean_rank", "mutual_information_at_most",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        values["kl_per_level"] = [float(level.sum()) for level in self.level_kl]
        return values | {"collapse_curve": {"epsilon": plain(EPSILONS), "fraction": plain(self.collapse_curve())}}

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: KL (nats), means and variances along `latent`, the collapse curve along `epsilon`.

        Spatial latents stay flat, with the place of each as coordinates; needs the extra `xarray`.

        Raises
        ------
        UncollapseError
            xarray is not installed.
        """
        from uncollapse.measure.labels import measurement_arrays, measurement_facts, measurement_places
        from uncollapse.showing.labelled import dataset

        return dataset(measurement_arrays(self), measurement_places(self), measurement_facts(self))

    def card(self) -> Card:
        """The headline and the facts: what `summary` and notebooks show."""
        from uncollapse.measure.words import measurement_card

        return measurement_card(self)

    def figure(self) -> Figure:
        """The picture as data, for `plot` and for pages."""
        from uncollapse.measure.pictures import measurement_figure

        return measurement_figure(self)

    def __repr__(self) -> str:
        return short(self, n_samples=self.n_samples, n_alive=self.n_alive, n_latents=self.n_latents, rate=self.rate)


def _steady(mean: np.ndarray, square: np.ndarray, scale: np.ndarray) -> bool:
    """Whether what has this mean and mean square is one number, but for rounding."""
    return bool((square - mean**2 <= 1e-9 * (square + scale)).all())
