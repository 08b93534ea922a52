"""VAE whose approximate posterior has a full covariance, q(z|x) = N(mu, L L^T)."""
import numpy as np
import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence


class FullCovarianceVAE(nn.Module):
    def __init__(self, n_features, n_hidden, n_latent):
        super().__init__()
        self.n_latent = n_latent
        self.trunk = nn.Sequential(nn.Linear(n_features, n_hidden), nn.Tanh())
        self.mu_head = nn.Linear(n_hidden, n_latent)
        self.chol_head = nn.Linear(n_hidden, n_latent * (n_latent + 1) // 2)
        self.generator = nn.Sequential(nn.Linear(n_latent, n_hidden), nn.Tanh(), nn.Linear(n_hidden, n_features))

    def encode(self, x):
        h = self.trunk(x)
        mu, flat = self.mu_head(h), self.chol_head(h)
        L = torch.zeros(len(x), self.n_latent, self.n_latent)
        rows, cols = torch.tril_indices(self.n_latent, self.n_latent)
        L[:, rows, cols] = flat
        diagonal = torch.diagonal(L, dim1=1, dim2=2)
        L = L - torch.diag_embed(diagonal) + torch.diag_embed(nn.functional.softplus(diagonal) + 1e-4)
        return mu, L

    def decode(self, z):
        return self.generator(z)

    def forward(self, x):
        mu, L = self.encode(x)
        z = mu + (L @ torch.randn_like(mu).unsqueeze(-1)).squeeze(-1)
        return self.decode(z), mu, L


def elbo_loss(recon, x, mu, L):
    q = MultivariateNormal(mu, scale_tril=L)
    p = MultivariateNormal(torch.zeros_like(mu), torch.eye(mu.shape[1]))
    return (0.5 * ((recon - x) ** 2).sum(1) + kl_divergence(q, p)).mean()


if __name__ == "__main__":
    torch.manual_seed(0)
    x = torch.from_numpy(np.load("data/scores.npy")).float()
    vae = FullCovarianceVAE(x.shape[1], 64, 4)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    for step in range(1000):
        batch = x[torch.randint(len(x), (128,))]
        loss = elbo_loss(*[(o[0], batch, o[1], o[2]) for o in [vae(batch)]][0])
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    torch.save(vae.state_dict(), "full_covariance.pth")
