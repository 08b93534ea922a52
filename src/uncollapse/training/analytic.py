"""The exact objective of linear models, from the second moments of the data: a step costs nothing in their number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from uncollapse.spectra.one_pass import Moments
from uncollapse.training.architecture import Architecture
from uncollapse.training.losses import Terms, terms
from uncollapse.training.models import Coefficients, Parameters

__all__ = ["SecondMoments", "analytic_terms", "second_moments"]


@dataclass(frozen=True)
class SecondMoments:
    """Mean and covariance of the columns [x | y | condition]; y is x itself when `n_targets` is 0."""

    mean: Tensor
    covariance: Tensor
    n_inputs: int
    n_targets: int


def second_moments(
    result: Moments, n_inputs: int, n_targets: int, device: torch.device, dtype: torch.dtype
) -> SecondMoments:
    """Moments of [x | y | condition] on the device."""
    mean = torch.as_tensor(result.mean).to(device, dtype)
    return SecondMoments(mean, torch.as_tensor(result.second_moment()).to(device, dtype), n_inputs, n_targets)


def analytic_terms(a: Architecture, p: Parameters, k: Coefficients, data: SecondMoments) -> Terms:
    """The terms that `sampled_terms` has on average over data and noise.

    Notes
    -----
    Source: Lucas et al. 2019, eqs. 12-14; for levels docs/theory.md section 4. Every variable is linear in the one
    below it plus independent noise, so means and covariances go up the hierarchy one product at a time.
    """
    n, m = data.n_inputs, data.n_targets
    columns = torch.arange(len(data.mean), device=data.mean.device)
    x, y = columns[:n], columns[n : n + m] if m else columns[:n]
    condition = columns[n + m :]
    seen, n_z, n_c = torch.cat([x, condition]), a.latents[0], len(condition)

    weight, bias, variance = _encoder(a, p, k, 0)  # (M, seen, l), (M, l), (M, l)
    u, b = _map(p, "decoder")  # (M, l + c, d2), (M, d2)
    # what the decoder sees, (posterior mean, condition), is a linear map of the data
    through = weight.new_zeros(len(weight), len(columns), n_z + n_c).index_add(1, seen, F.pad(weight, (0, n_c)))
    through[:, condition, torch.arange(n_z, n_z + n_c, device=u.device)] = 1.0
    crossed = data.covariance @ through  # (M, d, l + c)
    covariance = through.mT @ crossed
    mean = data.mean @ through + F.pad(bias, (0, n_c))
    moved = data.mean[y] - (mean[:, None] @ u).squeeze(1) - b
    misfit = (
        torch.diagonal(data.covariance)[y].sum()
        - 2 * (u.mT * crossed[:, y]).sum((1, 2))
        + (covariance * (u @ u.mT)).sum((1, 2))
        + moved.square().sum(1)
        + (variance * u[:, :n_z].square().sum(2)).sum(1)
    )
    mean, covariance = mean[:, :n_z], covariance[:, :n_z, :n_z]
    kls = []
    for level in range(1, len(a.latents)):
        covariance = covariance + torch.diag_embed(variance)  # now of z itself
        weight, bias, wider = _encoder(a, p, k, level)
        u, b = _map(p, f"prior{level}")
        eye = torch.eye(len(mean[0]), dtype=weight.dtype, device=weight.device)
        residual, offset = eye - weight @ u, -(bias[:, None] @ u).squeeze(1) - b
        through_noise = (wider[:, :, None] * u.square()).sum(1)
        moved = (mean[:, None] @ residual).squeeze(1) + offset
        squares = torch.einsum("mij,mik,mkj->mj", residual, covariance, residual) + moved.square() + through_noise
        eta2 = k.decoder_variance[:, None]
        kls.append(0.5 * (squares / eta2 + torch.log(eta2) - torch.log(variance) - 1))
        mean, covariance = (mean[:, None] @ weight).squeeze(1) + bias, weight.mT @ covariance @ weight
        variance = wider
    prior = k.prior_variance[:, None]
    squares = torch.diagonal(covariance, dim1=1, dim2=2) + mean.square() + variance
    kls.append(0.5 * (squares / prior - 1 - torch.log(variance / prior)))
    return terms(a, p, k, misfit, torch.cat(kls, 1))


def _encoder(a: Architecture, p: Parameters, k: Coefficients, level: int) -> tuple[Tensor, Tensor, Tensor]:
    weight, bias = _map(p, f"encoder{level}", "head")
    log_variance = k.log_variance[:, a.levels[level]]
    if any(a.learned[level]):
        is_learned = torch.tensor(a.learned[level], device=weight.device)
        log_variance = torch.where(is_learned, p[f"encoder{level}.log_variance"].squeeze(1), log_variance)
    return weight, bias, torch.exp(log_variance)


def _map(p: Parameters, name: str, last: str = "out") -> tuple[Tensor, Tensor]:
    """Weight (M, in, out) and bias (M, out), zero where the model has none."""
    weight = p[f"{name}.{last}.weight"]
    bias = p.get(f"{name}.{last}.bias")
    return weight, weight.new_zeros(len(weight), weight.shape[2]) if bias is None else bias.squeeze(1)
