"""Probe of a NumPyro VAE: the triple (model, guide, params), as SVI trains it. Read from 0.19.

Everything is read from traces of guide and model: q(z|x), the prior, and the mean of the observed site at any z.
Networks in Flax, Haiku or stax come in by `numpyro.module` and its like, whose parameters are among the params.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncollapse.errors import DataError, ObjectiveError
from uncollapse.objective import Objective
from uncollapse.probes.callables import CallableProbe

__all__ = ["is_numpyro", "numpyro_probe"]


def is_numpyro(model: Any) -> bool:
    """Whether it is a model, a guide and a dictionary of parameters."""
    return (
        isinstance(model, tuple | list) and len(model) == 3 and all(callable(part) for part in model[:2])
        and isinstance(model[2], dict)
    )  # fmt: skip


def numpyro_probe(
    model: Any,
    guide: Any,
    params: dict[str, Any],
    *,
    input_shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
) -> CallableProbe:
    """Probe of a VAE in NumPyro. It can be measured, and neither refined nor trained further.

    Parameters
    ----------
    model, guide : callable (x) or (x, condition)
        With one Gaussian latent site and one observed site; further arguments fixed by `functools.partial`.
    params : dict
        What SVI gives: `svi_result.params`.
    input_shape : tuple of int, optional
        Of one sample, if guide and model do not take rows.
    rows : ndarray (n, d), optional
        Some data, on which objective and prior are read; they stay unknown without.

    Raises
    ------
    ObjectiveError
        NumPyro is not installed; when run: a guide with several latent sites, or one that is not Gaussian; a model
        whose observed site depends on the data beyond z.
    """
    try:
        import numpyro  # noqa: F401
    except ImportError:
        raise ObjectiveError("a model, a guide and parameters are read with NumPyro: pip install numpyro") from None
    pair = _Pair(model, guide, params, {})
    objective, variance, log_prior, note = None, None, None, ""
    if rows is None:
        note = "NumPyro's model says its likelihood when run: give rows of data, or the objective"
    else:
        x = np.asarray(rows, dtype=np.float32)
        x = x if input_shape is None else x.reshape(len(x), *input_shape)
        objective, variance, log_prior, note = pair.read(x)
    return CallableProbe(
        pair.encode, pair.decode, "std", name="NumPyro", objective=objective, decoder_variance=variance,
        input_shape=input_shape, log_prior=log_prior, notes=(note,) if note else (),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Pair:
    """Encoder and decoder as functions on arrays."""

    model: Any
    guide: Any
    params: dict[str, Any]
    seen: dict[str, Any]

    def encode(self, x: np.ndarray, *given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of q(z|x)."""
        name, q = _latent(self.trace(self.guide, x, *given))
        self.seen.update(latent=name, shape=x.shape[1:])
        mean = np.asarray(q.mean, dtype=np.float64)
        return mean, np.broadcast_to(np.asarray(q.variance, dtype=np.float64) ** 0.5, mean.shape)

    def decode(self, z: np.ndarray, *given: np.ndarray) -> np.ndarray:
        """Mean of the observed site."""
        if "shape" not in self.seen:
            raise DataError(
                "NumPyro: the model takes data beside z: encode some rows first, so that their shape is known"
            )
        blank = np.zeros((len(z), *self.seen["shape"]), dtype=np.float32)
        return np.asarray(self.observed(blank, z, *given)["fn"].mean, dtype=np.float64)

    def observed(self, x: np.ndarray, z: np.ndarray, *given: np.ndarray) -> Any:
        """The observed site at latents z."""
        sites = self.trace(self.model, x, *given, z=z).values()
        found = [site for site in sites if site["type"] == "sample" and site["is_observed"]]
        if len(found) != 1:
            named = ", ".join(site["name"] for site in found) or "none"
            raise ObjectiveError(f"NumPyro: the model's observed sites are {named}; one is due")
        return found[0]

    def trace(self, function: Any, *arguments: np.ndarray, z: np.ndarray | None = None) -> Any:
        """Sites of guide or model at the trained parameters, with the latents given."""
        from jax import numpy as jnp
        from jax import random
        from numpyro import handlers

        known = self.params if z is None else {**self.params, self.seen["latent"]: jnp.asarray(z)}
        bound = handlers.substitute(handlers.seed(function, random.PRNGKey(0)), data=known)
        return handlers.trace(bound).get_trace(*(jnp.asarray(part) for part in arguments))

    def read(self, x: np.ndarray) -> tuple[Objective | None, float | None, Any, str]:
        """Objective, decoder variance, log prior and a note, from traces of some rows."""
        mean, _ = self.encode(x)
        sites = self.trace(self.model, x, z=mean)
        if self.seen["latent"] not in sites:
            raise ObjectiveError(f"NumPyro: the guide's site {self.seen['latent']!r} is none of the model's")
        latent, observed = sites[self.seen["latent"]], self.observed(x, mean)
        again = self.observed(np.zeros_like(x), mean)
        if not np.allclose(observed["fn"].mean, again["fn"].mean, rtol=1e-4, atol=1e-5):
            raise ObjectiveError(
                f"NumPyro: the site {observed['name']!r} depends on the data beyond z, so there is no decoder of z "
                f"alone; give the pair of functions (encode, decode) instead"
            )
        log_prior = None if _is_standard(latent["fn"]) else self.log_prior
        # of an unscaled site NumPyro says None
        beta = float(latent["scale"] or 1.0) / float(observed["scale"] or 1.0)
        return (*_objective(observed["fn"], beta, int(np.prod(mean.shape[1:]))), log_prior, _note(observed["fn"]))

    def log_prior(self, z: np.ndarray) -> np.ndarray:
        """log p(z) under the model's own prior."""
        blank = np.zeros((len(z), *self.seen["shape"]), dtype=np.float32)
        site = self.trace(self.model, blank, z=z)[self.seen["latent"]]
        density = np.asarray(site["fn"].log_prob(site["value"]), dtype=np.float64)
        return density.reshape(len(z), -1).sum(axis=1)


def _latent(sites: Any) -> tuple[str, Any]:
    found = {name: _base(site["fn"]) for name, site in sites.items() if site["type"] == "sample"}
    ((name, q),) = found.items() if len(found) == 1 else ((None, None),)
    if name is None or type(q).__name__ != "Normal":
        named = ", ".join(f"{site} ({type(fn).__name__})" for site, fn in found.items()) or "none"
        raise ObjectiveError(f"NumPyro: the guide's latent sites are {named}; one Gaussian site is due")
    return name, q


def _base(distribution: Any) -> Any:
    """The distribution of single numbers that one of arrays is made of."""
    while type(distribution).__name__ in ("Independent", "ExpandedDistribution", "MaskedDistribution"):
        distribution = distribution.base_dist
    return distribution


def _is_standard(prior: Any) -> bool:
    base = _base(prior)
    if type(base).__name__ != "Normal":
        return False
    return bool((np.asarray(base.loc) == 0).all() and (np.asarray(base.scale) == 1).all())


def _objective(distribution: Any, beta: float, n_latents: int) -> tuple[Objective | None, float | None]:
    base = _base(distribution)
    kind = type(base).__name__
    if kind.startswith("Bernoulli"):
        return Objective(beta=beta, likelihood="bernoulli", n_latents=n_latents), None
    if kind == "Poisson":
        return Objective(beta=beta, likelihood="poisson", n_latents=n_latents), None
    scale = np.asarray(getattr(base, "scale", np.nan), dtype=np.float64)
    if kind == "Normal" and np.allclose(scale, scale.mean()):
        variance = float(scale.mean()) ** 2
        return Objective(beta=beta, decoder_variance=variance, n_latents=n_latents), variance
    return None, None


def _note(distribution: Any) -> str:
    if _objective(distribution, 1.0, 1)[0] is not None:
        return ""
    return f"the likelihood {type(_base(distribution)).__name__} is not one that is known: say the objective"
