"""The rows that a bill is made on, in three parts: where a better model is found, chosen, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from uncollapse.bill.additions import Additions, nothing_added
from uncollapse.bill.wrapped import added_mean, added_posterior, features_of, paths_of
from uncollapse.errors import DataError
from uncollapse.measure.decoder import dispersion_of, kl_weights
from uncollapse.measure.observe import Observation
from uncollapse.measure.posterior import Posterior
from uncollapse.measure.result import ALIVE_NATS
from uncollapse.objective import Objective
from uncollapse.theory.loglikelihood import in_totals, misfit, negative_log_likelihood, score

__all__ = ["DRAWS", "FEWEST", "Gain", "Sample", "free_bits_of", "make_sample", "mean_and_error"]

DRAWS = 4
"""Of z, for each row; both models of a comparison have the same."""

FEWEST = 24
"""Rows that three parts need."""

MOST_NEW = 16
"""Latents that may be added."""


@dataclass(frozen=True)
class Gain:
    """By how much one model is better than another on the same rows, nats per sample, with its standard error."""

    value: float
    error: float
    n_rows: int

    def above(self, n_errors: float = 2.0) -> bool:
        """Whether it stands above so many of its errors."""
        return self.value > n_errors * self.error


def mean_and_error(differences: np.ndarray) -> Gain:
    """Of a difference for each row, shape (n,)."""
    n = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return Gain(float(differences.mean()), error, n)


@dataclass(frozen=True, eq=False)
class Sample:
    """A model on a sample of rows.

    Attributes
    ----------
    probe : Probe
    objective : Objective
    x, y : ndarrays of shape (n, d0), (n, d)
    given : ndarray of shape (n, c) or None
    q : Posterior
        Of the model itself.
    variance : float
        η² of its decoder; 1 for another likelihood.
    dispersion : ndarray of shape (d,) or float
    noise : ndarray of shape (K, n, l)
        Of the lowest level's latents.
    more_noise : ndarray of shape (K, n, m)
        Of new ones.
    target_is_input : bool
    free_bits : float
        Nats of each latent's mean KL that cost nothing: a latent of less pays as much.
    """

    probe: Any
    objective: Objective
    x: np.ndarray
    y: np.ndarray
    given: np.ndarray | None
    q: Posterior
    variance: float
    dispersion: np.ndarray | float
    noise: np.ndarray
    more_noise: np.ndarray
    target_is_input: bool
    free_bits: float = 0.0

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_latents(self) -> int:
        """Of the lowest level."""
        return self.q.level_sizes[0]

    @property
    def weight(self) -> float:
        """β of the lowest level's latents."""
        return float(kl_weights(self.objective, self.q.level_sizes)[0])

    @property
    def dead(self) -> np.ndarray:
        """Which of the lowest level's latents are, by their KL; bool of shape (l,)."""
        dead: np.ndarray = self.q.kl[:, : self.n_latents].mean(axis=0) < ALIVE_NATS
        return dead

    def part(self, rows: slice) -> Sample:
        """Some of its rows."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            given=None if self.given is None else self.given[rows],
            q=self.q[rows],
            noise=self.noise[:, rows],
            more_noise=self.more_noise[:, rows],
        )

    @cached_property
    def parts(self) -> tuple[Sample, Sample, Sample]:
        """Where it is found, chosen and judged."""
        n = len(self)
        edges = (0, n // 3, 2 * n // 3, n)
        find, choose, judge = (self.part(slice(*edge)) for edge in pairwise(edges))
        return find, choose, judge

    def nothing(self) -> Additions:
        """No additions, of the right shape."""
        n_read = (self.y if self.target_is_input else self.x).shape[1]
        nothing = nothing_added(self.n_latents, self.y.shape[1], n_read, reads_residual=self.target_is_input)
        if self.objective.likelihood != "negative-binomial":
            return nothing
        # the score that paths read depends on r, so what is handed over must have the one that it was judged with
        return replace(nothing, dispersion=np.broadcast_to(self.dispersion, self.y.shape[1:]).astype(np.float64))

    @cached_property
    def decoded_mean(self) -> np.ndarray:
        """The decoder at the posteriors' means, (n, d)."""
        return self.decoded(self.q.mean[:, : self.n_latents])

    @cached_property
    def draws(self) -> list[np.ndarray]:
        """The decoder at each draw of z, K of (n, d)."""
        return [self.decoded(self.drawn(self.q, k)) for k in range(len(self.noise))]

    def decoded(self, z: np.ndarray) -> np.ndarray:
        """The decoder's mean of the lowest level's latents, (n, d)."""
        mean: np.ndarray = np.asarray(self.probe.decode(z, self.given), dtype=np.float64)
        return in_totals(self.objective.likelihood, self.y, mean.reshape(len(z), -1))

    def decoded_with(self, additions: Additions, z: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """The decoder's mean with latents held constant; what it is already where none is."""
        held = additions.held
        if not held.any():
            return otherwise
        return self.decoded(np.where(held, np.nan_to_num(additions.constants), z[:, : self.n_latents]))

    def drawn(self, q: Posterior, k: int) -> np.ndarray:
        """Draw k of the lowest level's latents, (n, l) or, with new ones, (n, l + m)."""
        n_own, n_all = self.n_latents, q.level_sizes[0]
        noise = np.concatenate([self.noise[k], self.more_noise[k][:, : n_all - n_own]], axis=1)
        z: np.ndarray = q.mean[:, :n_all] + np.sqrt(q.variance[:, :n_all]) * noise
        return z

    def read(self, additions: Additions) -> np.ndarray:
        """What paths read: the score at the posterior's mean, or the data."""
        if not additions.reads_residual:
            return np.asarray(self.x, dtype=np.float64)
        decoded = self.decoded_with(additions, self.q.mean, self.decoded_mean)
        return score(self.objective.likelihood, self.y, decoded, self.dispersion)

    def posterior(self, additions: Additions) -> Posterior:
        """q(z|x) with additions."""
        paths = additions.n_paths > 0
        features = features_of(additions, self.read(additions)) if paths else np.empty((len(self), 0))
        return added_posterior(self.q, additions, features, float(self.objective.prior_variance))

    def losses(self, additions: Additions | None = None) -> np.ndarray:
        """The objective on each row, every constant included, nats; shape (n,)."""
        if additions is None or additions.empty:
            costs = [self.cost(mean, self.variance) for mean in self.draws]
            return np.mean(costs, axis=0) + self._paid(self.q)
        a, q = additions, self.posterior(additions)
        variance = self.variance if a.decoder_variance is None else a.decoder_variance
        costs = []
        for k in range(len(self.noise)):
            z = self.drawn(q, k)
            base = self.decoded_with(a, z, self.draws[k])
            mean = added_mean(self.objective.likelihood, base, a, paths_of(a, z))
            costs.append(self.cost(mean, variance))
        return np.mean(costs, axis=0) + self._paid(q)

    def gain(self, additions: Additions, over: Additions | None = None) -> Gain:
        """What additions gain over others, or over the model itself."""
        return mean_and_error(self.losses(over) - self.losses(additions))

    def cost(self, mean: np.ndarray, variance: float) -> np.ndarray:
        """−log p(y | mean) of each row, (n,)."""
        return negative_log_likelihood(
            self.objective.likelihood, self.y, mean, decoder_variance=variance, dispersion=self.dispersion
        )

    def best_variance(self, additions: Additions | None = None) -> float:
        """η² at its best for the misfit on these rows."""
        a = additions or self.nothing()
        q = self.posterior(a)
        missed = []
        for k in range(len(self.noise)):
            z = self.drawn(q, k)
            base = self.decoded_with(a, z, self.draws[k])
            missed.append(misfit(self.y, added_mean(self.objective.likelihood, base, a, paths_of(a, z))).mean())
        return float(np.mean(missed)) / self.y.shape[1]

    def _paid(self, q: Posterior) -> np.ndarray:
        weights = kl_weights(self.objective, self.q.level_sizes)
        more = q.level_sizes[0] - self.n_latents
        kl = q.kl
        if self.free_bits:
            kl = np.where(kl.mean(axis=0) < self.free_bits, self.free_bits, kl)
        paid: np.ndarray = kl @ np.concatenate([np.full(more, weights[0]), weights])
        return paid if q.beyond is None else paid + weights[0] * q.beyond


def free_bits_of(probe: Any) -> float:
    """Of the training, as far as the model says."""
    known = getattr(probe, "trained_for", None)
    return 0.0 if known is None else float(known.free_bits)


def make_sample(
    probe: Any, observation: Observation, objective: Objective, variance: float, *, n_draws: int = DRAWS, seed: int = 0
) -> Sample:
    """A sample as a bill needs it.

    Parameters
    ----------
    probe : Probe
    observation : Observation
    objective : Objective
    variance : float
        η² that the loss is measured with; see `DecoderMeasurement.decoder_variance`.
    n_draws, seed : int
        Of z.

    Raises
    ------
    DataError
        Fewer rows than three parts need.
    """
    o = observation
    if len(o.y) < FEWEST:
        raise DataError(f"{probe.name}: a bill needs {FEWEST} rows or more, got {len(o.y)}")
    x = np.asarray(o.x, dtype=np.float64)
    y = x if o.y is o.x else np.asarray(o.y, dtype=np.float64)
    rng = np.random.default_rng([seed, n_draws, 1])
    shuffled = rng.permutation(len(y))
    q = o.posterior[shuffled]
    n_own = q.level_sizes[0]
    return Sample(
        probe=probe,
        objective=objective,
        x=x[shuffled],
        y=y[shuffled],
        given=None if o.given is None else o.given[shuffled],
        q=q,
        variance=variance,
        dispersion=dispersion_of(probe, objective, y, o.given),
        noise=rng.standard_normal((n_draws, len(y), n_own)),
        more_noise=rng.standard_normal((n_draws, len(y), MOST_NEW)),
        target_is_input=o.y is o.x,
        free_bits=free_bits_of(probe),
    )
