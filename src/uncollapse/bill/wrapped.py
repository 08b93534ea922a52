"""A model with its additions, as a probe: measured, diagnosed and improved again like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.bill.additions import Additions
from uncollapse.measure.posterior import Posterior
from uncollapse.measure.protocol import TrainedFor
from uncollapse.objective import Objective
from uncollapse.theory.link import mean_of_natural, natural_of_mean
from uncollapse.theory.loglikelihood import in_totals, score
from uncollapse.theory.posterior import gaussian_kl

__all__ = ["WrappedProbe", "features_of"]


def features_of(additions: Additions, read: np.ndarray) -> np.ndarray:
    """u(x) of every path, shape (n, k), from the scores or the data that it reads, (n, f)."""
    a = additions
    return np.clip(read @ a.features.T - a.centre, -a.limit, a.limit)


@dataclass(frozen=True, eq=False)
class WrappedProbe:
    """A model with its additions; see `Probe`. An encoding takes one call of the model's decoder where paths read it.

    Attributes
    ----------
    probe : Probe
        Of the model as it was.
    additions : Additions
    stated : Objective
        What it was trained on.
    """

    probe: Any
    additions: Additions
    stated: Objective

    @property
    def name(self) -> str:
        """The model's."""
        return f"{self.probe.name}, revived"

    @property
    def objective(self) -> Objective:
        """The model's."""
        return self.stated

    @property
    def decoder_variance(self) -> float | None:
        """The additions', else the model's."""
        own = self.additions.decoder_variance
        known: float | None = self.probe.decoder_variance
        return known if own is None else own

    @property
    def dispersion(self) -> Any:
        """r of a negative binomial."""
        own = getattr(self.probe, "dispersion", None)
        return self.additions.dispersion if own is None else own

    @property
    def covariates(self) -> Any:
        """How the model's condition is read."""
        return getattr(self.probe, "covariates", None)

    @property
    def trained_for(self) -> TrainedFor | None:
        """The model's."""
        known: TrainedFor | None = self.probe.trained_for
        return known

    @property
    def notes(self) -> tuple[str, ...]:
        """The model's."""
        return tuple(self.probe.notes)

    def encode(self, x: np.ndarray, given: np.ndarray | None = None) -> Posterior:
        """q(z|x): the model's own, constants taken out, paths put in."""
        a = self.additions
        q: Posterior = self.probe.encode(x, given)
        read = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        if a.n_paths and a.reads_residual:
            decoded = self.probe.decode(self._held(q.mean[:, q.lowest]), given)
            likelihood, r = self.stated.likelihood, np.inf if self.dispersion is None else self.dispersion
            read = score(likelihood, read, in_totals(likelihood, read, decoded), r)
        return added_posterior(q, a, features_of(a, read), self.stated.prior_variance)

    def decode(self, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """E[y|z] of the lowest level's latents, the new ones last."""
        a = self.additions
        n_own = len(a.constants)
        decoded = self.probe.decode(self._held(z[:, :n_own]), given)
        return added_mean(self.stated.likelihood, decoded, a, paths_of(a, z))

    def _held(self, z: np.ndarray) -> np.ndarray:
        return np.where(self.additions.held, np.nan_to_num(self.additions.constants), z)


def paths_of(additions: Additions, z: np.ndarray) -> np.ndarray:
    """The paths' latents among those of the lowest level, shape (n, k)."""
    a = additions
    at, n_own = a.slots.copy(), len(a.constants)
    at[a.slots < 0] = n_own + np.arange(a.n_new)
    return z[:, at]


def added_mean(likelihood: str, decoded: np.ndarray, additions: Additions, paths: np.ndarray) -> np.ndarray:
    """The decoder's mean with offset and paths added in natural parameters, (n, d)."""
    a = additions
    if not (a.offset.any() or a.n_paths):
        return decoded
    natural = natural_of_mean(likelihood, decoded) + a.offset + paths @ a.directions
    return mean_of_natural(likelihood, natural, decoded.sum(axis=1))


def added_posterior(q: Posterior, additions: Additions, features: np.ndarray, prior_variance: float) -> Posterior:
    """Posteriors with constants taken out (they cost nothing) and paths put in, new latents after the lowest level's.

    Parameters
    ----------
    q : Posterior
        The model's own.
    additions : Additions
    features : ndarray of shape (n, k)
        u(x).
    prior_variance : float
        η_enc², of the new latents.
    """
    a, n, n_own = additions, len(q.mean), len(additions.constants)
    p_mean, p_variance = (np.broadcast_to(part, q.mean.shape).copy() for part in (q.prior_mean, q.prior_variance))
    mean, variance, kl = q.mean.copy(), q.variance.copy(), q.kl.copy()
    out = np.flatnonzero(a.held)
    own = np.nan_to_num(p_variance[:, out], nan=prior_variance)  # nan: a prior of each row's own, not kept
    mean[:, out], variance[:, out], kl[:, out] = np.nan_to_num(p_mean[:, out]), own, 0.0
    of_path = features * a.amplitude
    new = a.slots < 0
    taken = a.slots[~new]
    widths = np.broadcast_to(a.variance, (n, a.n_paths))
    path_kl = gaussian_kl(of_path, widths, prior_variance)
    for whole, part in ((mean, of_path), (variance, widths), (kl, path_kl)):
        whole[:, taken] = part[:, ~new]
    p_mean[:, taken], p_variance[:, taken] = 0.0, prior_variance
    if not new.any():
        return Posterior(
            mean, variance, *_as_before(q, p_mean, p_variance), kl, q.level_sizes, q.latent_shape, q.beyond
        )
    zero, prior = np.zeros((n, a.n_new)), np.full((n, a.n_new), prior_variance)
    wide = [
        np.concatenate([whole[:, :n_own], part, whole[:, n_own:]], axis=1)
        for whole, part in ((mean, of_path[:, new]), (variance, widths[:, new]), (p_mean, zero), (p_variance, prior),
                            (kl, path_kl[:, new]))
    ]  # fmt: skip
    sizes = (n_own + a.n_new, *q.level_sizes[1:])
    priors = _as_before(q, wide[2], wide[3])
    return Posterior(wide[0], wide[1], *priors, wide[4], sizes, (wide[0].shape[1],), q.beyond)


def _as_before(q: Posterior, mean: np.ndarray, variance: np.ndarray) -> tuple[Any, Any]:
    """A prior that is one number for all stays one."""
    both: Any = (mean, variance)
    one: Any = tuple(part.flat[0] if np.ndim(old) == 0 and (part == part.flat[0]).all() else part
                     for part, old in zip(both, (q.prior_mean, q.prior_variance), strict=True))  # fmt: skip
    return one
