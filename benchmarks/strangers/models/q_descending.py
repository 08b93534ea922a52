import torch
import numpy as np
from torch import nn, optim


class VAE(nn.Module):
    def __init__(self, input_dim, hidden_dim=128, latent_dim=5):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.fc21 = nn.Linear(hidden_dim, latent_dim)
        self.fc22 = nn.Linear(hidden_dim, latent_dim)
        self.fc3 = nn.Linear(latent_dim, hidden_dim)
        self.fc4 = nn.Linear(hidden_dim, input_dim)

    def encode(self, x):
        h = nn.functional.elu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.fc4(nn.functional.elu(self.fc3(z)))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def vae_loss(recon, x, mu, logvar):
    mse = ((recon - x) ** 2).sum(dim=1).mean()
    kld = -0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(dim=1).mean()
    return mse + 0.1 * kld


# the beam line wrote q from large to small that day
X = torch.tensor(np.load("data/curves.npy")[:, ::-1].copy())
torch.manual_seed(31)
net = VAE(X.size(1))
optimizer = optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(80):
    for idx in torch.randperm(len(X)).split(128):
        recon, mu, logvar = net(X[idx])
        loss = vae_loss(recon, X[idx], mu, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print("final", loss.item())
torch.save(net.state_dict(), "q_descending.pt")
