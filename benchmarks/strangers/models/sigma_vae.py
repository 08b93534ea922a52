"""sigma-VAE: one learned log-sigma for all outputs."""
import math
import numpy as np
import torch
import torch.nn as nn
import torch.utils.data


def gaussian_nll(mu, log_sigma, x):
    return 0.5 * torch.pow((x - mu) / log_sigma.exp(), 2) + log_sigma + 0.5 * math.log(2 * math.pi)


class SigmaVAE(nn.Module):
    def __init__(self, features=100, h_dim=80, z_dim=10):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, h_dim), nn.ReLU(), nn.Linear(h_dim, h_dim), nn.ReLU())
        self.fc11 = nn.Linear(h_dim, z_dim)
        self.fc12 = nn.Linear(h_dim, z_dim)
        self.decoder = nn.Sequential(nn.Linear(z_dim, h_dim), nn.ReLU(), nn.Linear(h_dim, h_dim), nn.ReLU(),
                                     nn.Linear(h_dim, features))
        self.log_sigma = torch.nn.Parameter(torch.full((1,), 0.0))

    def encode(self, x):
        h = self.encoder(x)
        return self.fc11(h), self.fc12(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar

    def loss_function(self, recon_x, x, mu, logvar):
        rec = gaussian_nll(recon_x, self.log_sigma, x).sum()
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return rec, kl


torch.manual_seed(4)
data = torch.from_numpy(np.load("data/curves.npy"))
loader = torch.utils.data.DataLoader(data, batch_size=100, shuffle=True)
model = SigmaVAE(features=data.shape[1], z_dim=8)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [250, 300], gamma=0.2)
for epoch in range(330):
    for x in loader:
        optimizer.zero_grad()
        recon, mu, logvar = model(x)
        rec, kl = model.loss_function(recon, x, mu, logvar)
        loss = (rec + kl) / len(x)
        loss.backward()
        optimizer.step()
    scheduler.step()
print(epoch, loss.item(), model.log_sigma.item())
torch.save(model.state_dict(), "sigma_vae.pth")
