"""The objective in nats per sample, of every member of a stack: sampled, and the importance-weighted bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from uncollapse.training.architecture import Architecture
from uncollapse.training.likelihoods import negative_log_likelihood, squared_error
from uncollapse.training.models import Coefficients, Parameters, decode, posterior, prior_mean

__all__ = [
    "Terms",
    "decoder_variance",
    "elbo",
    "kl_to_level_above",
    "log_weights",
    "minimised",
    "objective",
    "sampled_terms",
    "terms",
]

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Terms:
    """What a batch costs each member, averaged over the batch.

    Attributes
    ----------
    misfit : Tensor of shape (M,)
        E‖y − ŷ‖² of a Gaussian decoder, −log p(y|z) of any other.
    reconstruction : Tensor of shape (M,)
        E‖y − ŷ‖²/(2η²), plus (d/2) log η² when η² is learned; or −log p(y|z).
    kl : Tensor of shape (M, L)
        Per latent, the levels one after another.
    decoder_variance : Tensor of shape (M,)
    """

    misfit: Tensor
    reconstruction: Tensor
    kl: Tensor
    decoder_variance: Tensor


def objective(result: Terms, k: Coefficients) -> Tensor:
    """What the library calls the loss: reconstruction plus weighted KL, (M,)."""
    return result.reconstruction + (k.kl_weights * result.kl).sum(1)


def minimised(result: Terms, k: Coefficients, weight: float, *, free_bits: bool) -> Tensor:
    """What a step of training minimises: the objective with the schedule's weight and free bits, (M,).

    Source of free bits: Kingma et al. 2016, eq. 15, with one group per latent.
    """
    kl = torch.maximum(result.kl, k.free_bits[:, None]) if free_bits else result.kl
    return torch.add(result.reconstruction, (k.kl_weights * kl).sum(1), alpha=weight)


def elbo(a: Architecture, result: Terms) -> Tensor:
    """The evidence lower bound itself: KL at weight 1 and every constant, (M,)."""
    log_p = -result.misfit
    if a.likelihood == "gaussian":
        variance = result.decoder_variance
        log_p = -result.misfit / (2 * variance) - a.n_targets / 2 * (LOG_2PI + torch.log(variance))
    return log_p - result.kl.sum(1)


def decoder_variance(a: Architecture, p: Parameters, k: Coefficients, misfit: Tensor) -> Tensor:
    """η² of each member, (M,): given, a parameter, or the best for this misfit, E‖y − ŷ‖²/d."""
    if a.decoder_variance == "parameter":
        return torch.exp(p["decoder.log_variance"])
    return misfit / a.n_targets if a.decoder_variance == "optimal" else k.decoder_variance


def terms(a: Architecture, p: Parameters, k: Coefficients, misfit: Tensor, kl: Tensor) -> Terms:
    """Put a misfit and KLs together with whatever decoder variance the model has."""
    if a.likelihood != "gaussian":
        return Terms(misfit, misfit, kl, k.decoder_variance)
    variance = decoder_variance(a, p, k, misfit)
    reconstruction = misfit / (2 * variance)
    if a.decoder_variance != "fixed":
        reconstruction = reconstruction + a.n_targets / 2 * torch.log(variance)
    return Terms(misfit, reconstruction, kl, variance)


def sampled_terms(
    a: Architecture, p: Parameters, k: Coefficients, x: Tensor, y: Tensor, given: Tensor | None, noise: Tensor
) -> Terms:
    """One sample of z for each row.

    Parameters
    ----------
    x, y : Tensors of shape (M, B, d)
    given : Tensor of shape (M, B, c) or None
    noise : Tensor of shape (M, B, L)
        Standard normal.

    Notes
    -----
    Source: Wang & Ziyin 2022, eq. 4; for levels, docs/theory.md section 4, with z_{l-1} itself in log p(z_{l-1}|z_l).
    """
    below, kls, entropies = x, [], x
    for level, columns in enumerate(a.levels):
        mean, log_variance = posterior(a, p, k, level, below, given if level == 0 else None)
        std = torch.exp(0.5 * log_variance)
        z = torch.addcmul(mean, std, noise[..., columns])
        if level:
            kls.append(kl_to_level_above(entropies, below, prior_mean(a, p, k, level, z), k))
        else:
            z1 = z
        entropies = log_variance.mean(1)  # (M, l), twice the entropy up to a constant
        below = z
    prior = k.prior_variance[:, None]
    second_moment = (mean.square() + std.square()).mean(1)
    kls.append(0.5 * (second_moment / prior - 1 - entropies + torch.log(prior)))
    output = decode(a, p, k, z1, given)
    if a.likelihood == "gaussian":
        misfit = squared_error(output, y)
    else:
        rows = negative_log_likelihood(a.likelihood, output, y, p.get("decoder.log_dispersion"))
        misfit = rows.sum((1, 2)) / y.shape[1]
    return terms(a, p, k, misfit, kls[0] if len(kls) == 1 else torch.cat(kls, 1))


def kl_to_level_above(log_variance: Tensor, z: Tensor, mean: Tensor, k: Coefficients) -> Tensor:
    """E[log q(z_l | ·) − log N(z_l; mean, η²)] per latent, (M, l); z, mean (M, B, l), mean log-variance (M, l)."""
    variance = k.decoder_variance[:, None]
    return 0.5 * ((z - mean).square().mean(1) / variance + torch.log(variance) - log_variance - 1)


def log_weights(
    a: Architecture, p: Parameters, k: Coefficients, x: Tensor, y: Tensor, given: Tensor | None, noise: Tensor
) -> Tensor:
    """log p(y, z) − log q(z | x) of one sample of z for each row, (M, B).

    The mean of their exponentials over samples is unbiased for p(y): Burda, Grosse & Salakhutdinov 2016, eq. 8.
    """
    below, total = x, torch.zeros(x.shape[:2], dtype=x.dtype, device=x.device)
    for level, columns in enumerate(a.levels):
        mean, log_variance = posterior(a, p, k, level, below, given if level == 0 else None)
        eps = noise[..., columns]
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), eps)
        total = total + 0.5 * (eps.square() + log_variance + LOG_2PI).sum(-1)  # −log q
        if level:
            total = total + _log_normal(below, prior_mean(a, p, k, level, z), k.decoder_variance)
        else:
            z1 = z
        below = z
    total = total + _log_normal(below, torch.zeros_like(below), k.prior_variance)
    output = decode(a, p, k, z1, given)
    if a.likelihood == "gaussian":
        misfit = squared_error(output, y)
        return total + _log_normal(y, output, decoder_variance(a, p, k, misfit))
    return total - negative_log_likelihood(a.likelihood, output, y, p.get("decoder.log_dispersion")).sum(-1)


def _log_normal(value: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log N(value; mean, variance I) of each row, (M, B); variance (M,)."""
    variance = variance[:, None]
    squared = (value - mean).square().sum(-1)
    return -0.5 * (squared / variance + value.shape[-1] * (LOG_2PI + torch.log(variance)))
