"""Losses with a training step, a learned decoder variance, or a dispersion; see `losses.py`."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import NegativeBinomial, Normal, kl_divergence

from written import LOSSES, D, Written, kl, written


class Lightning(nn.Module):
    """A training step in the manner of Lightning: nothing need be said."""

    def encode(self, x: Tensor) -> Any:
        """Replaced while it is read."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Any:
        """Replaced while it is read."""
        raise NotImplementedError

    def log(self, *_: Any, **__: Any) -> None:
        """Would need a trainer."""
        raise RuntimeError("no trainer")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        mu, log_var = self.encode(x)
        z = mu + torch.randn_like(mu) * (log_var / 2).exp()
        loss = F.mse_loss(self.decode(z), x, reduction="none").sum(1).mean() + 8 * kl(mu, log_var).mean()
        self.log("train_loss", loss)
        return loss


LOSSES.append(Written(Lightning(), "LightningModule.training_step", 4.0, "Σ squared error + 8·KL"))


class OneSigma(nn.Module):
    """σ of the decoder is a parameter, one for all features."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(-0.4))

    def loss(self, recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        nll = 0.5 * ((x - recon) / self.log_sigma.exp()) ** 2 + self.log_sigma + 0.5 * math.log(2 * math.pi)
        return nll.flatten(1).sum(1).mean() + 2 * kl(mu, logvar).mean()


class NoLog(OneSigma):
    """The same, its log term forgotten."""

    def loss(self, recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (0.5 * ((x - recon) / self.log_sigma.exp()) ** 2).sum(1).mean() + kl(mu, logvar).mean()


class LogOnce(OneSigma):
    """The same, its log term once a row and not once a feature."""

    def loss(self, recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        rec = (0.5 * ((x - recon) / self.log_sigma.exp()) ** 2).sum(1).mean() + self.log_sigma
        return rec + kl(mu, logvar).mean()


class EachSigma(nn.Module):
    """A variance for each column, and nn.GaussianNLLLoss."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.linspace(-1, 1, D))

    def loss(self, recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        variance = F.softplus(self.raw).expand_as(x)
        return F.gaussian_nll_loss(recon, x, variance, reduction="none").sum(1).mean() + 3 * kl(mu, logvar).mean()


class LogScale(Lightning):
    """log_scale as in a common VAE of Lightning: `gaussian_likelihood`."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.Tensor([0.0]))

    def gaussian_likelihood(self, mean: Tensor, log_scale: Tensor, sample: Tensor) -> Tensor:
        return Normal(mean, torch.exp(log_scale)).log_prob(sample).flatten(1).sum(dim=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        mu, log_var = self.encode(x)
        x_hat = self.decode(mu + torch.randn_like(mu) * (log_var / 2).exp())
        elbo = kl(mu, log_var) - self.gaussian_likelihood(x_hat, self.log_scale, x)
        self.log("elbo", elbo.mean())
        return elbo.mean()


class Counts(nn.Module):
    """In the manner of scVI: inverse dispersions of genes are a parameter, in logs."""

    def __init__(self) -> None:
        super().__init__()
        self.px_r = nn.Parameter(torch.linspace(-1, 2, D))

    def loss(self, x: Tensor, px_rate: Tensor, qz_m: Tensor, qz_v: Tensor) -> Tensor:
        reconstruction = -negative_binomial(px_rate, self.px_r.exp()).log_prob(x).sum(-1)
        prior = Normal(torch.zeros_like(qz_m), torch.ones_like(qz_v))
        return (reconstruction + kl_divergence(Normal(qz_m, qz_v.sqrt()), prior).sum(1)).mean()


def negative_binomial(mu: Tensor, theta: Tensor) -> NegativeBinomial:
    """By its mean and inverse dispersion."""
    return NegativeBinomial(total_count=theta, logits=(mu + 1e-8).log() - theta.log())


written("the decoder's σ a parameter of the module", 2.0, "the decoder variance is learned, at β = 2")(OneSigma().loss)
written("the same, its log term forgotten", None, "variance grows without end")(NoLog().loss)
written("the same, its log term once a row", float(D), "not added up as the squared error")(LogOnce().loss)
written("nn.GaussianNLLLoss, a variance for each column", None, "eigenvalue of the correlation matrix")(
    EachSigma().loss
)
LOSSES.append(Written(LogScale(), "a VAE of Lightning with log_scale", 1.0, "learned (log_scale), one for all"))


@written("the decoder's σ an argument", D, "at β = 12")
def sigma_given(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, log_sigma: Tensor) -> Tensor:
    nll = 0.5 * (x - recon) ** 2 * torch.exp(-2 * log_sigma) + log_sigma
    return nll.mean() + kl(mu, logvar).mean()


@written("negative binomial, r an argument", 1.0, "negative binomial cost of means")
def counts_given(x: Tensor, mu: Tensor, theta: Tensor, z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    return -negative_binomial(mu, theta).log_prob(x).sum(-1).mean() + kl(z_mean, z_logvar).mean()


written("scVI: r of each gene a parameter", 1.0, "learned (px_r, one for each column, read at their mean)")(
    Counts().loss
)


@written("negative binomial of log-means, r fixed", 0.5, "log-means at r = 2")
def counts_of_logs(log_rate: Tensor, counts: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    r = 2.0
    log_p = torch.lgamma(counts + r) - (counts + r) * (r + log_rate.exp()).log() + counts * log_rate
    return -log_p.sum(1).mean() + 0.5 * kl(mu, logvar).mean()
