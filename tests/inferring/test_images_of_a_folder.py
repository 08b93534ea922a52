"""Folders of images with a convolutional VAE of the user's own, from a file of weights to a better model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from commandline import run as command_line
from uncollapse import Objective, diagnose, load_revived, open_weights
from uncollapse.data.sources import open_source
from uncollapse.studies.made_faces import write_faces

CONVOLUTIONAL = """
import torch
from torch import nn
import torch.nn.functional as F
from torchvision.datasets import ImageFolder

class ConvVAE(nn.Module):
    def __init__(self, latent_dim=4, channels=(6, 8), height=2, width=1):
        super().__init__()
        a, b = channels
        self.small = (b, height, width)
        self.encoder = nn.Sequential(nn.Conv2d(3, a, 4, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())
        self.fc_mu, self.fc_var = nn.Linear(b * height * width, latent_dim), nn.Linear(b * height * width, latent_dim)
        self.from_z = nn.Linear(latent_dim, b * height * width)
        self.decoder = nn.Sequential(nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(a, 3, 4, 2, 1))

    def encode(self, x):
        h = self.encoder(x).flatten(1)
        return self.fc_mu(h), self.fc_var(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.decoder(self.from_z(z).view(-1, *self.small))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar

def loss_function(recon, x, mu, logvar):
    mse = F.mse_loss(recon, x, reduction="sum") / x.size(0)
    return mse - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / x.size(0)

if __name__ == "__main__":
    faces = ImageFolder("faces")
"""

DENSE = """
import torch
from torch import nn

class Dense(nn.Module):
    def __init__(self, n=96, latent_dim=3):
        super().__init__()
        self.mu, self.var, self.back = nn.Linear(n, latent_dim), nn.Linear(n, latent_dim), nn.Linear(latent_dim, n)

    def encode(self, x):
        return self.mu(x), self.var(x)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.back(z)

def loss_function(recon, x, mu, logvar):
    return ((recon - x) ** 2).sum() / len(x) - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum() / len(x)
"""


def saved(folder, text, name):
    """The file, and weights of a few steps on the images, in their own shape."""
    (folder / "my_vae.py").write_text(text)
    scope: dict = {"__name__": "trained"}
    exec(text.replace("from torchvision.datasets import ImageFolder", ""), scope)
    torch.manual_seed(0)
    model = scope[name]()
    x = images(folder)
    x = x if name == "ConvVAE" else x.flatten(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        mu, logvar = model.encode(x)
        loss = scope["loss_function"](model.decode(model.reparameterize(mu, logvar)), x, mu, logvar)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.save(model.state_dict(), folder / "vae.pth")
    return model, x


def images(folder):
    rows = np.vstack(list(open_source(f"{folder / 'faces'}::8x4").blocks()))
    return torch.from_numpy(rows).view(-1, 3, 8, 4)


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_faces(tmp_path / "faces", 160, side=16)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tall_images_are_not_taken_for_wide_ones(here):
    model, x = saved(here, CONVOLUTIONAL, "ConvVAE")
    found = open_weights("vae.pth", "my_vae.py:ConvVAE", open_source("faces::8x4"))
    mean = found.probe.encode(x.flatten(1).numpy()).mean
    with torch.no_grad():
        np.testing.assert_allclose(mean, model.encode(x)[0].numpy(), rtol=1e-4, atol=1e-4)
    assert any(one.what == "input shape" and "3 × 8 × 4" in one.value for one in found.found)


@pytest.mark.filterwarnings("ignore:float32 data show strengths")  # so small images have modes of rounding only
def test_a_module_in_python_takes_the_images_of_a_folder(here):
    model, x = saved(here, CONVOLUTIONAL, "ConvVAE")
    told = diagnose(model, open_source("faces::8x4"), objective=Objective.from_loss("mse"), budget=1)
    kl = -0.5 * (1 + (lv := model.encode(x)[1]) - model.encode(x)[0] ** 2 - lv.exp()).mean(0)
    np.testing.assert_allclose(np.sort(told.measurement.kl), np.sort(kl.detach().numpy()), rtol=0.05, atol=0.02)


def test_a_dense_model_takes_the_same_images_as_rows(here):
    model, x = saved(here, DENSE, "Dense")
    found = open_weights("vae.pth", "my_vae.py", open_source("faces::8x4"))
    with torch.no_grad():
        np.testing.assert_allclose(found.probe.encode(x.numpy()).mean, model.encode(x)[0].numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_diagnose_and_revive_go_from_a_folder_to_a_better_model(here):
    _, x = saved(here, CONVOLUTIONAL, "ConvVAE")
    words = ("vae.pth", "faces::8x4", "--model", "my_vae.py:ConvVAE")
    told = command_line("diagnose", *words, "--budget", "2", "--json", "-")
    assert told.returncode == 0, told.stderr
    assert len(json.loads(told.stdout)["kl_per_latent"]) == 4
    told = command_line("revive", *words, "--out", "better", "--budget", "2", "--json", "-")
    assert told.returncode == 0, told.stderr
    found = open_weights("vae.pth", "my_vae.py:ConvVAE", open_source("faces::8x4"))
    better = load_revived(found, "better")
    before, after = loss_by_hand(found.probe.module, x), loss_by_hand(better, x)
    assert after < before


def loss_by_hand(module, x):
    """Nats a sample by many draws of z, from images to images."""
    torch.manual_seed(0)
    with torch.no_grad():
        mean, log_variance = module.encode(x)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        draws = [module.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp()) for _ in range(40)]
        assert draws[0].shape == x.shape
        return float(kl + np.mean([float((draw - x).square().sum()) / len(x) for draw in draws]))
