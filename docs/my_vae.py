"""A VAE as it is often written, for the first page: `python my_vae.py` trains it, and writes weights.pth and x.npy."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn


class VAE(nn.Module):
    def __init__(self, n_features, hidden, latents):
        super().__init__()
        self.first = nn.Linear(n_features, hidden)
        self.mu, self.logvar = nn.Linear(hidden, latents), nn.Linear(hidden, latents)
        self.second, self.last = nn.Linear(latents, hidden), nn.Linear(hidden, n_features)

    def encode(self, x):
        h = torch.relu(self.first(x))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        return torch.sigmoid(self.last(torch.relu(self.second(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decode(z), mu, logvar


def loss(recon, x, mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return F.mse_loss(recon, x) + kl.mean()


if __name__ == "__main__":
    torch.manual_seed(0)
    x = torch.tensor(load_digits().data / 16).float()
    model = VAE(x.shape[1], hidden=64, latents=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        for batch in x[torch.randperm(len(x))].split(64):
            recon, mu, logvar = model(batch)
            optimiser.zero_grad()
            loss(recon, batch, mu, logvar).backward()
            optimiser.step()
    torch.save(model.state_dict(), "weights.pth")
    np.save("x.npy", x.numpy())
