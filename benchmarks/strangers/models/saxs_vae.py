"""VAE of small-angle scattering curves, log I(q)."""
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


class ScatteringVAE(nn.Module):
    def __init__(self, n_q, latent_dim, n_neurons=128):
        super().__init__()
        self.encoder_net = nn.Sequential(nn.Linear(n_q, n_neurons), nn.ReLU(), nn.Linear(n_neurons, n_neurons), nn.ReLU())
        self.mu = nn.Linear(n_neurons, latent_dim)
        self.log_var = nn.Sequential(nn.Linear(n_neurons, latent_dim), nn.ReLU())
        self.decoder_net = nn.Sequential(nn.Linear(latent_dim, n_neurons), nn.ReLU(), nn.Linear(n_neurons, n_neurons),
                                         nn.ReLU(), nn.Linear(n_neurons, n_q))

    def encoder(self, x):
        h = self.encoder_net(x)
        return self.mu(h), self.log_var(h)

    def decoder(self, z):
        return self.decoder_net(z)

    def sample_z(self, mu, log_var):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)

    def forward(self, x):
        mu, log_var = self.encoder(x)
        z = self.sample_z(mu, log_var)
        return {"output": self.decoder(z), "z": z, "mu": mu, "log_var": log_var}


def total_loss(output, target, mu, log_var, sigma_noise=0.3):
    nll = ((output - target) ** 2).sum(dim=-1) / (2 * sigma_noise ** 2)
    kl = -0.5 * (1 + log_var - mu ** 2 - log_var.exp()).sum(dim=-1)
    return (nll + kl).mean()


class Trainer:
    def __init__(self, model, curves, lr=1e-3, batch_size=128):
        self.model, self.curves, self.batch_size = model, curves, batch_size
        self.optimizer = optim.Adam(model.parameters(), lr=lr)

    def fit(self, n_epochs):
        for epoch in range(n_epochs):
            for batch in self.curves[torch.randperm(len(self.curves))].split(self.batch_size):
                out = self.model(batch)
                loss = total_loss(out["output"], batch, out["mu"], out["log_var"])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            print(f"{epoch:03d} {loss.item():.4f}")


if __name__ == "__main__":
    torch.manual_seed(11)
    curves = torch.tensor(np.load("data/curves.npy"))
    vae = ScatteringVAE(curves.shape[1], 6)
    Trainer(vae, curves).fit(60)
    torch.save(vae.state_dict(), "saxs_vae.pt")
