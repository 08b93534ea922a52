"""The objective of a probed model, differentiable: what refining and further training minimise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from uncollapse.objective import Objective
from uncollapse.training.likelihoods import negative_log_likelihood

__all__ = ["costs", "given_variance", "kl_of", "reconstruction"]

LEAST_MEAN = 1e-6
"""Probabilities stay this far from 0 and 1, and means of counts from 0, so that logit and logarithm are finite; float32
resolves 6e-8 there."""


def kl_of(mean: Tensor, log_variance: Tensor, prior_variance: float) -> Tensor:
    """KL of each row and latent from N(0, η_enc²), in nats, same shape."""
    std = torch.exp(0.5 * log_variance).expand_as(mean)
    prior = Normal(torch.zeros_like(mean), torch.full_like(mean, prior_variance**0.5), validate_args=False)
    return kl_divergence(Normal(mean, std, validate_args=False), prior)


def costs(
    objective: Objective, y: Tensor, mean: Tensor, decoder_variance: float, dispersion: Tensor | None = None
) -> Tensor:
    """−log p(y | mean) of each row up to constants of a Gaussian, (B,).

    Parameters
    ----------
    y, mean : Tensors of shape (B, d)
    decoder_variance : float
        η² of a Gaussian.
    dispersion : Tensor of shape (d,), optional
        r of a negative binomial; Poisson without.
    """
    if objective.likelihood == "gaussian":
        return (mean - y).square().sum(1) / (2 * decoder_variance)
    if objective.likelihood == "bernoulli":
        output = torch.logit(mean, eps=LEAST_MEAN)
    else:
        output = torch.log(mean.clamp(min=LEAST_MEAN))
    if objective.likelihood == "categorical":
        return -(y * torch.log_softmax(output, 1)).sum(1)
    log_r = None if dispersion is None else torch.log(dispersion)[None, None]
    kind = "poisson" if objective.likelihood == "negative-binomial" and log_r is None else objective.likelihood
    return negative_log_likelihood(kind, output[None], y[None], log_r)[0].sum(1)


def reconstruction(objective: Objective, y: Tensor, mean: Tensor, dispersion: Tensor | None = None) -> Tensor:
    """`costs` averaged over the rows; with a learned η², (d/2) log η² at its best for them."""
    if objective.likelihood == "gaussian" and objective.decoder_variance == "learned":
        return y.shape[1] / 2 * torch.log((mean - y).square().mean())
    return costs(objective, y, mean, given_variance(objective, 1.0), dispersion).mean()


def given_variance(objective: Objective, otherwise: float) -> float:
    """η² of the objective, or another one where it is learned."""
    return otherwise if objective.decoder_variance == "learned" else float(objective.decoder_variance)
