"""VAE with a log-standard-deviation head and a learned observation noise."""
import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus


class GaussianVAE(nn.Module):
    def __init__(self, D_in, H, D_latent):
        super().__init__()
        self.enc_hidden = nn.Linear(D_in, H)
        self.enc_mu = nn.Linear(H, D_latent)
        self.enc_log_std = nn.Linear(H, D_latent)
        self.dec_hidden = nn.Linear(D_latent, H)
        self.dec_out = nn.Linear(H, D_in)
        self.raw_var = nn.Parameter(torch.zeros(()))

    @property
    def noise_var(self):
        return softplus(self.raw_var) + 1e-5

    def encode(self, x):
        h = torch.tanh(self.enc_hidden(x))
        return self.enc_mu(h), self.enc_log_std(h)

    def decode(self, z):
        return self.dec_out(torch.tanh(self.dec_hidden(z)))

    def forward(self, x):
        mu, log_std = self.encode(x)
        z = mu + log_std.exp() * torch.randn_like(mu)
        return self.decode(z), mu, log_std

    def neg_elbo(self, x_rec, x, mu, log_std):
        var = self.noise_var
        nll = 0.5 * ((x - x_rec) ** 2 / var + torch.log(2 * math.pi * var)).sum(-1)
        kl = (-log_std + 0.5 * (torch.exp(2 * log_std) + mu ** 2 - 1)).sum(-1)
        return (nll + kl).mean()


def fit(model, X, epochs, lr=1e-3, batch=128):
    optim = torch.optim.Adam(model.parameters(), lr=lr)
    for ep in range(epochs):
        perm = torch.randperm(X.shape[0])
        for i in range(0, len(perm), batch):
            xb = X[perm[i:i + batch]]
            loss = model.neg_elbo(*(lambda r: (r[0], xb, r[1], r[2]))(model(xb)))
            optim.zero_grad()
            loss.backward()
            optim.step()
        print(ep, loss.item(), model.noise_var.item())


X = torch.tensor(np.load("data/curves.npy"), dtype=torch.float32)
torch.manual_seed(99)
vae = GaussianVAE(X.shape[1], 64, 5)
fit(vae, X, 500)
torch.save(vae.state_dict(), "learned_noise.pth")
