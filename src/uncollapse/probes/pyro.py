"""Probe of a Pyro VAE: a module with `model(x)` and `guide(x)`, as in Pyro's own example. Read from 1.9.

What q(z|x), the likelihood and the KL's scale are is read from a trace of guide and model, not from what the encoder
is believed to give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uncollapse.errors import ObjectiveError
from uncollapse.measure.prior import LogPrior
from uncollapse.objective import Objective
from uncollapse.probes.inputs import check_condition
from uncollapse.probes.probe import TorchProbe, evaluating, log_variance_of, mode_notes

__all__ = ["is_pyro", "pyro_probe"]


def is_pyro(model: Any) -> bool:
    """Whether the object has a Pyro model and guide, and a decoder."""
    return isinstance(model, nn.Module) and all(
        callable(getattr(model, n, None)) for n in ("model", "guide", "decoder")
    )


def pyro_probe(
    module: nn.Module, *, input_shape: tuple[int, ...] | None = None, rows: np.ndarray | None = None
) -> TorchProbe:
    """Probe of a Pyro VAE.

    Parameters
    ----------
    module : Module
        With `model(x)`, `guide(x)` of one Gaussian latent site, and `decoder(z)` that gives the mean of x.
    input_shape : tuple of int, optional
        Of one sample, if guide and model do not take rows.
    rows : ndarray (n, d), optional
        Some data, on which the objective is read; it stays unknown without.

    Raises
    ------
    ObjectiveError
        When run: a guide with several latent sites, or one that is not Gaussian.
    """
    name = f"Pyro {type(module).__name__}"
    probe = TorchProbe(name, module, _mean_and_log_variance, _output, input_shape=input_shape, notes=mode_notes(module))
    if rows is None:
        return _with(
            probe, None, None, "Pyro's model says its likelihood when run: give rows of data, or the objective"
        )
    with torch.no_grad(), evaluating(module):
        shaped = probe.in_shape(probe.tensor(rows))
        log_prior = _log_prior(probe, shaped)
        return replace(_with(probe, *_objective(module, shaped)), log_prior=log_prior)


def _mean_and_log_variance(module: Any, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
    check_condition(module.guide, given is not None, f"Pyro {type(module).__name__}: the guide")
    site = _latent(_trace(module.guide, x, given))
    q = _base(site["fn"])
    return q.loc, log_variance_of(q.scale, "std", f"Pyro {type(module).__name__}")


def _output(module: Any, z: Tensor, given: Tensor | None) -> Any:
    out = module.decoder(z) if given is None else module.decoder(z, given)
    return out[0] if isinstance(out, tuple | list) and out else out


def _trace(function: Any, x: Tensor, given: Tensor | None) -> Any:
    from pyro import get_param_store, poutine

    arguments = (x,) if given is None else (x, given)
    store = get_param_store()
    with store.scope(state=store.get_state()), torch.random.fork_rng(devices=[]):  # the user's own stay as they are
        return poutine.trace(function).get_trace(*arguments)


def _latent(trace: Any) -> Any:
    from pyro.poutine.util import site_is_subsample

    sites = [trace.nodes[name] for name in trace.stochastic_nodes if not site_is_subsample(trace.nodes[name])]
    if len(sites) != 1 or not isinstance(_base(sites[0]["fn"]), torch.distributions.Normal):
        named = ", ".join(f"{site['name']} ({type(_base(site['fn'])).__name__})" for site in sites) or "none"
        raise ObjectiveError(f"the guide's latent sites are {named}; one Gaussian site is due")
    return sites[0]


def _base(distribution: Any) -> Any:
    while hasattr(distribution, "base_dist") and not isinstance(distribution, torch.distributions.Normal):
        distribution = distribution.base_dist
    return distribution


def _objective(module: Any, x: Tensor) -> tuple[Objective | None, float | None, str | None]:
    """Objective, decoder variance and a note, from a trace of the model."""
    from torch import distributions as d

    trace = _trace(module.model, x, None)
    latent = _latent(_trace(module.guide, x, None))
    observed = [trace.nodes[name] for name in trace.observation_nodes]
    _check_decoder(module, trace.nodes[latent["name"]]["value"], observed)
    if len(observed) != 1:
        return None, None, "the model has several observed sites: say the objective"
    scales = [float(torch.as_tensor(site["scale"])) for site in (latent, observed[0])]
    beta, likelihood = scales[0] / scales[1], _base(observed[0]["fn"])
    n_latents = int(np.prod(_base(latent["fn"]).loc.shape[1:]))
    if isinstance(likelihood, d.Bernoulli):
        return Objective(beta=beta, likelihood="bernoulli", n_latents=n_latents), None, None
    if isinstance(likelihood, d.Poisson):
        return Objective(beta=beta, likelihood="poisson", n_latents=n_latents), None, None
    if isinstance(likelihood, d.Normal) and bool(torch.isclose(likelihood.scale, likelihood.scale.mean()).all()):
        variance = float(likelihood.scale.mean()) ** 2
        return Objective(beta=beta, decoder_variance=variance, n_latents=n_latents), variance, None
    return None, None, f"the likelihood {type(likelihood).__name__} is not one that is known: say the objective"


def _check_decoder(module: nn.Module, z: Tensor, observed: list[Any]) -> None:
    """`decoder(z)` must be the mean that the model gives its observed site."""
    if len(observed) != 1:
        return
    mean, decoded = observed[0]["fn"].mean, _output(module, z, None)
    same = torch.is_tensor(decoded) and decoded.numel() == mean.numel()
    if not same or not torch.allclose(decoded.flatten(), mean.flatten(), rtol=1e-3, atol=1e-4):
        raise ObjectiveError(
            f"Pyro {type(module).__name__}: decoder(z) is not the mean of the site {observed[0]['name']!r} (logits, "
            f"perhaps): give the pair of functions (encode, decode) instead"
        )


def _is_standard(prior: Any) -> bool:
    return isinstance(prior, torch.distributions.Normal) and bool((prior.loc == 0).all() and (prior.scale == 1).all())


def _log_prior(probe: TorchProbe, x: Tensor) -> LogPrior | None:
    """log p(z) as the model says it, of arrays; None where it is N(0, I)."""
    from pyro import poutine

    module: Any = probe.module
    name = _latent(_trace(module.guide, x, None))["name"]
    if _is_standard(_base(_trace(module.model, x, None).nodes[name]["fn"])):
        return None

    def log_prior(z: np.ndarray) -> np.ndarray:
        latents = probe.tensor(z).reshape(len(z), *probe.posterior(x[:1].flatten(1), None)[0].shape[1:])
        with torch.no_grad(), evaluating(module):
            given = poutine.condition(module.model, data={name: latents})
            density = _trace(given, x.new_zeros(len(z), *x.shape[1:]), None).nodes[name]["fn"].log_prob(latents)
        values: np.ndarray = density.reshape(len(z), -1).sum(dim=1).double().cpu().numpy()
        return values

    return log_prior


def _with(probe: TorchProbe, objective: Objective | None, variance: float | None, note: str | None) -> TorchProbe:
    notes = probe.notes if note is None else (*probe.notes, note)
    return replace(probe, objective=objective, decoder_variance=variance, notes=notes)
