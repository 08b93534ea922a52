"""Losses as people write them, each in the manner of its source, with the water level that it has on paper.

The sources are named; the code is ours. `read_losses.py` makes the table of docs/losses.md, tests/reading tries each.
`losses_learned.py` has those with a learned variance or a dispersion.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from written import LOSSES, D, K, Written, kl, written

__all__ = ["LOSSES", "D", "K", "Written"]


@written("pytorch/examples, vae", 1.0, "cross-entropy of probabilities")
def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    bce = F.binary_cross_entropy(recon_x, x.view(-1, D), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class Vanilla(nn.Module):
    """A module whose loss takes everything as *args."""

    def loss_function(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        recons, x, mu, log_var = args
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        misfit = F.mse_loss(recons, x)
        return {"loss": misfit + kwargs["M_N"] * kld, "Reconstruction_Loss": misfit.detach(), "KLD": -kld.detach()}


written("PyTorch-VAE, VanillaVAE", 0.00025 * 48 / 2, "averaged over 48", shape=(3, 4, 4), settings={"M_N": 0.00025})(
    Vanilla().loss_function
)


class Capacity(nn.Module):
    """β-VAE with a capacity, 'B' of PyTorch-VAE."""

    gamma, c = 10.0, 25.0

    def loss_function(self, *args: Any, **_: Any) -> dict[str, Tensor]:
        recons, x, mu, log_var = args
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        return {"loss": F.mse_loss(recons, x) + self.gamma * (kld - self.c).abs(), "KLD": kld}


written("PyTorch-VAE, BetaVAE with capacity", 60.0, "capacity of 25 nats")(Capacity().loss_function)


@written("Keras' example", 1.0, "cross-entropy", shape=(4, 3, 1))
def train_step_loss(data: Tensor, reconstruction: Tensor, z_mean: Tensor, z_log_var: Tensor) -> Tensor:
    recon = F.binary_cross_entropy(reconstruction, data, reduction="none").sum((1, 2, 3)).mean()
    return recon + (-0.5 * (1 + z_log_var - z_mean**2 - z_log_var.exp())).sum(1).mean()


@written("pythae, BetaVAE", 3.0, "½·Σ squared error + 3·KL")
def pythae_loss(recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    misfit = 0.5 * F.mse_loss(recon_x.flatten(1), x.flatten(1), reduction="none").sum(dim=-1)
    divergence = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=-1)
    return (misfit + 3.0 * divergence).mean(dim=0), misfit.mean(dim=0), divergence.mean(dim=0)


@written("sigma-VAE, optimal variance", 1.0, "decoder variance is learned")
def sigma_vae(x_hat: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    log_sigma = ((x - x_hat) ** 2).mean().sqrt().log()
    rec = (0.5 * ((x - x_hat) / log_sigma.exp()) ** 2 + log_sigma + 0.5 * math.log(2 * math.pi)).sum()
    return (rec - 0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())) / len(x)


class Output(NamedTuple):
    """Values under names."""

    loss: Tensor
    rec: Tensor
    kld: Tensor


@written("tutorials that return a named tuple", 0.5, "Σ squared error + 1·KL")
def named(output: Tensor, target: Tensor, mean: Tensor, log_var: Tensor) -> Output:
    rec = ((output - target) ** 2).sum(1).mean()
    return Output(rec + kl(mean, log_var).mean(), rec, kl(mean, log_var).mean())


@written("torch.distributions", 2.0, "½·Σ squared error + 2·KL")
def with_distributions(x_recon: Tensor, x: Tensor, q: Normal) -> Tensor:
    prior = Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale))
    log_p = Independent(Normal(x_recon, torch.ones_like(x_recon)), 1).log_prob(x)
    return (-log_p + 2.0 * kl_divergence(q, prior).sum(-1)).mean()


@written("sampled KL, log q − log p", 0.5)
def monte_carlo(x_hat: Tensor, x: Tensor, z: Tensor, mu: Tensor, std: Tensor) -> Tensor:
    p, q = Normal(torch.zeros_like(mu), torch.ones_like(std)), Normal(mu, std)
    divergence = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    return (((x_hat - x) ** 2).sum(-1) + divergence).mean()


@written("WorldModels #12: both averaged", D / (2 * K), "averaged over 4 latents")
def both_means(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.mse_loss(recon, x) - 0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())


@written("mse_loss with its default", D / 2, "12 times as high")
def default_mean(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.mse_loss(recon, x) + kl(mu, logvar).mean()


@written("reconstruction averaged, KL summed over the batch", 128 * D / 2, "summed over the batch")
def batch_sum(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.mse_loss(recon, x) + kl(mu, logvar).sum()


@written("reconstruction summed, KL averaged over the batch", 1 / 256, "128 times less")
def batch_mean(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.mse_loss(recon, x, reduction="sum") + kl(mu, logvar).mean()


@written("channels averaged, pixels summed", 1.5, "averaged over some axes", shape=(3, 2, 2))
def some_axes(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).mean(1).sum((1, 2)).mean() + kl(mu, logvar).mean()


@written("KL over pixels as well", 0.5, "divided by the number of features")
def per_pixel(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.mse_loss(recon, x) + kl(mu, logvar).mean() / x[0].numel()


@written("free nats in all (dreamer #44)", 1.0, "under 3 nats in all")
def free_nats(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * ((recon - x) ** 2).sum(1).mean() + kl(mu, logvar).mean().clamp_min(3.0)


@written("free bits of each latent", 1.0, "under 0.5 nats a latent")
def free_bits(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    each = (-0.5 * (1 + logvar - mu**2 - logvar.exp())).mean(0)
    return 0.5 * ((recon - x) ** 2).sum(1).mean() + each.clamp_min(0.5).sum()


@written("a KL that is clipped", 0.5, "cut off above 100 nats")
def ceiling(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() + kl(mu, logvar).clamp_max(100.0).mean()


@written("a warm-up by the step", 0.5, "grows with the step")
def warm_up(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, step: int) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() + min(1.0, step / 1000) * kl(mu, logvar).mean()


@written("the sign turned", None, "sign of the KL is turned")
def turned(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() - kl(mu, logvar).mean()


@written("the ½ forgotten", 1.0, "is its ½ missing?")
def no_half(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() - (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()


@written("a standard deviation taken for a log-variance", None, "takes it for a standard deviation")
def wrong_spread(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    sigma2 = logvar**2
    return ((recon - x) ** 2).sum(1).mean() + 0.5 * (mu**2 + sigma2 - 1 - sigma2.log()).sum(1).mean()


@written("the exponential left out", None, "exponential of log σ² left out")
def no_exp(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() - 0.5 * (1 + logvar - mu**2 - logvar).sum(1).mean()


@written("the part of μ² forgotten", None, "μ² of the KL is not there")
def no_means(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() - 0.5 * (1 + logvar - logvar.exp()).sum(1).mean() + 0 * mu.sum()


@written("σ in place of σ²", None, "the standard deviation, stands where")
def half_exp(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() - 0.5 * (1 + logvar - mu**2 - (logvar / 2).exp()).sum(1).mean()


@written("the KL multiplied by 0", None, "there is no KL")
def no_kl(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return ((recon - x) ** 2).sum(1).mean() + 0.0 * kl(mu, logvar).mean()


@written("β-TCVAE's total correlation", None, "terms between rows")
def total_correlation(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    log_q = -0.5 * (mu[:, None] - mu[None]) ** 2 / logvar.exp()[None] - 0.5 * logvar[None]
    tc = log_q.sum(2).logsumexp(1) - log_q.logsumexp(1).sum(1)
    return ((recon - x) ** 2).sum(1).mean() + (kl(mu, logvar) + 5.0 * tc).mean()


@written("MMD (InfoVAE)", None, "terms between rows")
def mmd(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    near = torch.exp(-((mu[:, None] - mu[None]) ** 2).sum(2)).mean()
    return ((recon - x) ** 2).sum(1).mean() + 10 * near + kl(mu, logvar).mean()


@written("absolute error", None, "absolute error")
def absolute(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.l1_loss(recon, x, reduction="sum") / len(x) + kl(mu, logvar).mean()


@written("smooth L1", None, "Huber's error")
def smooth(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.smooth_l1_loss(recon, x, reduction="sum") / len(x) + kl(mu, logvar).mean()


@written("cross-entropy of logits", 4.0, "cross-entropy of logits")
def logits_bce(logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean() + 4 * kl(mu, logvar).mean()


@written("counts, Poisson", 1.0, "Poisson cost of log-rates")
def poisson(log_rate: Tensor, counts: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.poisson_nll_loss(log_rate, counts, log_input=True, reduction="none").sum(1).mean() + kl(mu, logvar).mean()


@written("one word of a vocabulary", 0.1, "categorical cross-entropy")
def words(logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return F.cross_entropy(logits, tokens) + 0.1 * kl(mu, logvar).mean()


@written("softmax and log, with a small number inside", 1.0, "categorical cross-entropy of probabilities", shape=(4, 3))
def shares(x_decoded: Tensor, x: Tensor, z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    return (-(x * torch.log(x_decoded + 1e-9)).sum(dim=(1, 2)) + kl(z_mean, z_logvar)).mean()


@written("the same of the class's number", 1.0, "categorical cross-entropy of probabilities", shape=(4, 3))
def shares_of_classes(probs: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    picked = probs.gather(2, tokens.unsqueeze(2)).squeeze(2)
    return -picked.clamp_min(1e-8).log().sum(1).mean() + kl(mu, logvar).mean()


@written("log_softmax and nll_loss", 0.5, "categorical cross-entropy of log-probabilities", shape=(4, 3))
def logs(pred: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    cost = F.nll_loss(pred.transpose(1, 2), x.argmax(dim=2), reduction="sum")
    return (2 * cost + kl(mu, logvar).sum()) / len(x)


@written("NumPy, JAX: arrays in, a number out", 4.0, "½·Σ squared error + 4·KL")
def on_arrays(y_true: Any, y_pred: Any, mean: Any, std: Any) -> Any:
    y_true, y_pred, mean, std = (np.asarray(part) for part in (y_true, y_pred, mean, std))
    divergence = 0.5 * (mean**2 + std**2 - 1 - np.log(std**2)).sum(1)
    return 0.5 * ((y_true - y_pred) ** 2).sum(1).mean() + 4 * divergence.mean()


@written("a weight of the reconstruction (AudioLDM2 #90)", 0.0005, "1000·Σ squared error")
def heavy(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return 1000 * ((recon - x) ** 2).sum(1).mean() + kl(mu, logvar).mean()


@written("pixels of the middle count more", None, "features weigh differently")
def uneven(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    weights = torch.linspace(1, 3, x.shape[1], dtype=x.dtype)
    return (weights * (recon - x) ** 2).sum(1).mean() + kl(mu, logvar).mean()


@written("dropout inside", None, "another value each time")
def random(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return (F.dropout(recon - x, 0.5) ** 2).sum(1).mean() + kl(mu, logvar).mean()


@written("works in place", 0.5, "Σ squared error + 1·KL")
def in_place(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    divergence = kl(mu, logvar).mean()
    recon.sub_(x).pow_(2)
    mu.zero_()
    return recon.sum(1).mean() + divergence


import losses_learned  # noqa: E402, F401  (it adds its own to the list, after these)
