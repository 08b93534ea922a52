"""Files as people write them, each with a VAE of another make."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import torch

__all__ = ["USUAL", "written"]

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
"""

TRAINS = """
model = {build}
optimiser = torch.optim.Adam(model.parameters())
for epoch in range(1000):
    raise RuntimeError("this file trains when it is run")
"""

LOSS = """
def loss_function(recon_x, x, mu, logvar):
    recon = F.mse_loss(recon_x, x, reduction="sum") / x.size(0)
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / x.size(0)
    return recon + {weight} * kld
"""

POSITIONAL = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim, latent_dim):
        super().__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.fc21, self.fc22 = nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)
        self.fc3, self.fc4 = nn.Linear(latent_dim, hidden_dim), nn.Linear(hidden_dim, input_dim)

    def encode(self, x):
        h = torch.tanh(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.fc4(torch.tanh(self.fc3(z)))

    def forward(self, x):
        mu, logvar = self.encode(x.view(len(x), -1))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar
"""
    + TRAINS.format(build="VAE(64, 32, 6)")
)

CONFIG = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class VAE(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(config.n_features, config.hidden), nn.ReLU())
        self.mu, self.sigma = nn.Linear(config.hidden, config.n_latent), nn.Linear(config.hidden, config.n_latent)
        self.decoder = nn.Sequential(nn.Linear(config.n_latent, config.hidden), nn.ReLU(),
                                     nn.Linear(config.hidden, config.n_features))
        self.dropout = nn.Dropout(config.get("dropout", 0.1))

    def forward(self, x):
        h = self.dropout(self.encoder(x))
        mu, logvar = self.mu(h), self.sigma(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return {"recon": self.decoder(z), "mu": mu, "logvar": logvar, "z": z}
"""
)

ATTRIBUTES = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class Encoder(nn.Module):
    def __init__(self, n_in, width, n_out):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, width), nn.ReLU())
        self.mean, self.std = nn.Linear(width, n_out), nn.Linear(width, n_out)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), F.softplus(self.std(h))


class Decoder(nn.Module):
    def __init__(self, n_in, width, n_out):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, n_out))

    def forward(self, z):
        return self.body(z)


class Model(nn.Module):
    def __init__(self, n_in=64, width=48, latent=5):
        super().__init__()
        self.encoder, self.decoder = Encoder(n_in, width, latent), Decoder(latent, width, n_in)

    def forward(self, x):
        mean, std = self.encoder(x)
        return self.decoder(mean + std * torch.randn_like(std)), mean, 2 * std.log()
"""
)

FORWARD = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class Net(nn.Module):
    def __init__(self, sizes, latent):
        super().__init__()
        self.first, self.second = nn.Linear(64, sizes[0]), nn.Linear(sizes[0], sizes[1])
        self.to_latent = nn.Linear(sizes[1], 2 * latent)
        self.third, self.last = nn.Linear(latent, sizes[1]), nn.Linear(sizes[1], 64)

    def forward(self, x):
        h = torch.relu(self.second(torch.relu(self.first(x))))
        mu, logvar = torch.chunk(self.to_latent(h), 2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(logvar / 2)
        return self.last(torch.relu(self.third(z))), mu, logvar
"""
)

SEQUENTIAL = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class VAE(nn.Module):
    def __init__(self, d: int, k: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(d, 40), nn.Tanh(), nn.Linear(40, 2 * k))
        self.decoder = nn.Sequential(nn.Linear(k, 40), nn.Tanh(), nn.Linear(40, d))

    def forward(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        return self.decoder(z), mu, logvar
"""
)

LIGHTNING = """
import torch
import lightning
from torch import nn
from torch.nn import functional as F

class LitVAE(lightning.LightningModule):
    def __init__(self, n_features=64, latent_dim=2, hidden=16, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(n_features, hidden), nn.Tanh())
        self.fc_mu, self.fc_var = nn.Linear(hidden, latent_dim), nn.Linear(hidden, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden), nn.Tanh(), nn.Linear(hidden, n_features))

    def encode(self, x):
        h = self.encoder(x)
        return self.fc_mu(h), self.fc_var(h)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mu, log_var = self.encode(x)
        return self.decode(mu + torch.randn_like(mu) * (log_var / 2).exp())

    def training_step(self, batch, index):
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        mu, log_var = self.encode(x)
        recon = self.decode(mu + torch.randn_like(mu) * (log_var / 2).exp())
        kl = -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(1).mean()
        return F.mse_loss(recon, x, reduction="none").sum(1).mean() + kl

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
"""

CONDITIONAL = (
    HEAD
    + LOSS.format(weight=1.0)
    + """
class CVAE(nn.Module):
    def __init__(self, input_size, hidden_size, latent_size, num_classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(input_size + num_classes, hidden_size), nn.ReLU())
        self.mu, self.log_var = nn.Linear(hidden_size, latent_size), nn.Linear(hidden_size, latent_size)
        self.decoder = nn.Sequential(nn.Linear(latent_size + num_classes, hidden_size), nn.ReLU(),
                                     nn.Linear(hidden_size, input_size))

    def forward(self, x, c):
        h = self.encoder(torch.cat([x, c], dim=1))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        return self.decoder(torch.cat([z, c], dim=1)), mu, log_var
"""
)

CONVOLUTIONAL = (
    HEAD
    + """
def vae_loss(recon_x, x, mu, logvar, beta=1.0):
    bce = F.binary_cross_entropy(recon_x, x, reduction="sum") / len(x)
    return bce - beta * 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp()) / len(x)


class ConvVAE(nn.Module):
    def __init__(self, latent_dim, channels=(8, 16)):
        super().__init__()
        a, b = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(1, a, 3, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        )
        self.fc_mu, self.fc_logvar = nn.Linear(4 * b, latent_dim), nn.Linear(4 * b, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 4 * b), nn.ReLU(), nn.Unflatten(1, (b, 2, 2)),
            nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(a, 1, 4, 2, 1), nn.Sigmoid(),
        )

    def forward(self, x):
        h = self.encoder(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decoder(z), mu, logvar
"""
)

BETAS = (
    HEAD
    + """
class BetaVAE(nn.Module):
    def __init__(self, in_dim, hidden_dims, z_dim, betas):
        super().__init__()
        self.betas = betas
        sizes = [in_dim, *hidden_dims]
        pairs = list(zip(sizes, sizes[1:]))
        self.enc = nn.Sequential(*[part for i, o in pairs for part in (nn.Linear(i, o), nn.ReLU())])
        self.q = nn.Linear(sizes[-1], 2 * z_dim)
        back = [z_dim, *reversed(hidden_dims)]
        self.dec = nn.Sequential(*[part for i, o in zip(back, back[1:]) for part in (nn.Linear(i, o), nn.ReLU())],
                                 nn.Linear(back[-1], in_dim))

    def forward(self, x, step=0):
        mu, logvar = self.q(self.enc(x)).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.dec(z), mu, logvar


def beta_loss(recon, x, mu, logvar, beta=1.0):
    return ((recon - x) ** 2).sum(1).mean() - beta * 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
"""
)

DATACLASS = """
from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class Config:
    in_features: int
    latent_dim: int = 4
    widths: list[int] = field(default_factory=lambda: [16])
    activation: str = "relu"


class VAE(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[cfg.activation]
        sizes = [cfg.in_features, *cfg.widths]
        self.encoder = nn.Sequential(*[p for i, o in zip(sizes, sizes[1:]) for p in (nn.Linear(i, o), act())],
                                     nn.Linear(sizes[-1], 2 * cfg.latent_dim))
        back = [cfg.latent_dim, *cfg.widths[::-1]]
        self.decoder = nn.Sequential(*[p for i, o in zip(back, back[1:]) for p in (nn.Linear(i, o), act())],
                                     nn.Linear(back[-1], cfg.in_features))

    def encode(self, x):
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        return mean, log_std

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mean, log_std = self.encode(x)
        return self.decode(mean + log_std.exp() * torch.randn_like(mean)), mean, log_std

    def loss(self, x_hat, x, mean, log_std):
        kl = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)
        return (0.5 * ((x_hat - x) ** 2).sum(1) + kl).mean()


if __name__ == "__main__":
    raise RuntimeError("trains")
"""

USUAL = {
    "positional": (POSITIONAL, "VAE", "(64, 32, 6)"),
    "config": (
        CONFIG,
        "VAE",
        "(__import__('argparse').Namespace(n_features=64, hidden=24, n_latent=5, get=lambda k, v: v))",
    ),
    "attributes": (ATTRIBUTES, "Model", "()"),
    "forward": (FORWARD, "Net", "([32, 24], 5)"),
    "sequential": (SEQUENTIAL, "VAE", "(64, 5)"),
    "lightning": (LIGHTNING, "LitVAE", "(64, 6, 32)"),
    "conditional": (CONDITIONAL, "CVAE", "(64, 32, 4, 10)"),
    "convolutional": (CONVOLUTIONAL, "ConvVAE", "(6)"),
    "betas": (BETAS, "BetaVAE", "(64, [32, 24], 5, [0.1, 1.0])"),
    "dataclass": (DATACLASS, "VAE", "(Config(64, 5, [32, 24]))"),
}
"""File, class, and the arguments that it was built with, which the file itself does not tell."""


def written(folder: Path, name: str, seed: int = 0) -> tuple[Path, Path, torch.nn.Module]:
    """The weights and the file of one of `USUAL`, and the model itself, built by running the file's definitions."""
    text, kind, arguments = USUAL[name]
    file, weights = folder / f"vae_{name}.py", folder / f"{name}.pth"
    file.write_text(text, encoding="utf-8")
    module = types.ModuleType(f"{folder.name}_{name}")
    sys.modules[module.__name__] = module  # a dataclass looks there
    exec(text.partition("\nmodel =")[0], vars(module))
    torch.manual_seed(seed)
    model = eval(kind + arguments, vars(module)).eval()
    torch.save(model.state_dict(), weights)
    return weights, file, model
